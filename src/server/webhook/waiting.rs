//! Messages that the queue has no room for, each with the place that it came from.
//!
//! A place is a connection, which is read no further meanwhile, so there is one
//! message of each. A session's messages keep their order. When room comes, the
//! addresses take turns, so that one with many waiting streams is one among the
//! others. It knows no limits: whoever asks says what fits. Called by `queue`.

use std::collections::{BTreeMap, HashMap};

use super::accounts::{Limit, Owner};
use super::message::Message;
use crate::base::address::{AddressKey, SiteKey};
use crate::base::names::SessionId;

/// A message and its place.
#[derive(Debug)]
pub struct Waiter {
    pub place: u64,
    pub message: Message,
}

/// What the queue of an address waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// Its turn in the round, of this number.
    Round(u64),
    /// Room for its IPv6 /48: it is parked.
    Site,
    /// Something of it to leave the queue.
    Share,
}

/// Those of one address, by their tickets: in the order in which they came.
struct AddressQueue {
    /// Never empty.
    waiters: BTreeMap<u64, Waiter>,
    stand: Stand,
    /// Its place among the parked of its /48, from when it was first parked until it
    /// has had a message queued.
    parked: Option<u64>,
}

/// Those of one session.
#[derive(Default)]
struct OfSession {
    /// How many there are, wherever they wait.
    count: usize,
    /// Those that wait for the session itself to have room.
    held: BTreeMap<u64, Waiter>,
}

/// Everyone who waits. Where there is room for one who is parked, somebody of that
/// /48 is in the round. A session whose waiters are held has something queued.
#[derive(Default)]
pub struct Waiting {
    address_queues: HashMap<Owner, AddressQueue>,
    sessions: HashMap<SessionId, OfSession>,
    places: HashMap<u64, (Owner, SessionId, u64)>,
    round: BTreeMap<u64, Owner>,
    /// Those who wait for their IPv6 /48 to have room, who came first first.
    parked: BTreeMap<(SiteKey, u64), AddressKey>,
    /// The next ticket, turn, or place among the parked.
    next_number: u64,
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

    /// How many entries there are, whether anybody waits there or not.
    pub fn entries(&self) -> usize {
        self.address_queues.len() + self.sessions.len() + self.round.len() + self.parked.len()
    }

    /// Whether a new message of `session` would overtake one that waits.
    pub fn goes_before(&self, session: SessionId) -> bool {
        !self.is_empty() && (self.whole || self.sessions.contains_key(&session))
    }

    /// A message waits from now on. There must be none of its place.
    pub fn add(&mut self, waiter: Waiter) {
        let ticket = self.number();
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
        let waiter =
            held.or_else(|| self.address_queues.get_mut(&owner)?.waiters.remove(&ticket))?;
        self.forget(session);
        self.end_if_empty(owner);
        // It may have been the one that the others waited for.
        self.whole = false;
        self.wake_site(owner);
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
        if self
            .address_queues
            .get(&owner)
            .map(|address_queue| address_queue.stand)
            == Some(Stand::Share)
        {
            self.take_turn(owner);
        }
        self.wake_site(owner);
    }

    /// The next message that there is room for, by what `limit` says of each.
    pub fn next(&mut self, limit: impl Fn(&Message) -> Option<Limit>) -> Option<Waiter> {
        self.whole = false;
        while let Some((_, &owner)) = self.round.first_key_value() {
            let Some(address_queue) = self.address_queues.get_mut(&owner) else {
                debug_assert!(false, "who is in the round has a address_queue");
                self.round.pop_first();
                continue;
            };
            let Some(entry) = address_queue.waiters.first_entry() else {
                debug_assert!(false, "a address_queue is not empty");
                self.end_if_empty(owner);
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
                    self.end_if_empty(owner);
                }
                Some(Limit::Address) => self.stop(owner, Stand::Share),
                Some(Limit::Site) => {
                    self.park(owner);
                    continue;
                }
                Some(Limit::Whole) => {
                    self.whole = true;
                    return None;
                }
                None => {
                    let waiter = entry.remove();
                    address_queue.parked = None;
                    self.take_turn(owner);
                    self.end_if_empty(owner);
                    self.places.remove(&waiter.place);
                    self.forget(session);
                    self.wake_site(owner);
                    return Some(waiter);
                }
            }
            // The room in its /48, if there is any, is another's.
            self.wake_site(owner);
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
        let mut owners: Vec<_> = self.address_queues.keys().copied().collect();
        // The order of a map is chance.
        owners.sort_unstable();
        for owner in owners {
            if !matches!(self.address_queues.get(&owner), Some(address_queue) if matches!(address_queue.stand, Stand::Round(_)))
            {
                self.take_turn(owner);
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn line_up(&mut self, ticket: u64, waiter: Waiter) {
        let owner = waiter.message.address;
        if let Some(address_queue) = self.address_queues.get_mut(&owner) {
            // It waits for what the queue waits for.
            address_queue.waiters.insert(ticket, waiter);
            return;
        }
        let address_queue = AddressQueue {
            waiters: BTreeMap::from([(ticket, waiter)]),
            stand: Stand::Share,
            parked: None,
        };
        self.address_queues.insert(owner, address_queue);
        self.take_turn(owner);
    }

    /// The queue has a turn, behind all who have one.
    fn take_turn(&mut self, owner: Owner) {
        let turn = self.number();
        self.stop(owner, Stand::Round(turn));
        self.round.insert(turn, owner);
    }

    /// The queue waits for its /48 to have room.
    fn park(&mut self, owner: Owner) {
        self.stop(owner, Stand::Site);
        let number = self.number();
        if let Some(address) = owner
            && let Some(site) = address.site()
            && let Some(address_queue) = self.address_queues.get_mut(&owner)
        {
            let place = *address_queue.parked.get_or_insert(number);
            self.parked.insert((site, place), address);
        }
    }

    /// The queue stands nowhere now, and is about to stand there.
    fn stop(&mut self, owner: Owner, next: Stand) {
        let Some(address_queue) = self.address_queues.get_mut(&owner) else {
            return;
        };
        match std::mem::replace(&mut address_queue.stand, next) {
            Stand::Round(turn) => {
                self.round.remove(&turn);
            }
            Stand::Site => {
                let site = owner.and_then(AddressKey::site);
                if let (Some(site), Some(place)) = (site, address_queue.parked) {
                    self.parked.remove(&(site, place));
                }
            }
            Stand::Share => {}
        }
    }

    /// There may be room for the /48 of `owner`: the first who is parked has a turn.
    fn wake_site(&mut self, owner: Owner) {
        let Some(site) = owner.and_then(AddressKey::site) else {
            return;
        };
        let mut parked = self.parked.range((site, 0)..=(site, u64::MAX));
        if let Some((_, &address)) = parked.next() {
            self.take_turn(Some(address));
        }
    }

    /// Nothing is kept of an address whose last waiter left its queue.
    fn end_if_empty(&mut self, owner: Owner) {
        let address_queue = self.address_queues.get(&owner);
        if address_queue.is_some_and(|address_queue| address_queue.waiters.is_empty()) {
            self.stop(owner, Stand::Share);
            self.address_queues.remove(&owner);
        }
    }

    /// One less of `session`.
    fn forget(&mut self, session: SessionId) {
        if let Some(known) = self.sessions.get_mut(&session) {
            known.count -= 1;
            if known.count == 0 {
                self.sessions.remove(&session);
            }
        }
    }

    /// Whether nothing is kept of anybody.
    #[cfg(test)]
    pub fn is_bare(&self) -> bool {
        let indexes = self.address_queues.len() + self.sessions.len() + self.round.len();
        self.places.len() + indexes + self.parked.len() == 0
    }
}
