//! Messages that wait for the app: bounded, in order for each session, fair among
//! addresses, and among the sessions of each.
//!
//! A session has at most one message out at a time, so no two of its messages
//! can overtake each other, retries included. What there is no room for may wait
//! beside the queue. Knows neither lanes nor HTTP. Called by `Callbacks`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::accounts::{Accounts, Claim, Limit, Owner, Turn};
use super::limits::CallbackLimits;
use super::message::{Message, Pending};
use super::waiting::{Waiter, Waiting};
use crate::base::key_map::KeyMap;
use crate::base::names::SessionId;

/// What a session's line waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// A lane; it has this turn.
    Turn(Turn),
    /// The time of the next attempt.
    Time(u64),
    /// The outcome of the message that is out.
    Outcome,
}

/// The numbers of one session's messages that are not out, oldest first.
struct Line {
    numbers: VecDeque<u64>,
    head: Head,
}

impl Line {
    /// Messages queued or out.
    fn messages(&self) -> usize {
        self.numbers.len() + usize::from(self.head == Head::Outcome)
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
    fn ends_ms(self, pending: &Pending) -> u64 {
        pending.queued_ms.saturating_add(self.most_ms)
    }

    /// When it is though it was never tried: later by as long again, and not while the
    /// app is well.
    fn with_untried_ms(self, pending: &Pending) -> u64 {
        self.ends_ms(pending)
            .saturating_add(self.most_ms)
            .max(self.well_until_ms)
    }
}

/// The queue. Every operation is O(log n), with n at most the limit.
pub struct Queue {
    queued: BTreeMap<u64, Pending>,
    lines: KeyMap<SessionId, Line>,
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
    limits: CallbackLimits,
    /// Shares count no longer: Chloe stops, and what can be kept is kept.
    leaving: bool,
}

impl Queue {
    /// An empty queue.
    pub fn new(limits: CallbackLimits) -> Queue {
        Queue {
            queued: BTreeMap::new(),
            lines: KeyMap::default(),
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
    pub fn queued(&self) -> impl ExactSizeIterator<Item = &Pending> {
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
        let line = self.lines.get(&message.session);
        if line.is_some_and(|line| line.messages() >= self.limits.session_messages.max(1)) {
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

    /// Queues a message at the end of its session's line, whether there is room or not.
    pub fn push(&mut self, now_ms: u64, message: Message, webhook_id: u128) {
        let bytes = message.cost_bytes();
        self.messages += 1;
        self.bytes += bytes;
        let number = self.next_number;
        self.next_number += 1;
        let (session, owner) = (message.session, message.address);
        self.accounts.add_message(owner, bytes);
        let pending = Pending {
            message,
            number,
            webhook_id,
            queued_ms: now_ms,
            attempts: 0,
            last: None,
            answers_before: 0,
        };
        self.queued.insert(number, pending);
        if let Some(line) = self.lines.get_mut(&session) {
            line.numbers.push_back(number);
        } else {
            let numbers = VecDeque::from([number]);
            let head = self.take_a_turn(session, owner);
            self.lines.insert(session, Line { numbers, head });
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

    /// Whether a session waits for nothing but a lane.
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

    /// The turn of this machine's session, if it waits for nothing but a lane.
    pub fn claim_of_session(&self, session: SessionId) -> Option<Claim> {
        match self.lines.get(&session)?.head {
            Head::Turn(turn) if turn.owner.is_none() => Some((self.out(None), turn)),
            Head::Turn(_) | Head::Time(_) | Head::Outcome => None,
        }
    }

    /// Exchanges of the party of `owner` that are under way.
    pub fn out(&self, owner: Owner) -> usize {
        self.accounts.out(owner)
    }

    /// The message whose turn it is. Its session waits until the message
    /// comes back by [`Queue::put_back`] or [`Queue::finish`].
    pub fn take_ready(&mut self, turn: Turn) -> Option<Pending> {
        let line = self.lines.get_mut(&turn.session)?;
        debug_assert_eq!(line.head, Head::Turn(turn));
        line.head = Head::Outcome;
        let number = line.numbers.pop_front()?;
        self.accounts.begin(turn);
        self.queued.remove(&number)
    }

    /// Takes a message back that [`Queue::take_ready`] gave, for another attempt,
    /// not before `not_before_ms` if that is given. It is its session's next one.
    pub fn put_back(&mut self, pending: Pending, not_before_ms: Option<u64>) {
        let (session, owner) = (pending.message.session, pending.message.address);
        self.accounts.end(owner);
        let head = match not_before_ms {
            Some(at_ms) => {
                self.times.insert((at_ms, session));
                Head::Time(at_ms)
            }
            None => self.take_a_turn(session, owner),
        };
        let Some(line) = self.lines.get_mut(&session) else {
            return debug_assert!(false, "a session whose message is out has a line");
        };
        debug_assert_eq!(line.head, Head::Outcome);
        line.numbers.push_front(pending.number);
        line.head = head;
        self.queued.insert(pending.number, pending);
    }

    /// Forgets a message that [`Queue::take_ready`] gave; its session goes on with the next.
    pub fn finish(&mut self, pending: &Pending) {
        self.accounts.end(pending.message.address);
        self.leaves(&pending.message);
        self.go_on(pending.message.session);
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
        let Some(line) = self.lines.get(&session) else {
            return debug_assert!(false, "a session that goes on has a line");
        };
        let next = line.numbers.front().and_then(|next| self.queued.get(next));
        let Some(owner) = next.map(|pending| pending.message.address) else {
            self.lines.remove(&session);
            return;
        };
        let head = self.take_a_turn(session, owner);
        if let Some(line) = self.lines.get_mut(&session) {
            line.head = head;
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
    pub fn take_old(&mut self, now_ms: u64, patience: Patience) -> Option<Pending> {
        if let Some((&number, pending)) = self.queued.range(..self.spared_before).next()
            && patience.with_untried_ms(pending) <= now_ms
        {
            return self.take(number);
        }
        while let Some((&number, pending)) = self.queued.range(self.spared_before..).next()
            && patience.ends_ms(pending) <= now_ms
        {
            self.spared_before = number + 1;
            if patience.is_down || pending.attempts > 0 {
                return self.take(number);
            }
        }
        None
    }

    /// Takes the oldest message that is not out, to give it up.
    pub fn take_oldest(&mut self) -> Option<Pending> {
        let (&number, _) = self.queued.first_key_value()?;
        self.take(number)
    }

    fn take(&mut self, number: u64) -> Option<Pending> {
        let pending = self.queued.remove(&number)?;
        self.leaves(&pending.message);
        let session = pending.message.session;
        let line = self.lines.get_mut(&session)?;
        let place = line.numbers.iter().position(|&other| other == number)?;
        line.numbers.remove(place);
        match line.head {
            Head::Turn(turn) if place == 0 => {
                self.accounts.remove_turn(turn.owner, turn.number);
                self.go_on(session);
            }
            Head::Time(at_ms) if place == 0 => {
                self.times.remove(&(at_ms, session));
                self.go_on(session);
            }
            // An older one is before it, or out, and all wait for that.
            Head::Turn(_) | Head::Time(_) | Head::Outcome => {}
        }
        Some(pending)
    }

    /// Whether nothing is kept of those who wait for room.
    #[cfg(test)]
    pub fn waits_bare(&self) -> bool {
        self.waiting.is_bare()
    }

    /// Each thing that is held by name, and how much of it.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("relay_queued", self.messages),
            ("relay_bytes", self.bytes),
            ("relay_lines", self.lines.len() + self.times.len()),
            ("relay_shares", self.accounts.entries()),
            ("relay_waiting", self.waiting.len()),
            ("relay_waiting_lines", self.waiting.entries()),
        ]
    }
}
