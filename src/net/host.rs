//! What the loop takes from the host at the start: clocks, randomness, open files.
//!
//! Not a place for anything that a peer can touch. Called by `net` and by `cli`
//! when it makes the server.

use std::io;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::base::time::Time;

/// Where the monotonic clock starts: a day from 0, the longest that anything is
/// kept, so that what is older than the process has its place on it.
const START_MS: u64 = 86_400_000;

/// The two clocks. Its monotonic one starts at a fixed value when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(super) fn start() -> Clock {
        Clock {
            start: Instant::now(),
        }
    }

    /// Reads both clocks. A wall clock before 1970 reads as 0.
    pub fn now(&self) -> Time {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        Time {
            ms: START_MS + self.start.elapsed().as_millis() as u64,
            unix_ms: since_1970.map_or(0, |elapsed| elapsed.as_millis() as u64),
        }
    }
}

/// 256 bits from the system's random device, to seed a server with.
///
/// # Errors
/// The system has no random device that can be read.
pub fn random_seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}

/// Files that are not connections: listeners, the queue, logs, files being sent.
const SPARE_FILES: u64 = 64;

/// Raises this process's limit of open files as far as the system lets it.
/// Returns the limit then in force; `None` when there is none.
pub(super) fn raise_open_files_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// How many connections there is room for with `files` open files: at most
/// `wanted`. Logs it; what was asked for and cannot be had is a warning, the
/// default that is cut down is none.
pub(super) fn capacity(files: Option<u64>, wanted: usize, default: usize) -> usize {
    let Some(files) = files else {
        log::info!("event=capacity connections={wanted} open_files=unlimited");
        return wanted;
    };
    let room = usize::try_from(files.saturating_sub(SPARE_FILES)).unwrap_or(usize::MAX);
    let capacity = wanted.min(room.max(1));
    let hint = "for more raise the limit of open files: ulimit -n, or LimitNOFILE in systemd";
    if capacity == wanted {
        log::info!("event=capacity connections={capacity} open_files={files}");
    } else if wanted == default {
        log::info!("event=capacity connections={capacity} open_files={files} hint=\"{hint}\"");
    } else {
        log::warn!(
            "event=capacity connections={capacity} connections_max={wanted} open_files={files} hint=\"{hint}\""
        );
    }
    capacity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_a_day_in_and_does_not_go_back() {
        let clock = Clock::start();
        let (first, second) = (clock.now(), clock.now());
        let since_ms = first.ms - START_MS;
        assert!(
            since_ms < 10_000,
            "starts a day in, not {since_ms} ms later"
        );
        assert!(second.ms >= first.ms);
        assert!(
            first.unix_ms > 1_600_000_000_000,
            "the wall clock counts from 1970"
        );
    }

    #[test]
    fn two_seeds_differ() {
        assert_ne!(random_seed().unwrap(), random_seed().unwrap());
    }

    #[test]
    fn the_open_files_limit_is_raised_once_and_for_all() {
        let limit = raise_open_files_limit();
        assert_eq!(limit, getrlimit(Resource::Nofile).current);
        assert_eq!(limit, raise_open_files_limit());
    }

    #[test]
    fn there_is_room_for_as_many_connections_as_files_allow() {
        for (files, wanted, capacity_then) in [
            (None, 100_000, 100_000),
            (Some(1_000_000), 100_000, 100_000),
            (Some(1_024), 100_000, 960),
            (Some(1_024), 500, 500),
            (Some(10), 500, 1),
        ] {
            assert_eq!(capacity(files, wanted, 100_000), capacity_then);
        }
    }
}
