//! The pid file: who runs, and the lock that proves it.
//!
//! The file holds the process id, for people and supervisors, and everybody may
//! read it. What counts is the record lock on a second file beside it, which
//! its owner alone can open: whoever can read a file can hold a lock on it, and
//! keep others from theirs. The lock ends with the process, however it ends:
//! files without one are stale, whatever they say. The kernel names the holder,
//! so no signal goes to a process that has the number by chance. Called by
//! `serve`, `running` and the commands that signal.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};

use super::failure::{Failure, path_failure};
use super::files::{self, For};

const ADVICE: &str = "let this user write there, or set pid_file to another path";
/// More than any reason why a process did not start.
const REASON_BYTES_MAX: u64 = 4_096;

/// The pid file of this process. Dropped, it is removed, with its lock.
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
    /// Another process holds its lock, or one of the two cannot be written.
    pub fn create(path: &Path) -> Result<PidFile, Failure> {
        let locked = lock(path)?;
        if let Err(error) = write_pid(path) {
            let _ = fs::remove_file(lock_file(path));
            return Err(path_failure("write the pid file", path, &error, ADVICE));
        }
        Ok(PidFile {
            path: path.to_owned(),
            _locked: locked,
            left: false,
        })
    }

    /// Lets go of the file without removing it: another process takes it over.
    pub fn leave(mut self) {
        self.left = true;
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        // The lock last: as long as it is there, nobody else writes the other.
        for path in [self.path.clone(), lock_file(&self.path)] {
            if let Err(error) = fs::remove_file(&path) {
                let path = path.display();
                log::warn!("event=pid_file_stays path={path} reason=\"{error}\"");
            }
        }
    }
}

/// Whether [`PidFile::create`] could make the file at `path`. To be asked before
/// it is made: to close a file of it would end the lock.
///
/// # Errors
/// It could not.
pub fn try_at(path: &Path, tried: For) -> Result<(), Failure> {
    for path in [path, &lock_file(path), &failure_file(path)] {
        files::try_written(path, tried)
            .map_err(|error| path_failure("write the pid file", path, &error, ADVICE))?;
    }
    Ok(())
}

/// Tells why this process could not start the next one, for `chloe restart`.
///
/// # Errors
/// The file cannot be written.
pub fn tell_failure(path: &Path, reason: &str) -> io::Result<()> {
    let _ = fs::remove_file(path);
    writeln!(files::create_new(path)?, "{reason}")
}

/// Why the process of the pid file at `path` could not start the next one, if
/// it has told so; it is told once.
pub fn take_failure(path: &Path) -> Option<String> {
    let failed = failure_file(path);
    // Root may ask about another user's Chloe.
    let owner = fs::symlink_metadata(lock_file(path)).map(|metadata| metadata.uid());
    let (file, _) = files::read(&failed, owner.ok()).ok()?;
    let mut reason = String::new();
    let mut file = file.take(REASON_BYTES_MAX);
    file.read_to_string(&mut reason).ok()?;
    // Without its end it is half written.
    let reason = reason.strip_suffix('\n')?;
    let _ = fs::remove_file(&failed);
    Some(reason.replace(char::is_control, " "))
}

/// Where a process that cannot restart says why, for `chloe restart` to tell.
pub fn failure_file(path: &Path) -> PathBuf {
    files::beside(path, "failed")
}

/// The process that holds the pid file at `path`; `None` if none does.
///
/// # Errors
/// The lock cannot be looked at, or its holder is out of sight.
pub fn holder(path: &Path) -> Result<Option<Pid>, Failure> {
    let lock = lock_file(path);
    let failed = |error: &io::Error| {
        let advice = "ask as the user that Chloe runs as, or as root";
        path_failure("look at the lock", &lock, error, advice)
    };
    let file = match open_lock(&lock) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let asked = Flock::from(FlockType::ReadLock);
    match fcntl_getlk(&file, &asked).map_err(|error| failed(&error.into()))? {
        None => Ok(None),
        Some(found) => found.pid.map(Some).ok_or_else(|| {
            Failure::Failed(format!(
                "a process of another container or machine holds {}; ask there",
                lock.display()
            ))
        }),
    }
}

fn lock_file(path: &Path) -> PathBuf {
    files::beside(path, "lock")
}

/// A lock to look at. Root may look at that of any user: it says whom its
/// owner's processes run as, and nobody else can hold it.
fn open_lock(lock: &Path) -> io::Result<File> {
    let owner = fs::symlink_metadata(lock)?.uid();
    let also = (files::me() == 0).then_some(owner);
    let (file, metadata) = files::read(lock, also)?;
    judge_lock(metadata.mode()).map(|()| file)
}

/// A lock that others can open is one that others can hold.
fn judge_lock(mode: u32) -> io::Result<()> {
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(io::Error::other(format!(
            "other users can open it (mode {:03o}): remove it while Chloe does not run",
            mode & 0o777
        ))),
    }
}

/// The lock of the pid file at `path`, held by this process.
fn lock(path: &Path) -> Result<File, Failure> {
    let lock = lock_file(path);
    let failed = |error: &io::Error| path_failure("lock", &lock, error, ADVICE);
    loop {
        let file = files::overwrite(&lock, files::PRIVATE).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        judge_lock(metadata.mode()).map_err(|error| failed(&error))?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(taken(path)),
            Err(error) => return Err(failed(&error.into())),
        }
        // One that ends at this moment may have removed the file after it was opened.
        if is_still_at(&file, &lock) {
            return Ok(file);
        }
    }
}

/// Over what is there, and then to its length: whoever reads meanwhile finds a number.
fn write_pid(path: &Path) -> io::Result<()> {
    let file = files::overwrite(path, files::READABLE)?;
    let line = format!("{}\n", std::process::id());
    file.write_all_at(line.as_bytes(), 0)?;
    file.set_len(line.len() as u64)
}

fn taken(path: &Path) -> Failure {
    let who = match holder(path) {
        Ok(Some(pid)) => format!("process {}", pid.as_raw_nonzero()),
        _ => "another process".to_owned(),
    };
    runs_already(&who, path)
}

/// The failure of a start where `who` runs.
pub fn runs_already(who: &str, path: &Path) -> Failure {
    Failure::Failed(format!(
        "Chloe runs already: {who} holds {}; chloe restart starts it anew, and another port \
         or pid_file starts a second one",
        path.display()
    ))
}

fn is_still_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}
