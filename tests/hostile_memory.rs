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
        world.turn();
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
    open.turn();
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
    for end in world.ends.values() {
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
    for key in world.ends.keys().copied().collect::<Vec<_>>() {
        let key = chloe::base::slots::Key::from_u64(key);
        if !world.end(key).closed && key != visitor {
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

/// A WebSocket in 99 channels whose names are as long as they can be when answered.
fn amplifier(world: &mut World, address: &str) -> ConnKey {
    let key = world.websocket(address, "");
    for number in 10..109 {
        let channel = format!("{number:03}{}", "<".repeat(252));
        world.text(
            key,
            &format!(r#"{{"type":"channel-subscribe","channel":"{channel}"}}"#),
        );
    }
    world.end(key).taken.clear();
    key
}

const CONNECT: &str = r#"{"type":"connect","version":1,"positions":{}}"#;

#[test]
fn what_answers_cost_is_paced_by_session() {
    let mut world = World::new(&[]);
    let mut bystander = Bystander::of(&mut world);
    let key = amplifier(&mut world, HOSTILE);
    let (mut said, mut asked) = (0, 0);
    for _ in 0..10 {
        for _ in 0..200 {
            world.text(key, CONNECT);
            asked += 1;
        }
        bystander.hears(&mut world);
        world.pass(1_000);
        said += std::mem::take(&mut world.end(key).taken).len();
    }
    // Ten seconds' worth at once and ten seconds, of 2.6 MB each, and one answer more.
    assert!(said > 2_000_000, "{said} bytes for {asked}");
    assert!(said < 6_000_000, "{said} bytes for {asked}");
    assert!(!world.end(key).closed, "it is read slowly, and no more");

    // By requests.
    let key = world.connect("192.0.2.9").unwrap();
    let names = (0..99).map(|n| format!(r#""{n:03}{}":"1:1""#, "<".repeat(252)));
    let positions = names.collect::<Vec<_>>().join(",");
    let first = format!(r#"data={{"type":"connect","positions":{{{positions}}}}}"#);
    let answer = world.post(key, "/chloe/xhr", "", &first);
    assert_eq!(status_of(&answer), "200", "{answer}");
    let id = answer.split(r#""sessionId":""#).nth(1).unwrap()[..32].to_owned();
    for number in 10..109 {
        let channel = format!("{number:03}{}", "<".repeat(252));
        let body = format!(
            r#"data={{"type":"channel-subscribe","channel":"{channel}","sessionId":"{id}"}}"#
        );
        world.post(key, "/chloe/xhr", "", &body);
    }
    let again = format!(r#"data={{"type":"connect","positions":{{}},"sessionId":"{id}"}}"#);
    let mut said = 0;
    let mut refused = 0;
    for _ in 0..200 {
        let answer = world.post(key, "/chloe/xhr", "", &again);
        said += answer.len();
        if status_of(&answer) == "429" {
            refused += 1;
            assert!(answer.contains("Retry-After: 1\r\n"), "{answer}");
            assert!(answer.contains(r#""temporary":true"#), "{answer}");
        }
    }
    assert!(said < 3_500_000, "{said} bytes");
    assert!(refused > 150, "{refused} were refused");
    world.pass(2_000);
    assert_eq!(status_of(&world.post(key, "/chloe/xhr", "", &again)), "200");
    bystander.hears(&mut world);
}

#[test]
fn and_by_address() {
    let mut world = World::new(&["answer_bytes_per_second_per_address_max=1048576"]);
    let mut bystander = Bystander::of(&mut world);
    let mut said = 0;
    // Fresh sessions again and again, each of which is far from its own limit.
    for _ in 0..100 {
        let key = amplifier(&mut world, HOSTILE);
        for _ in 0..10 {
            world.text(key, CONNECT);
        }
        said += std::mem::take(&mut world.end(key).taken).len();
        world.reset(key);
    }
    assert!(said > 8_000_000, "{said}");
    assert!(
        said < 13_000_000,
        "ten seconds' worth, and what is short: {said}"
    );
    // By requests it is refused, and nobody else is.
    let connect = |address: &str, world: &mut World| {
        let key = world.connect(address).unwrap();
        let answer = world.post(key, "/chloe/xhr", "", &format!("data={CONNECT}"));
        status_of(&answer).to_owned()
    };
    assert_eq!(connect(HOSTILE, &mut world), "429");
    assert_eq!(connect("192.0.2.2", &mut world), "200");
    // A page of 2011 is answered in a few bytes, and connects.
    let key = world.connect(HOSTILE).unwrap();
    let answer = world.post(
        key,
        "/chloe/xhr",
        "",
        r#"data={"type":"connect","version":1}"#,
    );
    assert_eq!(status_of(&answer), "200");
    bystander.hears(&mut world);
}

/// A fifth of a thousand browsers, and a fifth of what their address may have: each in
/// 100 channels, and all come back again and again.
#[test]
fn browsers_that_come_back_at_once_behind_one_address_are_not_slowed() {
    let mut world = World::new(&["answer_bytes_per_second_per_address_max=1677721"]);
    let names: Vec<_> = (0..99)
        .map(|n| format!("channel-of-a-usual-name-{n}"))
        .collect();
    let positions: Vec<_> = names
        .iter()
        .map(|name| format!(r#""{name}":"1:1""#))
        .collect();
    let positions = positions.join(",");
    let mut sessions = vec![String::new(); 200];
    for storm in 0..7 {
        let mut pages = Vec::new();
        for session in &mut sessions {
            let key = world.websocket(HOSTILE, "");
            for name in names.iter().filter(|_| storm == 0) {
                let text = format!(r#"{{"type":"channel-subscribe","channel":"{name}"}}"#);
                world.text(key, &text);
            }
            let connect = format!(
                r#"{{"type":"connect","version":1,"sessionId":"{session}","positions":{{{positions}}}}}"#
            );
            world.text(key, &connect);
            let said = world.texts(key);
            let last = said.last().expect("answered at once");
            assert!(last.contains(r#""channel-of-a-usual-name-98""#), "{last}");
            assert_eq!(storm > 0, last.contains(r#""resumed":true"#), "{last}");
            *session = last.split(r#""sessionId":""#).nth(1).unwrap()[..32].to_owned();
            pages.push(key);
        }
        pages.into_iter().for_each(|key| world.reset(key));
    }
}
