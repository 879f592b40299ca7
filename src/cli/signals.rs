//! What the signals of a running server do.
//!
//! A thread of its own waits for them, parked, and calls the event loop's
//! handle; the loop itself knows of no signals. Called by `serve`.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;

use super::handover::Handover;
use super::logging::Target;
use super::supervisor;
use crate::net::Handle;

/// What SIGHUP asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// Opens the log anew.
    Reopen,
    /// There is nothing to open anew: whoever reads standard error keeps it.
    Ignore,
    /// The terminal that it was started from is gone: as SIGTERM.
    Stop,
}

impl Hangup {
    /// For a server that logs to a file of its own, or to the standard error
    /// that it was started with. To be asked before the log begins.
    pub fn of(has_file: bool) -> Hangup {
        match has_file {
            true => Hangup::Reopen,
            false if io::stderr().is_terminal() => Hangup::Stop,
            false => Hangup::Ignore,
        }
    }
}

/// Begins to watch. SIGTERM and SIGINT begin the shutdown, a second one ends
/// it at once; SIGUSR2 begins the restart; SIGHUP does what `hangup` says. The
/// first process of a container also takes the exit status of orphans.
///
/// # Errors
/// The system takes no handler or gives no thread.
pub fn watch(
    handle: Handle,
    handover: Arc<Handover>,
    hangup: Hangup,
    log: Arc<Target>,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR2])?;
    if supervisor::inherits_orphans() {
        signals.add_signal(SIGCHLD)?;
        // Those that ended before, with the process that this program was called from.
        supervisor::reap();
    }
    let stop = move |handover: &Handover, signal| {
        log::info!("event=stopping signal={signal}");
        handover.forget();
        handle.shutdown();
    };
    let watching = move || {
        for signal in signals.forever() {
            match (signal, hangup) {
                (SIGHUP, Hangup::Reopen) => log.reopen(),
                (SIGHUP, Hangup::Ignore) => {}
                (SIGUSR2, _) => handover.begin(),
                (SIGCHLD, _) => supervisor::reap(),
                (SIGTERM, _) => stop(&handover, "SIGTERM"),
                (SIGINT, _) => stop(&handover, "SIGINT"),
                _ => stop(&handover, "SIGHUP"),
            }
        }
    };
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(watching).map(drop)
}
