//! One peer that makes Chloe keep, or say, as much as it can, and a bystander of another
//! address who notices nothing of it.

mod pure;

use chloe::server::ConnKey;
use pure::{Bystander, World};

/// Of each kind a megabyte for an address, but for what a single connection may need.
const MIB: usize = 1 << 20;
const HOSTILE: &str = "192.0.2.1";

/// What a request of `/chloe/xhr` may have at most, at the defaults.
const XHR_BYTES: usize = 8 * 65_536 + 65_536;

fn head(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

/// Hands in all of `bytes` as they would be read, until it is closed.
fn pour(world: &mut World, key: ConnKey, bytes: &[u8]) {
    for piece in bytes.chunks(65_536) {
        if world.end(key).closed || !world.server.wants_read(key) {
            return;
        }
        let (now, mut piece) = (world.now, piece.to_vec());
        world.server.handle_received(now, key, &mut piece);
        world.settle();
    }
}

fn status_of(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// Sends `text`, and tells the status of what is answered at once, `""` for nothing.
fn answered_at_once(world: &mut World, address: &str, text: &str) -> String {
    let key = world.connect(address).expect("let in");
    world.send(key, text.as_bytes());
    let answer = world.heard(key);
    let closed = world.end(key).closed;
    assert_eq!(closed, !answer.is_empty(), "{text:?}: {answer:?}");
    if closed {
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
    }
    world.reset(key);
    status_of(&answer).to_owned()
}

#[test]
fn the_head_decides_before_the_body_comes() {
    let mut open = World::new(&[]);
    let mut bystander = Bystander::of(&mut open);
    let length = |bytes: usize| format!("Content-Length: {bytes}\r\n");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let some = &length(60_000)[..];
    for (address, line, fields, status) in [
        (HOSTILE, "POST /nothing-here", some, "405"),
        (HOSTILE, "GET /nothing-here", some, "404"),
        (HOSTILE, "POST /chloe.js", some, "405"),
        (HOSTILE, "DELETE /send", some, "405"),
        (HOSTILE, "PUT /chloe/xhr", some, "405"),
        (HOSTILE, "PUT /chloe/jsonp.js", some, "405"),
        (HOSTILE, "POST /channels/x", some, "405"),
        (HOSTILE, "POST /chloe/websocket", some, "405"),
        // Without a secret, and not from this machine.
        (HOSTILE, "POST /send", some, "403"),
        ("127.0.0.1", "POST /send", some, ""),
        ("127.0.0.1", "POST /send", "Content-Length: 1048576\r\n", ""),
        (
            "127.0.0.1",
            "POST /send",
            "Content-Length: 9\r\nVia: x\r\n",
            "403",
        ),
        (HOSTILE, "POST /chloe/ping", "Content-Length: 65536\r\n", ""),
        (
            HOSTILE,
            "POST /chloe/ping",
            "Content-Length: 65537\r\n",
            "413",
        ),
        (HOSTILE, "GET /chloe.js", "Content-Length: 65537\r\n", "413"),
        (HOSTILE, "POST /chloe/xhr", &length(XHR_BYTES), ""),
        (HOSTILE, "POST /chloe/xhr/7", &length(XHR_BYTES + 1), "413"),
        (
            HOSTILE,
            "POST /nothing-here",
            "Transfer-Encoding: chunked\r\n",
            "405",
        ),
        // Who waits for the word to send is told the end of it instead.
        (
            HOSTILE,
            "POST /send",
            "Content-Length: 9\r\nExpect: 100-continue\r\n",
            "403",
        ),
    ] {
        let got = answered_at_once(&mut open, address, &head(line, fields));
        assert_eq!(got, status, "{line} {fields}");
    }
    // Chunks are counted as they come, and what comes whole is no longer either.
    let chunks = format!(
        "{}10001\r\n",
        head("POST /chloe/ping", "Transfer-Encoding: chunked\r\n")
    );
    assert_eq!(answered_at_once(&mut open, HOSTILE, &chunks), "413");
    let whole = head("POST /chloe/ping", &length(65_537)) + &"x".repeat(65_537);
    let key = open.connect(HOSTILE).unwrap();
    open.server
        .handle_received(open.now, key, &mut whole.into_bytes());
    open.settle();
    assert_eq!(status_of(&open.heard(key)), "413");
    bystander.hears(&mut open);

    for (setting, fields, status) in [
        (
            "allow_md5=true",
            "Content-Type: application/json\r\n",
            "401",
        ),
        ("allow_md5=true", form, ""),
        ("allow_md5=false", form, "401"),
        ("allow_md5=false", "Authorization: Bearer s3cret\r\n", ""),
        ("allow_md5=false", "Authorization: Bearer other\r\n", "401"),
        (
            "allow_md5=false",
            "webhook-id: a\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,a\r\n",
            "",
        ),
    ] {
        let mut world = World::new(&["secret=s3cret", setting]);
        let fields = format!("{fields}{some}");
        let got = answered_at_once(&mut world, HOSTILE, &head("POST /send", &fields));
        assert_eq!(got, status, "{setting} {fields}");
    }
}

#[test]
fn behind_a_proxy_an_address_counts_from_the_head() {
    let mut world = World::new(&["connections_per_address_max=5", "trusted_proxies=10.0.0.1"]);
    let mut bystander = Bystander::of(&mut world);
    for path in ["/chloe/xhr", "/chloe/ping"] {
        let fields = "X-Forwarded-For: 192.0.2.1\r\nContent-Length: 1000\r\n";
        let begun = head(&format!("POST {path}"), fields);
        let mut held = Vec::new();
        for number in 0..201 {
            let key = world.connect("10.0.0.1").unwrap();
            world.send(key, begun.as_bytes());
            let answer = world.heard(key);
            let expected = if number < 5 { "" } else { "429" };
            assert_eq!(status_of(&answer), expected, "{path} {number}: {answer}");
            assert_eq!(world.end(key).closed, number >= 5);
            held.push(key);
        }
        // Another visitor by the same proxy is served, and who is through makes room.
        let key = world.connect("10.0.0.1").unwrap();
        let answer = world.get(key, "/chloe/ping", "X-Forwarded-For: 192.0.2.2\r\n");
        assert_eq!(status_of(&answer), "200");
        held.into_iter().for_each(|key| world.reset(key));
        let answer = world.get(key, "/chloe/ping", "X-Forwarded-For: 192.0.2.1\r\n");
        assert_eq!(status_of(&answer), "200");
        bystander.hears(&mut world);
    }
}

/// A request of `/chloe/xhr` without its last byte, at its longest.
fn unfinished() -> Vec<u8> {
    let mut bytes = head(
        "POST /chloe/xhr",
        &format!("Content-Length: {XHR_BYTES}\r\n"),
    )
    .into_bytes();
    bytes.resize(bytes.len() + XHR_BYTES - 1, b'x');
    bytes
}

#[test]
fn unfinished_requests_cost_their_address_its_share() {
    let mut world = World::new(&["input_total_bytes=67108864"]);
    let mut bystander = Bystander::of(&mut world);
    // A visitor in the middle of a request of its own.
    let visitor = world.connect("192.0.2.2").unwrap();
    let form = format!("data={}", "x".repeat(100_000));
    let begun = head(
        "POST /chloe/xhr",
        &format!("Content-Length: {}\r\n", form.len()),
    );
    pour(&mut world, visitor, begun.as_bytes());
    pour(&mut world, visitor, &form.as_bytes()[..90_000]);
    let bytes = unfinished();
    let mut closed = 0;
    for _ in 0..100 {
        let key = world.connect(HOSTILE).unwrap();
        pour(&mut world, key, &bytes);
        let input = world.status("input_bytes") as usize;
        assert!(input <= 4 * MIB + 256 * 1024, "{input} bytes are kept");
    }
    for end in world.ends() {
        if end.closed {
            closed += 1;
            let told = String::from_utf8_lossy(&end.taken);
            assert_eq!(status_of(&told), "503", "{told}");
        }
    }
    assert!((90..100).contains(&closed), "{closed} were closed");
    assert_eq!(world.status("shed"), closed);
    bystander.hears(&mut world);
    pour(&mut world, visitor, &form.as_bytes()[90_000..]);
    assert_eq!(status_of(&world.heard(visitor)), "400", "read to its end");
    for key in world.open_keys().to_vec() {
        if key != visitor {
            world.reset(key);
        }
    }
    assert_eq!(world.status("input_bytes"), 0, "all is given back");
}

#[test]
fn unfinished_messages_of_websockets_count_as_well() {
    let mut world = World::new(&["input_total_bytes=1048576"]);
    let mut bystander = Bystander::of(&mut world);
    // A text of two frames, of which the second does not come to its end.
    let mut frames = vec![0x01, 0xfe, 0x75, 0x30, 0, 0, 0, 0];
    frames.resize(frames.len() + 30_000, b'x');
    frames.extend([0x80, 0xfe, 0x75, 0x30, 0, 0, 0, 0]);
    frames.resize(frames.len() + 29_999, b'x');
    for _ in 0..100 {
        let key = world.websocket(HOSTILE, "");
        pour(&mut world, key, &frames);
        let input = world.status("input_bytes") as usize;
        assert!(input <= 3 * MIB, "{input} bytes are kept");
    }
    assert!(world.status("shed") > 40);
    bystander.hears(&mut world);
    // Who finishes in time is heard.
    let key = world.websocket("192.0.2.2", "");
    frames.push(b'x');
    pour(&mut world, key, &frames);
    let told = world.texts(key);
    assert!(told[0].contains(r#""type":"error""#), "{told:?}");
}

#[test]
fn when_all_is_used_up_who_has_the_most_pays() {
    let mut world = World::new(&["input_total_bytes=33554432"]);
    let mut bystander = Bystander::of(&mut world);
    let visitor = world.connect("203.0.113.1").unwrap();
    pour(&mut world, visitor, &unfinished()[..300_000]);
    let bytes = unfinished();
    // Each less than its share of 2.2 MB: thirty addresses, and one /48 of IPv6.
    for number in 0..60 {
        let address = match number {
            0..30 => format!("192.0.2.{number}"),
            _ => format!("2001:db8:7:{number}::1"),
        };
        for _ in 0..2 {
            let key = world.connect(&address).unwrap();
            pour(&mut world, key, &bytes);
        }
        let input = world.status("input_bytes") as usize;
        assert!(input <= 32 * MIB + MIB, "{input} bytes are kept");
    }
    assert!(world.status("shed") > 50);
    assert!(!world.end(visitor).closed);
    bystander.hears(&mut world);
}

#[test]
fn requests_wait_while_the_answers_before_them_do() {
    let mut world = World::new(&[]);
    let mut bystander = Bystander::of(&mut world);
    let asks = head("GET /chloe.js", "").repeat(250);
    let key = world.connect(HOSTILE).unwrap();
    world.make_room(key, Some(0));
    let before = world.status("outbox_bytes");
    world.send(key, asks.as_bytes());
    let one = world.status("outbox_bytes") - before;
    assert!(one < 80_000, "{one} bytes wait");
    bystander.hears(&mut world);
    // It reads after all, and misses none.
    world.make_room(key, None);
    let heard = world.heard(key);
    assert_eq!(heard.matches("HTTP/1.1 200 ").count(), 250);
}

#[test]
fn what_is_not_read_for_an_answer_that_waits_is_not_late() {
    let mut world = World::new(&["write_timeout_ms=100000", "body_timeout_ms=1000"]);
    let key = world.connect("127.0.0.1").unwrap();
    world.make_room(key, Some(0));
    let (ping, send) = (
        head("GET /chloe/ping", ""),
        head("POST /send", "Content-Length: 6\r\n"),
    );
    world.send(key, format!("{ping}{send}dat").as_bytes());
    world.send(key, b"a=x");
    world.pass(20_000);
    world.make_room(key, None);
    let heard = world.heard(key);
    assert_eq!(heard.matches("HTTP/1.1 200 ").count(), 2, "{heard}");
    // Now it is waited for, and that has its limit.
    world.send(key, format!("{ping}{send}dat").as_bytes());
    assert_eq!(status_of(&world.heard(key)), "200");
    world.pass(1_500);
    assert_eq!(status_of(&world.heard(key)), "408");
}

#[test]
fn unread_answers_cost_their_address_its_share() {
    let mut world = World::new(&["output_total_bytes=67108864"]);
    let mut bystander = Bystander::of(&mut world);
    let visitor = world.connect("192.0.2.2").unwrap();
    world.make_room(visitor, Some(0));
    world.send(visitor, head("GET /chloe.js", "").as_bytes());
    let asks = head("GET /chloe.js", "").repeat(250);
    for _ in 0..900 {
        let key = world.connect(HOSTILE).unwrap();
        world.make_room(key, Some(0));
        world.send(key, asks.as_bytes());
    }
    // Not more than a share, or what one connection alone may need.
    let waiting = world.status("outbox_bytes") as usize;
    assert!(waiting < 6 * MIB, "{waiting} bytes wait");
    assert!(world.status("shed") > 500);
    bystander.hears(&mut world);
    world.make_room(visitor, None);
    assert_eq!(
        status_of(&world.heard(visitor)),
        "200",
        "the other's answer waits on"
    );
}

#[test]
fn websockets_that_do_not_read_their_replies_share_as_well() {
    let mut world = World::new(&["output_total_bytes=1048576", "outbox_bytes_max=65536"]);
    let mut bystander = Bystander::of(&mut world);
    for _ in 0..200 {
        let key = world.websocket(HOSTILE, "");
        world.make_room(key, Some(0));
        for _ in 0..50 {
            let channel = "<".repeat(250);
            world.text(
                key,
                &format!(r#"{{"type":"channel-unsubscribe","channel":"{channel}","id":1}}"#),
            );
            if world.end(key).closed {
                break;
            }
        }
    }
    let waiting = world.status("outbox_bytes") as usize;
    assert!(waiting < 3 * MIB, "{waiting} bytes wait");
    bystander.hears(&mut world);
}
