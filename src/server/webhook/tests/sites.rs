//! A peer with many addresses, of one IPv6 /48 or of many networks, and a bystander.

use super::rig::{LIMITS, OK, Rig, message, of, taken};
use crate::base::address::AddressKey;
use crate::server::webhook::WebhookLimits;

/// As by default.
const LARGE: WebhookLimits = WebhookLimits {
    connections: 32,
    queue_messages: 10_000,
    queue_bytes: 16 << 20,
    ..LIMITS
};

const OTHER: u8 = 2;

/// A /64 of the hostile /48, or of the bystander's.
fn network(site: u16, number: u16) -> Option<AddressKey> {
    let address = [0x2001, 0xdb8, site, number, 0, 0, 0, 1];
    AddressKey::of(std::net::IpAddr::from(address))
}

fn say(rig: &mut Rig, address: Option<AddressKey>, session: u128, body: &str) -> bool {
    let message = message(address, session, body);
    let place = session as u64;
    let queued = rig.webhook.enqueue_or_wait(rig.now, message, place);
    rig.pump();
    queued.unwrap()
}

#[test]
fn three_networks_of_one_48_that_fail_are_not_the_app() {
    let mut rig = Rig::new(LARGE);
    for number in 1..=20 {
        assert!(say(&mut rig, network(7, number), number.into(), "bad"));
    }
    for round in 0..300 {
        // All that come to the app before the bystander's fail, one after the other.
        while let [(upstream, _), ..] = rig.requests()[..] {
            rig.finish(upstream);
        }
        let body = format!("o{round}");
        assert!(rig.say(OTHER, 1_000, &body));
        let asked = rig.requests();
        let found = asked.iter().find(|(_, asked)| *asked == body);
        let (upstream, _) = found.unwrap_or_else(|| panic!("{body} waits: {asked:?}"));
        rig.answer(*upstream, OK);
        rig.advance(100);
    }
}

#[test]
fn the_networks_of_a_48_have_half_of_the_lanes_together() {
    let mut rig = Rig::new(WebhookLimits {
        connections: 8,
        ..LARGE
    });
    for number in 1..=8 {
        assert!(say(&mut rig, network(7, number), number.into(), "hangs"));
    }
    assert_eq!(rig.requests().len(), 4);
    for number in 10..14 {
        assert!(rig.say(number, number.into(), "hangs too"));
    }
    let asked = rig.requests();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|(_, body)| body == "hangs too"));
    // All connections are busy. Those that hang leave them to others, and not to the /48.
    assert!(rig.say(OTHER, 1_000, "other"));
    rig.advance(1_000);
    let asked = rig.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].1, "other");
}

#[test]
fn those_who_wait_for_their_48_come_in_the_order_in_which_they_came() {
    let mut rig = Rig::new(WebhookLimits {
        queue_messages: 100,
        ..LARGE
    });
    // Fifty of the queue are a /48's.
    for number in 1..=5 {
        for message in 0..10 {
            let session = u128::from(number * 10 + message);
            assert!(say(&mut rig, network(7, number), session, "fills"));
        }
    }
    // The later an address comes the lower it is.
    for number in (100..200).rev() {
        assert!(!say(&mut rig, network(7, number), number.into(), "waits"));
    }
    // This one has much to say, which is no reason to come before the others.
    for session in 500..520 {
        assert!(!say(&mut rig, network(7, 9), session, "waits"));
    }
    assert!(say(&mut rig, network(8, 1), 1_000, "another /48"));
    for _ in 0..200 {
        for (upstream, _) in rig.requests() {
            rig.answer(upstream, OK);
        }
    }
    let came: Vec<u64> = (100..200).rev().chain([500]).chain(501..520).collect();
    assert_eq!(rig.queued, came);
    assert!(rig.is_bare());
}

#[test]
fn nothing_stays_of_an_address_whose_only_waiter_left() {
    let mut rig = Rig::new(WebhookLimits {
        session_messages: 1,
        queue_messages: 20,
        ..LARGE
    });
    for number in 0..20 {
        assert!(rig.say(number + 1, number.into(), "fills"));
    }
    for round in 0..1_000u16 {
        let session = 1_000 + u128::from(round);
        assert!(!say(&mut rig, network(7, round), session, "waits"));
        rig.webhook.forget(rig.now, session as u64);
    }
    assert!(rig.webhook.queue.waits_bare());
    // And of one who waits for his own session.
    assert!(!rig.say(1, 0, "waits"));
    rig.webhook.forget(rig.now, 0);
    assert!(rig.webhook.queue.waits_bare());
}

/// Each of a session's messages has its turn, though those before it hang one after
/// the other, while the app answers somebody.
#[test]
fn a_message_is_tried_before_it_dies_while_the_app_answers_anybody() {
    let mut rig = Rig::new(LARGE);
    for number in 0..64 {
        assert!(rig.say(1, 1, &number.to_string()));
    }
    let mut tried = std::collections::HashSet::new();
    let mut others = 0;
    for round in 0..1_500 {
        assert!(rig.say(OTHER, 1_000, &format!("o{round}")));
        for (upstream, body) in rig.requests() {
            if body.starts_with('o') {
                rig.answer(upstream, OK);
                others += 1;
            } else {
                tried.insert(body);
            }
        }
        rig.advance(1_000);
    }
    assert_eq!((tried.len(), others), (64, 1_500));
    let results = rig.results();
    let well = results.iter().filter(|result| **result == taken(204));
    assert_eq!((results.len(), well.count()), (1_564, 1_500));
    assert!(rig.is_bare() && of(1).is_some());
}
