//! All is well: what is sent, in which order, on which connection.

use super::rig::{LIMITS, OK, Rig, taken};
use crate::base::names::SessionId;
use crate::base::record::{self, Damaged};
use crate::server::webhook::{Answer, decode_saved};
use crate::wire::signature::{Covered, Direction, Secret};

#[test]
fn the_request_without_a_secret_is_that_of_old_and_the_webhook_headers() {
    let mut rig = Rig::new(LIMITS);
    rig.enqueue(7, "Käse").unwrap();
    rig.accept(0);
    let request = rig.request(0).unwrap();
    assert!(
        request.head.starts_with("POST /updates?x=1 HTTP/1.1\r\n"),
        "{}",
        request.head
    );
    for (name, value) in [
        ("host", Some("127.0.0.1:4567")),
        ("content-type", Some("text/plain; charset=utf-8")),
        ("content-length", Some("5")),
        ("x-chloe-session", Some("00000000000000000000000000000007")),
        ("x-chloe-signature", Some("")),
        ("webhook-timestamp", Some("1700000000")),
        ("webhook-signature", None),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
    assert!(request.webhook_id.starts_with("chloe_msg_"));
    assert_eq!(request.body, "Käse");
}

#[test]
fn with_a_secret_the_request_has_both_versions_of_the_signature() {
    let covered = Covered {
        method: "POST",
        target: "/updates?x=1",
        session: "00000000000000000000000000000001",
        ..Covered::default()
    };
    for md5 in [false, true] {
        let url = "http://127.0.0.1/updates?x=1";
        let mut rig = Rig::signing(url, Some("trotter"), md5, LIMITS);
        rig.enqueue(1, "hi").unwrap();
        rig.accept(0);
        let request = rig.request(0).unwrap();
        let secret = Secret::new("trotter").unwrap();
        let (id, at_s, body) = (&request.webhook_id, 1_700_000_000, b"hi");
        let v1 = secret.sign_v1(id, at_s, body);
        let chloe1 = secret.sign_chloe1(Direction::ToApp, id, at_s, &covered, body);
        let both = format!("{v1} {chloe1}");
        assert_eq!(request.header("webhook-signature"), Some(both.as_str()));
        let expected = md5.then(|| secret.md5_hex(body));
        assert_eq!(request.header("x-chloe-signature"), expected.as_deref());
    }
}

#[test]
fn an_answer_in_json_comes_back_with_session_and_tag() {
    let mut rig = Rig::new(LIMITS);
    rig.enqueue(3, "hi").unwrap();
    rig.accept(0);
    rig.answer(
        0,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n",
    );
    assert!(rig.outcomes.is_empty());
    rig.answer(0, "{}");
    let answer = Answer {
        status: 200,
        json: Some("{}".into()),
    };
    assert_eq!(rig.outcomes, [(SessionId(3), 3_000, Ok(answer))]);
    assert!(rig.webhook.is_idle());
    let counters = rig.webhook.counters();
    assert_eq!((counters.sent, counters.taken), (1, 1));
    assert_eq!((counters.retried, counters.given_up), (0, 0));
}

#[test]
fn a_session_waits_for_its_answer_and_others_do_not() {
    let mut rig = Rig::new(LIMITS);
    for (session, body) in [(1, "a1"), (1, "a2"), (2, "b1"), (1, "a3"), (2, "b2")] {
        rig.enqueue(session, body).unwrap();
    }
    assert_eq!(rig.open(), [0, 1], "one upstream for each session");
    rig.accept(0);
    rig.accept(1);
    assert_eq!((rig.body(0), rig.body(1)), ("a1".into(), "b1".into()));
    rig.answer(1, OK);
    assert_eq!(rig.body(1), "b2");
    assert!(rig.request(0).is_none(), "a1 is not answered yet");
    rig.answer(0, OK);
    assert_eq!(rig.body(0), "a2");
    rig.answer(0, OK);
    assert_eq!(rig.body(0), "a3");
}

#[test]
fn sessions_take_turns_when_lanes_are_few() {
    let mut rig = Rig::new(crate::server::webhook::WebhookLimits {
        connections: 1,
        ..LIMITS
    });
    for (session, body) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1")] {
        rig.enqueue(session, body).unwrap();
    }
    rig.accept(0);
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(rig.body(0));
        rig.answer(0, OK);
    }
    assert_eq!(order, ["a1", "b1", "c1", "a2", "a3"]);
}

#[test]
fn a_lane_is_used_again_and_closed_when_nobody_needs_it() {
    let mut rig = Rig::new(LIMITS);
    rig.enqueue(1, "a").unwrap();
    rig.accept(0);
    rig.answer(0, OK);
    rig.advance(3_000);
    rig.enqueue(2, "b").unwrap();
    assert_eq!(rig.open(), [0]);
    assert_eq!(rig.results(), [taken(204)]);
    rig.answer(0, OK);
    rig.advance(3_999);
    assert_eq!(rig.open(), [0]);
    rig.advance(1);
    assert!(rig.open().is_empty());
    assert_eq!(rig.webhook.poll_timeout(), None);
}

#[test]
fn answers_of_every_framing_end_and_say_whether_the_lane_goes_on() {
    let kept = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ];
    let closed = [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
        "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
    ];
    let answers = kept.iter().map(|answer| (answer, true));
    for (answer, stays_open) in answers.chain(closed.iter().map(|answer| (answer, false))) {
        for step in [1, answer.len()] {
            let mut rig = Rig::new(LIMITS);
            rig.enqueue(1, "a").unwrap();
            rig.accept(0);
            for part in answer.as_bytes().chunks(step) {
                // Bytes behind an answer close the connection, whether they come with it or later.
                if rig.sockets[0].is_some() {
                    rig.answer(0, std::str::from_utf8(part).unwrap());
                }
            }
            assert_eq!(rig.results(), [taken(200)], "{answer:?}");
            assert_eq!(!rig.open().is_empty(), stays_open, "{answer:?}");
        }
    }
}

#[test]
fn an_answer_may_end_with_the_connection() {
    for reset in [false, true] {
        let mut rig = Rig::new(LIMITS);
        rig.enqueue(1, "a").unwrap();
        rig.enqueue(1, "b").unwrap();
        rig.accept(0);
        rig.answer(0, "HTTP/1.1 200 OK\r\n\r\nfine");
        assert!(rig.outcomes.is_empty());
        if reset {
            rig.reset(0)
        } else {
            rig.finish(0)
        }
        assert_eq!(rig.results(), [taken(200)]);
        rig.accept(0);
        assert_eq!(rig.body(0), "b");
    }
}

#[test]
fn a_request_goes_out_in_pieces_when_the_socket_takes_no_more() {
    let mut rig = Rig::new(LIMITS);
    rig.room = 100;
    let body = "x".repeat(5_000);
    rig.enqueue(1, &body).unwrap();
    rig.accept(0);
    let mut writes = 1;
    while rig.sockets[0].as_ref().unwrap().blocked {
        assert!(rig.sockets[0].as_ref().unwrap().bytes.len() < 5_000 + 400);
        rig.transmit(0);
        writes += 1;
    }
    assert!(writes > 50);
    assert_eq!(rig.body(0), body);
    rig.answer(0, OK);
    assert_eq!(rig.results(), [taken(204)]);
    assert_eq!(rig.open(), [0]);
}

#[test]
fn draining_finishes_what_is_queued_and_closes_the_lanes() {
    let mut rig = Rig::new(LIMITS);
    rig.enqueue(1, "a").unwrap();
    rig.enqueue(1, "b").unwrap();
    rig.accept(0);
    rig.webhook.drain();
    rig.pump();
    assert!(rig.enqueue(2, "c").is_err());
    assert_eq!((rig.open(), rig.webhook.is_idle()), (vec![0], false));
    rig.answer(0, OK);
    rig.answer(0, OK);
    assert_eq!(rig.results(), [taken(204), taken(204)]);
    assert!(rig.webhook.is_idle() && rig.open().is_empty());
    assert_eq!(rig.webhook.poll_timeout(), None);

    let mut idle = Rig::new(LIMITS);
    idle.enqueue(1, "a").unwrap();
    idle.accept(0);
    idle.answer(0, OK);
    idle.webhook.drain();
    idle.pump();
    assert!(idle.open().is_empty());
}

#[test]
fn what_is_kept_is_finished_by_the_next_process_in_order_with_the_same_ids() {
    let mut rig = Rig::new(LIMITS);
    for (session, body) in [(1, "a"), (1, "b"), (2, "c")] {
        rig.enqueue(session, body).unwrap();
    }
    rig.accept(0);
    rig.accept(1);
    let out = rig.request(0).unwrap();
    assert_eq!((out.body.as_str(), rig.body(1).as_str()), ("a", "c"));
    rig.webhook.keep();
    rig.answer(1, OK);
    assert!(rig.enqueue(3, "late").is_err());
    assert_eq!(rig.open(), [0, 1], "what is out is waited for");
    assert!(!rig.webhook.is_idle());
    rig.webhook.abandon(rig.now);
    rig.pump();
    assert!(rig.webhook.is_idle() && rig.open().is_empty());
    assert_eq!(rig.results(), [taken(204)], "nobody is told a lie");
    let bytes = record::written(|out| rig.webhook.save(rig.now, out));

    let mut next = Rig::new(LIMITS);
    next.now = next.now.plus(1_000);
    assert_eq!(restore(&mut next, &bytes), Ok(2));
    next.pump();
    next.accept(0);
    let again = next.request(0).unwrap();
    assert_eq!((again.body, again.webhook_id), (out.body, out.webhook_id));
    next.answer(0, OK);
    assert_eq!(next.body(0), "b");
    next.answer(0, OK);
    assert!(next.webhook.is_idle());

    for cut in 0..bytes.len() {
        let mut none = Rig::new(LIMITS);
        assert_eq!(restore(&mut none, &bytes[..cut]), Err(Damaged));
        assert!(none.webhook.is_idle());
    }
}

#[test]
fn what_is_answered_as_far_as_the_status_is_not_kept() {
    let mut rig = Rig::new(LIMITS);
    for session in [1, 2] {
        rig.enqueue(session, "a").unwrap();
    }
    rig.accept(0);
    rig.accept(1);
    rig.answer(0, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nso f");
    rig.answer(1, "HTTP/1.1 503 Oh\r\nContent-Length: 9\r\n\r\nso f");
    rig.webhook.keep();
    rig.webhook.abandon(rig.now);
    rig.pump();
    assert_eq!(rig.results(), [taken(200)]);
    let bytes = record::written(|out| rig.webhook.save(rig.now, out));
    let mut next = Rig::new(LIMITS);
    assert_eq!(restore(&mut next, &bytes), Ok(1));
}

#[test]
fn a_kept_message_is_given_up_at_its_old_age() {
    let mut rig = Rig::new(LIMITS);
    rig.enqueue(1, "a").unwrap();
    let bytes = record::written(|out| rig.webhook.save(rig.now, out));
    let mut next = Rig::new(LIMITS);
    next.now = next.now.plus(LIMITS.give_up_ms - 1_000);
    restore(&mut next, &bytes).unwrap();
    next.pump();
    next.refuse(0);
    next.now = next.now.plus(1_000);
    next.webhook.handle_timeout(next.now);
    next.pump();
    assert!(next.webhook.is_idle());
    assert_eq!(next.webhook.counters().given_up, 1);
}

/// Takes over what another saved; how many messages it was.
fn restore(rig: &mut Rig, bytes: &[u8]) -> Result<usize, Damaged> {
    let messages = record::read(bytes, decode_saved)?;
    let count = messages.len();
    rig.webhook.restore(rig.now, messages, |_| 0);
    Ok(count)
}
