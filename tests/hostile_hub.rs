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
        told.push(body_of(&answer));
    }
    assert!(world.status("channels") <= 100_000);
    let visitor = world.connect(VISITOR).unwrap();
    let session = open(&mut world, visitor);
    let since = |told: &Value, name: &str| {
        let receipts = told["publications"]
            .as_array()
            .or(told.as_array())
            .expect("a list");
        let receipt = receipts.iter().find_map(|each| each["channels"].get(name));
        let epoch = receipt.expect("a receipt")["epoch"].as_str().unwrap();
        format!(r#""channel":"{name}","since":"{epoch}:0""#)
    };
    // What was told last is kept, and what was let go for it is said to be lost.
    for (thousand, name, kept) in [(149, "user:149.0", true), (0, "user:0.0", false)] {
        let rest = since(&told[thousand], name);
        let standing = subscribe(&mut world, visitor, &session, &rest);
        assert_eq!(standing["recovered"], kept, "{name}: {standing}");
    }
}
