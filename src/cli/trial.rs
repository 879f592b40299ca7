//! Whether a server could use its files: each of them is tried, and left as it was.
//!
//! The state file is written when a server ends, the pid file of the next
//! process when the one before has ended: what is wrong has to be found before.
//! Called by `serve` and `check`.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::failure::{Failure, path_failure};
use super::files::{self, For};
use super::pid_file;
use super::places::{Places, is_set};
use crate::config::Config;

/// The sticky bit of a folder: only its owner and the file's may replace a file.
const STICKY: u32 = 0o1000;

/// Tries what a server is going to use and has not opened yet.
///
/// # Errors
/// A file that it could not use, and what to do.
pub fn of_server(config: &Config) -> Result<(), Failure> {
    try_files(config, For::Me)
}

/// Tries everything that a server in the foreground would use.
///
/// # Errors
/// As [`of_server`].
pub fn of_settings(config: &Config) -> Result<(), Failure> {
    try_files(config, For::Anyone)?;
    if is_set(&config.log_dir) {
        let log = Places::of_process().log_file(config);
        files::try_written(&log, For::Anyone).map_err(|error| {
            let advice = "make the folder and let this user write to it, or set log_dir to another";
            path_failure("write the log", &log, &error, advice)
        })?;
    }
    if is_set(&config.unix_socket) {
        try_socket(&config.unix_socket).map_err(|error| {
            let advice = "make its folder and let this user write to it, or set unix_socket to \
                          another path";
            path_failure("make the Unix socket", &config.unix_socket, &error, advice)
        })?;
    }
    Ok(())
}

fn try_files(config: &Config, tried: For) -> Result<(), Failure> {
    if is_set(&config.doc_root) && !config.doc_root.is_dir() {
        // It would be told only to each browser, as 404.
        return Err(Failure::Failed(format!(
            "doc_root: {} is no folder that this user can open; make it, or set doc_root to \
             another",
            config.doc_root.display()
        )));
    }
    if is_set(&config.pid_file) {
        pid_file::try_at(&config.pid_file, tried)?;
    }
    if is_set(&config.state_file) {
        try_state(&config.state_file).map_err(|error| {
            let advice = "make its folder and let this user write to it, or set state_file to \
                          another path";
            path_failure("write the state file", &config.state_file, &error, advice)
        })?;
    }
    Ok(())
}

/// A file is made beside it and takes its name. What stands there and cannot be
/// restored is set aside at the start: only what cannot be moved is in the way.
fn try_state(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(metadata) if metadata.is_dir() => {
            return Err(io::Error::other(
                "it is a folder, and must be a file in one",
            ));
        }
        Ok(metadata) => {
            let folder = path.parent().filter(|folder| is_set(folder));
            let folder = fs::metadata(folder.unwrap_or(Path::new(".")))?;
            let owners = [metadata.uid(), folder.uid()];
            if is_stuck(folder.mode(), owners, files::me()) {
                return Err(io::Error::other(
                    "it belongs to another user, and cannot be replaced there",
                ));
            }
        }
    }
    files::try_beside(path)
}

fn is_stuck(folder_mode: u32, owners: [u32; 2], me: u32) -> bool {
    folder_mode & STICKY != 0 && me != 0 && !owners.contains(&me)
}

fn try_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => Ok(()),
        Ok(_) => Err(io::Error::other("another kind of file is there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => files::try_beside(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_user_is_in_the_way_where_it_cannot_be_moved() {
        for (mode, owners, me, stuck) in [
            (0o1777, [7, 0], 8, true),
            (0o1777, [7, 0], 0, false),
            (0o1777, [8, 0], 8, false),
            (0o1777, [7, 8], 8, false),
            (0o777, [7, 0], 8, false),
        ] {
            assert_eq!(
                is_stuck(mode, owners, me),
                stuck,
                "{mode:o} {owners:?} {me}"
            );
        }
    }
}
