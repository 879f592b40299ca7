//! Readers that do not read: the others lose nothing, memory stays within its
//! bounds, and the slow one is told of its gap, or is closed.

mod pure;

use pure::{Bystander, World};

const CONNECT: &str = r#"{"type":"connect","version":1,"positions":{}}"#;

/// A session of the new kind over a WebSocket; its connection and its id.
fn reader(world: &mut World) -> (chloe::server::ConnKey, String) {
    let key = world.websocket("127.0.0.1", "");
    world.text(key, CONNECT);
    let answer = world.texts(key).remove(0);
    let value: serde_json::Value = serde_json::from_str(&answer).unwrap();
    (key, value["sessionId"].as_str().unwrap().to_owned())
}

/// 1,000 readers and one that never reads. CHLOE_PUBLICATIONS sets how many
/// publications there are; the full million is for an optimised build.
#[test]
fn one_that_never_reads_among_a_thousand_that_do() {
    const READERS: usize = 1_000;
    const BATCH: u64 = 200;
    let count: u64 =
        std::env::var("CHLOE_PUBLICATIONS").map_or(100_000, |text| text.parse().expect("a number"));
    let mut world = World::new(&["history_size=1000"]);
    let readers: Vec<_> = (0..READERS).map(|_| reader(&mut world).0).collect();
    let (slow, _) = reader(&mut world);
    world.end(slow).room = Some(0);
    let app = world.connect("127.0.0.1").unwrap();

    let mut number = 0;
    while number < count {
        let mut requests = Vec::new();
        let before = number;
        while number < count && number < before + BATCH {
            let body = format!("data={number}");
            requests.extend_from_slice(
                format!(
                    "POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .as_bytes(),
            );
            number += 1;
        }
        world.send(app, &requests);
        let answers = world.heard(app).matches("success").count() as u64;
        assert_eq!(answers, number - before);
        // All get the same bytes; those of the first are looked at closely.
        let same = world.end(readers[0]).taken.clone();
        for &key in &readers[1..] {
            let taken = &mut world.end(key).taken;
            assert!(*taken == same, "each gets all");
            taken.clear();
        }
        let texts = world.texts(readers[0]);
        assert_eq!(texts.len() as u64, number - before);
        for (text, number) in texts.iter().zip(before..) {
            assert!(
                text.starts_with(&format!(r#"{{"data":"{number}","#)),
                "{text}"
            );
        }
    }
    let (logs, outboxes) = (world.status("log_bytes"), world.status("outbox_bytes"));
    assert!(
        logs < 1_000 * 256,
        "{logs} bytes in logs for 1,000 messages"
    );
    assert!(outboxes < 4_096, "{outboxes} bytes wait to be written");

    // It reads again: first the gap, then all that is left, in order.
    world.make_room(slow, None);
    let texts = world.texts(slow);
    let values: Vec<serde_json::Value> = texts
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let gap = values
        .iter()
        .position(|value| value["type"] == "gap")
        .unwrap();
    assert!(gap <= 1, "at most the rest of a frame comes before the gap");
    let missed = values[gap]["missed"].as_u64().unwrap();
    let rest = &values[gap + 1..];
    assert_eq!(gap as u64 + missed + rest.len() as u64, count);
    for (value, number) in rest.iter().zip(count - rest.len() as u64..) {
        assert_eq!(value["data"], number.to_string());
    }
    assert_eq!(world.status("missed"), missed);
    println!(
        "{count} publications to {READERS}: none lost; the one that did not read missed {missed}, \
         was told so, and got {}; {logs} bytes in logs, {outboxes} in outboxes",
        rest.len()
    );
}

#[test]
fn a_stream_that_takes_nothing_is_closed_and_its_session_is_told_of_the_gap() {
    let mut world = World::new(&["history_size=200", "slow_consumer_timeout_ms=5000"]);
    let mut bystander = Bystander::of(&mut world);
    let (idle, _) = reader(&mut world);
    world.pass(20_000);
    let (slow, session) = reader(&mut world);
    for number in 0..3 {
        // It takes a little every now and then: that is enough.
        world.end(slow).room = Some(50);
        for _ in 0..20 {
            bystander.hears(&mut world);
        }
        world.pass(4_000);
        assert!(!world.end(slow).closed, "round {number}");
        world.make_room(slow, Some(20));
    }
    world.pass(4_900);
    assert!(!world.end(slow).closed);
    world.pass(200);
    assert!(world.end(slow).closed);
    assert!(
        !world.end(idle).closed,
        "who has nothing to read is not slow"
    );
    assert_eq!(world.status("slow_closed"), 1);
    for _ in 0..300 {
        bystander.hears(&mut world);
    }
    let back = world.websocket("127.0.0.1", "");
    world.text(
        back,
        &format!(r#"{{"type":"connect","version":1,"sessionId":"{session}","positions":{{}}}}"#),
    );
    let texts = world.texts(back);
    assert!(texts[0].contains(r#""resumed":true"#), "{}", texts[0]);
    assert!(texts[0].contains(r#""recovered":false"#), "{}", texts[0]);
    bystander.hears(&mut world);
}

/// It is behind all the time, so no ping reaches it, which it could answer; but it reads.
#[test]
fn a_stream_that_is_slow_for_minutes_is_not_taken_for_dead() {
    let mut world = World::new(&["history_size=1000"]);
    let (slow, _) = reader(&mut world);
    world.end(slow).room = Some(0);
    for round in 0..30 {
        for number in 0..20 {
            world.publish(&format!("data={number}"));
        }
        world.pass(10_000);
        assert!(!world.end(slow).closed, "round {round}");
        world.make_room(slow, Some(200));
    }
    assert!(!world.texts(slow).is_empty());
    // Now it has read everything, and says nothing: that is another matter.
    world.make_room(slow, None);
    world.pass(75_000);
    assert!(world.end(slow).closed);
}

/// The ping lies behind much that it has yet to read.
#[test]
fn who_was_pinged_and_then_is_stuck_has_the_time_of_the_slow() {
    for (reads, closed) in [(true, false), (false, true)] {
        let mut world = World::new(&["history_size=1000"]);
        let mut bystander = Bystander::of(&mut world);
        let (slow, _) = reader(&mut world);
        world.pass(26_000);
        assert!(!world.heard(slow).is_empty(), "the ping");
        world.end(slow).room = Some(0);
        bystander.hears(&mut world);
        world.pass(22_000);
        assert!(!world.end(slow).closed);
        if reads {
            world.make_room(slow, Some(10));
        }
        world.pass(12_000);
        assert_eq!(world.end(slow).closed, closed);
    }
}

/// An answer read byte by byte is not held for ever; one read slowly, but well,
/// comes to its end.
#[test]
fn an_answer_has_to_be_taken_at_some_speed() {
    for (bytes_a_second, whole) in [(1, false), (300, false), (2_000, true)] {
        let mut world = World::new(&["write_timeout_ms=5000", "ping_interval_ms=3600000"]);
        let mut bystander = Bystander::of(&mut world);
        let key = world.connect("192.0.2.1").unwrap();
        world.pass(10_000);
        world.end(key).room = Some(100);
        let head = world.get(key, "/chloe.js", "");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let mut seconds = 0;
        let mut taken = 0;
        while !world.end(key).closed && seconds < 60 {
            world.pass(1_000);
            if world.end(key).closed {
                break;
            }
            world.make_room(key, Some(bytes_a_second));
            taken += std::mem::take(&mut world.end(key).taken).len();
            bystander.hears(&mut world);
            seconds += 1;
        }
        if whole {
            assert!(taken > 20_000 && !world.end(key).closed, "{taken}");
        } else {
            assert!((4..=10).contains(&seconds), "{bytes_a_second}: {seconds}");
        }
    }
}
