//! Polls that are held: what their browsers did not get is theirs by the next
//! poll, and an old page is never answered with what would silence it.

mod driven;

use std::io::{self, Write};

use chloe::server::{Action, ConnKey};
use driven::{Driven, Stuck};

/// A socket that takes so many bytes, and then no more.
struct Narrow {
    room: usize,
    taken: Vec<u8>,
}

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = bytes.len().min(self.room);
        self.room -= count;
        self.taken.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST /chloe/xhr HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn poll(session: &str) -> String {
    format!(
        "GET /chloe/xhr/1?data=%7B%22type%22:%22poll%22,%22sessionId%22:%22{session}%22%7D HTTP/1.1\r\nHost: a\r\n\r\n"
    )
}

fn poll_of_today(session: &str, batch: u64) -> String {
    poll(session).replace(
        "%7D HTTP",
        &format!(",%22wait%22:20000,%22batch%22:{batch}%7D HTTP"),
    )
}

/// The number of the batch that an answer bears.
fn batch_of(answer: &str) -> u64 {
    let (_, rest) = answer.rsplit_once(r#""batch":"#).unwrap();
    rest.trim_end_matches('}').parse().unwrap()
}

impl Driven {
    /// What is written next, to whomever.
    fn written(&mut self) -> String {
        let mut bytes = Vec::new();
        self.flush(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    /// Opens a session of the old kind.
    fn open(&mut self) -> String {
        self.receive(&post(r#"data={"type":"connect","version":1}"#));
        let answer = self.written();
        let (_, rest) = answer.split_once(r#""sessionId":""#).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }

    fn publish(&mut self, data: &str) {
        self.publish_to("/all", data);
    }

    fn publish_to(&mut self, channel: &str, data: &str) {
        let body = format!("channel={channel}&data={data}");
        let length = body.len();
        self.receive(&format!(
            "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
    }
}

impl Driven {
    /// Takes so many bytes of what there is for `key` each second, until it is
    /// closed (`true`) or has all; and tells how many seconds that took, and what came.
    fn dribble(&mut self, key: ConnKey, bytes_per_second: usize) -> (bool, usize, String) {
        let mut narrow = Narrow {
            room: 0,
            taken: Vec::new(),
        };
        for seconds in 0..1_000 {
            narrow.room = bytes_per_second;
            self.server.handle_writable(key);
            self.flush(&mut narrow);
            while let Some(action) = self.server.poll_action() {
                if action == (Action::Close { key }) {
                    return (true, seconds, String::from_utf8(narrow.taken).unwrap());
                }
            }
            if narrow.room > 0 {
                return (false, seconds, String::from_utf8(narrow.taken).unwrap());
            }
            self.skip(1_000);
        }
        panic!("it is still at it");
    }
}

#[test]
fn a_reader_that_dribbles_the_answer_of_its_poll_is_cut_and_loses_nothing() {
    let mut driven = Driven::new();
    let session = driven.open();
    let long = "x".repeat(50_000);
    let slow = driven.receive(&poll(&session));
    driven.publish(&long);
    // Half of write_bytes_per_second_min: it falls behind by half a second each
    // second, and write_timeout_ms is 30 s.
    let (cut, seconds, taken) = driven.dribble(slow, 500);
    assert!(cut, "it took {} bytes and was let go on", taken.len());
    assert!((58..=64).contains(&seconds), "after {seconds} s");
    assert!(taken.len() < 40_000, "{}", taken.len());

    let slow = driven.receive(&poll(&session));
    let (cut, seconds, taken) = driven.dribble(slow, 2_000);
    assert!(!cut && (25..30).contains(&seconds), "after {seconds} s");
    assert!(taken.contains(&long), "all of it, from the beginning");
    driven.receive(&poll(&session));
    assert_eq!(driven.written(), "", "and not once more");
}

#[test]
fn an_answer_that_is_not_taken_answers_the_poll_that_waits_by_then() {
    let mut driven = Driven::new();
    let session = driven.open();
    let first = driven.receive(&poll(&session));
    driven.publish("precious");
    driven.flush(&mut Stuck);
    driven.receive(&poll(&session));
    driven.flush(&mut Stuck);
    driven.server.handle_closed(driven.now, first);
    let answer = driven.written();
    assert!(answer.contains("precious"), "{answer:?}");
}

#[test]
fn an_old_poll_is_not_ended_because_what_it_was_owed_is_too_old() {
    let mut driven = Driven::with(|config| config.history_ttl_ms = 1_000);
    let session = driven.open();
    driven.publish("lost");
    driven.flush(&mut Vec::new());
    driven.skip(5_000);
    driven.receive(&poll(&session));
    assert_eq!(
        driven.written(),
        "",
        "an empty answer would end its polling"
    );
    driven.publish("found");
    let answer = driven.written();
    assert!(answer.contains("found"), "{answer:?}");
}

#[test]
fn a_poll_of_a_browser_that_had_left_by_then_takes_nothing() {
    let mut driven = Driven::with(|config| config.webhook_give_up_ms = 1_000);
    let session = driven.open();
    let message = format!(r#"data={{"type":"message","data":"x","id":1,"sessionId":"{session}"}}"#);
    let key = driven.receive(&(post(&message) + &poll(&session)));
    driven.server.handle_finished(driven.now, key);
    // The app is given up, the message is answered, and the poll comes up.
    driven.skip(5_000);
    driven.flush(&mut Vec::new());
    driven.publish("precious");
    driven.flush(&mut Vec::new());
    driven.receive(&poll(&session));
    let answer = driven.written();
    assert!(answer.contains("precious"), "{answer:?}");
}

#[test]
fn an_answer_waits_until_the_one_before_it_is_written() {
    let mut driven = Driven::new();
    let session = driven.open();
    let first = driven.receive(&poll(&session));
    driven.publish("first");
    driven.flush(&mut Stuck);
    driven.receive(&poll(&session));
    driven.publish("second");
    let answer = driven.written();
    assert!(
        !answer.contains("second"),
        "it would be read ahead: {answer:?}"
    );
    driven.server.handle_writable(first);
    let answers = driven.written();
    let places = ["first", "second"].map(|data| answers.find(data));
    assert!(places[0].is_some() && places[0] < places[1], "{answers:?}");
}

#[test]
fn an_answer_lost_while_a_subscription_waits_for_its_own_is_sent_again() {
    let mut driven = Driven::new();
    let session = driven.open();
    driven.receive(&poll_of_today(&session, 0));
    let subscribe = format!(
        r#"data={{"type":"channel-subscribe","channel":"news","id":1,"sessionId":"{session}"}}"#
    );
    driven.receive(&post(&subscribe));
    driven.publish_to("news", "first");
    // All of this is lost: the browser knows neither the channel's epoch nor an offset.
    let lost = driven.written();
    assert!(
        lost.contains("subscribed") && lost.contains("first"),
        "{lost}"
    );
    driven.receive(&poll_of_today(&session, 0));
    let again = driven.written();
    assert!(again.contains("first"), "{again:?}");
    driven.receive(&poll_of_today(&session, batch_of(&again)));
    driven.publish_to("news", "second");
    let next = driven.written();
    assert!(next.contains("second") && !next.contains("first"), "{next}");
    // Now it knows an offset of an epoch that it does not know, and loses what is behind that.
    driven.receive(&poll_of_today(&session, batch_of(&again)));
    let again = driven.written();
    assert!(
        again.contains("second") && !again.contains("first"),
        "{again:?}"
    );
    assert!(
        batch_of(&again) > batch_of(&next),
        "a late answer is told from this one"
    );
}

#[test]
fn a_poll_tells_what_is_lost_before_the_answer_to_its_subscription_can() {
    let mut driven = Driven::with(|config| config.history_bytes = 1);
    let session = driven.open();
    for number in 1..=4 {
        driven.publish_to("news", &number.to_string());
    }
    driven.receive(&poll_of_today(&session, 0));
    // It has read more of a channel of this name that was forgotten since.
    let subscribe = format!(
        r#"data={{"type":"channel-subscribe","channel":"news","since":"00000000ab:40","id":1,"sessionId":"{session}"}}"#
    );
    driven.receive(&post(&subscribe));
    let written = driven.written();
    let gap = r#"{"messages":[{"type":"gap","version":1,"channel":"news","missed":3,"position":""#;
    assert!(written.contains(gap), "{written}");
    assert!(written.contains(r#""recovered":false"#), "{written}");
}
