//! How the app is, what follows for whose turn it is, and what the log is told.
//!
//! The gate with what it needs to be worked: the rule of waiting, and chance. Called by `Webhook`.

use super::accounts::Turn;
use super::backoff::Backoff;
use super::gate::{Door, Effect, Failed, Gate, SUSPECTS_MAX, Suspect};
use super::queue::{Patience, Queue};
use super::result::Failure;
use crate::base::random::Random;
use crate::base::time::Time;

/// See the module's description.
pub struct Health {
    gate: Gate,
    /// When the app answered last, if it has.
    answered_ms: Option<u64>,
    backoff: Backoff,
    random: Random,
    /// For the log.
    url: String,
}

impl Health {
    /// That of the app at `url`, which is well as far as is known.
    pub fn new(url: String, backoff: Backoff, random: Random) -> Health {
        Health {
            gate: Gate::default(),
            answered_ms: None,
            backoff,
            random,
            url,
        }
    }

    /// Whether the app is down.
    pub fn is_down(&self) -> bool {
        self.gate.is_down()
    }

    /// How often the app answered so far.
    pub fn answers(&self) -> u64 {
        self.gate.answers()
    }

    /// The wait before the next attempt of a message that failed so often.
    pub fn delay_ms(&mut self, attempts: u32) -> u64 {
        self.backoff.delay_ms(attempts, &mut self.random)
    }

    /// Whose turn it is, of those that may be sent now.
    ///
    /// # Errors
    /// When there may be one, if that is known.
    pub fn next_turn(&self, now_ms: u64, queue: &Queue) -> Result<Turn, Option<u64>> {
        let (others_ms, again_ms) = match self.gate.door(now_ms) {
            Door::Open => return queue.turns(1).next().ok_or(None),
            Door::Shut(until_ms) => return Err(Some(until_ms)),
            Door::Ajar {
                others_ms,
                again_ms,
            } => (others_ms, again_ms),
        };
        // Few are suspects, so few are passed over.
        let mut turns = queue.turns(SUSPECTS_MAX + 1);
        let other = turns.find(|turn| !self.gate.suspects(turn));
        let claims = self.gate.suspected().filter_map(|suspect| match suspect {
            Suspect::Party(party) => queue.claim(Some(party)),
            Suspect::Session(session) => queue.claim_of_session(session),
        });
        let again = claims.min_by_key(|(out, turn)| (*out, turn.number));
        // Others are tried before those that failed.
        let mut wake_ms = None;
        for (from_ms, turn) in [(others_ms, other), (again_ms, again.map(|(_, turn)| turn))] {
            match turn {
                Some(turn) if from_ms <= now_ms => return Ok(turn),
                Some(_) => wake_ms = Some(wake_ms.map_or(from_ms, |at_ms: u64| at_ms.min(from_ms))),
                None => {}
            }
        }
        Err(wake_ms)
    }

    /// An attempt begins on `upstream`.
    pub fn begin(&mut self, now_ms: u64, upstream: usize, turn: &Turn) {
        let again = self.gate.suspects(turn);
        self.gate.begin(now_ms, upstream, again, self.backoff);
    }

    /// The attempt on `upstream` is over, however it ended.
    pub fn end(&mut self, upstream: usize) {
        self.gate.end(upstream);
    }

    /// For how long messages are kept, of which `most_ms` is the rule. The app counts
    /// as well for as long after its last answer, unless it is down.
    pub fn patience(&self, most_ms: u64) -> Patience {
        let is_down = self.is_down();
        let answered_ms = self.answered_ms.filter(|_| !is_down);
        Patience {
            most_ms,
            is_down,
            well_until_ms: answered_ms.map_or(0, |at_ms| at_ms.saturating_add(most_ms)),
        }
    }

    /// The app answered, so it is up.
    pub fn answered(&mut self, now: Time) {
        self.answered_ms = Some(now.ms);
        if self.gate.answered() {
            log::info!("event=app_up url={}", self.url);
        }
    }

    /// An attempt failed in a way that may speak of the app.
    pub fn failed(&mut self, now: Time, failure: Failure, failed: Failed) {
        let (backoff, random) = (self.backoff, &mut self.random);
        let Effect::Down { was_well } = self.gate.failed(now.ms, failed, backoff, random) else {
            return;
        };
        if was_well {
            log::warn!("event=app_down url={} cause=\"{failure}\"", self.url);
        }
    }

    /// The app's name has no address: nobody's message is to blame.
    pub fn unresolved(&mut self, now: Time, error: &str) {
        let url = &self.url;
        log::debug!("event=webhook_resolve_failed url={url} error={error:?}");
        let failed = Failed {
            suspect: None,
            answers_before: self.gate.answers(),
            asked_ms: None,
        };
        self.failed(now, Failure::Unresolved, failed);
    }
}
