//! Outcomes: what became of the messages that were answered, for browsers that missed it.
//!
//! A limit for all together, and a share of it for each address, so that long answers to
//! one let no other's be forgotten: the oldest go first, of whoever has too much. What
//! is under way is `acks`, which alone calls this.

use std::collections::{BTreeMap, VecDeque};

use crate::base::address::AddressKey;
use crate::base::holdings::Holdings;
use crate::base::key_map::KeyMap;
use crate::hub::SessionKey;
use crate::transport::contract::{Problem, Reply};

use crate::server::webhook::REMEMBERED;

/// What is kept, at most.
#[derive(Clone, Copy, Debug)]
pub struct AckLimits {
    /// Outcomes that are remembered for one session.
    pub per_session: usize,
    /// Bytes of all outcomes together. One address has a sixteenth of them.
    pub total_bytes: usize,
    /// The longest answer: an address has room for one.
    pub answer_bytes: usize,
}

/// An outcome in the words of a [`Reply`], in little room.
type Outcome = Result<Option<Box<str>>, Box<Problem>>;

/// Whose an outcome is: an address, or none.
type Owner = Option<AddressKey>;

struct Done {
    number: u64,
    owner: Owner,
    id: Box<str>,
    outcome: Outcome,
}

/// What an outcome takes beside its texts, in bytes: about what its tables need for it.
const DONE_BYTES: usize = 128;

/// What an address takes that has any, in bytes.
const OWNER_BYTES: usize = 256;

/// Room for the id of a message with the longest answer.
const ID_BYTES: usize = 1024;

impl Done {
    fn bytes(&self) -> usize {
        let text = match &self.outcome {
            Ok(answer) => answer.as_deref().map_or(0, str::len),
            Err(problem) => size_of::<Problem>() + problem.message.len(),
        };
        DONE_BYTES + self.id.len() + text
    }
}

/// The table.
pub struct Outcomes {
    per_session: usize,
    /// Of each session the oldest first; none of those that have none.
    sessions: KeyMap<SessionKey, VecDeque<Done>>,
    /// Of each owner the oldest first.
    order: BTreeMap<(Owner, u64), SessionKey>,
    /// What each owner has.
    held: Holdings,
    /// Outcomes so far.
    count: u64,
    /// So many sessions, and it is time to look for those that ended.
    look_at: usize,
}

/// Fewer are not worth a look.
const LOOK_MIN: usize = 1_000;

impl Outcomes {
    /// An empty table.
    pub fn new(limits: AckLimits) -> Outcomes {
        let longest = limits.answer_bytes + DONE_BYTES + OWNER_BYTES + ID_BYTES;
        Outcomes {
            per_session: limits.per_session,
            sessions: KeyMap::default(),
            order: BTreeMap::new(),
            held: Holdings::new(limits.total_bytes, longest.min(limits.total_bytes)),
            count: 0,
            look_at: LOOK_MIN,
        }
    }

    /// What was said to the session's message of this id, if that is remembered.
    pub fn find(&self, session: SessionKey, id: &str) -> Option<Reply> {
        let mut done = self.sessions.get(&session)?.iter();
        let done = done.find(|done| *done.id == *id)?;
        Some(reply_of(&done.outcome))
    }

    /// Remembers what is said to a message of `session`, which counts for `owner`; nothing
    /// of one that was given up because the server stops.
    pub fn keep(&mut self, session: SessionKey, owner: Owner, id: &str, reply: &Reply) {
        let Some(outcome) = outcome_of(reply) else {
            return;
        };
        self.count += 1;
        let done = Done {
            number: self.count,
            owner,
            id: id.into(),
            outcome,
        };
        let bytes = done.bytes();
        self.order.insert((owner, done.number), session);
        let known = self.sessions.entry(session).or_default();
        known.push_back(done);
        if known.len() > self.per_session
            && let Some(before) = known.pop_front()
        {
            self.order.remove(&(before.owner, before.number));
            if before.owner == owner {
                // In one step: nearly always it is as long, and nothing changes.
                self.settle(owner, bytes, before.bytes());
            } else {
                self.settle(before.owner, 0, before.bytes());
                self.settle(owner, bytes, 0);
            }
        } else {
            self.settle(owner, bytes, 0);
        }
        while let Some(excess) = self.held.excess() {
            let owner = AddressKey::from_u64(excess.holder);
            let mut of_owner = self.order.range((owner, 0)..=(owner, u64::MAX));
            let Some((&(_, number), &session)) = of_owner.next() else {
                return;
            };
            self.drop(session, number);
        }
    }

    /// All of them, oldest first: what the app answered, or why it did not take the message.
    pub fn iter(&self) -> impl Iterator<Item = (SessionKey, &str, Result<Option<&str>, &Problem>)> {
        let mut all: Vec<(SessionKey, &Done)> = self
            .sessions
            .iter()
            .flat_map(|(&session, done)| done.iter().map(move |done| (session, done)))
            .collect();
        all.sort_unstable_by_key(|(_, done)| done.number);
        all.into_iter().map(|(session, done)| {
            let outcome = match &done.outcome {
                Ok(answer) => Ok(answer.as_deref()),
                Err(problem) => Err(&**problem),
            };
            (session, &*done.id, outcome)
        })
    }

    /// How much there is, in all its tables.
    pub fn entries(&self) -> usize {
        self.sessions.len() + self.order.len() + self.held.entries()
    }

    /// Forgets the sessions that ended, of which `living` have not: once there may be as
    /// many of them as others, or when all have.
    pub fn forget_ended(&mut self, living: usize, lives: impl Fn(SessionKey) -> bool) {
        let all = living == 0 && !self.sessions.is_empty();
        if self.sessions.len() < self.look_at && !all {
            return;
        }
        let ended = self.sessions.keys().copied();
        let ended: Vec<SessionKey> = ended.filter(|&session| !lives(session)).collect();
        ended.into_iter().for_each(|session| self.forget(session));
        self.sessions.shrink_to(2 * self.sessions.len());
        self.look_at = 2 * self.sessions.len() + LOOK_MIN;
    }

    /// Forgets the outcomes of a session that ended.
    pub fn forget(&mut self, session: SessionKey) {
        for done in self.sessions.remove(&session).unwrap_or_default() {
            self.order.remove(&(done.owner, done.number));
            self.settle(done.owner, 0, done.bytes());
        }
    }

    /// Forgets one outcome.
    fn drop(&mut self, session: SessionKey, number: u64) {
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        let at = known.binary_search_by_key(&number, |done| done.number);
        let done = at.ok().and_then(|at| known.remove(at));
        if known.is_empty() {
            self.sessions.remove(&session);
        }
        if let Some(done) = done {
            self.order.remove(&(done.owner, number));
            self.settle(done.owner, 0, done.bytes());
        }
    }

    /// `owner` has `more` bytes of outcomes, and `less` of what it had.
    fn settle(&mut self, owner: Owner, more: usize, less: usize) {
        let holder = owner.map_or(0, AddressKey::to_u64);
        let before = self.held.of(holder).saturating_sub(OWNER_BYTES);
        let after = match before + more - less {
            0 => 0,
            bytes => bytes + OWNER_BYTES,
        };
        self.held.set(holder, owner, after);
    }
}

/// What is remembered; nothing of a message that was given up because the server stops.
fn outcome_of(reply: &Reply) -> Option<Outcome> {
    match reply {
        Reply::Accepted { answer } => Some(Ok(answer.as_deref().map(Box::from))),
        Reply::Refused(problem) if REMEMBERED.contains(&problem.code) => {
            Some(Err(Box::new(problem.clone())))
        }
        _ => None,
    }
}

fn reply_of(outcome: &Outcome) -> Reply {
    match outcome {
        Ok(answer) => Reply::Accepted {
            answer: answer.as_deref().map(String::from),
        },
        Err(problem) => Reply::Refused((**problem).clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slots::Key;

    const LIMITS: AckLimits = AckLimits {
        per_session: 4,
        total_bytes: 160_000,
        answer_bytes: 1_000,
    };

    fn key(text: &str) -> Owner {
        AddressKey::of(text.parse().unwrap())
    }

    fn keep(outcomes: &mut Outcomes, session: u64, owner: Owner, id: u32, bytes: usize) {
        let answer = Some("x".repeat(bytes));
        let reply = Reply::Accepted { answer };
        outcomes.keep(Key::from_u64(session), owner, &id.to_string(), &reply);
    }

    fn knows(outcomes: &Outcomes, session: u64, id: u32) -> bool {
        let found = outcomes.find(Key::from_u64(session), &id.to_string());
        found.is_some()
    }

    fn is_bare(outcomes: &Outcomes) -> bool {
        outcomes.entries() == 0
    }

    #[test]
    fn the_oldest_of_a_session_and_of_an_address_go_first() {
        let mut outcomes = Outcomes::new(LIMITS);
        let (one, other) = (key("192.0.2.1"), key("192.0.2.2"));
        keep(&mut outcomes, 1, other, 1, 10);
        for id in 0..6 {
            keep(&mut outcomes, 2, one, id, 10);
        }
        let known = |outcomes: &Outcomes, session| -> Vec<u32> {
            (0..100)
                .filter(|&id| knows(outcomes, session, id))
                .collect()
        };
        assert_eq!(known(&outcomes, 2), [2, 3, 4, 5]);
        // A sixteenth of the whole is 10,000 bytes.
        for session in 10..30 {
            keep(&mut outcomes, session, one, 1, 900);
        }
        assert!(known(&outcomes, 2).is_empty());
        let there: Vec<u64> = (10..30).filter(|&s| knows(&outcomes, s, 1)).collect();
        assert_eq!(there, (21..30).collect::<Vec<_>>());
        assert!(knows(&outcomes, 1, 1), "nobody else pays");
        // The session goes on at another address.
        keep(&mut outcomes, 29, other, 2, 900);
        assert!(knows(&outcomes, 29, 1) && knows(&outcomes, 29, 2));
        assert_eq!(outcomes.iter().count(), 11);
        let ended: Vec<_> = outcomes.sessions.keys().copied().collect();
        ended
            .into_iter()
            .for_each(|session| outcomes.forget(session));
        assert!(is_bare(&outcomes));
    }

    #[test]
    fn a_network_of_many_addresses_pays_for_the_whole() {
        let mut outcomes = Outcomes::new(LIMITS);
        keep(&mut outcomes, 1, key("192.0.2.1"), 1, 100);
        keep(&mut outcomes, 2, None, 1, 100);
        for number in 0..1_000u64 {
            let owner = key(&format!("2001:db8:7:{number:x}::1"));
            keep(&mut outcomes, 1_000 + number, owner, 1, 1_000);
            assert!(outcomes.held.total() <= 160_000);
        }
        assert!(knows(&outcomes, 1, 1) && knows(&outcomes, 2, 1));
        assert!(outcomes.iter().count() > 100);
    }

    #[test]
    fn memory_is_bounded_over_a_long_life() {
        let mut outcomes = Outcomes::new(AckLimits {
            per_session: 2,
            ..LIMITS
        });
        for number in 0..20_000_u64 {
            let owner = key(&format!("192.0.2.{}", number / 1_000));
            keep(&mut outcomes, number / 10, owner, number as u32, 1);
            outcomes.forget_ended(1, |session| session.to_u64() + 5 > number / 10);
        }
        assert!(outcomes.sessions.len() <= 2 * LOOK_MIN);
        assert!(outcomes.order.len() <= 4 * LOOK_MIN);
        assert!(outcomes.held.total() <= 160_000);
        outcomes.forget_ended(0, |_| false);
        assert!(is_bare(&outcomes));
    }
}
