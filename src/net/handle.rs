//! How other threads reach the loop: a signal, the end of a name look-up.
//!
//! Carries no data; it only wakes the loop and says how far to shut down.
//! Called by `cli` from its signal thread, and by `resolve`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use mio::Waker;

/// How far the loop has been asked to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Not at all.
    Nothing,
    /// Take nothing new, finish what is there.
    Drain,
    /// The same, for another process that goes on.
    HandOver,
    /// End at once.
    End,
}

/// A hold on a running [`EventLoop`](super::EventLoop) from any thread.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waker: Waker,
    calls: AtomicU8,
    handing_over: AtomicBool,
}

impl Handle {
    pub(super) fn new(waker: Waker) -> Handle {
        Handle(Arc::new(Shared {
            waker,
            calls: AtomicU8::new(0),
            handing_over: AtomicBool::new(false),
        }))
    }

    /// Asks the loop to shut down. The first call begins the drain: no new
    /// connections, what is accepted is finished. The second ends the loop at
    /// once. Further calls, and calls after the end, do nothing.
    pub fn shutdown(&self) {
        // Saturates at 2, so that no number of calls wraps around to "not asked".
        let next = |calls: u8| (calls < 2).then_some(calls + 1);
        let _ = self
            .0
            .calls
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        self.wake();
    }

    /// As the first call of [`Handle::shutdown`], for another process that goes
    /// on with the listening sockets.
    pub fn hand_over(&self) {
        self.0.handing_over.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether the loop hands over, and nobody has asked it to shut down since.
    pub fn is_handing_over(&self) -> bool {
        self.asked() == Asked::HandOver
    }

    pub(super) fn asked(&self) -> Asked {
        match self.0.calls.load(Ordering::SeqCst) {
            0 if self.0.handing_over.load(Ordering::SeqCst) => Asked::HandOver,
            0 => Asked::Nothing,
            1 => Asked::Drain,
            _ => Asked::End,
        }
    }

    /// Makes the loop take a turn.
    pub(super) fn wake(&self) {
        if let Err(error) = self.0.waker.wake() {
            log::error!("event=wake_failed reason=\"{error}\"");
        }
    }
}
