//! How long to wait before the next attempt.
//!
//! By a rule of our own, or as the app asks. Whose attempt it is, and whether
//! others wait with it, is not decided here. Called by `gate`, `verdict` and
//! `Webhook`.

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
}
