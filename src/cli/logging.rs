//! Where log lines go, and that a server outlives their not going there.
//!
//! The logger writes to standard error and ends the program when that fails:
//! when the disk is full, or when the reader of a pipe has left. So standard
//! error becomes a pipe of our own that never fails, and a thread carries what
//! comes out of it to a file or to what standard error was before. One line
//! each, `key=value` behind the time in UTC and the level; what is logged is
//! the business of those who log. Called by `serve` and `start`.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use log::LevelFilter;
use rustix::stdio::dup2_stderr;
use simple_logger::SimpleLogger;

use super::failure::{Failure, path_failure};
use super::files;
use super::quiet::Quiet;

/// The name of the log in its folder.
pub const FILE_NAME: &str = "chloe.log";

/// How long a panic waits for the lines before it to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Opens the log at `path` to append to it; makes it if it is not there.
///
/// # Errors
/// It cannot be made or written to.
pub fn open(path: &Path) -> Result<File, Failure> {
    files::append(path).map_err(|error| {
        let advice = "make the folder and let this user write to it, or set log_dir to another";
        path_failure("write the log", path, &error, advice)
    })
}

/// The log of this process. Dropped, standard error is what it was before, and
/// all lines are written.
pub struct Log {
    target: Arc<Target>,
    before: File,
    carrier: Option<JoinHandle<()>>,
}

impl Log {
    /// Begins to log what is at least as grave as `level`, one of the words of
    /// the configuration: to the file at `path`, or to standard error; of one
    /// event so many lines a second, see [`super::quiet`].
    ///
    /// # Errors
    /// The file cannot be written, or the system gives no pipe or no thread.
    pub fn begin(
        level: &str,
        lines_per_second_max: u64,
        path: Option<&Path>,
    ) -> Result<Log, Failure> {
        let file = path.map(open).transpose()?;
        let log = Log::carry(file, path)
            .map_err(|error| Failure::Failed(format!("cannot begin to log: {error}")))?;
        let level = level.parse().unwrap_or(LevelFilter::Info);
        let logger = SimpleLogger::new().with_level(level).with_utc_timestamps();
        log::set_max_level(level);
        // Fails only where a logger is set already, which then stays.
        let _ = log::set_boxed_logger(Box::new(Quiet::new(logger, lines_per_second_max)));
        Ok(log)
    }

    fn carry(file: Option<File>, path: Option<&Path>) -> io::Result<Log> {
        let before = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let target = Arc::new(Target {
            path: path.map(Path::to_owned),
            file: Mutex::new(match file {
                Some(file) => file,
                None => before.try_clone()?,
            }),
        });
        let (reader, writer) = io::pipe()?;
        let (alive, ended) = mpsc::channel();
        let theirs = Arc::clone(&target);
        let carrier = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                theirs.carry(reader);
                drop::<mpsc::Sender<()>>(alive);
            })?;
        dup2_stderr(&writer)?;
        keep_last_lines(&target, ended);
        Ok(Log {
            target,
            before,
            carrier: Some(carrier),
        })
    }

    /// Standard error as it was before.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn before(&self) -> io::Result<File> {
        self.before.try_clone()
    }

    /// What SIGHUP opens anew.
    pub fn target(&self) -> Arc<Target> {
        Arc::clone(&self.target)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Standard error was the pipe's only end to write to: the carrier comes to its end.
        if dup2_stderr(&self.before).is_ok()
            && let Some(carrier) = self.carrier.take()
        {
            // It does not panic; if it did, nothing would be left to be done.
            let _ = carrier.join();
        }
    }
}

/// Lets a panic tell its reason where the log is, behind the lines before it,
/// as the process may end with it at once.
fn keep_last_lines(target: &Arc<Target>, ended: Receiver<()>) {
    let (target, ended) = (Arc::clone(target), Mutex::new(ended));
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |reason| {
        if dup2_stderr(&*target.file()).is_ok() {
            let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = ended.recv_timeout(LAST_LINES);
        }
        tell(reason);
    }));
}

/// Where the lines end up.
pub struct Target {
    /// Its path, if it is a file that was opened by it.
    path: Option<PathBuf>,
    file: Mutex<File>,
}

impl Target {
    /// Opens the file anew, after it was moved away. Where that fails the old
    /// file is written on. Does nothing for what is no file of ours.
    pub fn reopen(&self) {
        let Some(path) = &self.path else { return };
        let opened = files::append(path).map(|file| *self.file() = file);
        let path = path.display();
        match opened {
            Ok(()) => log::info!("event=log_reopened path={path}"),
            Err(error) => log::error!("event=log_not_reopened path={path} reason=\"{error}\""),
        }
    }

    fn file(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes out of the pipe until its other end is closed. What
    /// cannot be written is lost, and counted for when it can be again.
    fn carry(&self, mut pipe: PipeReader) {
        let mut buffer = [0; 8192];
        let mut lost_bytes = 0;
        loop {
            let count = match pipe.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            let mut file = self.file();
            if lost_bytes > 0 && writeln!(file, "event=log_lost bytes={lost_bytes}").is_ok() {
                lost_bytes = 0;
            }
            if file.write_all(&buffer[..count]).is_err() {
                lost_bytes += count;
            }
        }
    }
}
