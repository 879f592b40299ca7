//! Where log lines go: standard error, which may be a file that can be opened anew.
//!
//! One line each, `key=value` behind the time in UTC and the level; what is
//! logged is the business of those who log. Called by `serve` and `start`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use log::LevelFilter;
use rustix::stdio::dup2_stderr;
use simple_logger::SimpleLogger;

use super::failure::{Failure, path_failure};

/// The name of the log in its folder.
pub const FILE_NAME: &str = "chloe.log";

/// Begins to log, to standard error, what is at least as grave as `level`, one
/// of the words of the configuration.
pub fn begin(level: &str) {
    let level = level.parse().unwrap_or(LevelFilter::Info);
    let logger = SimpleLogger::new().with_level(level).with_utc_timestamps();
    // Fails only where a logger is set already, which then stays.
    let _ = logger.init();
}

/// Opens the log at `path` to append to it; makes it if it is not there.
///
/// # Errors
/// It cannot be made or written to.
pub fn open(path: &Path) -> Result<File, Failure> {
    open_file(path).map_err(|error| {
        let advice = "make the folder and let this user write to it, or set log_dir to another";
        path_failure("write the log", path, &error, advice)
    })
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Lets standard error be the log at `path`. Returns what it was before.
///
/// # Errors
/// The log cannot be opened.
pub fn redirect(path: &Path) -> Result<OwnedFd, Failure> {
    let file = open(path)?;
    let redirected = || {
        let before = io::stderr().as_fd().try_clone_to_owned()?;
        dup2_stderr(&file)?;
        Ok(before)
    };
    redirected().map_err(|error: io::Error| {
        Failure::Failed(format!("cannot turn standard error into the log: {error}"))
    })
}

/// Opens the log at `path` anew, after it was moved away. Where that fails the
/// old file is written on.
pub fn reopen(path: &Path) {
    let opened = open_file(path).and_then(|file| dup2_stderr(file).map_err(io::Error::from));
    let path = path.display();
    match opened {
        Ok(()) => log::info!("event=log_reopened path={path}"),
        Err(error) => log::error!("event=log_not_reopened path={path} reason=\"{error}\""),
    }
}

/// Undoes [`redirect`].
pub fn restore(before: OwnedFd) {
    let _ = io::stderr().flush();
    // What fails here has no place left where it could be told.
    let _ = dup2_stderr(before);
}
