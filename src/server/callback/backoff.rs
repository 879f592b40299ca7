//! How long to wait before the next attempt, and the gate that holds all
//! attempts while the app as a whole is down.
//!
//! Two things can be ill: one message (the app answers 500 to it, again and
//! again) and the app. A message's failures delay its own session; the gate
//! delays everybody, and then lets one attempt at a time through until one is
//! answered. Called by `Callbacks`.

use std::time::{Duration, UNIX_EPOCH};

use crate::base::random::Random;
use crate::base::time::Time;

/// Waiting times that double from `min_ms` to `max_ms`.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub min_ms: u64,
    pub max_ms: u64,
}

impl Backoff {
    /// The wait after the `failures`th failure in a row, counted from 1: at
    /// least half of the full one, the rest by chance, so that attempts which
    /// failed together do not come back together. Never 0.
    pub fn delay_ms(self, failures: u32, random: &mut Random) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        let full_ms = self
            .min_ms
            .max(1)
            .saturating_mul(1 << doublings)
            .min(self.max_ms.max(1));
        let half_ms = full_ms.div_ceil(2);
        half_ms + random.below(full_ms - half_ms + 1)
    }
}

/// The milliseconds that a `Retry-After` header asks to wait: seconds, or a
/// date (RFC 9110, section 10.2.3). `None` if it is neither.
pub fn retry_after_ms(now: Time, value: &str) -> Option<u64> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse::<u64>().unwrap_or(u64::MAX);
        return Some(seconds.saturating_mul(1000));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let now = UNIX_EPOCH.checked_add(Duration::from_millis(now.unix_ms))?;
    let wait = at.duration_since(now).unwrap_or_default();
    Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

/// Holds all attempts back while the app is down.
#[derive(Debug, Default)]
pub struct Gate {
    /// Failures of the app since it last answered; 0 while it is well.
    failures: u32,
    /// Shut until then.
    until_ms: Option<u64>,
    /// The app itself named `until_ms`, so an answer on another lane does not lift it.
    by_request: bool,
    /// The lane of the one attempt that is let through while `failures` is not 0.
    probe: Option<usize>,
}

impl Gate {
    /// Whether an attempt may begin. Opens the gate when its time has come.
    pub fn admits(&mut self, now_ms: u64) -> bool {
        if self.until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
            self.until_ms = None;
            self.by_request = false;
        }
        self.until_ms.is_none() && (self.failures == 0 || self.probe.is_none())
    }

    /// When the gate opens, if it is shut.
    pub fn until_ms(&self) -> Option<u64> {
        self.until_ms
    }

    /// An attempt begins on `lane`.
    pub fn begin(&mut self, lane: usize) {
        if self.failures > 0 {
            self.probe = Some(lane);
        }
    }

    /// The attempt on `lane` is over, however it ended.
    pub fn end(&mut self, lane: usize) {
        if self.probe == Some(lane) {
            self.probe = None;
        }
    }

    /// The app answered, so it is up. True if it was down before.
    pub fn answered(&mut self) -> bool {
        let was_down = self.failures > 0;
        self.failures = 0;
        self.probe = None;
        if !self.by_request {
            self.until_ms = None;
        }
        was_down
    }

    /// An attempt failed in a way that speaks of the app, not of the message.
    /// `asked_ms` is the wait the app asked for. True if it was well before.
    pub fn failed(
        &mut self,
        now_ms: u64,
        asked_ms: Option<u64>,
        backoff: Backoff,
        random: &mut Random,
    ) -> bool {
        let was_well = self.failures == 0;
        // Several lanes that fail within one pause are one failure.
        if self.until_ms.is_none_or(|until_ms| until_ms <= now_ms) {
            self.failures = self.failures.saturating_add(1);
            let delay_ms = backoff.delay_ms(self.failures, random);
            self.until_ms = Some(now_ms.saturating_add(delay_ms));
        }
        if let Some(asked_ms) = asked_ms {
            let asked_until_ms = now_ms.saturating_add(asked_ms);
            self.until_ms = self.until_ms.max(Some(asked_until_ms));
            self.by_request = true;
        }
        was_well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        min_ms: 200,
        max_ms: 10_000,
    };

    #[test]
    fn waits_double_to_the_limit_and_keep_at_least_a_half() {
        let mut random = Random::new([1; 32]);
        for (failures, full_ms) in [(1, 200), (2, 400), (6, 6_400), (7, 10_000), (4_000, 10_000)] {
            for _ in 0..100 {
                let delay_ms = BACKOFF.delay_ms(failures, &mut random);
                assert!(
                    (full_ms / 2..=full_ms).contains(&delay_ms),
                    "{failures}: {delay_ms}"
                );
            }
        }
        let nothing = Backoff {
            min_ms: 0,
            max_ms: 0,
        };
        assert_eq!(nothing.delay_ms(1, &mut random), 1);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Time {
            ms: 5,
            unix_ms: 784_111_777_000, // Sun, 06 Nov 1994 08:49:37 GMT
        };
        for (value, wait_ms) in [
            ("0", Some(0)),
            (" 120 ", Some(120_000)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", Some(3_000)),
            ("Sun, 06 Nov 1994 08:49:30 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after_ms(now, value), wait_ms, "{value:?}");
        }
    }

    #[test]
    fn a_shut_gate_opens_for_one_attempt_and_an_answer_opens_it_for_all() {
        let (mut gate, mut random) = (Gate::default(), Random::new([1; 32]));
        assert!(gate.admits(0));
        assert!(gate.failed(0, None, BACKOFF, &mut random));
        let until_ms = gate.until_ms().unwrap();
        assert!(!gate.failed(1, None, BACKOFF, &mut random));
        assert_eq!(gate.until_ms(), Some(until_ms), "one failure, one pause");
        assert!(!gate.admits(until_ms - 1));
        assert!(gate.admits(until_ms));
        gate.begin(3);
        assert!(!gate.admits(until_ms));
        gate.end(3);
        assert!(gate.admits(until_ms));
        gate.begin(3);
        gate.answered();
        assert!(gate.admits(until_ms));
    }

    #[test]
    fn a_pause_the_app_asked_for_outlasts_answers_on_other_lanes() {
        let (mut gate, mut random) = (Gate::default(), Random::new([1; 32]));
        gate.failed(0, Some(5_000), BACKOFF, &mut random);
        gate.answered();
        assert!(!gate.admits(4_999));
        assert!(gate.admits(5_000));
        gate.failed(6_000, None, BACKOFF, &mut random);
        gate.answered();
        assert!(gate.admits(6_000));
    }
}
