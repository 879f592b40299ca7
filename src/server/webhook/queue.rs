//! Messages that wait for the app: bounded, in order for each session, fair among
//! addresses, and among the sessions of each.
//!
//! A session has at most one message out at a time, so no two of its messages
//! can overtake each other, retries included. What there is no room for may wait
//! beside the queue. Knows neither connections nor HTTP. Called by `Webhook`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::accounts::{Accounts, Claim, Limit, Owner, Turn};
use super::limits::WebhookLimits;
use super::message::{Message, QueuedMessage};
use super::waiting::{Waiter, Waiting};
use crate::base::key_map::KeyMap;
use crate::base::names::SessionId;

/// What a session's queue waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// A connection; it has this turn.
    Turn(Turn),
    /// The time of the next attempt.
    Time(u64),
    /// The outcome of the message that is out.
    Answer,
}

/// The numbers of one session's messages that are not out, oldest first.
struct SessionQueue {
    numbers: VecDeque<u64>,
    head: Head,
}

impl SessionQueue {
    /// Messages queued or out.
    fn messages(&self) -> usize {
        self.numbers.len() + usize::from(self.head == Head::Answer)
    }
}

/// For how long messages are kept.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// In milliseconds, from when it was queued.
    pub most_ms: u64,
    /// The app is down.
    pub is_down: bool,
    /// Until then the app counts as well.
    pub well_until_ms: u64,
}

impl Patience {
    /// When the message is too old.
    fn ends_ms(self, queued: &QueuedMessage) -> u64 {
        queued.queued_ms.saturating_add(self.most_ms)
    }

    /// When it is though it was never tried: later by as long again, and not while the
    /// app is well.
    fn with_untried_ms(self, queued: &QueuedMessage) -> u64 {
        self.ends_ms(queued)
            .saturating_add(self.most_ms)
            .max(self.well_until_ms)
    }
}

/// The queue. Every operation is O(log n), with n at most the limit.
pub struct Queue {
    queued: BTreeMap<u64, QueuedMessage>,
    session_queues: KeyMap<SessionId, SessionQueue>,
    accounts: Accounts,
    times: BTreeSet<(u64, SessionId)>,
    waiting: Waiting,
    next_number: u64,
    next_turn: u64,
    /// Messages before this number have been looked at when they were too old.
    spared_before: u64,
    /// Those that are out included.
    messages: usize,
    bytes: usize,
    limits: WebhookLimits,
    /// Shares count no longer: Chloe stops, and what can be kept is kept.
    leaving: bool,
}

impl Queue {
    /// An empty queue.
    pub fn new(limits: WebhookLimits) -> Queue {
        Queue {
            queued: BTreeMap::new(),
            session_queues: KeyMap::default(),
            accounts: Accounts::new(&limits),
            times: BTreeSet::new(),
            waiting: Waiting::default(),
            next_number: 0,
            next_turn: 0,
            spared_before: 0,
            messages: 0,
            bytes: 0,
            limits,
            leaving: false,
        }
    }

    /// Messages queued or out.
    pub fn len(&self) -> usize {
        self.messages
    }

    /// Messages that wait beside the queue.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The messages that are not out, oldest first.
    pub fn queued(&self) -> impl ExactSizeIterator<Item = &QueuedMessage> {
        self.queued.values()
    }

    /// Which limit the message would pass, if one. The only message of a session,
    /// an address or the queue passes none, so that what is queued always leaves room.
    fn limit(&self, message: &Message) -> Option<Limit> {
        let bytes = message.cost_bytes();
        let whole = self.messages > 0
            && (self.messages >= self.limits.queue_messages
                || self.bytes.saturating_add(bytes) > self.limits.queue_bytes);
        if self.leaving {
            return whole.then_some(Limit::Whole);
        }
        let session_queue = self.session_queues.get(&message.session);
        if session_queue.is_some_and(|session_queue| {
            session_queue.messages() >= self.limits.session_messages.max(1)
        }) {
            return Some(Limit::Session);
        }
        let share = self.accounts.limit(message.address, bytes);
        share.or(whole.then_some(Limit::Whole))
    }

    /// Whether the message may be queued now. One that waits goes before it.
    pub fn has_room(&self, message: &Message) -> bool {
        !self.waiting.goes_before(message.session) && self.limit(message).is_none()
    }

    /// The message waits for room, in the name of its place.
    pub fn wait(&mut self, place: u64, message: Message) {
        self.waiting.add(Waiter { place, message });
    }

    /// The place is gone: its message does not wait any longer.
    pub fn forget(&mut self, place: u64) -> Option<Message> {
        self.waiting.remove(place)
    }

    /// The next message that waits and may be queued now.
    pub fn next_waiting(&mut self) -> Option<Waiter> {
        if self.waiting.is_empty() {
            return None;
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        let next = waiting.next(|message| match self.leaving {
            true => None,
            false => self.limit(message),
        });
        self.waiting = waiting;
        next
    }

    /// From now on shares do not count, and whatever waits has room.
    pub fn leave(&mut self) {
        self.leaving = true;
        self.waiting.release();
    }

    /// Queues a message at the end of its session's queue, whether there is room or not.
    pub fn push(&mut self, now_ms: u64, message: Message, webhook_id: u128) {
        let bytes = message.cost_bytes();
        self.messages += 1;
        self.bytes += bytes;
        let number = self.next_number;
        self.next_number += 1;
        let (session, owner) = (message.session, message.address);
        self.accounts.add_message(owner, bytes);
        let queued = QueuedMessage {
            message,
            number,
            webhook_id,
            queued_ms: now_ms,
            attempts: 0,
            last: None,
            answers_before: 0,
        };
        self.queued.insert(number, queued);
        if let Some(session_queue) = self.session_queues.get_mut(&session) {
            session_queue.numbers.push_back(number);
        } else {
            let numbers = VecDeque::from([number]);
            let head = self.take_a_turn(session, owner);
            self.session_queues
                .insert(session, SessionQueue { numbers, head });
        }
    }

    fn take_a_turn(&mut self, session: SessionId, owner: Owner) -> Head {
        let turn = Turn {
            owner,
            number: self.next_turn,
            session,
        };
        self.next_turn += 1;
        self.accounts.add_turn(turn);
        Head::Turn(turn)
    }

    /// Whether a session waits for nothing but a connection.
    pub fn has_ready(&self) -> bool {
        self.accounts.has_ready()
    }

    /// The sessions that may be next, best first; see [`Accounts::turns`].
    pub fn turns(&self, depth: usize) -> impl Iterator<Item = Turn> {
        self.accounts.turns(depth)
    }

    /// The turn of this party, if it may be next.
    pub fn claim(&self, party: Owner) -> Option<Claim> {
        self.accounts.claim(party)
    }

    /// The turn of this machine's session, if it waits for nothing but a connection.
    pub fn claim_of_session(&self, session: SessionId) -> Option<Claim> {
        match self.session_queues.get(&session)?.head {
            Head::Turn(turn) if turn.owner.is_none() => Some((self.out(None), turn)),
            Head::Turn(_) | Head::Time(_) | Head::Answer => None,
        }
    }

    /// Exchanges of the party of `owner` that are under way.
    pub fn out(&self, owner: Owner) -> usize {
        self.accounts.out(owner)
    }

    /// The message whose turn it is. Its session waits until the message
    /// comes back by [`Queue::put_back`] or [`Queue::finish`].
    pub fn take_ready(&mut self, turn: Turn) -> Option<QueuedMessage> {
        let session_queue = self.session_queues.get_mut(&turn.session)?;
        debug_assert_eq!(session_queue.head, Head::Turn(turn));
        session_queue.head = Head::Answer;
        let number = session_queue.numbers.pop_front()?;
        self.accounts.begin(turn);
        self.queued.remove(&number)
    }

    /// Takes a message back that [`Queue::take_ready`] gave, for another attempt,
    /// not before `not_before_ms` if that is given. It is its session's next one.
    pub fn put_back(&mut self, queued: QueuedMessage, not_before_ms: Option<u64>) {
        let (session, owner) = (queued.message.session, queued.message.address);
        self.accounts.end(owner);
        let head = match not_before_ms {
            Some(at_ms) => {
                self.times.insert((at_ms, session));
                Head::Time(at_ms)
            }
            None => self.take_a_turn(session, owner),
        };
        let Some(session_queue) = self.session_queues.get_mut(&session) else {
            return debug_assert!(false, "a session whose message is out has a session_queue");
        };
        debug_assert_eq!(session_queue.head, Head::Answer);
        session_queue.numbers.push_front(queued.number);
        session_queue.head = head;
        self.queued.insert(queued.number, queued);
    }

    /// Forgets a message that [`Queue::take_ready`] gave; its session goes on with the next.
    pub fn finish(&mut self, queued: &QueuedMessage) {
        self.accounts.end(queued.message.address);
        self.leaves(&queued.message);
        self.go_on(queued.message.session);
    }

    /// The message is in the queue no more.
    fn leaves(&mut self, message: &Message) {
        let (bytes, owner) = (message.cost_bytes(), message.address);
        self.messages -= 1;
        self.bytes -= bytes;
        self.accounts.remove_message(owner, bytes);
        self.waiting.left(message.session, owner);
    }

    fn go_on(&mut self, session: SessionId) {
        let Some(session_queue) = self.session_queues.get(&session) else {
            return debug_assert!(false, "a session that goes on has a session_queue");
        };
        let next = session_queue
            .numbers
            .front()
            .and_then(|next| self.queued.get(next));
        let Some(owner) = next.map(|queued| queued.message.address) else {
            self.session_queues.remove(&session);
            return;
        };
        let head = self.take_a_turn(session, owner);
        if let Some(session_queue) = self.session_queues.get_mut(&session) {
            session_queue.head = head;
        }
    }

    /// Gives the sessions whose time of the next attempt has come their turn.
    pub fn wake(&mut self, now_ms: u64) {
        while let Some(&(at_ms, session)) = self.times.first() {
            if at_ms > now_ms {
                return;
            }
            self.times.pop_first();
            self.go_on(session);
        }
    }

    /// When the next session's time comes, if one waits for that.
    pub fn next_wake_ms(&self) -> Option<u64> {
        self.times.first().map(|&(at_ms, _)| at_ms)
    }

    /// When [`Queue::take_old`] has something to look at next.
    pub fn next_old_ms(&self, patience: Patience) -> Option<u64> {
        let spared = self.queued.range(..self.spared_before).next();
        let fresh = self.queued.range(self.spared_before..).next();
        let spared = spared.map(|(_, it)| patience.with_untried_ms(it));
        let fresh = fresh.map(|(_, it)| patience.ends_ms(it));
        [spared, fresh].into_iter().flatten().min()
    }

    /// Takes a message that is not out and too old, to give it up. One that was never
    /// tried is spared, unless the app is down now. Unlike after
    /// [`Queue::take_ready`], the queue has forgotten it already.
    pub fn take_old(&mut self, now_ms: u64, patience: Patience) -> Option<QueuedMessage> {
        if let Some((&number, queued)) = self.queued.range(..self.spared_before).next()
            && patience.with_untried_ms(queued) <= now_ms
        {
            return self.take(number);
        }
        while let Some((&number, queued)) = self.queued.range(self.spared_before..).next()
            && patience.ends_ms(queued) <= now_ms
        {
            self.spared_before = number + 1;
            if patience.is_down || queued.attempts > 0 {
                return self.take(number);
            }
        }
        None
    }

    /// Takes the oldest message that is not out, to give it up.
    pub fn take_oldest(&mut self) -> Option<QueuedMessage> {
        let (&number, _) = self.queued.first_key_value()?;
        self.take(number)
    }

    fn take(&mut self, number: u64) -> Option<QueuedMessage> {
        let queued = self.queued.remove(&number)?;
        self.leaves(&queued.message);
        let session = queued.message.session;
        let session_queue = self.session_queues.get_mut(&session)?;
        let place = session_queue
            .numbers
            .iter()
            .position(|&other| other == number)?;
        session_queue.numbers.remove(place);
        match session_queue.head {
            Head::Turn(turn) if place == 0 => {
                self.accounts.remove_turn(turn.owner, turn.number);
                self.go_on(session);
            }
            Head::Time(at_ms) if place == 0 => {
                self.times.remove(&(at_ms, session));
                self.go_on(session);
            }
            // An older one is before it, or out, and all wait for that.
            Head::Turn(_) | Head::Time(_) | Head::Answer => {}
        }
        Some(queued)
    }

    /// Whether nothing is kept of those who wait for room.
    #[cfg(test)]
    pub fn waits_bare(&self) -> bool {
        self.waiting.is_bare()
    }

    /// Each thing that is held by name, and how much of it.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("webhook_queued", self.messages),
            ("webhook_bytes", self.bytes),
            (
                "webhook_session_queues",
                self.session_queues.len() + self.times.len(),
            ),
            ("webhook_shares", self.accounts.entries()),
            ("webhook_waiting", self.waiting.len()),
            ("webhook_waiting_entries", self.waiting.entries()),
        ]
    }
}
