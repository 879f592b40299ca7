//! From one process to the next without a moment in which nobody listens.
//!
//! The process that runs starts its program anew, with the same arguments, and
//! passes it the listening sockets over a Unix socket, which is the new one's
//! standard input. The new one prepares everything that may fail, says `ready`,
//! and waits. Then the old one settles what is under way, stops accepting (what
//! comes waits in the kernel), writes its state and closes the channel, by which
//! the new one knows that it is its turn; it sends its browsers there and ends.
//! If the new one does not come to be ready, the old one goes on as if nothing
//! had been. Called by `serve` in both of them, and by `signals`.

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use super::failure::Failure;
use super::pid_file::tell_failure;
use super::supervisor;
use crate::net::{Given, Handle};

/// Names the process that hands over; not a setting, so not a name of theirs.
const VARIABLE: &str = "_CHLOE_HANDOVER";
/// How long the new process may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most sockets that are passed; the kernel takes 253 in one message.
const SOCKETS_MAX: usize = 250;

const READY: &str = "ready";
const GO: &str = "go";

/// What the running process needs to start the next one.
pub struct Handover {
    handle: Handle,
    /// The program as it was called: by then another file may stand there.
    program: PathBuf,
    sockets: Mutex<Vec<OwnedFd>>,
    /// systemd opened the sockets.
    all: bool,
    /// Standard error as it was before the log took it.
    stderr: File,
    /// Where to say why it failed, for `chloe restart`.
    failed: Option<PathBuf>,
    under_way: AtomicBool,
    next: Mutex<Option<Successor>>,
}

struct Successor {
    child: Child,
    channel: UnixStream,
}

impl Handover {
    /// Ready to hand over `sockets` of the loop of `handle` to a new process of `program`.
    pub fn new(
        program: PathBuf,
        handle: Handle,
        sockets: Vec<OwnedFd>,
        all: bool,
        stderr: File,
        failed: Option<PathBuf>,
    ) -> Arc<Handover> {
        Arc::new(Handover {
            handle,
            program,
            sockets: Mutex::new(sockets),
            all,
            stderr,
            failed,
            under_way: AtomicBool::new(false),
            next: Mutex::new(None),
        })
    }

    /// Begins, in a thread of its own, unless it has begun already.
    pub fn begin(self: &Arc<Self>) {
        if let Some(objection) = supervisor::objection() {
            return self.fail(objection);
        }
        if self.under_way.swap(true, Ordering::SeqCst) {
            return log::info!("event=restart_under_way");
        }
        let handover = Arc::clone(self);
        let thread = thread::Builder::new().name("handover".to_owned());
        let spawned = thread.spawn(move || match handover.start() {
            Ok(successor) => {
                log::info!("event=handing_over pid={}", successor.child.id());
                *lock(&handover.next) = Some(successor);
                handover.handle.hand_over();
            }
            Err(reason) => handover.fail(&reason),
        });
        if let Err(error) = spawned {
            self.fail(&format!("the system gives no thread: {error}"));
        }
    }

    /// The process is about to stop: nobody shall hold its sockets open.
    pub fn forget(&self) {
        lock(&self.sockets).clear();
    }

    /// The loop has ended. If it handed over, the next process begins when the
    /// channel is closed, which is when what is returned is dropped.
    pub fn end(&self) -> Option<impl Sized + use<>> {
        let mut successor = lock(&self.next).take()?;
        if self.handle.is_handing_over() {
            return Some(successor.channel);
        }
        // Somebody wanted it to stop meanwhile: then there is no next one.
        let _ = successor.child.kill();
        let _ = successor.child.wait();
        None
    }

    fn fail(&self, reason: &str) {
        log::error!("event=restart_failed reason=\"{reason}\" hint=\"this process goes on\"");
        if let Some(path) = &self.failed
            && let Err(error) = tell_failure(path, reason)
        {
            log::warn!(
                "event=restart_untold path={} reason=\"{error}\"",
                path.display()
            );
        }
        self.under_way.store(false, Ordering::SeqCst);
    }

    fn start(&self) -> Result<Successor, String> {
        let (channel, theirs) = UnixStream::pair().map_err(|e| e.to_string())?;
        let stderr = self.stderr.try_clone().map_err(|e| e.to_string())?;
        let mut child = Command::new(&self.program)
            .args(env::args_os().skip(1))
            .env(VARIABLE, std::process::id().to_string())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stderr(stderr)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.program.display()))?;
        match self.await_ready(&channel) {
            Ok(()) => Ok(Successor { child, channel }),
            Err(reason) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(reason)
            }
        }
    }

    fn await_ready(&self, mut channel: &UnixStream) -> Result<(), String> {
        send_sockets(channel, &lock(&self.sockets), self.all).map_err(|e| e.to_string())?;
        let mut line = String::new();
        let heard = channel
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| BufReader::new(channel).read_line(&mut line));
        match (heard, line.trim_end()) {
            (Ok(0), _) => Err("the new process ended without a word".to_owned()),
            (Ok(_), READY) => writeln!(channel, "{GO}").map_err(|e| e.to_string()),
            (Ok(_), reason) => Err(reason.to_owned()),
            (Err(error), _) => Err(format!("the new process is not ready in time: {error}")),
        }
    }
}

/// Says to the process that wants to hand over to this one, if there is one
/// and nothing was taken over yet, why this one does not even begin.
pub fn refuse(reason: &Failure) {
    if is_awaited()
        && let Ok(channel) = io::stdin().as_fd().try_clone_to_owned()
    {
        // If it is gone there is nobody to be told.
        let _ = writeln!(&UnixStream::from(channel), "{reason}");
    }
}

/// Whether the process that has started this one wants to hand over to it.
fn is_awaited() -> bool {
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    parent.is_some() && env::var(VARIABLE).ok() == parent
}

/// The process that runs before this one, seen from this one.
pub struct Predecessor(UnixStream);

impl Predecessor {
    /// The one that has started this process to go on for it, and its sockets.
    ///
    /// # Errors
    /// It has, but the sockets do not come.
    pub fn of_process() -> Result<Option<(Predecessor, Given)>, Failure> {
        if !is_awaited() {
            return Ok(None);
        }
        let failed = |error: io::Error| {
            Failure::Failed(format!(
                "the listening sockets cannot be taken over: {error}"
            ))
        };
        let channel = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        let channel = UnixStream::from(channel);
        let given = receive_sockets(&channel).map_err(failed)?;
        let null = File::open("/dev/null").map_err(failed)?;
        rustix::stdio::dup2_stdin(null).map_err(|error| failed(error.into()))?;
        Ok(Some((Predecessor(channel), given)))
    }

    /// Says why this process cannot go on.
    pub fn refuse(&self, reason: &Failure) {
        // If it is gone there is nobody to be told.
        let _ = writeln!(&self.0, "{reason}");
    }

    /// Says that all is prepared, and waits until it is this process's turn.
    ///
    /// # Errors
    /// The other one has changed its mind.
    pub fn take_turn(&self) -> Result<(), Failure> {
        let mut said = String::new();
        let heard = writeln!(&self.0, "{READY}").and_then(|()| (&self.0).read_to_string(&mut said));
        match heard {
            Ok(_) if said.trim_end() == GO => Ok(()),
            _ => Err(Failure::Failed("the restart was called off".to_owned())),
        }
    }
}

fn send_sockets(channel: &UnixStream, sockets: &[OwnedFd], all: bool) -> io::Result<()> {
    if sockets.is_empty() || sockets.len() > SOCKETS_MAX {
        return Err(io::Error::other(
            "there are no sockets to hand over, or too many",
        ));
    }
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&sockets));
    let kind = [u8::from(all)];
    let bytes = [IoSlice::new(&kind)];
    rustix::net::sendmsg(channel, &bytes, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive_sockets(channel: &UnixStream) -> io::Result<Given> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut kind = [0];
    let mut bytes = [IoSliceMut::new(&mut kind)];
    rustix::net::recvmsg(channel, &mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = message {
            sockets.extend(passed);
        }
    }
    let all = kind == [1];
    match sockets.is_empty() {
        false => Ok(Given { sockets, all }),
        true => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
