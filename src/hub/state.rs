//! The hub: its tables, its logs, and what passes with time.
//!
//! The struct alone; what is done with it stands in the files below it. Called by the
//! server.

use std::sync::Arc;

use crate::base::names::{ALL_CHANNEL, SESSION_CHANNEL};
use crate::base::random::Random;
use crate::base::time::Time;
use crate::base::timers::{BATCH, Timers};

use super::archive::Archive;
use super::counts;
use super::log::FrameHeader;
use super::session::SessionKey;
use super::tables::Tables;
use super::values::HubLimits;

/// About how many sessions end in a turn of the event loop: some milliseconds.
const ENDED_MAX: usize = 2 * BATCH;

/// The channel table and the session table.
pub struct Hub {
    pub(super) limits: HubLimits,
    pub(super) tables: Tables,
    pub(super) archive: Archive,
    /// `/all`, and the name of each session's own channel.
    pub(super) all: Arc<str>,
    pub(super) own: Arc<str>,
    /// When sessions that sleep end.
    pub(super) ends: Timers<SessionKey>,
    pub(super) random: Random,
}

impl Hub {
    /// An empty hub, whose logs hold frames with `frame_header`. Session ids and epochs
    /// come from `random`.
    pub fn new(limits: HubLimits, frame_header: FrameHeader, mut random: Random) -> Hub {
        Hub {
            archive: Archive::new(&limits, frame_header, random.fork()),
            tables: Tables::new(&limits),
            limits,
            all: ALL_CHANNEL.into(),
            own: SESSION_CHANNEL.into(),
            ends: Timers::default(),
            random,
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.tables = Tables::new(&self.limits);
        self.ends = Timers::default();
        self.archive.clear();
    }

    /// Ends the sessions that slept too long and drops what is too old. Of a crowd of
    /// sessions some end, and the others when it is called next, which is due at once.
    pub fn expire(&mut self, now: Time) {
        let mut count = 0;
        while count < ENDED_MAX
            && let Some(ended) = self.tables.take_ended(now.ms, &mut self.ends)
        {
            count += ended.len();
            ended.into_iter().for_each(|key| self.close(key));
        }
        self.archive.expire(&mut self.tables, now);
    }

    /// When [`Hub::expire`] has something to do next, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<u64> {
        let due = [self.ends.next_ms(), self.archive.next_ms()];
        due.into_iter().flatten().min()
    }

    /// Whether so much was published ahead of readers that keep up that publishers have
    /// to wait (`backlog_bytes` of the limits).
    pub fn is_ahead(&self) -> bool {
        self.archive.is_ahead()
    }

    /// Live sessions.
    pub fn session_count(&self) -> usize {
        self.tables.sessions.len()
    }

    /// How many sessions and channels went so far because there were too many.
    pub fn let_go(&self) -> (u64, u64) {
        (self.tables.newcomers.chosen(), self.archive.made_room())
    }

    /// Channels that have readers or hold publications.
    pub fn channel_count(&self) -> usize {
        self.tables.channels.len()
    }

    /// Bytes held by all logs.
    pub fn log_bytes(&self) -> usize {
        self.archive.bytes()
    }

    /// Bytes kept beyond what the rules say, for readers that keep up.
    pub fn spared_bytes(&self) -> usize {
        self.archive.spared_bytes()
    }

    /// Each thing that is held of others by name, and how much of it; for tests.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        counts::counts(&self.tables, &self.archive, &self.ends)
    }
}
