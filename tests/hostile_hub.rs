//! One peer that takes sessions, channels and subscriptions without end, and one
//! bystander of another address who gets what he asks for all the same.

mod pure;

use chloe::server::ConnKey;
use pure::{Bystander, World};
use serde_json::{Value, json};

/// An address that does its worst, and two that do not.
const HOSTILE: &str = "192.0.2.1";
const VISITOR: &str = "198.51.100.7";
const APP: &str = "127.0.0.1";

fn request(body: &str) -> String {
    let length = body.len();
    format!("POST /chloe/xhr HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn body_of(answer: &str) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str(body).expect("JSON")
}

/// Opens a session by XHR, the way of today.
fn open(world: &mut World, key: ConnKey) -> String {
    let connect = r#"data={"type":"connect","version":1,"positions":{}}"#;
    let answer = body_of(&world.post(key, "/chloe/xhr", "", connect));
    answer["sessionId"].as_str().expect("a session").to_owned()
}

/// A session's command with an id, and its answer.
fn command(world: &mut World, key: ConnKey, session: &str, rest: &str) -> String {
    let body = format!(r#"data={{"sessionId":"{session}","id":1,{rest}}}"#);
    world.post(key, "/chloe/xhr", "", &body)
}

fn subscribe(world: &mut World, key: ConnKey, session: &str, rest: &str) -> Value {
    let rest = format!(r#""type":"channel-subscribe",{rest}"#);
    body_of(&command(world, key, session, &rest))
}

/// Whether a publication is taken on a channel that nobody knows yet.
fn publishes_anew(world: &mut World) {
    world.publish("channel=never-seen&data=x");
}

/// The memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.expect("VmRSS").trim().trim_end_matches(" kB");
    kib.parse::<usize>().expect("a number") * 1024
}

#[test]
fn one_connection_that_opens_sessions_without_end_keeps_nobody_out() {
    let mut world = World::new(&[]);
    let mut bystander = Bystander::of(&mut world);
    let hostile = world.connect(HOSTILE).unwrap();
    let before = resident();
    let many = request(r#"data={"type":"connect","version":1,"positions":{}}"#).repeat(500);
    for _ in 0..400 {
        world.send(hostile, many.as_bytes());
        world.end(hostile).taken.clear();
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 100 << 20, "{grown} bytes");
    bystander.hears(&mut world);
    let visitor = world.connect(VISITOR).unwrap();
    let session = open(&mut world, visitor);
    let standing = subscribe(&mut world, visitor, &session, r#""channel":"mine""#);
    assert_eq!(standing["recovered"], true);
    world.websocket(VISITOR, "");
    let sessions = world.status("sessions");
    assert!((10_000..10_010).contains(&sessions), "{sessions}");
    // Nothing is left when their time has passed.
    world.reset(hostile);
    world.pass(100_000);
    assert!(world.status("sessions") < 5);
}

#[test]
fn junk_subscriptions_of_one_address_keep_nobody_out() {
    let mut world = World::new(&[]);
    let mut bystander = Bystander::of(&mut world);
    let hostile = world.connect(HOSTILE).unwrap();
    for number in 0..1_030 {
        let session = open(&mut world, hostile);
        let junk: String = (0..99)
            .map(|junk| {
                request(&format!(
                    r#"data={{"type":"channel-subscribe","channel":"junk{number}.{junk}","sessionId":"{session}"}}"#
                ))
            })
            .collect();
        world.send(hostile, junk.as_bytes());
        world.end(hostile).taken.clear();
    }
    publishes_anew(&mut world);
    let visitor = world.connect(VISITOR).unwrap();
    let session = open(&mut world, visitor);
    let standing = subscribe(&mut world, visitor, &session, r#""channel":"mine""#);
    assert_eq!(standing["recovered"], true);
    bystander.hears(&mut world);
    let channels = world.status("channels");
    assert!(channels < 10_010, "a tenth of channels_max: {channels}");
    // The one who has too many is told what to do.
    let session = open(&mut world, hostile);
    let rest = r#""type":"channel-subscribe","channel":"one more""#;
    let refused = command(&mut world, hostile, &session, rest);
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains(r#""code":"channels_max""#), "{refused}");
    assert!(refused.contains("Retry-After: 1\r\n"), "{refused}");
}

#[test]
fn asking_for_positions_without_end_makes_no_channel() {
    let mut world = World::new(&[]);
    let mut bystander = Bystander::of(&mut world);
    let before = world.status("channels");
    let curious = world.connect(APP).unwrap();
    for hundred in 0..1_000 {
        let asked: String = (0..100)
            .map(|one| {
                format!("GET /channels/x{hundred}.{one} HTTP/1.1\r\nHost: localhost\r\n\r\n")
            })
            .collect();
        world.send(curious, asked.as_bytes());
        world.end(curious).taken.clear();
    }
    assert_eq!(world.status("channels"), before);
    publishes_anew(&mut world);
    let visitor = world.connect(VISITOR).unwrap();
    let session = open(&mut world, visitor);
    let standing = subscribe(&mut world, visitor, &session, r#""channel":"mine""#);
    assert_eq!(standing["recovered"], true);
    bystander.hears(&mut world);
}

#[test]
fn an_app_tells_more_absent_users_than_there_can_be_channels() {
    let mut world = World::new(&[]);
    let app = world.connect(APP).unwrap();
    let json = "Content-Type: application/json\r\n";
    let mut told = Vec::new();
    for thousand in 0..150 {
        let batch: Vec<Value> = (0..1_000)
            .map(|one| json!({"channel": format!("user:{thousand}.{one}"), "data": "hello"}))
            .collect();
        let answer = world.post(app, "/send", json, &Value::from(batch).to_string());
        if thousand == 0 || thousand == 149 {
            told.push(body_of(&answer));
        } else {
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
    }
    assert!(world.status("channels") <= 100_000);
    let visitor = world.connect(VISITOR).unwrap();
    let session = open(&mut world, visitor);
    let since = |told: &Value, name: &str| {
        let receipts = told["results"].as_array().expect("a list");
        let receipt = receipts.iter().find_map(|each| each["channels"].get(name));
        let epoch = receipt.expect("a receipt")["epoch"].as_str().unwrap();
        format!(r#""channel":"{name}","since":"{epoch}:0""#)
    };
    // What was told last is kept, and what was let go for it is said to be lost.
    for (number, name, kept) in [(1, "user:149.0", true), (0, "user:0.0", false)] {
        let rest = since(&told[number], name);
        let standing = subscribe(&mut world, visitor, &session, &rest);
        assert_eq!(standing["recovered"], kept, "{name}: {standing}");
    }
}

/// A session of the kind that a visitor opens by JSONP.
fn open_by_script(world: &mut World, key: ConnKey) -> String {
    let target = "/chloe/jsonp.js?data=%7B%22type%22:%22connect%22,%22version%22:1,%22id%22:1%7D";
    world.get(key, target, "")
}

#[test]
fn a_table_full_of_crowds_has_room_for_a_visitor() {
    let mut world = World::new(&[
        "sessions_max=400",
        "sessions_per_address_max=40",
        "connections_per_address_max=10",
    ]);
    let mut bystander = Bystander::of(&mut world);
    // Ten addresses, each with all that it may have, and each session had its stream.
    for last in 1..=10 {
        let address = format!("192.0.2.{last}");
        for _ in 0..40 {
            let page = world.connect(&address).unwrap();
            world.upgrade(page, "");
            world.text(page, r#"{"type":"connect","version":1,"positions":{}}"#);
            world.reset(page);
        }
    }
    assert_eq!(world.status("sessions"), 400);
    let crowded = world.connect("192.0.2.1").unwrap();
    let connect = r#"data={"type":"connect","version":1,"positions":{}}"#;
    world.pass(10);
    for number in 0..30 {
        let address = format!("198.51.100.{number}");
        let visitor = world.connect(&address).unwrap();
        let session = open(&mut world, visitor);
        let standing = subscribe(&mut world, visitor, &session, r#""channel":"mine""#);
        assert_eq!(standing["recovered"], true);
        let script = open_by_script(&mut world, visitor);
        assert!(script.contains("sessionId"), "{script}");
        world.websocket(&address, "");
        bystander.hears(&mut world);
    }
    assert_eq!(world.status("sessions"), 400);
    assert!(world.status("sessions_let_go") >= 80);
    // A crowd makes no room for itself at the cost of others.
    let opened = (0..80).filter(|_| {
        let answer = world.post(crowded, "/chloe/xhr", "", connect);
        answer.starts_with("HTTP/1.1 200 ")
    });
    assert!(opened.count() > 0, "it has its own share");
    bystander.hears(&mut world);
    world.pass(200_000);
    assert!(
        world.status("sessions") <= 32,
        "the open WebSockets are left"
    );
}

#[test]
fn a_table_full_of_networks_with_few_sessions_each_has_room_for_a_visitor() {
    // One /48 has 16 shares, and no network of it is a crowd. Others have the rest.
    let mut world = World::new(&["sessions_max=400", "sessions_per_address_max=20"]);
    let mut bystander = Bystander::of(&mut world);
    let poll = |world: &mut World, address: &str| {
        let key = world.connect(address).unwrap();
        let session = open(world, key);
        command(
            world,
            key,
            &session,
            r#""type":"poll","wait":0,"positions":{}"#,
        );
        world.reset(key);
        session
    };
    let others: Vec<String> = (0..78)
        .map(|last| poll(&mut world, &format!("203.0.113.{last}")))
        .collect();
    for number in 0..320 {
        let network = number / 10;
        poll(&mut world, &format!("2001:db8:1:{network:x}::1"));
    }
    let open_before = world.status("sessions");
    assert!(open_before >= 399, "{open_before}");
    let visitors: Vec<String> = (0..40)
        .map(|last| poll(&mut world, &format!("198.51.100.{last}")))
        .collect();
    // It was the /48 that made room.
    let addresses = (0..78).map(|last| format!("203.0.113.{last}"));
    let addresses = addresses.chain((0..40).map(|last| format!("198.51.100.{last}")));
    for (address, session) in addresses.zip(others.iter().chain(&visitors)) {
        let key = world.connect(&address).unwrap();
        let standing = subscribe(&mut world, key, session, r#""channel":"mine""#);
        assert_eq!(standing["recovered"], true, "{address}");
    }
    bystander.hears(&mut world);
}

#[test]
fn streams_of_one_address_fill_its_share_and_no_other() {
    let mut world = World::new(&["sessions_per_address_max=5"]);
    for _ in 0..5 {
        let page = world.websocket(HOSTILE, "");
        world.text(page, r#"{"type":"connect","version":1,"positions":{}}"#);
    }
    let page = world.connect(HOSTILE).unwrap();
    world.upgrade(page, "");
    let refused = world.heard(page);
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(
        refused.contains("raise sessions_per_address_max"),
        "{refused}"
    );
    let script = open_by_script(&mut world, page);
    assert!(!script.contains("sessionId"), "{script}");
    world.websocket(VISITOR, "");
    // Each /64 of a /48 is an address; sixteen shares are theirs together.
    for network in 0..16 {
        for _ in 0..5 {
            world.websocket(&format!("2001:db8:7:{network:x}::1"), "");
        }
    }
    let page = world.connect("2001:db8:7:ff::1").unwrap();
    world.upgrade(page, "");
    assert!(world.heard(page).starts_with("HTTP/1.1 429 "));
    world.websocket("2001:db8:8::1", "");
}

#[test]
fn subscriptions_of_one_address_fill_its_share_and_no_other() {
    let mut world = World::new(&["subscriptions_per_address_max=150", "channels_max=1000"]);
    let mut bystander = Bystander::of(&mut world);
    let join = |name: &str| format!(r#"{{"type":"channel-subscribe","channel":"{name}","id":1}}"#);
    // The channels are those of a bystander: alone the address reads none.
    let reader = world.websocket(VISITOR, "");
    for number in 0..90 {
        world.text(reader, &join(&format!("room{number}")));
    }
    let mut refused = 0;
    for _ in 0..3 {
        let page = world.websocket(HOSTILE, "");
        for number in 0..90 {
            world.text(page, &join(&format!("room{number}")));
        }
        let told = world.texts(page);
        refused += told
            .iter()
            .filter(|text| text.contains("subscriptions_per_address_max"))
            .count();
    }
    assert_eq!(refused, 3 * 90 - 150);
    world.texts(reader);
    world.text(reader, &join("one more"));
    assert!(world.texts(reader)[0].contains("subscribed"));
    bystander.hears(&mut world);
}

#[test]
fn a_session_counts_for_the_address_from_which_its_client_came_last() {
    let mut world = World::new(&["sessions_per_address_max=1", "trusted_proxies=10.0.0.1"]);
    let before = world.websocket(HOSTILE, "");
    world.text(before, r#"{"type":"connect","version":1,"positions":{}}"#);
    let answer: Value = serde_json::from_str(&world.texts(before)[0]).unwrap();
    let session = answer["sessionId"].as_str().unwrap().to_owned();
    let full = |world: &mut World| {
        let key = world.connect(HOSTILE).unwrap();
        let connect = r#"data={"type":"connect","version":1,"positions":{}}"#;
        world
            .post(key, "/chloe/xhr", "", connect)
            .starts_with("HTTP/1.1 429 ")
    };
    assert!(full(&mut world));
    // Its client comes back from another network, by a poll through a proxy.
    world.reset(before);
    let proxy = world.connect("10.0.0.1").unwrap();
    let poll = format!(
        "/chloe/xhr/1?data=%7B%22type%22:%22poll%22,%22sessionId%22:%22{session}%22,%22wait%22:1000%7D"
    );
    world.get(proxy, &poll, "X-Forwarded-For: 198.51.100.7\r\n");
    assert!(!full(&mut world));
    let key = world.connect(VISITOR).unwrap();
    let connect = r#"data={"type":"connect","version":1,"positions":{}}"#;
    let answer = world.post(key, "/chloe/xhr", "", connect);
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
}
