//! The messages of browsers on their way to the app: each taken once, and those
//! of a session in the order in which they were sent.

use std::collections::HashMap;

use super::insults::RUDE;
use super::network::{Network, SocketId, Stage};

/// What the app said to a message, and when the server has read what decides.
struct Answer {
    session: String,
    socket: SocketId,
    end: u64,
}

/// One message.
pub struct Sent {
    pub text: String,
    /// When it was first sent.
    pub sent_ms: u64,
    /// The server certainly had it; it never may, if the connection broke.
    pub certain: bool,
    /// The browser was told that it was not taken.
    pub refused: bool,
    /// The app answered with 2xx; with 3xx or 4xx.
    pub taken: bool,
    pub rejected: bool,
    /// It was sent again, so that its place among the others is not certain.
    pub again: bool,
    /// Under which `webhook-id` each session's webhook brings it.
    webhook_ids: HashMap<String, String>,
    attempts: Vec<(String, SocketId)>,
    answers: Vec<Answer>,
}

/// All messages.
#[derive(Default)]
pub struct Ledger {
    pub sent: Vec<Sent>,
    index: HashMap<String, usize>,
    /// The last message that each session's app was asked to take.
    begun: HashMap<String, usize>,
}

impl Ledger {
    pub fn send(&mut self, text: &str, now_ms: u64) {
        self.index.insert(text.to_owned(), self.sent.len());
        self.sent.push(Sent {
            text: text.to_owned(),
            sent_ms: now_ms,
            certain: false,
            refused: false,
            taken: false,
            rejected: false,
            again: false,
            webhook_ids: HashMap::new(),
            attempts: Vec::new(),
            answers: Vec::new(),
        });
    }

    pub fn of(&mut self, text: &str) -> &mut Sent {
        let number = self.index.get(text);
        let number = *number.unwrap_or_else(|| panic!("{text:?} was never sent"));
        &mut self.sent[number]
    }

    pub fn certain(&mut self, text: &str) {
        self.of(text).certain = true;
    }

    /// The app is asked to take `text`.
    pub fn ask(
        &mut self,
        network: &Network,
        text: &str,
        session: &str,
        id: &str,
        socket: SocketId,
    ) {
        if text.starts_with(RUDE) {
            return;
        }
        let number = self.index.get(text);
        let number = *number.unwrap_or_else(|| panic!("{text:?} was never sent"));
        // What the server has given up with its upstream connection may come all the same, at any time.
        let late = network.sockets[socket].stage != Stage::Open;
        let before = match late {
            true => None,
            false => self.begun.insert(session.to_owned(), number),
        };
        if let Some(before) = before {
            let sure = !self.sent[before].again && !self.sent[number].again;
            assert!(
                before <= number || !sure,
                "{text:?} comes behind {:?}",
                self.sent[before].text
            );
            let out = &self.sent[before];
            assert!(
                !out.is_out(network, session),
                "{text:?} comes while {:?} is out",
                out.text
            );
        }
        let sent = &mut self.sent[number];
        // Another session is another sender, to whom nobody said that it was sent.
        let known = sent.webhook_ids.entry(session.to_owned());
        let known = known.or_insert_with(|| id.to_owned());
        assert_eq!(known, id, "{text:?} comes again as another");
        let answers = sent.answers.iter();
        for answer in answers.filter(|answer| answer.session == session) {
            assert!(
                network.sockets[answer.socket].delivered < answer.end,
                "{text:?} comes again, and was answered"
            );
        }
        sent.attempts.push((session.to_owned(), socket));
    }

    /// The app has sent an answer, and one that decides when the server has read up to `end`.
    pub fn answer(&mut self, text: &str, socket: SocketId, end: u64, status: u16) {
        if text.starts_with(RUDE) {
            return;
        }
        let sent = self.of(text);
        sent.taken |= status < 300;
        sent.rejected |= status >= 300;
        let attempts = sent.attempts.iter();
        let asked = attempts.rev().find(|attempt| attempt.1 == socket);
        sent.answers.push(Answer {
            session: asked.expect("it was asked").0.clone(),
            socket,
            end,
        });
        sent.attempts.retain(|attempt| attempt.1 != socket);
    }

    /// The app has failed to answer, in whatever way.
    pub fn fail(&mut self, text: &str, socket: SocketId) {
        if text.starts_with(RUDE) {
            return;
        }
        let attempts = &mut self.of(text).attempts;
        attempts.retain(|attempt| attempt.1 != socket);
    }

    /// The server's wall clock has leapt while it was not there: for it
    /// everything is older by so much.
    pub fn grow_older(&mut self, ms: u64) {
        for sent in &mut self.sent {
            sent.sent_ms = sent.sent_ms.saturating_sub(ms);
        }
    }

    /// The server knows of nothing any more.
    pub fn forget(&mut self) {
        self.sent.iter_mut().for_each(|sent| sent.certain = false);
    }
}

impl Sent {
    /// An attempt is under way.
    fn is_out(&self, network: &Network, session: &str) -> bool {
        let attempts = self.attempts.iter();
        attempts.filter(|(of, _)| of == session).any(|(_, socket)| {
            let socket = &network.sockets[*socket];
            socket.stage == Stage::Open && !socket.reset && !socket.finished
        })
    }
}
