//! One who sends too much, or whom the app does not answer; and a bystander, who
//! must not notice.

use super::rig::{LIMITS, OK, Rig, of, taken};
use crate::server::webhook::WebhookLimits;

/// As by default.
const LARGE: WebhookLimits = WebhookLimits {
    connections: 32,
    queue_messages: 10_000,
    queue_bytes: 16 << 20,
    ..LIMITS
};

/// The hostile address, and the bystander's.
const HOSTILE: u8 = 1;
const OTHER: u8 = 2;

fn answer_of(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{headers}\r\n")
}

/// The bystander's message is asked for now; it is answered well.
fn goes_through(rig: &mut Rig, body: &str) {
    assert!(rig.say(OTHER, 1_000, body));
    let asked = rig.requests();
    let upstream = asked.iter().find(|(_, asked)| asked == body);
    let (upstream, _) =
        upstream.unwrap_or_else(|| panic!("{body} does not get through: {asked:?}"));
    rig.answer(*upstream, OK);
}

#[test]
fn a_session_has_its_share_and_what_waits_comes_in_order() {
    let limits = WebhookLimits {
        session_messages: 4,
        ..LARGE
    };
    let mut rig = Rig::new(limits);
    for number in 0..4 {
        assert!(rig.say(HOSTILE, 1, &number.to_string()));
    }
    assert!(!rig.say(HOSTILE, 1, "4"));
    assert_eq!(rig.webhook.waiting(), 1);
    assert!(rig.enqueue(1, "refused").is_err(), "it would overtake");
    goes_through(&mut rig, "other");
    let mut seen = vec!["0".to_owned()];
    let mut next = 5;
    rig.results();
    while seen.len() < 20 {
        rig.answer(0, OK);
        seen.extend(rig.requests().into_iter().map(|(_, body)| body));
        for place in std::mem::take(&mut rig.queued) {
            assert_eq!(place, 1);
            assert!(!rig.say(HOSTILE, 1, &next.to_string()), "four are queued");
            next += 1;
        }
        assert_eq!(rig.webhook.queued(), 4);
    }
    let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(seen, expected);
}

#[test]
fn an_address_has_a_tenth_however_many_its_sessions() {
    let mut rig = Rig::new(LARGE);
    let mut queued = 0;
    for session in 0..200 {
        for number in 0..64 {
            match rig.webhook.waiting() > session {
                true => break,
                false => {
                    queued += usize::from(rig.say(HOSTILE, session as u128, &number.to_string()))
                }
            }
        }
    }
    assert_eq!((queued, rig.webhook.queued()), (1_000, 1_000));
    assert!(rig.webhook.waiting() > 150, "each with one message");
    goes_through(&mut rig, "other");
    // Room goes to those who wait, one after the other.
    let waiting = rig.webhook.waiting();
    for upstream in rig.open() {
        rig.answer(upstream, OK);
    }
    assert_eq!(rig.webhook.queued(), 1_000);
    assert!(rig.webhook.waiting() < waiting);
    for session in 0..200 {
        rig.webhook.forget(rig.now, session);
    }
    assert_eq!(rig.webhook.waiting(), 0);
}

#[test]
fn when_the_whole_is_full_addresses_take_turns() {
    let mut rig = Rig::new(WebhookLimits {
        queue_messages: 10,
        connections: 10,
        ..LIMITS
    });
    for number in 10..20 {
        assert!(rig.say(number, number.into(), "fills"));
    }
    let filling = rig.requests();
    for session in 100..140 {
        assert!(!rig.say(HOSTILE, session, "much"));
    }
    assert!(!rig.say(OTHER, 1_000, "other"));
    assert!(rig.enqueue(99, "late").is_err(), "nobody overtakes");
    rig.answer(filling[0].0, OK);
    rig.answer(filling[1].0, OK);
    let bodies: Vec<_> = rig.requests().into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies, ["much", "other"]);
}

#[test]
fn one_that_hangs_on_every_lane_holds_up_nobody_else() {
    let mut rig = Rig::new(LARGE);
    for session in 0..200 {
        assert!(rig.say(HOSTILE, session, "hangs"));
    }
    assert_eq!(rig.requests().len(), 32, "nobody else waits");
    for round in 0..100 {
        goes_through(&mut rig, &format!("o{round}"));
        rig.advance(100);
        assert!(rig.open().len() <= 128);
    }
    let mine = rig.results();
    assert_eq!(mine, vec![taken(204); 100]);
    assert!(!rig.webhook.is_idle());
}

#[test]
fn of_several_that_hang_each_leaves_its_lane_after_a_second() {
    let mut rig = Rig::new(WebhookLimits {
        connections: 4,
        ..LARGE
    });
    for number in 10..14 {
        assert!(rig.say(number, number.into(), "hangs"));
    }
    assert_eq!(rig.requests().len(), 4);
    assert!(rig.say(OTHER, 1_000, "other"));
    rig.advance(999);
    assert!(rig.requests().is_empty());
    rig.advance(1);
    let asked = rig.requests();
    assert_eq!(asked[0].1, "other");
    // It is waited for all the same.
    rig.answer(0, OK);
    assert_eq!(rig.results(), [taken(204)]);
}

#[test]
fn an_app_that_refuses_one_visitor_is_not_down_for_another() {
    type Fail = fn(&mut Rig, usize);
    let fails: [(&str, Fail); 5] = [
        ("429", |rig, upstream| {
            rig.answer(upstream, &answer_of(429, "Retry-After: 600\r\n"))
        }),
        ("503", |rig, upstream| {
            rig.answer(upstream, &answer_of(503, "Retry-After: 600\r\n"))
        }),
        ("closes", |rig, upstream| rig.finish(upstream)),
        ("resets", |rig, upstream| rig.reset(upstream)),
        ("garbage", |rig, upstream| {
            rig.answer(upstream, "220 mail\r\n\r\n")
        }),
    ];
    for (name, fail) in fails {
        let mut rig = Rig::new(LARGE);
        let mut sent = 0;
        for session in 0..20 {
            assert!(rig.say(HOSTILE, session, "bad"));
        }
        for round in 0..300 {
            // The bystander first: its message waits for nothing, at any time.
            assert!(rig.say(OTHER, 1_000, &format!("o{round}")));
            for (upstream, body) in rig.requests() {
                match body == "bad" {
                    true => fail(&mut rig, upstream),
                    false => {
                        sent += 1;
                        rig.answer(upstream, OK);
                    }
                }
            }
            assert_eq!(sent, round + 1, "{name}");
            rig.advance(100);
        }
    }
}

#[test]
fn this_machines_sessions_are_each_by_itself() {
    let mut rig = Rig::new(LARGE);
    let say = |rig: &mut Rig, session: u128, body: &str| {
        let message = super::rig::message(None, session, body);
        let queued = rig
            .webhook
            .enqueue_or_wait(rig.now, message, session as u64);
        rig.pump();
        queued.unwrap()
    };
    for session in 0..50 {
        for number in 0..64 {
            assert!(say(&mut rig, session, &number.to_string()), "no share");
        }
        assert!(!say(&mut rig, session, "too many"));
    }
    // All connections hang; a second later another is asked.
    rig.requests();
    assert!(say(&mut rig, 1_000, "other"));
    rig.advance(1_000);
    let (mut seen, mut rounds) = (false, 0);
    while !seen {
        seen = rig.requests().iter().any(|(_, body)| body == "other");
        rig.advance(1_000);
        rounds += 1;
        assert!(rounds < 4);
    }
}

#[test]
fn a_long_retry_after_kills_nothing_of_an_app_that_is_well_again() {
    let mut rig = Rig::new(LARGE);
    for session in 0..20u8 {
        for number in 0..3 {
            assert!(rig.say(session, session.into(), &number.to_string()));
        }
    }
    let mut first = true;
    for _ in 0..400 {
        for (upstream, _) in rig.requests() {
            match std::mem::take(&mut first) {
                true => rig.answer(upstream, &answer_of(503, "Retry-After: 600\r\n")),
                false => rig.answer(upstream, OK),
            }
        }
        rig.advance(50);
    }
    assert_eq!(rig.results(), vec![taken(204); 60]);
    assert!(rig.webhook.is_idle());
}

#[test]
fn the_connection_that_a_message_waits_with_may_go() {
    let mut rig = Rig::new(WebhookLimits {
        session_messages: 1,
        ..LARGE
    });
    assert!(rig.say(HOSTILE, 1, "1"));
    assert!(!rig.say(HOSTILE, 1, "2"));
    rig.webhook.forget(rig.now, 1);
    rig.webhook.forget(rig.now, 77);
    rig.pump();
    assert_eq!((rig.webhook.waiting(), &*rig.dropped), (0, &[1_002][..]));
    // What waits when Chloe is about to stop is kept.
    assert!(!rig.say(HOSTILE, 1, "3"));
    rig.webhook.leave(rig.now);
    rig.pump();
    assert_eq!((&*rig.queued, rig.webhook.queued()), (&[1][..], 2));
    assert!(of(HOSTILE).is_some());
}
