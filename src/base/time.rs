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

    /// The wall-clock time of a moment of the past on the monotonic clock.
    pub fn to_unix_ms(self, at_ms: u64) -> u64 {
        self.unix_ms.saturating_sub(self.ms.saturating_sub(at_ms))
    }

    /// The moment on the monotonic clock that was at `unix_ms`, perhaps before
    /// this process began. What seems to lie in the future is now: the wall
    /// clock was set back.
    pub fn from_unix_ms(self, unix_ms: u64) -> u64 {
        self.ms.saturating_sub(self.unix_ms.saturating_sub(unix_ms))
    }

    /// This time moved on by `delta_ms` on both clocks. For tests and the simulator.
    pub fn plus(self, delta_ms: u64) -> Time {
        Time {
            ms: self.ms.saturating_add(delta_ms),
            unix_ms: self.unix_ms.saturating_add(delta_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_outlives_the_clock_it_was_read_on() {
        let before = Time {
            ms: 50_000,
            unix_ms: 1_000_000,
        };
        let after = Time {
            ms: 90_000_000,
            unix_ms: 1_010_000,
        };
        let unix_ms = before.to_unix_ms(42_000);
        assert_eq!(unix_ms, 992_000);
        assert_eq!(after.ms - after.from_unix_ms(unix_ms), 18_000);
        assert_eq!(after.from_unix_ms(2_000_000), after.ms, "a clock set back");
    }
}
