//! Where log lines go, and that a server outlives their not going there.
//!
//! The logger writes to standard error: it waits when a pipe is full, and ends
//! the program when the disk is full or the reader of the pipe has left. So
//! standard error becomes a pipe of our own. One thread empties it, always at
//! once, into a queue of bounded size; another one writes what is in the queue
//! to a file, or to what standard error was before. Only the second one ever
//! waits, and nobody for it. One line each, `key=value` behind the time in UTC
//! and the level; what is logged is the business of those who log. Called by
//! `serve` and `start`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use log::LevelFilter;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::dup2_stderr;
use simple_logger::SimpleLogger;

use super::failure::{Failure, path_failure};
use super::files;
use super::limiter::Limiter;
use super::log_queue::LogQueue;
use super::log_writer::LogWriter;

/// The name of the log in its folder.
pub const FILE_NAME: &str = "chloe.log";

/// How long the end, or a panic, waits for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What waits for the thread that writes: some two thousand lines.
const QUEUE_BYTES: usize = 256 * 1024;

/// A longer line is written in pieces.
const LINE_BYTES_MAX: usize = 16 * 1024;

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
/// all lines are written, unless that takes too long.
pub struct Log {
    target: Arc<Target>,
    queue: Arc<LogQueue>,
    before: File,
}

impl Log {
    /// Begins to log what is at least as grave as `level`, one of the words of
    /// the configuration: to the file at `path`, or to standard error; of one
    /// kind of event so many lines a second, see [`super::limiter`].
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
        let _ = log::set_boxed_logger(Box::new(Limiter::new(logger, lines_per_second_max)));
        Ok(log)
    }

    fn carry(file: Option<File>, path: Option<&Path>) -> io::Result<Log> {
        let before = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let file = match file {
            Some(file) => file,
            None => before.try_clone()?,
        };
        let target = Arc::new(Target {
            path: path.map(Path::to_owned),
            file: Mutex::new(Arc::new(file)),
        });
        let queue = Arc::new(LogQueue::new(QUEUE_BYTES));
        let (reader, writer) = io::pipe()?;
        let theirs = Arc::clone(&queue);
        let thread = thread::Builder::new().name("log-read".to_owned());
        thread.spawn(move || {
            read(reader, &theirs);
            theirs.close();
        })?;
        let (theirs, to) = (Arc::clone(&queue), Arc::clone(&target));
        let thread = thread::Builder::new().name("log-write".to_owned());
        thread.spawn(move || {
            write(&theirs, &to);
            theirs.finish();
        })?;
        dup2_stderr(&writer)?;
        keep_last_lines(&target, &queue);
        Ok(Log {
            target,
            queue,
            before,
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
        log::logger().flush();
        end(&self.before, &self.queue);
    }
}

/// Makes standard error `next`, and lets what was written before be written out.
fn end(next: &File, queue: &LogQueue) {
    // Standard error is the pipe's only end to write to: its reader comes to its end.
    if dup2_stderr(next).is_err() {
        return;
    }
    let patience = match queue.is_finished_within(LAST_LINES) {
        true => LAST_LINES,
        false => Duration::ZERO,
    };
    // Who has still something to say must not wait for ever for someone to read it.
    if !is_writable_within(next, patience)
        && let Ok(null) = OpenOptions::new().write(true).open("/dev/null")
    {
        let _ = dup2_stderr(null);
    }
}

/// Whether a short line can be written to `file` without waiting.
fn is_writable_within(file: &File, patience: Duration) -> bool {
    let mut wanted = [PollFd::new(file, PollFlags::OUT)];
    let patience = Timespec::try_from(patience).ok();
    // Other than 0: it is writable, or to write to it fails at once.
    poll(&mut wanted, patience.as_ref()) != Ok(0)
}

/// Lets a panic tell its reason where the log is, behind the lines before it,
/// as the process may end with it at once.
fn keep_last_lines(target: &Arc<Target>, queue: &Arc<LogQueue>) {
    let (target, queue) = (Arc::clone(target), Arc::clone(queue));
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |reason| {
        end(&target.file(), &queue);
        tell(reason);
    }));
}

/// Where the lines end up.
pub struct Target {
    /// Its path, if it is a file that was opened by it.
    path: Option<PathBuf>,
    /// Never locked while it is written to: that may take for ever.
    file: Mutex<Arc<File>>,
}

impl Target {
    /// Opens the file anew, after it was moved away. Where that fails the old
    /// file is written on. Does nothing for what is no file of ours.
    pub fn reopen(&self) {
        let Some(path) = &self.path else { return };
        let opened = files::append(path).map(|file| {
            let mut current = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            *current = Arc::new(file);
        });
        let path = path.display();
        match opened {
            Ok(()) => log::info!("event=log_reopened path={path}"),
            Err(error) => log::error!("event=log_not_reopened path={path} reason=\"{error}\""),
        }
    }

    fn file(&self) -> Arc<File> {
        let current = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }
}

/// Puts the lines that come out of `pipe` into `queue`, until its other end is closed.
fn read(mut pipe: impl Read, queue: &LogQueue) {
    let mut buffer = vec![0; LINE_BYTES_MAX];
    let mut filled = 0;
    loop {
        match pipe.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        }
        let mut begin = 0;
        for line in buffer[..filled].split_inclusive(|byte| *byte == b'\n') {
            let is_piece = begin == 0 && line.len() == buffer.len();
            if line.ends_with(b"\n") || is_piece {
                queue.push(line);
                begin += line.len();
            }
        }
        buffer.copy_within(begin..filled, 0);
        filled -= begin;
    }
    if filled > 0 {
        queue.push(&buffer[..filled]);
    }
}

/// Writes what comes into `queue` to what `target` is then, until no more comes.
fn write(queue: &LogQueue, target: &Target) {
    let mut writer = LogWriter::default();
    while let Some(batch) = queue.take() {
        writer.write(&mut &*target.file(), batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        // Reads of one byte, and of as many as there are.
        let long = "y".repeat(LINE_BYTES_MAX + 5);
        let text = format!("one\n\ntwo\n{long}\nrest");
        for bytes_at_once in [1, usize::MAX] {
            let queue = LogQueue::new(usize::MAX);
            read(OfBytes(text.as_bytes(), bytes_at_once), &queue);
            queue.close();
            let mut heard = Vec::new();
            while let Some(batch) = queue.take() {
                heard.extend_from_slice(&batch.lines);
            }
            assert_eq!(heard, text.as_bytes());
        }
        let queue = LogQueue::new(0);
        read(text.as_bytes(), &queue);
        queue.close();
        let lost = queue.take().unwrap().lost;
        assert_eq!(lost.lines, 6, "the long one is two");
    }

    struct OfBytes<'a>(&'a [u8], usize);

    impl Read for OfBytes<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(self.1);
            self.0.read(&mut buffer[..most])
        }
    }
}
