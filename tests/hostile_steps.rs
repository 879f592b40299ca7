//! What one command of a hostile peer may cost, however much he names or has brought
//! about before: each bound is many times what it takes, and far below what it took when
//! it grew with both.

mod pure;

use std::fs;
use std::time::Duration;

use pure::World;

fn asked_of(world: &mut World, body: &str) -> Option<chloe::server::ConnKey> {
    let asked = world.asked();
    asked.iter().find(|(_, asked)| asked == body).map(|it| it.0)
}

/// The processor's time that this thread has used: what others do on the machine does not
/// count.
fn cpu_time() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let used_ns = told.split_whitespace().next().unwrap();
    Duration::from_nanos(used_ns.parse().unwrap())
}

/// While the app is in doubt the next turn is found in a few steps, however many
/// addresses wait for theirs.
#[test]
fn addresses_that_wait_while_the_app_is_in_doubt() {
    let mut world = World::new(&[
        "webhook_queue_messages=100000",
        "webhook_queue_bytes=1000000000",
    ]);
    world.start_app();
    let say = r#"{"type":"message","data":"bad","version":1}"#;
    let bad = world.websocket("192.0.2.1", "");
    world.text(bad, say);
    let upstream = asked_of(&mut world, "bad").expect("with the app");
    world.app_says(upstream, None);
    // It fails again and again, and one of another address hangs.
    let pages: Vec<_> = (0..8_000_u32)
        .map(|number| {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
            world.websocket(&address.to_string(), "")
        })
        .collect();
    let began = cpu_time();
    for page in &pages {
        world.text(*page, r#"{"type":"message","data":"waits","version":1}"#);
    }
    let took = cpu_time() - began;
    assert_eq!(world.webhook()["queued"], 8_001);
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// Each of a session's subscriptions finds its position in a step, however many are named.
#[test]
fn a_connect_that_names_many_more_channels_than_it_has() {
    let mut world = World::new(&[
        "channels_per_session_max=4500",
        "message_bytes_max=4000000",
        "body_bytes_max=8000000",
        "outbox_bytes_max=4000000",
        "messages_burst_max=100000",
    ]);
    let page = world.websocket("192.0.2.1", "");
    for number in 96_000..100_000 {
        let name = format!("room-{number:06}");
        world.text(
            page,
            &format!(r#"{{"type":"channel-subscribe","channel":"{name}"}}"#),
        );
    }
    let positions: Vec<_> = (0..100_000)
        .map(|number| format!(r#""room-{number:06}":"257bfba9cf:1""#))
        .collect();
    let positions = positions.join(",");
    let connect = format!(r#"{{"type":"connect","version":1,"positions":{{{positions}}}}}"#);
    let began = cpu_time();
    world.text(page, &connect);
    let took = cpu_time() - began;
    let told = world.heard(page);
    assert!(told.contains(r#""room-099999""#), "{} bytes", told.len());
    assert!(took < Duration::from_secs(3), "{took:?}");
}
