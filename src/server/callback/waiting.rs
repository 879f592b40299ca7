//! Messages that the queue has no room for, each with the place that it came from.
//!
//! A place is a connection, which is read no further meanwhile, so there is one
//! message of each. A session's messages keep their order. When room comes, the
//! addresses take turns, so that one with many waiting streams is one among the
//! others. It knows no limits: whoever asks says what fits. Called by `queue`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::accounts::Owner;
use super::message::Message;
use crate::base::address::{AddressKey, SiteKey};
use crate::base::names::SessionId;

/// Which limit a message would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// That of its session.
    Session,
    /// Its address's share.
    Address,
    /// That of the whole queue.
    Whole,
}

/// A message and its place.
#[derive(Debug)]
pub struct Waiter {
    pub place: u64,
    pub message: Message,
}

/// Those of one address, by their tickets: in the order in which they came.
#[derive(Default)]
struct Line {
    waiters: BTreeMap<u64, Waiter>,
    /// It has a turn in the round.
    in_round: bool,
}

/// Those of one session.
#[derive(Default)]
struct OfSession {
    /// How many there are, wherever they wait.
    count: usize,
    /// Those that wait for the session itself to have room.
    held: BTreeMap<u64, Waiter>,
}

/// Everyone who waits. An address is in the round, or something of it is queued
/// that will leave; so is a session whose waiters are held.
#[derive(Default)]
pub struct Waiting {
    lines: HashMap<Owner, Line>,
    sessions: HashMap<SessionId, OfSession>,
    places: HashMap<u64, (Owner, SessionId, u64)>,
    round: VecDeque<Owner>,
    /// Those out of the round that may wait for their IPv6 /48 to have room.
    parked: BTreeSet<(SiteKey, AddressKey)>,
    next_ticket: u64,
    /// The next of the round waits for room in the whole queue.
    whole: bool,
}

impl Waiting {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether a new message of `session` would overtake one that waits.
    pub fn goes_before(&self, session: SessionId) -> bool {
        !self.is_empty() && (self.whole || self.sessions.contains_key(&session))
    }

    /// A message waits from now on. There must be none of its place.
    pub fn add(&mut self, waiter: Waiter) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let (owner, session) = (waiter.message.address, waiter.message.session);
        self.places.insert(waiter.place, (owner, session, ticket));
        self.sessions.entry(session).or_default().count += 1;
        self.line_up(ticket, waiter);
    }

    /// The place is gone, and with it the message, which is returned.
    pub fn remove(&mut self, place: u64) -> Option<Message> {
        let (owner, session, ticket) = self.places.remove(&place)?;
        let held = self
            .sessions
            .get_mut(&session)
            .and_then(|known| known.held.remove(&ticket));
        let waiter = held.or_else(|| self.lines.get_mut(&owner)?.waiters.remove(&ticket))?;
        self.forget(session, owner);
        // It may have been the one that the others waited for.
        self.whole = false;
        Some(waiter.message)
    }

    /// A message of `session`, which counted for `owner`, has left the queue.
    pub fn left(&mut self, session: SessionId, owner: Owner) {
        if self.is_empty() {
            return;
        }
        let held = self.sessions.get_mut(&session);
        if let Some((ticket, waiter)) = held.and_then(|known| known.held.pop_first()) {
            self.line_up(ticket, waiter);
        }
        self.take_part(owner);
        self.take_part_of_site(owner);
    }

    /// Something of the /48 of `owner` has left: one of those that wait for that has a turn.
    fn take_part_of_site(&mut self, owner: Owner) {
        let Some(site) = owner.and_then(AddressKey::site) else {
            return;
        };
        while let Some(&(of, address)) = self.parked.range((site, AddressKey::LEAST)..).next()
            && of == site
        {
            self.parked.remove(&(of, address));
            if self.lines.contains_key(&Some(address)) {
                return self.take_part(Some(address));
            }
        }
    }

    /// The next message that there is room for, by what `limit` says of each.
    pub fn next(&mut self, limit: impl Fn(&Message) -> Option<Limit>) -> Option<Waiter> {
        self.whole = false;
        while let Some(&owner) = self.round.front() {
            let Some(line) = self.lines.get_mut(&owner) else {
                self.round.pop_front();
                continue;
            };
            let Some(entry) = line.waiters.first_entry() else {
                self.lines.remove(&owner);
                continue;
            };
            let (ticket, session) = (*entry.key(), entry.get().message.session);
            let known = self.sessions.get_mut(&session);
            let older = known
                .as_ref()
                .and_then(|known| known.held.first_key_value());
            let limit = match older.is_some_and(|(&older, _)| older < ticket) {
                true => Some(Limit::Session),
                false => limit(&entry.get().message),
            };
            match limit {
                Some(Limit::Session) => {
                    let waiter = entry.remove();
                    known.map(|known| known.held.insert(ticket, waiter));
                }
                Some(Limit::Address) => {
                    line.in_round = false;
                    self.round.pop_front();
                    if let Some(address) = owner
                        && let Some(site) = address.site()
                    {
                        self.parked.insert((site, address));
                    }
                }
                Some(Limit::Whole) => {
                    self.whole = true;
                    return None;
                }
                None => {
                    let waiter = entry.remove();
                    self.round.rotate_left(1);
                    self.places.remove(&waiter.place);
                    self.forget(session, owner);
                    return Some(waiter);
                }
            }
        }
        None
    }

    /// Shares count no longer: whoever waits for one has a turn.
    pub fn release(&mut self) {
        let known = self.sessions.values_mut();
        let held: Vec<_> = known
            .flat_map(|known| std::mem::take(&mut known.held))
            .collect();
        for (ticket, waiter) in held {
            self.line_up(ticket, waiter);
        }
        let owners: Vec<_> = self.lines.keys().copied().collect();
        owners.into_iter().for_each(|owner| self.take_part(owner));
    }

    fn line_up(&mut self, ticket: u64, waiter: Waiter) {
        let owner = waiter.message.address;
        let line = self.lines.entry(owner).or_default();
        line.waiters.insert(ticket, waiter);
        self.take_part(owner);
    }

    fn take_part(&mut self, owner: Owner) {
        if let Some(line) = self.lines.get_mut(&owner)
            && !std::mem::replace(&mut line.in_round, true)
        {
            self.round.push_back(owner);
        }
    }

    /// One less of `session`, which stood in the line of `owner`.
    fn forget(&mut self, session: SessionId, owner: Owner) {
        if let Some(known) = self.sessions.get_mut(&session) {
            known.count -= 1;
            if known.count == 0 {
                self.sessions.remove(&session);
            }
        }
        // One that is in the round is taken out when its turn comes.
        let line = self.lines.get(&owner);
        if line.is_some_and(|line| line.waiters.is_empty() && !line.in_round) {
            self.lines.remove(&owner);
        }
    }
}
