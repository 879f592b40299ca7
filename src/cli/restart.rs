//! `chloe restart`: lets the server that runs hand over to a new process.
//!
//! The new one has the settings of the one that runs; if this command was given
//! others, it is stopped and started in place of that. The settings were read
//! before: a mistake in them stops nothing. Called by `cli::main`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::arguments::{Arguments, Command};
use super::failure::{Failure, say};
use super::pid_file::{self, take_failure};
use super::places::Places;
use super::running::{self, Running};
use super::{start, stop};
use crate::config::Config;

/// What a restart may take beyond `shutdown_timeout_ms`.
const GRACE_MS: u64 = 45_000;
/// How often it is looked who runs.
const LOOK: Duration = Duration::from_millis(20);

/// Restarts the server, or starts it if it does not run.
///
/// # Errors
/// The new process does not start, and the old one goes on; or as
/// [`stop::run`] and [`start::run`].
pub fn run(arguments: &Arguments, config: &Config) -> Result<(), Failure> {
    let path = Places::of_process().pid_file(config);
    let pid = match running::look(config)? {
        Running::Started(pid) => pid,
        Running::Elsewhere(place) => return Err(running::not_started(&place)),
        Running::Nowhere => return start::run(arguments, config),
    };
    let called = command_line(pid);
    if called.as_ref().is_some_and(|called| {
        called.config_file == arguments.config_file && called.settings == arguments.settings
    }) && has_secret(pid)
    {
        return hand_over(pid, &path, config);
    }
    if called.is_some_and(|called| called.command != Some(Command::Daemon)) {
        let pid = pid.as_raw_nonzero();
        return Err(Failure::Failed(format!(
            "process {pid} holds {}, has other flags than this command, and was not started by \
             chloe start: give the flags that it has, or end it and start it anew where it was \
             started",
            path.display()
        )));
    }
    match stop::run(config) {
        Ok(()) | Err(Failure::NotRunning(_)) => start::run(arguments, config),
        Err(failure) => Err(failure),
    }
}

/// How the process was called, if the system tells and it is a Chloe.
fn command_line(pid: Pid) -> Option<Arguments> {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    let words = line.split(|&byte| byte == 0).skip(1);
    let words = words.map(|word| OsString::from_vec(word.to_vec()));
    Arguments::parse(words).ok()
}

/// Whether the process has the secret of this one, which as a flag was moved to
/// the environment. Without one here, that of the process stays.
fn has_secret(pid: Pid) -> bool {
    let Some(secret) = env::var_os(SECRET) else {
        return true;
    };
    let path = format!("/proc/{}/environ", pid.as_raw_nonzero());
    let variables = fs::read(path).unwrap_or_default();
    let wanted = [SECRET.as_bytes(), b"=", secret.as_encoded_bytes()].concat();
    variables
        .split(|&byte| byte == 0)
        .any(|variable| variable == wanted)
}

const SECRET: &str = "CHLOE_SECRET";

fn hand_over(pid: Pid, path: &Path, config: &Config) -> Result<(), Failure> {
    // What an earlier one has told.
    let _ = take_failure(path);
    kill_process(pid, Signal::USR2).map_err(|error| {
        let pid = pid.as_raw_nonzero();
        Failure::Failed(format!("cannot ask process {pid} to restart: {error}"))
    })?;
    let patience = Duration::from_millis(config.shutdown_timeout_ms.saturating_add(GRACE_MS));
    let begun = Instant::now();
    while begun.elapsed() < patience {
        match pid_file::holder(path)? {
            Some(next) if next != pid => {
                let next = next.as_raw_nonzero();
                return say(&format!("Chloe has restarted: process {next}\n"));
            }
            _ => {}
        }
        if let Some(reason) = take_failure(path) {
            return Err(Failure::Failed(format!(
                "no new process is started, and process {} goes on: {reason}",
                pid.as_raw_nonzero()
            )));
        }
        sleep(LOOK);
    }
    Err(Failure::Failed(format!(
        "process {} has not handed over in {} s; its log may tell why",
        pid.as_raw_nonzero(),
        patience.as_secs()
    )))
}
