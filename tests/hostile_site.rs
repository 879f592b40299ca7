//! A peer who has a whole IPv6 /48, and one who waits for room while Chloe stops: the
//! webhook's shares for both.

mod pure;

use chloe::wire::websocket::{Opcode, encode_masked_frame};
use pure::World;

fn frames(name: &str, count: usize) -> Vec<u8> {
    let mut frames = Vec::new();
    for number in 0..count {
        let text = format!(r#"{{"type":"message","data":"{name}{number}","version":1}}"#);
        encode_masked_frame(&mut frames, Opcode::Text, text.as_bytes(), [1, 2, 3, 4]);
    }
    frames
}

/// The app hangs on all that comes from one /48: somebody else's message is with the
/// app within moments.
#[test]
fn one_48_leaves_room_in_the_queue_and_a_connection_for_everybody_else() {
    let mut world = World::new(&["webhook_queue_messages=1000"]);
    world.start_app();
    for network in 1..=200 {
        let page = world.websocket(&format!("2001:db8:7:{network:x}::1"), "");
        world.send(page, &frames("h", 64));
    }
    let page = world.websocket("198.51.100.1", "");
    world.send(page, &frames("other", 1));
    let mut passed_ms = 0;
    while !world.asked().iter().any(|(_, body)| body == "other0") {
        assert!(passed_ms < 8_000, "not with the app: {}", world.webhook());
        world.pass(100);
        passed_ms += 100;
    }
    // The app is well again: whoever waits for the /48 has its turn.
    let mut answered = 0;
    for _ in 0..5_000 {
        for (upstream, _) in world.asked() {
            world.app_says(upstream, Some("HTTP/1.1 204 No Content\r\n\r\n"));
            answered += 1;
        }
        if answered >= 12_801 {
            break;
        }
        world.pass(10);
    }
    let webhook = world.webhook();
    assert_eq!(
        (&webhook["queued"], &webhook["waiting"]),
        (&0.into(), &0.into())
    );
}

/// What waits beside the queue when Chloe begins to stop, or is about to hand over, is
/// queued, so that it is sent, or kept for the next process.
#[test]
fn what_waits_for_a_share_is_queued_when_chloe_stops() {
    for hands_over in [false, true] {
        let mut world = World::new(&["webhook_queue_per_session_max=4"]);
        world.start_app();
        let page = world.websocket("192.0.2.1", "");
        world.send(page, &frames("m", 5));
        assert_eq!(world.webhook()["waiting"], 1);
        // Something else passes through the webhook meanwhile.
        let other = world.websocket("192.0.2.2", "");
        world.send(other, &frames("o", 1));
        world.asked();
        if hands_over {
            world.server.handle_restart(world.now);
            world.server.handle_doors_closed(world.now);
        } else {
            world.server.handle_shutdown(world.now);
        }
        world.settle();
        let counts = world.server.counts();
        let queued = counts.iter().find(|(name, _)| *name == "webhook_queued");
        assert_eq!(
            queued,
            Some(&("webhook_queued", 6)),
            "hands over: {hands_over}"
        );
    }
}
