//! The app is down, slow, erring, or closes early.

use super::rig::{LIMITS, OK, Rig, taken};
use crate::server::webhook::{GivenUp, WebhookLimits};

fn answer_of(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{headers}\r\n")
}

#[test]
fn addresses_are_tried_in_turn_and_the_one_that_works_is_kept() {
    let mut rig = Rig::to("http://localhost:4567/", None, LIMITS);
    rig.enqueue(1, "a").unwrap();
    rig.enqueue(2, "b").unwrap();
    assert_eq!((rig.resolutions, rig.open()), (1, vec![]));
    rig.resolve(&["[::1]:4567", "127.0.0.1:4567"]);
    let address =
        |rig: &Rig, upstream: usize| rig.sockets[upstream].as_ref().unwrap().address.to_string();
    assert_eq!(address(&rig, 0), "[::1]:4567");
    rig.refuse(0);
    assert_eq!(address(&rig, 0), "127.0.0.1:4567");
    rig.accept(0);
    rig.advance(3_000);
    assert_eq!(
        address(&rig, 1),
        "127.0.0.1:4567",
        "after the connect timeout"
    );
    rig.accept(1);
    assert_eq!((rig.body(0), rig.body(1)), ("a".into(), "b".into()));
    rig.enqueue(3, "c").unwrap();
    assert_eq!(address(&rig, 2), "127.0.0.1:4567");
    assert_eq!((rig.resolutions, rig.webhook.counters().retried), (1, 0));
}

#[test]
fn a_name_is_resolved_anew_after_all_addresses_failed() {
    let mut rig = Rig::to("http://app.example/", None, LIMITS);
    rig.enqueue(1, "a").unwrap();
    rig.resolve(&[]);
    assert!(!rig.resolving);
    rig.advance(200);
    assert!(rig.resolving, "no address: asked again after a wait");
    rig.resolve(&["192.0.2.1:80", "192.0.2.2:80"]);
    rig.refuse(0);
    rig.refuse(0);
    assert!(!rig.resolving);
    rig.advance(400);
    assert!(rig.resolving);
    rig.resolve(&["192.0.2.3:80"]);
    rig.accept(0);
    rig.answer(0, OK);
    assert_eq!(rig.results(), [taken(204)]);
}

#[test]
fn an_app_that_is_down_is_asked_by_one_connection_at_a_time_ever_more_rarely() {
    let mut rig = Rig::new(LIMITS);
    for session in 1..=10 {
        rig.enqueue(session, "a").unwrap();
    }
    assert_eq!(rig.open(), [0, 1, 2]);
    for upstream in 0..3 {
        rig.refuse(upstream);
    }
    for full_ms in [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
        let waited_ms = rig.advance_to_connect(0);
        assert!(
            (full_ms / 2..=full_ms).contains(&waited_ms),
            "{waited_ms} of {full_ms}"
        );
        assert_eq!(rig.open(), [0]);
        rig.refuse(0);
    }
    rig.advance_to_connect(0);
    rig.accept(0);
    assert_eq!(rig.open(), [0], "still only one, until it is answered");
    rig.answer(0, OK);
    assert_eq!(rig.open(), [0, 1, 2]);
}

#[test]
fn a_connection_that_is_lost_before_an_answer_is_retried_with_the_same_id() {
    type Loss = fn(&mut Rig);
    let losses: [(&str, Loss); 6] = [
        ("closed at once", |rig| rig.finish(0)),
        ("reset", |rig| rig.reset(0)),
        ("closed in the status line", |rig| {
            rig.answer(0, "HTTP/1.1 2");
            rig.finish(0);
        }),
        ("closed after an interim response", |rig| {
            rig.answer(0, "HTTP/1.1 100 Continue\r\n\r\n");
            rig.reset(0);
        }),
        ("garbage", |rig| {
            rig.answer(0, "220 mail.example ESMTP\r\n\r\n")
        }),
        ("too slow", |rig| rig.advance(10_000)),
    ];
    for (name, lose) in losses {
        let mut rig = Rig::new(LIMITS);
        rig.enqueue(1, "a").unwrap();
        rig.enqueue(1, "b").unwrap();
        rig.accept(0);
        let first = rig.request(0).unwrap();
        lose(&mut rig);
        assert!(rig.open().is_empty(), "{name}");
        assert!(rig.outcomes.is_empty(), "{name}");
        let waited_ms = rig.advance_to_connect(0);
        assert!((100..=200).contains(&waited_ms), "{name}: {waited_ms}");
        rig.accept(0);
        let second = rig.request(0).unwrap();
        assert_eq!(
            (&*second.body, &second.webhook_id),
            ("a", &first.webhook_id),
            "{name}"
        );
        rig.answer(0, OK);
        let third = rig.request(0).unwrap();
        assert_eq!(third.body, "b", "{name}");
        assert_ne!(third.webhook_id, first.webhook_id, "{name}");
        assert_eq!(rig.webhook.counters().retried, 1, "{name}");
    }
}

#[test]
fn an_answer_that_breaks_off_after_its_status_counts() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
    ] {
        let ends: [fn(&mut Rig); 3] = [
            |rig| rig.finish(0),
            |rig| rig.reset(0),
            |rig| rig.advance(10_000),
        ];
        for end in ends {
            let mut rig = Rig::new(LIMITS);
            rig.enqueue(1, "a").unwrap();
            rig.accept(0);
            rig.answer(0, head);
            end(&mut rig);
            assert_eq!(rig.results(), [taken(200)], "{head:?}");
            assert!(rig.open().is_empty());
        }
    }
}

#[test]
fn a_stale_connection_is_replaced_at_once_and_is_no_failure() {
    for by_reset in [false, true] {
        let mut rig = Rig::new(LIMITS);
        rig.enqueue(1, "a").unwrap();
        rig.accept(0);
        rig.body(0);
        rig.answer(0, OK);
        rig.advance(3_000);
        rig.enqueue(1, "b").unwrap();
        let id = rig.request(0).unwrap().webhook_id;
        let lose = if by_reset { Rig::reset } else { Rig::finish };
        lose(&mut rig, 0);
        assert_eq!(rig.open(), [0], "at once");
        assert_eq!(rig.webhook.counters().retried, 0);
        rig.accept(0);
        let again = rig.request(0).unwrap();
        assert_eq!((&*again.body, &again.webhook_id), ("b", &id));
        // On a new connection the same is a failure.
        lose(&mut rig, 0);
        assert!(rig.open().is_empty());
        assert_eq!(rig.webhook.counters().retried, 1);
        rig.advance_to_connect(0);
        rig.accept(0);
        rig.answer(0, OK);
        assert_eq!(rig.results().len(), 2);
    }
}

#[test]
fn an_idle_lane_that_speaks_or_ends_is_closed_quietly() {
    let ends: [fn(&mut Rig); 3] = [
        |rig| rig.answer(0, "HTTP/1.1 408 Request Timeout\r\n\r\n"),
        |rig| rig.finish(0),
        |rig| rig.reset(0),
    ];
    for end in ends {
        let mut rig = Rig::new(LIMITS);
        rig.enqueue(1, "a").unwrap();
        rig.accept(0);
        rig.answer(0, OK);
        end(&mut rig);
        assert!(rig.open().is_empty());
        rig.enqueue(1, "b").unwrap();
        rig.accept(0);
        rig.answer(0, OK);
        assert_eq!(rig.results(), [taken(204), taken(204)]);
        assert_eq!(rig.webhook.counters().retried, 0);
    }
}

#[test]
fn what_the_app_rejects_is_given_up_at_once_and_holds_up_nothing() {
    for (status, expected) in [
        (400, GivenUp::Rejected { status: 400 }),
        (404, GivenUp::Rejected { status: 404 }),
        (302, GivenUp::Redirected { status: 302 }),
    ] {
        let mut rig = Rig::new(LIMITS);
        rig.enqueue(1, "a").unwrap();
        rig.enqueue(1, "b").unwrap();
        rig.accept(0);
        rig.body(0);
        rig.answer(0, &answer_of(status, "Location: /elsewhere\r\n"));
        assert_eq!(rig.results(), [Err(expected)]);
        assert_eq!(rig.body(0), "b", "on the same upstream, at once");
        let counters = rig.webhook.counters();
        assert_eq!((counters.given_up, counters.retried), (1, 0));
    }
}

#[test]
fn a_message_that_the_app_errs_on_waits_and_other_sessions_do_not() {
    let mut rig = Rig::new(LIMITS);
    rig.enqueue(1, "poison").unwrap();
    rig.enqueue(1, "after").unwrap();
    rig.accept(0);
    rig.body(0);
    rig.answer(0, &answer_of(500, ""));
    rig.enqueue(2, "fine").unwrap();
    assert_eq!(rig.body(0), "fine");
    rig.answer(0, OK);
    assert_eq!(rig.results(), [taken(204)]);
    rig.advance(99);
    assert!(rig.request(0).is_none());
    rig.advance(101);
    assert_eq!(rig.body(0), "poison");
    rig.answer(0, OK);
    assert_eq!(rig.body(0), "after");
}

#[test]
fn an_app_behind_a_proxy_is_down_when_several_addresses_are_told_so() {
    for status in [502, 503, 504, 429] {
        let mut rig = Rig::new(LIMITS);
        for session in 1..=3 {
            rig.enqueue(session, "a").unwrap();
        }
        for (upstream, _) in rig.requests() {
            rig.answer(upstream, &answer_of(status, ""));
        }
        rig.enqueue(4, "b").unwrap();
        assert!(rig.requests().is_empty(), "nobody is served");
        rig.advance(200);
        let asked = rig.requests();
        assert_eq!(asked.len(), 1, "one at a time");
        assert_eq!(asked[0].1, "b", "and first who has not failed");
        rig.enqueue(5, "c").unwrap();
        rig.enqueue(6, "d").unwrap();
        assert!(rig.requests().is_empty());
        rig.answer(asked[0].0, OK);
        assert!(rig.requests().len() >= 2, "one answer opens everything");
    }
}

#[test]
fn retry_after_holds_the_session_and_no_longer_than_the_longest_wait() {
    for (status, value, wait_ms) in [
        (429, "7", 7_000),
        (503, "7", 7_000),
        (429, "Tue, 14 Nov 2023 22:13:30 GMT", 9_500),
        (503, "600", 10_000),
        (503, "99999999999999999999", 10_000),
    ] {
        let mut rig = Rig::new(LIMITS);
        rig.enqueue(1, "a").unwrap();
        let asked = rig.requests();
        rig.answer(
            asked[0].0,
            &answer_of(status, &format!("Retry-After: {value}\r\n")),
        );
        rig.enqueue(2, "b").unwrap();
        let asked = rig.requests();
        assert_eq!(asked[0].1, "b", "another goes on at once");
        rig.answer(asked[0].0, OK);
        rig.advance(wait_ms - 1);
        assert!(rig.requests().is_empty(), "{status} {value}");
        rig.advance(1);
        assert_eq!(rig.requests().len(), 1, "{status} {value}");
    }
}

#[test]
fn calls_for_lanes_that_are_closed_or_never_were_do_nothing() {
    let mut rig = Rig::new(WebhookLimits {
        connections: 0,
        ..LIMITS
    });
    for upstream in [0, 1, 99] {
        let now = rig.now;
        rig.webhook.handle_connected(now, upstream, Ok(()));
        rig.webhook
            .handle_received(now, upstream, b"HTTP/1.1 200 OK\r\n");
        rig.webhook.handle_finished(now, upstream);
        rig.webhook.handle_closed(now, upstream);
        assert!(rig.webhook.transmit(upstream, &mut Vec::new()).is_ok());
    }
    assert_eq!(rig.webhook.poll_event(), None);
}
