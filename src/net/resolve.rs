//! Names to addresses, off the loop: one helper thread asks the system.
//!
//! The thread starts with the first name that needs it, and ends with the
//! resolver. Addresses and `localhost` need no thread. Answers come in the order
//! of the questions. Called by `net` alone.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use super::handle::Handle;

/// What a name came to: its addresses, at least one; or a sentence why there are none.
pub(super) type Resolved = Result<Vec<SocketAddr>, String>;

/// Asks for names and hands out answers.
pub(super) struct Resolver {
    handle: Handle,
    answers: (Sender<Resolved>, Receiver<Resolved>),
    questions: Option<Sender<(String, u16)>>,
}

impl Resolver {
    /// A resolver that wakes the loop of `handle` for each answer.
    pub(super) fn new(handle: Handle) -> Resolver {
        Resolver {
            handle,
            answers: mpsc::channel(),
            questions: None,
        }
    }

    /// Asks for the addresses of `host`. The answer comes by [`Resolver::poll`], never sooner.
    pub(super) fn ask(&mut self, host: String, port: u16) {
        if let Some(addresses) = known_addresses(&host) {
            let addresses = addresses.into_iter().map(|ip| (ip, port).into());
            self.answer(Ok(addresses.collect()));
            return;
        }
        if let Err(error) = self.ask_thread(host, port) {
            self.answer(Err(format!("no thread to look names up: {error}")));
        }
    }

    /// The next answer that has come.
    pub(super) fn poll(&mut self) -> Option<Resolved> {
        self.answers.1.try_recv().ok()
    }

    fn answer(&self, resolved: Resolved) {
        // Cannot fail: the receiver is this resolver's own.
        let _ = self.answers.0.send(resolved);
        self.handle.wake();
    }

    fn ask_thread(&mut self, host: String, port: u16) -> io::Result<()> {
        if self.questions.is_none() {
            self.questions = Some(self.start_thread()?);
        }
        if let Some(questions) = &self.questions
            && questions.send((host, port)).is_err()
        {
            self.questions = None;
            return Err(io::Error::other("it has ended"));
        }
        Ok(())
    }

    fn start_thread(&self) -> io::Result<Sender<(String, u16)>> {
        let (sender, questions) = mpsc::channel::<(String, u16)>();
        let answers = self.answers.0.clone();
        let handle = self.handle.clone();
        thread::Builder::new()
            .name("resolve".to_owned())
            .spawn(move || {
                for (host, port) in questions {
                    if answers.send(look_up(&host, port)).is_err() {
                        return;
                    }
                    handle.wake();
                }
            })?;
        Ok(sender)
    }
}

/// The addresses that need no look-up.
fn known_addresses(host: &str) -> Option<Vec<IpAddr>> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return Some(vec![address]);
    }
    // RFC 6761 section 6.3: localhost is always the loopback address. Both
    // families, since an app may listen on either.
    host.eq_ignore_ascii_case("localhost")
        .then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

/// Asks the system; blocks for as long as it takes.
fn look_up(host: &str, port: u16) -> Resolved {
    match (host, port).to_socket_addrs() {
        Ok(addresses) => {
            let addresses: Vec<SocketAddr> = addresses.collect();
            if addresses.is_empty() {
                Err(format!("{host} has no address"))
            } else {
                Ok(addresses)
            }
        }
        Err(error) => Err(format!("{host} cannot be resolved: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token, Waker};
    use std::time::Duration;

    /// Asks for `host` and waits on the waker for the answer.
    fn resolve(host: &str) -> Resolved {
        let mut poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        let mut resolver = Resolver::new(Handle::new(waker));
        resolver.ask(host.to_owned(), 80);
        let mut events = Events::with_capacity(1);
        poll.poll(&mut events, Some(Duration::from_secs(60)))
            .unwrap();
        assert!(!events.is_empty(), "the loop is woken for {host}");
        let answer = resolver.poll().expect("a wake means an answer");
        assert_eq!(resolver.poll(), None, "one question, one answer");
        answer
    }

    #[test]
    fn addresses_and_localhost_are_known_without_a_look_up() {
        let cases = [
            ("127.0.0.1", vec!["127.0.0.1:80"]),
            ("::1", vec!["[::1]:80"]),
            ("[2001:db8::1]", vec!["[2001:db8::1]:80"]),
            ("LocalHost", vec!["127.0.0.1:80", "[::1]:80"]),
        ];
        for (host, expected) in cases {
            let expected = expected.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(resolve(host), Ok(expected), "{host}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_is_answered_with_a_sentence() {
        // A label over 63 bytes is refused before any server is asked (RFC 1035 section 2.3.4).
        let host = "x".repeat(300);
        let sentence = resolve(&host).expect_err("no such name");
        assert!(
            sentence.contains("cannot be resolved"),
            "says what failed: {sentence}"
        );
    }
}
