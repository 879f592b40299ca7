//! Whether a Chloe runs with these settings, and whether `chloe start` started it.
//!
//! One in the background is known by its pid file. One in the foreground, or of
//! another user, is known by its answer alone; it is for whoever started it to
//! end. Nothing is written, here or into its log. Called by the commands that
//! start, stop or ask.

use std::path::Path;
use std::time::Duration;

use rustix::process::Pid;

use super::client::Client;
use super::failure::Failure;
use super::pid_file;
use super::places::Places;
use super::reach::Place;
use crate::config::Config;

/// How long what listens there may take to say that it is a Chloe.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who runs with these settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Running {
    /// The process that holds the pid file.
    Started(Pid),
    /// One that this user's `chloe start` has not started answers there.
    Elsewhere(Place),
    Nowhere,
}

/// Looks at the pid file, and then where Chloe would listen.
///
/// # Errors
/// The lock of the pid file cannot be looked at.
pub fn look(config: &Config) -> Result<Running, Failure> {
    let path = Places::of_process().pid_file(config);
    if let Some(pid) = pid_file::holder(&path)? {
        return Ok(Running::Started(pid));
    }
    // Whatever is wrong there is told when it is needed.
    let Ok(client) = Client::connect(config) else {
        return Ok(Running::Nowhere);
    };
    let mut client = client.with_patience(PATIENCE);
    let answer = client.request("/chloe/ping", b"");
    Ok(match answer.is_ok_and(|answer| answer.body == "pong") {
        true => Running::Elsewhere(client.place().clone()),
        false => Running::Nowhere,
    })
}

/// The failure of a command that cannot deal with the Chloe at `place`.
pub fn not_started(place: &Place) -> Failure {
    Failure::Failed(format!(
        "a Chloe that this user's chloe start did not start answers at {place}: stop or restart \
         it where it was started (systemctl restart chloe, say), or by SIGTERM or SIGUSR2 to its \
         process"
    ))
}

/// The failure of a start beside the process that holds the pid file at `path`.
pub fn runs_already(pid: Pid, path: &Path) -> Failure {
    pid_file::runs_already(&format!("process {}", pid.as_raw_nonzero()), path)
}

/// `failure`, and which process holds the pid file, where nobody listens and one does.
pub fn explain(failure: Failure, config: &Config) -> Failure {
    let Failure::NotRunning(line) = &failure else {
        return failure;
    };
    let path = Places::of_process().pid_file(config);
    match pid_file::holder(&path) {
        Ok(Some(pid)) => Failure::NotRunning(format!(
            "{line}; but process {} holds {}: it starts or ends at this moment, or listens \
             elsewhere, as its log tells",
            pid.as_raw_nonzero(),
            path.display()
        )),
        _ => failure,
    }
}
