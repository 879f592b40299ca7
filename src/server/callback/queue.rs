//! Messages that wait for the app: bounded, in order for each session, fair among sessions.
//!
//! A session has at most one message out at a time, so no two of its messages
//! can overtake each other, retries included. Sessions take turns. Knows
//! neither lanes nor HTTP. Called by `Callbacks`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::outcome::Failure;
use crate::base::names::SessionId;

/// A message of a browser for the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub session: SessionId,
    /// What was sent; the body of the request.
    pub body: Box<str>,
    /// Comes back with the outcome; 0 when nobody wants to know.
    pub tag: u64,
}

/// A message with the history of its attempts.
#[derive(Clone, Debug)]
pub struct Pending {
    pub message: Message,
    /// Its place among all messages ever queued: the order within a session.
    number: u64,
    /// The same in every attempt, so that the app can tell a retry.
    pub webhook_id: u128,
    /// When it was queued, on the monotonic clock.
    pub queued_ms: u64,
    /// Attempts that failed.
    pub attempts: u32,
    /// How the last of them failed.
    pub last: Option<Failure>,
}

impl Pending {
    fn cost_bytes(&self) -> usize {
        cost_bytes(&self.message)
    }
}

/// What a message counts against `queue_bytes`: its body and what is kept around it.
fn cost_bytes(message: &Message) -> usize {
    const KEPT_AROUND_BYTES: usize = 256;
    message.body.len() + KEPT_AROUND_BYTES
}

/// No room for another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What a session's line waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// A lane; it stands at this place of the round.
    Turn(u64),
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

/// The queue. Every operation is O(log n).
pub struct Queue {
    waiting: BTreeMap<u64, Pending>,
    lines: HashMap<SessionId, Line>,
    turns: BTreeMap<u64, SessionId>,
    times: BTreeSet<(u64, SessionId)>,
    next_number: u64,
    next_turn: u64,
    /// Those that are out included.
    messages: usize,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
}

impl Queue {
    /// An empty queue for at most so many messages and bytes, counting those that are out.
    pub fn new(messages_max: usize, bytes_max: usize) -> Queue {
        Queue {
            waiting: BTreeMap::new(),
            lines: HashMap::new(),
            turns: BTreeMap::new(),
            times: BTreeSet::new(),
            next_number: 0,
            next_turn: 0,
            messages: 0,
            bytes: 0,
            messages_max,
            bytes_max,
        }
    }

    /// Messages queued or out.
    pub fn len(&self) -> usize {
        self.messages
    }

    /// The messages that are not out, oldest first.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &Pending> {
        self.waiting.values()
    }

    /// Above three quarters of a limit: whoever fills the queue should pause.
    /// The last quarter is for what was read before the pause.
    pub fn is_high(&self) -> bool {
        self.messages >= self.messages_max - self.messages_max / 4
            || self.bytes >= self.bytes_max - self.bytes_max / 4
    }

    /// Below half of both limits: whoever paused may go on.
    pub fn is_low(&self) -> bool {
        self.messages <= self.messages_max / 2 && self.bytes <= self.bytes_max / 2
    }

    /// Whether a session waits for nothing but a lane.
    pub fn has_ready(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Queues a message at the end of its session's line.
    ///
    /// # Errors
    /// [`Full`] if it would pass a limit.
    pub fn push(&mut self, now_ms: u64, message: Message, webhook_id: u128) -> Result<(), Full> {
        let bytes = self.bytes.saturating_add(cost_bytes(&message));
        if self.messages >= self.messages_max || bytes > self.bytes_max {
            return Err(Full);
        }
        self.messages += 1;
        self.bytes = bytes;
        let number = self.next_number;
        self.next_number += 1;
        let session = message.session;
        let pending = Pending {
            message,
            number,
            webhook_id,
            queued_ms: now_ms,
            attempts: 0,
            last: None,
        };
        self.waiting.insert(number, pending);
        if let Some(line) = self.lines.get_mut(&session) {
            line.numbers.push_back(number);
        } else {
            let numbers = VecDeque::from([number]);
            let head = self.take_a_turn(session);
            self.lines.insert(session, Line { numbers, head });
        }
        Ok(())
    }

    fn take_a_turn(&mut self, session: SessionId) -> Head {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.turns.insert(turn, session);
        Head::Turn(turn)
    }

    /// The message whose turn it is. Its session waits until the message
    /// comes back by [`Queue::put_back`] or [`Queue::finish`].
    pub fn take_ready(&mut self) -> Option<Pending> {
        let (_, session) = self.turns.pop_first()?;
        let line = self.lines.get_mut(&session)?;
        line.head = Head::Outcome;
        let number = line.numbers.pop_front()?;
        self.waiting.remove(&number)
    }

    /// Takes a message back that [`Queue::take_ready`] gave, for another attempt,
    /// not before `not_before_ms` if that is given. It is its session's next one.
    pub fn put_back(&mut self, pending: Pending, not_before_ms: Option<u64>) {
        let session = pending.message.session;
        let head = match not_before_ms {
            Some(at_ms) => {
                self.times.insert((at_ms, session));
                Head::Time(at_ms)
            }
            None => self.take_a_turn(session),
        };
        let Some(line) = self.lines.get_mut(&session) else {
            return debug_assert!(false, "a session whose message is out has a line");
        };
        debug_assert_eq!(line.head, Head::Outcome);
        line.numbers.push_front(pending.number);
        line.head = head;
        self.waiting.insert(pending.number, pending);
    }

    /// Forgets a message that [`Queue::take_ready`] gave; its session goes on with the next.
    pub fn finish(&mut self, pending: &Pending) {
        self.messages -= 1;
        self.bytes -= pending.cost_bytes();
        self.go_on(pending.message.session);
    }

    fn go_on(&mut self, session: SessionId) {
        let Some(line) = self.lines.get(&session) else {
            return debug_assert!(false, "a session that goes on has a line");
        };
        if line.numbers.is_empty() {
            self.lines.remove(&session);
            return;
        }
        let head = self.take_a_turn(session);
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

    /// When the oldest message that is not out was queued.
    pub fn oldest_ms(&self) -> Option<u64> {
        let (_, pending) = self.waiting.first_key_value()?;
        Some(pending.queued_ms)
    }

    /// Takes the oldest message that is not out, to give it up. Unlike after
    /// [`Queue::take_ready`], the queue has forgotten it already.
    pub fn take_oldest(&mut self) -> Option<Pending> {
        let (number, pending) = self.waiting.pop_first()?;
        self.messages -= 1;
        self.bytes -= pending.cost_bytes();
        let session = pending.message.session;
        let line = self.lines.get_mut(&session)?;
        // The oldest of all is the oldest of its session.
        let front = line.numbers.pop_front();
        debug_assert_eq!(front, Some(number));
        match line.head {
            Head::Turn(turn) if line.numbers.is_empty() => {
                self.turns.remove(&turn);
                self.lines.remove(&session);
            }
            Head::Time(at_ms) => {
                self.times.remove(&(at_ms, session));
                self.go_on(session);
            }
            // The next keeps the turn; or an older one is out, and all wait for it.
            Head::Turn(_) | Head::Outcome => {}
        }
        Some(pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(session: u128, body: &str) -> Message {
        Message {
            session: SessionId(session),
            body: body.into(),
            tag: 0,
        }
    }

    fn queue_of(bodies: &[(u128, &str)]) -> Queue {
        let mut queue = Queue::new(100, 100_000);
        for &(session, body) in bodies {
            queue.push(0, message(session, body), 0).unwrap();
        }
        queue
    }

    fn body_of(pending: Option<Pending>) -> Option<String> {
        pending.map(|pending| pending.message.body.into())
    }

    #[test]
    fn sessions_take_turns_and_each_has_one_message_out() {
        let mut queue = queue_of(&[(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1")]);
        let a1 = queue.take_ready().unwrap();
        let b1 = queue.take_ready().unwrap();
        assert_eq!((&*a1.message.body, &*b1.message.body), ("a1", "b1"));
        assert!(queue.take_ready().is_none());
        queue.finish(&a1);
        assert_eq!(body_of(queue.take_ready()), Some("a2".into()));
        queue.finish(&b1);
        assert!(queue.take_ready().is_none());
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn a_message_put_back_comes_before_its_sessions_others() {
        let mut queue = queue_of(&[(1, "a1"), (1, "a2"), (2, "b1")]);
        let a1 = queue.take_ready().unwrap();
        queue.put_back(a1, Some(50));
        assert_eq!(body_of(queue.take_ready()), Some("b1".into()));
        assert!(!queue.has_ready());
        queue.wake(49);
        assert!(!queue.has_ready());
        assert_eq!(queue.next_wake_ms(), Some(50));
        queue.wake(50);
        let a1 = queue.take_ready().unwrap();
        assert_eq!(&*a1.message.body, "a1");
        queue.put_back(a1, None);
        assert_eq!(body_of(queue.take_ready()), Some("a1".into()));
    }

    #[test]
    fn giving_up_the_oldest_leaves_the_lines_whole() {
        let mut queue = queue_of(&[(1, "a1"), (2, "b1"), (1, "a2"), (3, "c1"), (3, "c2")]);
        let a1 = queue.take_ready().unwrap();
        assert_eq!(body_of(queue.take_oldest()), Some("b1".into()));
        assert_eq!(body_of(queue.take_oldest()), Some("a2".into()));
        let c1 = queue.take_ready().unwrap();
        queue.put_back(c1, Some(9));
        assert_eq!(body_of(queue.take_oldest()), Some("c1".into()));
        assert_eq!(queue.next_wake_ms(), None);
        assert_eq!(body_of(queue.take_oldest()), Some("c2".into()));
        assert!(!queue.has_ready() && queue.oldest_ms().is_none());
        queue.finish(&a1);
        assert!(queue.len() == 0 && queue.lines.is_empty() && queue.turns.is_empty());
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn both_limits_hold_and_what_is_out_counts() {
        let mut queue = Queue::new(4, 1_000_000);
        for _ in 0..4 {
            queue.push(0, message(1, "x"), 0).unwrap();
        }
        let out = queue.take_ready().unwrap();
        assert_eq!(queue.push(0, message(2, "x"), 0), Err(Full));
        queue.finish(&out);
        assert_eq!(queue.push(0, message(2, "x"), 0), Ok(()));

        let mut queue = Queue::new(100, 2_000);
        assert_eq!(queue.push(0, message(1, &"x".repeat(1_700)), 0), Ok(()));
        assert!(queue.is_high() && !queue.is_low());
        assert_eq!(queue.push(0, message(1, ""), 0), Err(Full));
        let out = queue.take_ready().unwrap();
        queue.finish(&out);
        assert!(queue.is_low() && !queue.is_high());
    }
}
