//! `chloe stop`: ends the server that `chloe start` has started.
//!
//! Found by its pid file, and known to run by the lock on it. Called by
//! `cli::main`, and by `restart`.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::failure::{Failure, say};
use super::pid_file;
use super::places::Places;
use super::running::{self, Running};
use crate::config::Config;

/// What ending may take beyond `shutdown_timeout_ms`: the last close, writing
/// the state file to a slow disk, the exit.
const GRACE_MS: u64 = 10_000;
/// How often it is looked whether the process has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Asks the server to end, and waits until it has.
///
/// # Errors
/// [`Failure::NotRunning`] if there is none; it may not be stopped, or takes too long.
pub fn run(config: &Config) -> Result<(), Failure> {
    let path = Places::of_process().pid_file(config);
    let pid = match running::look(config)? {
        Running::Started(pid) => pid,
        Running::Elsewhere(place) => return Err(running::not_started(&place)),
        Running::Nowhere => {
            return Err(Failure::NotRunning(format!(
                "Chloe does not run: no process holds {}; if it runs with another port or \
                 pid_file, give the same here",
                path.display()
            )));
        }
    };
    match kill_process(pid, Signal::TERM) {
        // It has ended in this moment.
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => return Err(not_allowed(pid, error)),
    }
    let patience = Duration::from_millis(config.shutdown_timeout_ms.saturating_add(GRACE_MS));
    let begun = Instant::now();
    while pid_file::holder(&path)? == Some(pid) {
        if begun.elapsed() > patience {
            return Err(Failure::Failed(format!(
                "process {pid} does not end, {} s after it was asked to; kill -KILL {pid} ends \
                 it without waiting for anyone",
                begun.elapsed().as_secs(),
                pid = pid.as_raw_nonzero()
            )));
        }
        sleep(LOOK);
    }
    say("Chloe has stopped.\n")
}

fn not_allowed(pid: Pid, error: Errno) -> Failure {
    let pid = pid.as_raw_nonzero();
    Failure::Failed(match error {
        Errno::PERM => format!(
            "process {pid} belongs to another user, and this one may not stop it; stop it as \
             that user or as root"
        ),
        error => format!("cannot stop process {pid}: {error}"),
    })
}
