//! What time it is, as a value that is passed down.
//!
//! Nothing below `net` reads a clock: `net` reads it once a turn and hands a
//! [`Time`] to everything it calls. Tests and the simulator move it by hand.
//! Called by every floor.

/// One reading of the clocks: a monotonic one for deadlines, the wall for dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds on a clock that never goes back, from an arbitrary start.
    /// Every deadline in Chloe is a value on this clock.
    pub ms: u64,
    /// Milliseconds since 1970-01-01 UTC. It may jump; used only for what
    /// people and peers read (`Date`, `webhook-timestamp`, logs).
    pub unix_ms: u64,
}

impl Time {
    /// The deadline `delay_ms` from now, on the monotonic clock.
    pub fn after(self, delay_ms: u64) -> u64 {
        self.ms.saturating_add(delay_ms)
    }

    /// This time moved on by `delta_ms` on both clocks. For tests and the simulator.
    pub fn plus(self, delta_ms: u64) -> Time {
        Time {
            ms: self.ms.saturating_add(delta_ms),
            unix_ms: self.unix_ms.saturating_add(delta_ms),
        }
    }
}
