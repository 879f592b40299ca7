//! The pid file: who runs, and the lock that proves it.
//!
//! The file holds the process id, for people and supervisors. What counts is
//! the record lock on it, which ends with the process, however it ends: a file
//! without one is stale, whatever it says. The kernel names the holder, so no
//! signal goes to a process that has the number by chance. Called by `serve`
//! and `stop`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};

use super::failure::{Failure, path_failure};

const ADVICE: &str = "let this user write there, or set pid_file to another path";

/// The pid file of this process. Dropped, it is removed.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    /// Open as long as the lock is to hold.
    _locked: File,
    /// The next process takes it over as it is.
    left: bool,
}

impl PidFile {
    /// Makes the file at `path`, or takes over a stale one.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be written.
    pub fn create(path: &Path) -> Result<PidFile, Failure> {
        let failed = |error: &io::Error| path_failure("write the pid file", path, error, ADVICE);
        let mut file = loop {
            let file = open_to_write(path).map_err(|error| failed(&error))?;
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                    return Err(taken(path));
                }
                Err(error) => return Err(failed(&error.into())),
            }
            // One that ends at this moment may have removed the file after it was opened.
            if is_still_at(&file, path) {
                break file;
            }
        };
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| failed(&error))?;
        Ok(PidFile {
            path: path.to_owned(),
            _locked: file,
            left: false,
        })
    }
}

impl PidFile {
    /// Lets go of the file without removing it: another process takes it over.
    pub fn leave(mut self) {
        self.left = true;
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if !self.left
            && let Err(error) = fs::remove_file(&self.path)
        {
            let path = self.path.display();
            log::warn!("event=pid_file_stays path={path} reason=\"{error}\"");
        }
    }
}

/// Where a process that cannot restart says why, for `chloe restart` to tell.
pub fn failure_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".failed");
    name.into()
}

/// The process that holds the pid file at `path`; `None` if none does.
///
/// # Errors
/// The file is there and cannot be read.
pub fn holder(path: &Path) -> Result<Option<Pid>, Failure> {
    let failed = |error: &io::Error| path_failure("read the pid file", path, error, ADVICE);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let asked = Flock::from(FlockType::ReadLock);
    let found = fcntl_getlk(&file, &asked).map_err(|error| failed(&error.into()))?;
    Ok(found.and_then(|lock| lock.pid))
}

fn open_to_write(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Not truncated: it may be another's, which is known only when it is locked.
    options.write(true).create(true).truncate(false).open(path)
}

fn taken(path: &Path) -> Failure {
    let who = match holder(path) {
        Ok(Some(pid)) => format!("process {}", pid.as_raw_nonzero()),
        _ => "another process".to_owned(),
    };
    Failure::Failed(format!(
        "Chloe runs already: {who} holds {}; chloe restart starts it anew, and another port \
         or pid_file starts a second one",
        path.display()
    ))
}

fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}
