//! Whether the app is up, in doubt, or down; and what may be sent meanwhile.
//!
//! It is down when it cannot be reached, or when sessions of several addresses
//! in a row failed and nobody had an answer between: then nothing is sent for a
//! while, and then one attempt at a time. Before that, the failures of one
//! address leave it in doubt: one attempt at a time is sent, of others first, to
//! see which it is. One answer to anybody opens everything. A failure of an
//! attempt that somebody's answer has overtaken says nothing of the app. Called
//! by `health`.

use std::collections::VecDeque;

use super::accounts::{Owner, Turn, party};
use super::backoff::Backoff;
use super::message::Message;
use crate::base::address::AddressKey;
use crate::base::names::SessionId;
use crate::base::random::Random;

/// So many addresses in a row that fail are the app's failure.
const SEVERAL: usize = 3;

/// The last so many that failed are kept in mind.
pub const SUSPECTS_MAX: usize = 16;

/// An attempt that shall show how the app is holds others up for so long at first.
const PATIENCE_MS: u64 = 1_000;

/// Whose attempt failed. The networks of one IPv6 /48 may be one peer's. Of this
/// machine each session may be another's, who comes through a proxy that nobody named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspect {
    Party(AddressKey),
    Session(SessionId),
}

impl Suspect {
    /// Whom a failure of this message speaks of.
    pub fn of(message: &Message) -> Suspect {
        Suspect::new(message.address, message.session)
    }

    fn new(owner: Owner, session: SessionId) -> Suspect {
        match party(owner) {
            Some(address) => Suspect::Party(address),
            None => Suspect::Session(session),
        }
    }
}

/// An attempt failed in a way that may speak of the app.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// Whose doing it may be; nobody's if nothing was reached.
    pub suspect: Option<Suspect>,
    /// How many answers there had been when it began.
    pub answers_before: u64,
    /// The wait the app asked for.
    pub asked_ms: Option<u64>,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The app answered since: it is not down.
    None,
    /// The app is in doubt.
    Doubt,
    /// The app is down; `was_well` says whether it was not before.
    Down { was_well: bool },
}

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Everything.
    Open,
    /// One attempt at a time of those who have not failed, from this time on, and
    /// one at a time of those who have.
    Ajar { others_ms: u64, again_ms: u64 },
    /// Nothing until then, unless somebody gets an answer.
    Shut(u64),
}

#[derive(Debug)]
struct Probe {
    upstream: usize,
    /// Then another is sent beside it.
    until_ms: u64,
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Gate {
    /// Failures of the app since it last answered; 0 while it is not down.
    failures: u32,
    /// Shut until then.
    until_ms: Option<u64>,
    /// Those that failed since the app last answered.
    suspects: VecDeque<Suspect>,
    /// How often a suspect failed again, and when one is tried the next time.
    repeats: u32,
    repeat_ms: u64,
    /// The attempts that shall show how the app is: of one who has not failed, and
    /// of one who has, who keeps no other waiting.
    probe: Option<Probe>,
    again: Option<Probe>,
    /// How often the app answered.
    answers: u64,
}

impl Gate {
    /// How often the app answered so far.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// Whether the app is down.
    pub fn is_down(&self) -> bool {
        self.failures > 0
    }

    /// What may be sent.
    pub fn door(&self, now_ms: u64) -> Door {
        if let Some(until_ms) = self.until_ms.filter(|&until_ms| until_ms > now_ms) {
            return Door::Shut(until_ms);
        }
        if self.failures == 0 && self.suspects.is_empty() {
            return Door::Open;
        }
        let until_ms = |probe: &Option<Probe>| probe.as_ref().map_or(0, |probe| probe.until_ms);
        let others_ms = until_ms(&self.probe);
        let again_ms = until_ms(&self.again).max(self.repeat_ms);
        Door::Ajar {
            others_ms,
            again_ms: match self.is_down() {
                // One at a time, whoever's.
                true => again_ms.max(others_ms),
                false => again_ms,
            },
        }
    }

    /// Whether this session, or its address, failed since the app last answered.
    pub fn suspects(&self, turn: &Turn) -> bool {
        let suspect = Suspect::new(turn.owner, turn.session);
        self.suspects.contains(&suspect)
    }

    /// Those that failed since the app last answered, [`SUSPECTS_MAX`] at most.
    pub fn suspected(&self) -> impl Iterator<Item = Suspect> {
        self.suspects.iter().copied()
    }

    /// An attempt begins on `upstream`; `again` says that it is of one who has failed.
    pub fn begin(&mut self, now_ms: u64, upstream: usize, again: bool, backoff: Backoff) {
        if self.failures == 0 && self.suspects.is_empty() {
            return;
        }
        let doubled = PATIENCE_MS << self.failures.min(16);
        let patience_ms = doubled.min(backoff.max_ms.max(PATIENCE_MS));
        let until_ms = now_ms.saturating_add(patience_ms);
        let probe = match again {
            true => &mut self.again,
            false => &mut self.probe,
        };
        *probe = Some(Probe { upstream, until_ms });
    }

    /// The attempt on `upstream` is over, however it ended.
    pub fn end(&mut self, upstream: usize) {
        for probe in [&mut self.probe, &mut self.again] {
            if probe
                .as_ref()
                .is_some_and(|probe| probe.upstream == upstream)
            {
                *probe = None;
            }
        }
    }

    /// The app answered, so it is up. True if it was down before.
    pub fn answered(&mut self) -> bool {
        let was_down = self.is_down();
        self.answers += 1;
        self.failures = 0;
        self.until_ms = None;
        self.suspects.clear();
        self.repeats = 0;
        self.repeat_ms = 0;
        self.probe = None;
        self.again = None;
        was_down
    }

    /// An attempt failed in a way that may speak of the app.
    pub fn failed(
        &mut self,
        now_ms: u64,
        failed: Failed,
        backoff: Backoff,
        random: &mut Random,
    ) -> Effect {
        if failed.answers_before != self.answers {
            return Effect::None;
        }
        if let Some(suspect) = failed.suspect {
            self.suspect(now_ms, suspect, backoff, random);
            if self.failures == 0 && self.suspects.len() < SEVERAL {
                return Effect::Doubt;
            }
        }
        let was_well = self.failures == 0;
        // Several connections that fail within one pause are one failure.
        if self.until_ms.is_none_or(|until_ms| until_ms <= now_ms) {
            self.failures = self.failures.saturating_add(1);
            let delay_ms = backoff.delay_ms(self.failures, random);
            self.until_ms = Some(now_ms.saturating_add(delay_ms));
        }
        let asked_until_ms = failed
            .asked_ms
            .map(|asked_ms| now_ms.saturating_add(asked_ms));
        self.until_ms = self.until_ms.max(asked_until_ms);
        Effect::Down { was_well }
    }

    fn suspect(&mut self, now_ms: u64, suspect: Suspect, backoff: Backoff, random: &mut Random) {
        if self.suspects.contains(&suspect) {
            self.repeats = self.repeats.saturating_add(1);
            let delay_ms = backoff.delay_ms(self.repeats, random);
            self.repeat_ms = now_ms.saturating_add(delay_ms);
            return;
        }
        if self.suspects.len() == SUSPECTS_MAX {
            self.suspects.pop_front();
        }
        self.suspects.push_back(suspect);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        min_ms: 200,
        max_ms: 10_000,
    };

    fn address(number: u8) -> Suspect {
        let address = std::net::IpAddr::from([192, 0, 2, number]);
        Suspect::Party(AddressKey::of(address).unwrap())
    }

    struct Tried {
        gate: Gate,
        random: Random,
    }

    impl Tried {
        fn new() -> Tried {
            Tried {
                gate: Gate::default(),
                random: Random::new([1; 32]),
            }
        }

        fn fail(&mut self, now_ms: u64, suspect: Suspect, unreachable: bool) -> Effect {
            let failed = Failed {
                suspect: (!unreachable).then_some(suspect),
                answers_before: self.gate.answers(),
                asked_ms: None,
            };
            self.gate.failed(now_ms, failed, BACKOFF, &mut self.random)
        }
    }

    #[test]
    fn one_that_cannot_be_reached_is_down_until_it_answers() {
        let mut tried = Tried::new();
        assert_eq!(tried.gate.door(0), Door::Open);
        assert_eq!(
            tried.fail(0, address(1), true),
            Effect::Down { was_well: true }
        );
        let Door::Shut(until_ms) = tried.gate.door(1) else {
            panic!("open");
        };
        assert_eq!(
            tried.fail(1, address(2), true),
            Effect::Down { was_well: false }
        );
        assert_eq!(
            tried.gate.door(1),
            Door::Shut(until_ms),
            "one failure, one pause"
        );
        let free = Door::Ajar {
            others_ms: 0,
            again_ms: 0,
        };
        assert_eq!(tried.gate.door(until_ms), free);
        tried.gate.begin(until_ms, 3, false, BACKOFF);
        let Door::Ajar { others_ms, .. } = tried.gate.door(until_ms) else {
            panic!("neither open nor shut");
        };
        assert_eq!(others_ms, until_ms + 2_000);
        tried.gate.end(3);
        assert_eq!(tried.gate.door(until_ms), free);
        tried.gate.begin(until_ms, 3, false, BACKOFF);
        tried.gate.answered();
        assert_eq!(tried.gate.door(until_ms), Door::Open);
    }

    #[test]
    fn several_addresses_in_a_row_are_the_app_and_one_alone_is_not() {
        let mut tried = Tried::new();
        for now_ms in 0..50 {
            assert_eq!(tried.fail(now_ms, address(1), false), Effect::Doubt);
        }
        let Door::Ajar {
            others_ms: 0,
            again_ms,
        } = tried.gate.door(60)
        else {
            panic!("others may be tried");
        };
        assert!(again_ms > 5_000);
        assert_eq!(tried.fail(60, address(2), false), Effect::Doubt);
        tried.gate.answered();
        assert_eq!(tried.gate.door(60), Door::Open);
        for number in [1, 2, 1, 2] {
            assert_eq!(tried.fail(70, address(number), false), Effect::Doubt);
        }
        let session = Suspect::Session(SessionId(1));
        assert_eq!(
            tried.fail(80, session, false),
            Effect::Down { was_well: true }
        );
        assert!(matches!(tried.gate.door(80), Door::Shut(_)));
    }

    #[test]
    fn what_an_answer_has_overtaken_says_nothing() {
        let mut tried = Tried::new();
        let before = tried.gate.answers();
        tried.gate.answered();
        for number in 1..100 {
            let failed = Failed {
                suspect: Some(address(number)),
                answers_before: before,
                asked_ms: Some(10_000),
            };
            let effect = tried.gate.failed(0, failed, BACKOFF, &mut tried.random);
            assert_eq!((effect, tried.gate.door(0)), (Effect::None, Door::Open));
        }
    }

    #[test]
    fn a_probe_that_hangs_does_not_keep_others_from_trying() {
        let mut tried = Tried::new();
        tried.fail(0, address(1), false);
        tried.gate.begin(0, 7, false, BACKOFF);
        tried.gate.begin(0, 8, true, BACKOFF);
        let expected = Door::Ajar {
            others_ms: 1_000,
            again_ms: 1_000,
        };
        assert_eq!(tried.gate.door(0), expected);
        tried.gate.end(7);
        let expected = Door::Ajar {
            others_ms: 0,
            again_ms: 1_000,
        };
        assert_eq!(
            tried.gate.door(0),
            expected,
            "a suspect keeps no other waiting"
        );
    }
}
