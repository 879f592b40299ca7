//! The one clock of all processes of a run.
//!
//! Not the time of day: it counts from some moment in the past, the same for
//! every process of the machine. Called wherever something is timed.

use rustix::time::{ClockId, clock_gettime};

/// Microseconds, never going back.
pub fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}
