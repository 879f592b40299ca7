//! How many messages a session may send in a second.
//!
//! A bucket of tokens for each session, kept as the one moment at which it will
//! be full again. A session whose bucket is full has no entry, so that those
//! that are silent cost nothing. Called by `stream`, which reads no further
//! without a token, and by `polls`, which refuses.

use std::collections::HashMap;

use crate::base::time::Time;
use crate::base::timers::Timers;
use crate::config::Config;
use crate::hub::SessionKey;
use crate::transport::contract::Problem;

use super::conn::ConnKey;

/// How long a stream is held back before its client is told.
const TELL_AFTER_MS: u64 = 1_000;

/// What a session used up.
struct Spent {
    /// When its bucket will be full again, in microseconds on the monotonic clock.
    full_at_us: u64,
    /// Since when it is held back.
    held_since_ms: Option<u64>,
    told: bool,
}

/// The buckets that are not full.
pub struct Paces {
    token_us: u64,
    bucket_us: u64,
    per_second: usize,
    spent: HashMap<SessionKey, Spent>,
    /// How many entries there may be before those of full buckets are dropped.
    sweep_at: usize,
    /// Streams that are not read until there is a token.
    pub waiting: Timers<ConnKey>,
}

impl Paces {
    /// Full buckets, of the size that `config` gives them.
    pub fn new(config: &Config) -> Paces {
        let token_us = (1_000_000 / config.messages_per_second_max as u64).max(1);
        Paces {
            token_us,
            bucket_us: token_us.saturating_mul(config.messages_burst_max as u64),
            per_second: config.messages_per_second_max,
            spent: HashMap::new(),
            sweep_at: 64,
            waiting: Timers::default(),
        }
    }

    /// How long the session has to wait for a token; 0 when it has one.
    pub fn wait_ms(&self, now: Time, session: SessionKey) -> u64 {
        let Some(spent) = self.spent.get(&session) else {
            return 0;
        };
        let used_us = spent.full_at_us.saturating_sub(now.ms * 1_000);
        let over_us = (used_us + self.token_us).saturating_sub(self.bucket_us);
        over_us.div_ceil(1_000)
    }

    /// Takes a token of the session, whether it has one or not.
    pub fn take(&mut self, now: Time, session: SessionKey) {
        let now_us = now.ms * 1_000;
        if self.spent.len() >= self.sweep_at {
            self.spent.retain(|_, spent| spent.full_at_us > now_us);
            self.sweep_at = (2 * self.spent.len()).max(64);
            self.spent.shrink_to(self.sweep_at);
        }
        let spent = self.spent.entry(session).or_insert(Spent {
            full_at_us: 0,
            held_since_ms: None,
            told: false,
        });
        if spent.full_at_us <= now_us {
            (spent.full_at_us, spent.held_since_ms, spent.told) = (now_us, None, false);
        }
        spent.full_at_us += self.token_us;
    }

    /// Takes a token for a request.
    ///
    /// # Errors
    /// The refusal, when there is none.
    pub fn spend(&mut self, now: Time, session: SessionKey) -> Result<(), Problem> {
        if self.wait_ms(now, session) > 0 {
            return Err(self.too_fast("The message was not taken: send it again in a moment."));
        }
        self.take(now, session);
        Ok(())
    }

    /// The session's stream is held back. What its client is to be told, once
    /// until it has been slow enough for its bucket to fill.
    pub fn hold(&mut self, now: Time, session: SessionKey) -> Option<Problem> {
        let spent = self.spent.get_mut(&session)?;
        let since_ms = *spent.held_since_ms.get_or_insert(now.ms);
        if spent.told || now.ms < since_ms + TELL_AFTER_MS {
            return None;
        }
        spent.told = true;
        Some(self.too_fast("Nothing is lost: what you send is read that slowly."))
    }

    fn too_fast(&self, what_then: &str) -> Problem {
        let most = self.per_second;
        Problem::temporary(
            429,
            "messages_per_second_max",
            format!("You send more than {most} messages a second. {what_then}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slots::Key;

    #[test]
    fn a_burst_then_so_many_a_second_and_nothing_is_kept_of_the_silent() {
        let config = Config {
            messages_per_second_max: 10,
            messages_burst_max: 20,
            ..Config::default()
        };
        let mut paces = Paces::new(&config);
        let mut now = Time::default().plus(1_000);
        let session = Key::from_u64(1);
        for _ in 0..20 {
            assert!(paces.spend(now, session).is_ok());
        }
        assert_eq!(paces.wait_ms(now, session), 100);
        assert!(paces.spend(now, session).is_err_and(|p| p.temporary));
        now = now.plus(1_000);
        let taken = (0..20).filter(|_| paces.spend(now, session).is_ok());
        assert_eq!(taken.count(), 10);
        for number in 2..10_000 {
            now = now.plus(1_000);
            assert!(paces.spend(now, Key::from_u64(number)).is_ok());
        }
        assert!(paces.spent.len() <= 64);
    }
}
