//! Being told to end: what was started ends first.
//!
//! A signal sets a flag; a run that sees it fails, and so lets go of its processes.
//! Used by `main` and `conductor`.

use std::io::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};

static IS_TOLD: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Listens for signals from now on. A second one ends the process at once.
///
/// # Errors
/// The system refuses.
pub fn watch() -> Result<()> {
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        register_conditional_shutdown(signal, 1, Arc::clone(&IS_TOLD))?;
        register(signal, Arc::clone(&IS_TOLD))?;
    }
    Ok(())
}

/// Fails when a signal has come.
///
/// # Errors
/// It has come.
pub fn check() -> Result<()> {
    match IS_TOLD.load(Ordering::Relaxed) {
        true => Err(Error::other("interrupted")),
        false => Ok(()),
    }
}
