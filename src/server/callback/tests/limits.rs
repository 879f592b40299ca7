//! Every queue and wait has an end.

use super::rig::{LIMITS, OK, Rig};
use crate::server::callback::{CallbackLimits, Failure, GivenUp, Refused};

#[test]
fn the_queue_is_bounded_in_messages_and_what_is_out_counts() {
    let mut rig = Rig::new(CallbackLimits {
        queue_messages: 8,
        ..LIMITS
    });
    for count in 1..=8 {
        assert_eq!(rig.callbacks.is_full(), count > 6);
        rig.enqueue(1, "x").unwrap();
    }
    assert_eq!(rig.enqueue(2, "x"), Err(Refused::Full));
    assert_eq!(rig.callbacks.counters().refused, 1);
    rig.accept(0);
    for left in (0..8).rev() {
        rig.answer(0, OK);
        assert_eq!(rig.callbacks.is_full(), left > 4, "{left} left");
        assert_eq!(rig.rooms, usize::from(left <= 4));
    }
    assert!(rig.callbacks.is_idle());
}

#[test]
fn the_queue_is_bounded_in_bytes() {
    let mut rig = Rig::new(CallbackLimits {
        queue_bytes: 10_000,
        ..LIMITS
    });
    let body = "x".repeat(3_000);
    assert_eq!(rig.enqueue(9, &"x".repeat(10_000)), Err(Refused::Full));
    for _ in 0..3 {
        rig.enqueue(1, &body).unwrap();
    }
    assert!(rig.callbacks.is_full());
    assert_eq!(rig.enqueue(2, &body), Err(Refused::Full));
    rig.accept(0);
    rig.answer(0, OK);
    assert!(rig.callbacks.is_full());
    rig.answer(0, OK);
    assert_eq!((rig.callbacks.is_full(), rig.rooms), (false, 1));
}

#[test]
fn a_message_is_given_up_by_age_and_the_next_of_its_session_goes_on() {
    let mut rig = Rig::new(CallbackLimits {
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
    assert_eq!(rig.callbacks.counters().given_up, 1);
    assert_eq!(rig.body(0), "young");
}

#[test]
fn messages_that_never_had_their_turn_are_given_up_by_age_too() {
    let mut rig = Rig::new(CallbackLimits {
        lanes: 1,
        timeout_ms: 400_000,
        ..LIMITS
    });
    rig.enqueue(1, "slow").unwrap();
    rig.enqueue(1, "next").unwrap();
    rig.enqueue(2, "other").unwrap();
    rig.accept(0);
    rig.advance(300_000);
    let too_old = Err(GivenUp::TooOld { last: None });
    assert_eq!(rig.results(), [too_old.clone(), too_old]);
    assert_eq!(
        rig.callbacks.queued(),
        1,
        "the one that is out may still be taken"
    );
    rig.answer(0, OK);
    assert!(rig.results()[0].is_ok());
}

#[test]
fn while_the_name_is_not_resolved_messages_grow_old() {
    let mut rig = Rig::to("http://app.example/", None, LIMITS);
    rig.enqueue(1, "a").unwrap();
    rig.enqueue(2, "b").unwrap();
    assert_eq!(rig.resolutions, 1);
    rig.advance(300_000);
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
    rig.callbacks.drain();
    rig.callbacks.abandon(rig.now);
    rig.pump();
    assert_eq!(rig.results(), vec![Err(GivenUp::Stopped); 10]);
    assert!(rig.open().is_empty() && rig.callbacks.is_idle());
    assert_eq!(rig.callbacks.counters().given_up, 10);
    assert_eq!(rig.callbacks.poll_timeout(), None);
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
