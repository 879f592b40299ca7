//! `chloe`: a server, from its settings to its end.
//!
//! Puts the parts together: pid file, log, sockets, server, signals. What runs
//! in the background or beside a demo app runs through here too. Called by
//! `cli::main`, `start` and `demo`.

use std::path::Path;

use super::failure::Failure;
use super::logging::Log;
use super::pid_file::PidFile;
use super::places::{Places, is_set};
use super::signals::{self, Hangup};
use super::state_file;
use crate::base::time::Time;
use crate::config::Config;
use crate::net::{EventLoop, random_seed};
use crate::server::Server;

/// Runs in the foreground until it is told to end.
///
/// # Errors
/// It cannot start, or the event loop fails.
pub fn foreground(config: Config) -> Result<(), Failure> {
    let log_file = is_set(&config.log_dir).then(|| Places::of_process().log_file(&config));
    run(config, log_file.as_deref(), |_| Ok(()))
}

/// Runs until it is told to end. Its log goes to `log_file`, else to standard
/// error. `listening` is called once, when the sockets are open, and may still
/// refuse.
///
/// # Errors
/// It cannot start, or the event loop fails.
pub fn run(
    config: Config,
    log_file: Option<&Path>,
    listening: impl FnOnce(&EventLoop) -> Result<(), Failure>,
) -> Result<(), Failure> {
    run_server(config, log_file, Server::new, listening)
}

/// As [`run`], with the server that `make` makes.
///
/// # Errors
/// As [`run`].
pub fn run_server(
    mut config: Config,
    log_file: Option<&Path>,
    make: impl FnOnce(Config, [u8; 32], Time) -> Server,
    listening: impl FnOnce(&EventLoop) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let hangup = Hangup::of(log_file.is_some());
    let log = Log::begin(&config.log_level, log_file)?;
    let pid_file = match is_set(&config.pid_file) {
        true => Some(PidFile::create(&config.pid_file)?),
        false => None,
    };
    check_doc_root(&config.doc_root)?;
    let event_loop = EventLoop::bind(&config).map_err(|e| Failure::Failed(e.to_string()))?;
    // Who is one too many is turned away at once, and does not wait for a file.
    config.connections_max = event_loop.capacity();
    let seed = random_seed()
        .map_err(|e| Failure::Failed(format!("the system gives no random numbers: {e}")))?;
    let state_path = config.state_file.clone();
    let mut server = make(config, seed, event_loop.now());
    signals::watch(event_loop.handle(), hangup, log.target())
        .map_err(|e| Failure::Failed(format!("the system lets no signals be watched: {e}")))?;
    listening(&event_loop)?;
    let clock = event_loop.clock();
    if is_set(&state_path) {
        state_file::read(&mut server, clock.now(), &state_path);
    }
    let (version, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
    log::info!("event=started version={version} pid={pid}");
    let result = event_loop.run(&mut server);
    if is_set(&state_path) {
        state_file::write(&mut server, clock.now(), &state_path);
    }
    // Before it is told that it ended: whoever starts the next finds no file.
    drop(pid_file);
    match &result {
        Ok(()) => log::info!("event=stopped pid={pid}"),
        Err(error) => log::error!("event=failed pid={pid} reason=\"{error}\""),
    }
    result.map_err(|e| Failure::Failed(format!("the event loop failed: {e}; start Chloe anew")))
}

/// A folder that is not there would be told only to each browser, as 404.
fn check_doc_root(doc_root: &Path) -> Result<(), Failure> {
    if !is_set(doc_root) || doc_root.is_dir() {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "doc_root: {} is no folder that this user can open; make it, or set doc_root to another",
        doc_root.display()
    )))
}
