//! Acknowledgements: which message of which session the app was asked to take,
//! and who waits for the outcome. What the outcome was is kept by `outcomes`.
//!
//! A browser repeats a message whose answer it missed, with the same id. By
//! this table it is not sent to the app again: it waits for the same outcome, or gets
//! the same answer once more. A table of its own, so that a session which
//! sends nothing with an id pays nothing. It sends nothing and writes nothing.
//! Called by `commands` and `delivery`.

use std::collections::HashMap;

use crate::base::address::AddressKey;
use crate::base::key_map::KeyMap;
use crate::base::slots::{Key, Slots};
use crate::hub::SessionKey;
use crate::transport::contract::{Problem, Reply};

use super::outcomes::{AckLimits, Outcomes};
use crate::server::connection::conn::{ConnKey, RequestContext};

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
    /// Whose share the outcome counts against.
    address: Option<AddressKey>,
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
    /// Nothing: it is to be sent to the app, and its outcome told under this name.
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

#[derive(Default)]
struct OfSession {
    under_way: HashMap<Box<str>, Token>,
    /// How many of those the stream waits for.
    awaited: usize,
}

/// The table.
pub struct Acks {
    under_way: Slots<UnderWay>,
    /// Those with messages under way.
    sessions: KeyMap<SessionKey, OfSession>,
    outcomes: Outcomes,
}

impl Acks {
    /// An empty table.
    pub fn new(limits: AckLimits) -> Acks {
        Acks {
            under_way: Slots::default(),
            sessions: KeyMap::default(),
            outcomes: Outcomes::new(limits),
        }
    }

    /// A message of `session` came, with this id, and counts for `address`: what is
    /// known of it. Unless it is answered already, `waiter` is told the outcome. `asks`
    /// says whether a request still waits, so that those of connections that are gone go too.
    pub fn begin(
        &mut self,
        session: SessionKey,
        address: Option<AddressKey>,
        id: &str,
        waiter: Waiter,
        asks: impl Fn(ConnKey) -> bool,
    ) -> Known {
        if let Some(reply) = self.outcomes.find(session, id) {
            return Known::Answered(reply);
        }
        let known = self.sessions.entry(session).or_default();
        if let Some(&token) = known.under_way.get(id) {
            if let Some(message) = self.under_way.get_mut(token) {
                message.requests.retain(|(conn, _)| asks(*conn));
                known.awaited += usize::from(message.wait(waiter));
            }
            return Known::UnderWay;
        }
        let mut message = UnderWay {
            session,
            address,
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

    /// The message was not queued after all: a repeated one is a new one.
    pub fn cancel(&mut self, token: Token) {
        self.take(token);
    }

    /// The message has this outcome: who is to be told. `None` for a message
    /// that is not under way.
    pub fn finish(&mut self, token: Token, reply: Reply) -> Option<Finished> {
        let message = self.take(token)?;
        let (session, address) = (message.session, message.address);
        self.outcomes.keep(session, address, &message.id, &reply);
        Some(Finished {
            session: message.session,
            id: message.id,
            stream: message.stream,
            requests: message.requests,
            reply,
        })
    }

    /// The message was not queued after all, since the connection is gone that it
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
        self.outcomes.iter()
    }

    /// A message of the process before is under way; nobody waits for it yet.
    pub fn restore_under_way(&mut self, session: SessionKey, id: &str) -> Token {
        let token = self.under_way.insert(UnderWay {
            session,
            address: None,
            id: id.into(),
            stream: false,
            again: false,
            requests: Vec::new(),
        });
        let known = self.sessions.entry(session).or_default();
        known.under_way.insert(id.into(), token);
        token
    }

    /// This became of a message of the process before. Whose it was is not known any more.
    pub fn restore_done(&mut self, session: SessionKey, id: &str, reply: &Reply) {
        self.outcomes.keep(session, None, id, reply);
    }

    /// Whether the session's stream waits for an outcome.
    pub fn is_awaited(&self, session: SessionKey) -> bool {
        let known = self.sessions.get(&session);
        known.is_some_and(|known| known.awaited > 0)
    }

    /// How much there is of messages under way, and of outcomes.
    pub fn entries(&self) -> [usize; 2] {
        let under_way = self.sessions.values().map(|known| known.under_way.len());
        let under_way = self.under_way.len() + self.sessions.len() + under_way.sum::<usize>();
        [under_way, self.outcomes.entries()]
    }

    /// As [`Outcomes::forget_ended`].
    pub fn forget_ended(&mut self, living: usize, lives: impl Fn(SessionKey) -> bool) {
        self.outcomes.forget_ended(living, lives);
    }

    /// Forgets the outcomes of a session that ended.
    pub fn forget(&mut self, session: SessionKey) {
        self.outcomes.forget(session);
    }

    fn take(&mut self, token: Token) -> Option<UnderWay> {
        let message = self.under_way.remove(token)?;
        if let Some(known) = self.sessions.get_mut(&message.session) {
            known.under_way.remove(&message.id);
            known.awaited -= usize::from(message.stream);
            if known.under_way.is_empty() {
                self.sessions.remove(&message.session);
            }
        }
        Some(message)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: u64) -> SessionKey {
        Key::from_u64(number)
    }

    fn acks() -> Acks {
        Acks::new(AckLimits {
            per_session: 4,
            total_bytes: 10_000,
            answer_bytes: 1_000,
        })
    }

    fn accepted(answer: &str) -> Reply {
        Reply::Accepted {
            answer: Some(answer.to_owned()),
        }
    }

    fn ask(acks: &mut Acks, of: u64, id: &str) -> Known {
        acks.begin(session(of), None, id, Waiter::Stream, |_| true)
    }

    fn settle(acks: &mut Acks, of: u64, id: &str, reply: Reply) -> Finished {
        let Known::New(token) = ask(acks, of, id) else {
            panic!("{id} is known");
        };
        acks.finish(token, reply).unwrap()
    }

    #[test]
    fn a_message_is_new_then_under_way_then_answered() {
        let mut acks = acks();
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
    fn what_was_not_queued_leaves_nothing_behind() {
        let mut acks = acks();
        let Known::New(token) = ask(&mut acks, 1, "7") else {
            panic!();
        };
        acks.cancel(token);
        assert!(acks.sessions.is_empty());
        let stopped = Problem::temporary(502, "stopping", "Later.");
        settle(&mut acks, 1, "7", Reply::Refused(stopped));
        assert!(acks.sessions.is_empty(), "the next server may take it");
    }
}
