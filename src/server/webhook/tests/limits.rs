//! Every queue and wait has an end.

use super::rig::{LIMITS, OK, Rig};
use crate::server::webhook::{Failure, GivenUp, Refused, WebhookLimits};

#[test]
fn the_queue_is_bounded_in_messages_and_what_is_out_counts() {
    let mut rig = Rig::new(WebhookLimits {
        queue_messages: 3,
        ..LIMITS
    });
    for session in 1..=3 {
        rig.enqueue(session, "x").unwrap();
    }
    assert_eq!(rig.enqueue(4, "x"), Err(Refused::Full));
    assert_eq!(rig.webhook.counters().refused, 1);
    rig.accept(0);
    assert_eq!(rig.enqueue(4, "x"), Err(Refused::Full));
    rig.answer(0, OK);
    rig.enqueue(4, "x").unwrap();
    assert_eq!(rig.enqueue(5, "x"), Err(Refused::Full));
}

#[test]
fn the_queue_is_bounded_in_bytes_and_the_only_message_is_never_too_long() {
    let mut rig = Rig::new(WebhookLimits {
        queue_bytes: 10_000,
        ..LIMITS
    });
    let long = "x".repeat(20_000);
    rig.enqueue(9, &long).unwrap();
    assert_eq!(rig.enqueue(1, "y"), Err(Refused::Full));
    rig.accept(0);
    rig.answer(0, OK);
    let body = "x".repeat(3_000);
    for session in 1..=3 {
        rig.enqueue(session, &body).unwrap();
        assert_eq!(rig.enqueue(session, "y"), Err(Refused::Full), "its share");
    }
    assert_eq!(rig.enqueue(4, &body), Err(Refused::Full));
}

#[test]
fn a_message_is_given_up_by_age_and_the_next_of_its_session_goes_on() {
    let mut rig = Rig::new(WebhookLimits {
        give_up_ms: 1_000,
        ..LIMITS
    });
    rig.enqueue(1, "old").unwrap();
    rig.accept(0);
    rig.advance(10);
    rig.enqueue(1, "young").unwrap();
    let mut attempts = 0;
    while rig.outcomes.is_empty() {
        if let Some(request) = rig.request(0) {
            assert_eq!(request.body, "old");
            attempts += 1;
            rig.answer(0, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
        }
        rig.advance(1);
    }
    assert!((3..=5).contains(&attempts), "{attempts}");
    let last = Some(Failure::Status(500));
    assert_eq!(rig.results(), [Err(GivenUp::TooOld { last })]);
    assert_eq!(rig.webhook.counters().given_up, 1);
    assert_eq!(rig.body(0), "young");
}

#[test]
fn a_message_that_never_had_its_turn_is_kept_for_twice_as_long() {
    let mut rig = Rig::new(WebhookLimits {
        timeout_ms: 900_000,
        ..LIMITS
    });
    rig.enqueue(1, "slow").unwrap();
    rig.enqueue(1, "next").unwrap();
    rig.accept(0);
    rig.advance(599_999);
    assert!(rig.results().is_empty());
    rig.advance(1);
    assert_eq!(rig.results(), [Err(GivenUp::TooOld { last: None })]);
    assert_eq!(
        rig.webhook.queued(),
        1,
        "the one that is out may still be taken"
    );
    rig.answer(0, OK);
    assert!(rig.results()[0].is_ok());
}

#[test]
fn what_waits_is_tried_before_it_is_given_up() {
    let mut rig = Rig::new(LIMITS);
    rig.enqueue(1, "bad").unwrap();
    for number in 0..9 {
        rig.enqueue(1, &number.to_string()).unwrap();
    }
    // The first is refused until it is too old; then the app is well.
    while rig.outcomes.is_empty() {
        for (upstream, body) in rig.requests() {
            assert_eq!(body, "bad");
            rig.answer(upstream, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
        }
        rig.advance(50);
    }
    for number in 0..9 {
        let asked = rig.requests();
        assert_eq!(asked[0].1, number.to_string());
        rig.answer(asked[0].0, OK);
    }
    let results = rig.results();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 9);
}

#[test]
fn while_the_name_is_not_resolved_messages_grow_old() {
    let mut rig = Rig::to("http://app.example/", None, LIMITS);
    rig.enqueue(1, "a").unwrap();
    rig.enqueue(2, "b").unwrap();
    assert_eq!(rig.resolutions, 1);
    rig.advance(600_000);
    assert_eq!(rig.results().len(), 2);
    assert_eq!(rig.resolutions, 1, "the first is still under way");
}

#[test]
fn abandoning_gives_everything_up_and_closes_everything() {
    let mut rig = Rig::new(LIMITS);
    for session in 1..=5 {
        rig.enqueue(session, "a").unwrap();
        rig.enqueue(session, "b").unwrap();
    }
    rig.accept(0);
    rig.webhook.drain();
    rig.webhook.abandon(rig.now);
    rig.pump();
    assert_eq!(rig.results(), vec![Err(GivenUp::Stopped); 10]);
    assert!(rig.open().is_empty() && rig.webhook.is_idle());
    assert_eq!(rig.webhook.counters().given_up, 10);
    assert_eq!(rig.webhook.poll_timeout(), None);
    assert_eq!(rig.enqueue(1, "late"), Err(Refused::Stopping));
}

#[test]
fn sentences_say_what_to_do_and_end() {
    for failure in [Failure::Closed, Failure::Garbled, Failure::Status(500)] {
        let sentence = GivenUp::TooOld {
            last: Some(failure),
        }
        .to_string();
        assert!(sentence.contains(&failure.to_string()) && sentence.ends_with('.'));
    }
    assert_eq!(GivenUp::Rejected { status: 422 }.code(), "app_rejected");
    assert!(!GivenUp::Rejected { status: 422 }.temporary());
    assert!(
        GivenUp::Rejected { status: 422 }
            .to_string()
            .contains("422")
    );
}
