//! The limits that keep one peer from hurting the others, at the whole server:
//! a clear error, and a bystander whose messages come in order all the same.

mod pure;

use chloe::server::Peer;
use pure::{Bystander, World};

#[test]
fn one_address_has_so_many_connections_and_no_more() {
    let mut world = World::new(&["connections_per_address_max=3"]);
    let mut bystander = Bystander::of(&mut world);
    let held: Vec<_> = (0..3)
        .map(|_| world.connect("192.0.2.1").expect("let in"))
        .collect();
    for _ in 0..100 {
        assert_eq!(world.connect("192.0.2.1"), None);
        assert_eq!(world.connect("::ffff:192.0.2.1"), None);
    }
    bystander.hears(&mut world);
    assert!(world.connect("192.0.2.2").is_some(), "others come in");
    assert_eq!(world.status("refused"), 200);
    world.reset(held[1]);
    let again = world.connect("192.0.2.1").expect("there is room again");
    assert_eq!(world.connect("192.0.2.1"), None);
    // What the server closes makes room too, and a WebSocket counts on.
    world.upgrade(again, "");
    assert!(world.heard(again).starts_with("HTTP/1.1 101 "));
    let answer = world.get(held[0], "/chloe/ping", "Connection: close\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(world.end(held[0]).closed);
    assert!(world.connect("192.0.2.1").is_some());
    assert_eq!(world.connect("192.0.2.1"), None);
    // A customer of IPv6 has 2^64 addresses, and is one.
    for number in 1..=3 {
        assert!(world.connect(&format!("2001:db8::{number}")).is_some());
    }
    assert_eq!(world.connect("2001:db8::4"), None);
    for _ in 0..10 {
        assert!(world.connect("127.0.0.1").is_some(), "this machine");
        assert!(world.connect("::1").is_some(), "this machine");
    }
    bystander.hears(&mut world);
}

#[test]
fn behind_a_proxy_it_is_the_true_address_that_counts() {
    let mut world = World::new(&[
        "connections_per_address_max=2",
        "trusted_proxies=10.0.0.0/8,127.0.0.1",
    ]);
    let mut bystander = Bystander::of(&mut world);
    let from = |address: &str| format!("X-Forwarded-For: 9.9.9.9, {address}\r\n");
    let mut held = Vec::new();
    for proxy in ["10.0.0.1", "127.0.0.1"] {
        held.push(world.websocket(proxy, &from("192.0.2.1")));
    }
    // Three ways to be one too many; each is told, and the proxy's connection goes on.
    let proxy = world.connect("10.0.0.2").unwrap();
    world.upgrade(proxy, &from("192.0.2.1"));
    let told = world.heard(proxy);
    let ping = world.get(proxy, "/chloe/ping", &from("192.0.2.1, 10.0.0.9"));
    let body = r#"data={"type":"connect","id":5}"#;
    let connect = world.post(proxy, "/chloe/xhr", &from("192.0.2.1"), body);
    for answer in [told, ping, connect] {
        assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
        assert!(answer.contains("Retry-After: 1\r\n"), "{answer}");
        assert!(
            answer.contains("raise connections_per_address_max"),
            "{answer}"
        );
    }
    bystander.hears(&mut world);
    // By the same connection others are served, and so is the proxy itself.
    for fields in [&from("192.0.2.2"), ""] {
        let answer = world.get(proxy, "/chloe/ping", fields);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // Who is answered holds nothing.
    for _ in 0..5 {
        let answer = world.get(proxy, "/chloe/ping", &from("192.0.2.3"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let other = world.connect("10.0.0.2").unwrap();
        let answer = world.get(other, "/chloe/ping", &from("192.0.2.3"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // All whose address cannot be read are one, and none can choose another's.
    let nameless = [
        from("unknown"),
        "Forwarded: for=_hidden\r\n".to_owned(),
        format!("{}Forwarded: for=192.0.2.1\r\n", from("192.0.2.8")),
    ];
    held.push(world.websocket("10.0.0.1", &nameless[0]));
    held.push(world.websocket("10.0.0.1", &nameless[2]));
    for fields in &nameless {
        let answer = world.get(proxy, "/chloe/ping", fields);
        assert!(answer.starts_with("HTTP/1.1 429 "), "{fields}: {answer}");
    }
    let answer = world.get(proxy, "/chloe/ping", &from("192.0.2.8"));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    world.reset(held[0]);
    let answer = world.get(proxy, "/chloe/ping", &from("192.0.2.1"));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Who is no proxy of ours is counted as itself, whatever it says.
    for number in 0..2 {
        let key = world.connect("192.0.2.9").unwrap();
        let answer = world.get(key, "/chloe/ping", &from(&format!("198.51.100.{number}")));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(world.connect("192.0.2.9"), None);
    // By the Unix socket comes a proxy, or what needs no limit.
    for _ in 0..5 {
        let key = world.accept(Peer::Unix).unwrap();
        assert!(
            world
                .get(key, "/chloe/ping", "")
                .starts_with("HTTP/1.1 200 ")
        );
    }
    bystander.hears(&mut world);
}

#[test]
fn all_connections_together_are_bounded() {
    let mut world = World::new(&["connections_max=5"]);
    let mut bystander = Bystander::of(&mut world);
    for last in 1..=3 {
        world.connect(&format!("192.0.2.{last}")).expect("let in");
    }
    bystander.hears(&mut world);
    let last = world.connect("192.0.2.4").expect("let in");
    for _ in 0..100 {
        assert_eq!(world.connect("192.0.2.7"), None);
    }
    world.reset(last);
    bystander.hears(&mut world);
}

#[test]
fn where_there_are_few_connections_one_address_has_a_quarter() {
    // As with `ulimit -n 1024`, where there is room for 960.
    let mut world = World::new(&["connections_max=960"]);
    let mut bystander = Bystander::of(&mut world);
    let hostile = (0..2_000).filter(|_| world.connect("192.0.2.1").is_some());
    assert_eq!(hostile.count(), 240);
    // Nor has a /48 more than half, though it has 65,536 networks.
    let networks = (0..2_000).map(|number| format!("2001:db8:1:{number:x}::1"));
    let hostile = networks.filter(|address| world.connect(address).is_some());
    assert_eq!(hostile.count(), 480);
    for last in 1..=10 {
        let address = format!("198.51.100.{last}");
        world.connect(&address).expect("let in");
    }
    bystander.hears(&mut world);
}

#[test]
fn a_channels_name_is_text_that_a_log_can_show() {
    let mut world = World::new(&[]);
    let mut bystander = Bystander::of(&mut world);
    let page = world.websocket("127.0.0.1", "");
    for name in [r"a\nb", r"\u0000", r"\u007f", r"\u009f"] {
        world.text(
            page,
            &format!(r#"{{"type":"channel-subscribe","channel":"{name}","id":1}}"#),
        );
        let told = world.texts(page);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(r#""code":"channel_name""#), "{told:?}");
        assert!(told[0].contains("control characters"), "{told:?}");
    }
    let key = world.connect("127.0.0.1").unwrap();
    let answer = world.post(key, "/send", "", "data=x&channel=a%0Ab");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    world.text(
        page,
        r#"{"type":"channel-subscribe","channel":"ü ☃ / ' \" <","id":2}"#,
    );
    assert!(world.texts(page)[0].contains(r#""type":"subscribed""#));
    bystander.hears(&mut world);
}

#[test]
fn who_sends_too_fast_is_read_slowly_and_told() {
    let mut world = World::new(&["messages_per_second_max=10", "messages_burst_max=20"]);
    let mut bystander = Bystander::of(&mut world);
    let page = world.websocket("127.0.0.1", "");
    world.text(page, r#"{"type":"connect","version":1,"positions":{}}"#);
    assert_eq!(world.texts(page).len(), 1);
    for number in 0..100 {
        let channel = number % 7;
        world.text(
            page,
            &format!(r#"{{"type":"channel-subscribe","channel":"c{channel}","id":{number}}}"#),
        );
    }
    let (mut next, mut told) = (0, 0);
    let mut listen = |world: &mut World| {
        for text in world.texts(page) {
            if text.contains(r#""type":"error""#) {
                assert!(
                    text.contains(r#""code":"messages_per_second_max""#),
                    "{text}"
                );
                assert!(text.contains(r#""temporary":true"#), "{text}");
                told += 1;
            } else if text.contains(r#""type":"subscribed""#) {
                assert!(text.contains(&format!(r#""id":{next},"#)), "{text}");
                next += 1;
            }
        }
        (next, told)
    };
    assert_eq!(listen(&mut world), (19, 0), "the burst");
    for second in 1..=8u32 {
        world.pass(1_000);
        bystander.hears(&mut world);
        let (answered, told) = listen(&mut world);
        let allowed = 19 + 10 * second;
        assert!((allowed - 2..=allowed).contains(&answered), "{answered}");
        assert!(told <= 1);
    }
    world.pass(1_000);
    assert_eq!(
        listen(&mut world),
        (100, 1),
        "nothing is lost, and it is told once"
    );

    // By requests it is refused, and may come again.
    let key = world.connect("127.0.0.1").unwrap();
    let answer = world.post(
        key,
        "/chloe/xhr",
        "",
        r#"data={"type":"connect","positions":{}}"#,
    );
    let id = answer.split(r#""sessionId":""#).nth(1).unwrap()[..32].to_owned();
    let body =
        format!(r#"data={{"type":"channel-subscribe","channel":"c","id":1,"sessionId":"{id}"}}"#);
    for number in 0..40 {
        let answer = world.post(key, "/chloe/xhr", "", &body);
        let status = if number < 20 { "200" } else { "429" };
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        if number >= 20 {
            assert!(answer.contains("Retry-After: 1\r\n"), "{answer}");
            assert!(answer.contains(r#""temporary":true"#), "{answer}");
        }
    }
    bystander.hears(&mut world);
    world.pass(1_000);
    let answer = world.post(key, "/chloe/xhr", "", &body);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
