//! Acknowledgements: which message of which session the app was asked to take,
//! who waits for the outcome, and what the outcome was.
//!
//! A browser repeats a message whose answer it missed, with the same id. By
//! this table it is not relayed again: it waits for the same outcome, or gets
//! the same answer once more. A table of its own, so that a session which
//! sends nothing with an id pays nothing. It relays nothing and writes nothing.
//! Called by `dispatch` and `fanout`.

use std::collections::{HashMap, VecDeque};

use crate::base::key_map::KeyMap;
use crate::base::slots::{Key, Slots};
use crate::hub::SessionKey;
use crate::transport::contract::{Problem, Reply};

use super::callback::REMEMBERED;
use super::conn::{ConnKey, RequestContext};

/// What is kept, at most.
#[derive(Clone, Copy, Debug)]
pub struct AckLimits {
    /// Outcomes that are remembered for one session.
    pub per_session: usize,
    /// Bytes of all outcomes together. The oldest go first.
    pub total_bytes: usize,
}

/// Who waits for an outcome.
pub enum Waiter {
    /// The stream that the session has by then.
    Stream,
    /// A request, which the outcome answers.
    Request(ConnKey, RequestContext),
}

/// Names a message that is under way.
pub type Token = Key<UnderWay>;

/// A message under way: no outcome yet.
pub struct UnderWay {
    session: SessionKey,
    id: Box<str>,
    /// The session's stream asked.
    stream: bool,
    /// A stream asked again, perhaps another.
    again: bool,
    /// The requests that asked. Each is on a connection of its own.
    requests: Vec<(ConnKey, RequestContext)>,
}

/// What is known of a message that came.
pub enum Known {
    /// Nothing: it is to be relayed, and its outcome told under this name.
    New(Token),
    /// It is under way; whoever asks now waits too.
    UnderWay,
    /// This was the answer.
    Answered(Reply),
}

/// What became of a message; who is to be told.
pub struct Finished {
    pub session: SessionKey,
    /// The message's id, raw JSON.
    pub id: Box<str>,
    pub stream: bool,
    pub requests: Vec<(ConnKey, RequestContext)>,
    pub reply: Reply,
}

/// An outcome in the words of a [`Reply`], in little room.
type Outcome = Result<Option<Box<str>>, Box<Problem>>;

struct Done {
    number: u64,
    id: Box<str>,
    outcome: Outcome,
}

/// What an outcome takes beside its texts, in bytes: about what its tables need for it.
const DONE_BYTES: usize = 128;

impl Done {
    fn bytes(&self) -> usize {
        let text = match &self.outcome {
            Ok(answer) => answer.as_deref().map_or(0, str::len),
            Err(problem) => size_of::<Problem>() + problem.message.len(),
        };
        DONE_BYTES + self.id.len() + text
    }
}

#[derive(Default)]
struct OfSession {
    under_way: HashMap<Box<str>, Token>,
    /// Oldest first.
    done: VecDeque<Done>,
    /// How many of those under way the stream waits for.
    awaited: usize,
}

/// The table.
pub struct Acks {
    limits: AckLimits,
    under_way: Slots<UnderWay>,
    sessions: KeyMap<SessionKey, OfSession>,
    /// All outcomes in their order, those that were dropped since as well.
    order: VecDeque<(u64, SessionKey)>,
    /// Outcomes so far.
    count: u64,
    kept: usize,
    bytes: usize,
    /// So many sessions, and it is time to look for those that ended.
    look_at: usize,
}

/// Fewer are not worth a look.
const LOOK_MIN: usize = 1_000;

impl Acks {
    /// An empty table.
    pub fn new(limits: AckLimits) -> Acks {
        Acks {
            limits,
            under_way: Slots::default(),
            sessions: KeyMap::default(),
            order: VecDeque::new(),
            count: 0,
            kept: 0,
            bytes: 0,
            look_at: LOOK_MIN,
        }
    }

    /// A message of `session` came, with this id: what is known of it. Unless
    /// it is answered already, `waiter` is told the outcome. `asks` says whether
    /// a request still waits, so that those of connections that are gone go too.
    pub fn begin(
        &mut self,
        session: SessionKey,
        id: &str,
        waiter: Waiter,
        asks: impl Fn(ConnKey) -> bool,
    ) -> Known {
        let known = self.sessions.entry(session).or_default();
        if let Some(done) = known.done.iter().find(|done| *done.id == *id) {
            return Known::Answered(reply_of(&done.outcome));
        }
        if let Some(&token) = known.under_way.get(id) {
            if let Some(message) = self.under_way.get_mut(token) {
                message.requests.retain(|(conn, _)| asks(*conn));
                known.awaited += usize::from(message.wait(waiter));
            }
            return Known::UnderWay;
        }
        let mut message = UnderWay {
            session,
            id: id.into(),
            stream: false,
            again: false,
            requests: Vec::new(),
        };
        known.awaited += usize::from(message.wait(waiter));
        let token = self.under_way.insert(message);
        known.under_way.insert(id.into(), token);
        Known::New(token)
    }

    /// The message was not relayed after all: a repeated one is a new one.
    pub fn cancel(&mut self, token: Token) {
        self.take(token);
    }

    /// The message has this outcome: who is to be told. `None` for a message
    /// that is not under way.
    pub fn finish(&mut self, token: Token, reply: Reply) -> Option<Finished> {
        let message = self.take(token)?;
        if let Some(outcome) = outcome_of(&reply) {
            self.keep(message.session, message.id.clone(), outcome);
        }
        Some(Finished {
            session: message.session,
            id: message.id,
            stream: message.stream,
            requests: message.requests,
            reply,
        })
    }

    /// The message was not relayed after all, since the connection is gone that it
    /// came by: those who asked since are to be told, for whom a repeated one is new.
    pub fn drop_unqueued(&mut self, token: Token, reply: Reply) -> Option<Finished> {
        let message = self.take(token)?;
        Some(Finished {
            session: message.session,
            id: message.id,
            stream: message.again,
            requests: message.requests,
            reply,
        })
    }

    /// The messages under way.
    pub fn under_way(&self) -> impl Iterator<Item = (Token, SessionKey, &str)> {
        let messages = self.under_way.iter();
        messages.map(|(token, message)| (token, message.session, &*message.id))
    }

    /// The messages whose outcome is remembered, oldest first: what the app
    /// answered, or why it did not take them.
    pub fn done(&self) -> impl Iterator<Item = (SessionKey, &str, Result<Option<&str>, &Problem>)> {
        self.order.iter().filter_map(|&(number, session)| {
            let mut done = self.sessions.get(&session)?.done.iter();
            let done = done.find(|done| done.number == number)?;
            let outcome = match &done.outcome {
                Ok(answer) => Ok(answer.as_deref()),
                Err(problem) => Err(&**problem),
            };
            Some((session, &*done.id, outcome))
        })
    }

    /// A message of the process before is under way; nobody waits for it yet.
    pub fn restore_under_way(&mut self, session: SessionKey, id: &str) -> Token {
        let token = self.under_way.insert(UnderWay {
            session,
            id: id.into(),
            stream: false,
            again: false,
            requests: Vec::new(),
        });
        let known = self.sessions.entry(session).or_default();
        known.under_way.insert(id.into(), token);
        token
    }

    /// This became of a message of the process before.
    pub fn restore_done(&mut self, session: SessionKey, id: &str, reply: &Reply) {
        if let Some(outcome) = outcome_of(reply) {
            self.keep(session, id.into(), outcome);
        }
    }

    /// Whether the session's stream waits for an outcome.
    pub fn is_awaited(&self, session: SessionKey) -> bool {
        let known = self.sessions.get(&session);
        known.is_some_and(|known| known.awaited > 0)
    }

    /// How much there is of messages under way, and of outcomes.
    pub fn entries(&self) -> [usize; 2] {
        let under_way = self.sessions.values().map(|known| known.under_way.len());
        let done = self.kept + self.order.len() + self.bytes;
        [self.under_way.len() + under_way.sum::<usize>(), done]
    }

    /// Forgets the sessions that ended, of which `living` have not: once there may be as
    /// many of them as others, or when all have.
    pub fn forget_ended(&mut self, living: usize, lives: impl Fn(SessionKey) -> bool) {
        let all = living == 0 && self.kept > 0;
        if self.sessions.len() < self.look_at && !all {
            return;
        }
        let (kept, bytes) = (&mut self.kept, &mut self.bytes);
        self.sessions.retain(|&session, known| {
            let stays = lives(session) || !known.under_way.is_empty();
            if !stays {
                *kept -= known.done.len();
                *bytes -= known.done.iter().map(Done::bytes).sum::<usize>();
            }
            stays
        });
        self.look_at = 2 * self.sessions.len() + LOOK_MIN;
        self.tidy();
    }

    /// Forgets the outcomes of a session that ended.
    pub fn forget(&mut self, session: SessionKey) {
        while self.oldest(session).is_some() {
            self.drop_oldest(session);
        }
        self.tidy();
    }

    fn take(&mut self, token: Token) -> Option<UnderWay> {
        let message = self.under_way.remove(token)?;
        if let Some(known) = self.sessions.get_mut(&message.session) {
            known.under_way.remove(&message.id);
            known.awaited -= usize::from(message.stream);
            if known.under_way.is_empty() && known.done.is_empty() {
                self.sessions.remove(&message.session);
            }
        }
        Some(message)
    }

    fn keep(&mut self, session: SessionKey, id: Box<str>, outcome: Outcome) {
        self.count += 1;
        let done = Done {
            number: self.count,
            id,
            outcome,
        };
        self.bytes += done.bytes();
        self.kept += 1;
        self.order.push_back((done.number, session));
        let known = self.sessions.entry(session).or_default();
        known.done.push_back(done);
        if known.done.len() > self.limits.per_session {
            self.drop_oldest(session);
        }
        while self.bytes > self.limits.total_bytes
            && let Some((number, session)) = self.order.pop_front()
        {
            if self.oldest(session) == Some(number) {
                self.drop_oldest(session);
            }
        }
        self.tidy();
    }

    fn oldest(&self, session: SessionKey) -> Option<u64> {
        Some(self.sessions.get(&session)?.done.front()?.number)
    }

    fn drop_oldest(&mut self, session: SessionKey) {
        let Some(known) = self.sessions.get_mut(&session) else {
            return;
        };
        if let Some(done) = known.done.pop_front() {
            self.kept -= 1;
            self.bytes -= done.bytes();
        }
        if known.done.is_empty() && known.under_way.is_empty() {
            self.sessions.remove(&session);
        }
    }

    /// Takes out of the order what is not kept any more, when that is most of it.
    fn tidy(&mut self) {
        if self.kept == 0 {
            self.order = VecDeque::new();
        } else if self.order.len() > 2 * self.kept + LOOK_MIN {
            let sessions = &self.sessions;
            self.order.retain(|(number, session)| {
                let done = sessions.get(session).and_then(|known| known.done.front());
                done.is_some_and(|oldest| oldest.number <= *number)
            });
        }
    }
}

impl UnderWay {
    /// Adds a waiter; true if it is the stream, and was not waiting before.
    fn wait(&mut self, waiter: Waiter) -> bool {
        match waiter {
            Waiter::Stream => {
                self.again |= self.stream;
                !std::mem::replace(&mut self.stream, true)
            }
            Waiter::Request(conn, context) => {
                self.requests.push((conn, context));
                false
            }
        }
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

    fn session(number: u64) -> SessionKey {
        Key::from_u64(number)
    }

    fn acks(per_session: usize, total_bytes: usize) -> Acks {
        Acks::new(AckLimits {
            per_session,
            total_bytes,
        })
    }

    fn accepted(answer: &str) -> Reply {
        Reply::Accepted {
            answer: Some(answer.to_owned()),
        }
    }

    fn ask(acks: &mut Acks, of: u64, id: &str) -> Known {
        acks.begin(session(of), id, Waiter::Stream, |_| true)
    }

    fn settle(acks: &mut Acks, of: u64, id: &str, reply: Reply) -> Finished {
        let Known::New(token) = ask(acks, of, id) else {
            panic!("{id} is known");
        };
        acks.finish(token, reply).unwrap()
    }

    #[test]
    fn a_message_is_new_then_under_way_then_answered() {
        let mut acks = acks(4, 10_000);
        let Known::New(token) = ask(&mut acks, 1, "7") else {
            panic!();
        };
        assert!(matches!(ask(&mut acks, 1, "7"), Known::UnderWay));
        assert!(matches!(ask(&mut acks, 2, "7"), Known::New(_)));
        assert!(acks.is_awaited(session(1)));
        let finished = acks.finish(token, accepted("1")).unwrap();
        assert!(finished.stream && finished.requests.is_empty());
        assert!(!acks.is_awaited(session(1)));
        assert!(matches!(ask(&mut acks, 1, "7"), Known::Answered(reply) if reply == accepted("1")));
        assert!(acks.finish(token, accepted("2")).is_none(), "once");
    }

    #[test]
    fn what_was_not_relayed_leaves_nothing_behind() {
        let mut acks = acks(4, 10_000);
        let Known::New(token) = ask(&mut acks, 1, "7") else {
            panic!();
        };
        acks.cancel(token);
        assert!(acks.sessions.is_empty());
        let stopped = Problem::temporary(502, "stopping", "Later.");
        settle(&mut acks, 1, "7", Reply::Refused(stopped));
        assert!(acks.sessions.is_empty(), "the next server may take it");
    }

    #[test]
    fn the_oldest_answers_go_first_by_session_and_in_all() {
        let mut acks = acks(3, 3 * (DONE_BYTES + 101 + 400));
        for id in 0..10 {
            settle(
                &mut acks,
                1,
                &format!("{id:0100}a"),
                accepted(&"x".repeat(400)),
            );
        }
        assert_eq!((acks.kept, acks.sessions[&session(1)].done.len()), (3, 3));
        settle(
            &mut acks,
            2,
            &format!("{:0100}a", 0),
            accepted(&"x".repeat(400)),
        );
        assert_eq!((acks.kept, acks.sessions[&session(1)].done.len()), (3, 2));
        let bytes: usize = acks
            .sessions
            .values()
            .flat_map(|known| &known.done)
            .map(Done::bytes)
            .sum();
        assert_eq!(acks.bytes, bytes);
    }

    #[test]
    fn memory_is_bounded_over_a_long_life() {
        let mut acks = acks(2, 100_000);
        for number in 0..20_000_u64 {
            settle(&mut acks, number / 10, &number.to_string(), accepted("1"));
            acks.forget_ended(1, |session| session.to_u64() + 5 > number / 10);
        }
        assert!(
            acks.order.len() <= 2 * acks.kept + LOOK_MIN + 1,
            "{}",
            acks.order.len()
        );
        assert!(
            acks.sessions.len() <= 2 * LOOK_MIN,
            "{}",
            acks.sessions.len()
        );
        assert!(acks.bytes <= 100_000);
        assert_eq!(acks.under_way.len(), 0);
    }
}
