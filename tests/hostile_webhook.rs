//! One peer who floods, hangs or breaks the app's webhook, and one bystander on each
//! transport: whatever the one does, the other is answered, heard and told.

mod pure;
mod real;

use std::collections::HashSet;
use std::io::Write;

use chloe::server::ConnKey;
use chloe::wire::websocket::{Opcode, encode_masked_frame};
use pure::{Bystander, World};

const HOSTILE: &str = "192.0.2.66";
const OTHER: &str = "198.51.100.1";

/// A server with an app that takes connections, and answers what a test answers.
fn world(settings: &[&str]) -> World {
    let mut world = World::new(settings);
    world.start_app();
    world
}

fn frames(bodies: impl Iterator<Item = String>) -> Vec<u8> {
    let mut frames = Vec::new();
    for body in bodies {
        let text = format!(r#"{{"type":"message","data":"{body}","version":1}}"#);
        encode_masked_frame(&mut frames, Opcode::Text, text.as_bytes(), [1, 2, 3, 4]);
    }
    frames
}

fn flood(world: &mut World, count: usize) -> ConnKey {
    let page = world.websocket(HOSTILE, "");
    world.send(page, &frames((0..count).map(|number| format!("h{number}"))));
    page
}

/// A modern session by XHR: its connection and its id.
fn by_xhr(world: &mut World, address: &str, connect: &str) -> (ConnKey, String) {
    let key = world.connect(address).expect("let in");
    let answer = world.post(key, "/chloe/xhr", "", &format!("data={connect}"));
    let id = answer.split(r#""sessionId":""#).nth(1).expect("a session")[..32].to_owned();
    (key, id)
}

const MODERN: &str = r#"{"type":"connect","version":1,"positions":{}}"#;
const OLD: &str = r#"{"type":"connect","version":1}"#;

fn message(id: &str, body: &str, more: &str) -> String {
    format!(r#"data={{"type":"message","data":"{body}",{more}"version":1,"sessionId":"{id}"}}"#)
}

fn request(body: &str) -> String {
    let length = body.len();
    format!("POST /chloe/xhr HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// A page that asks for everything that needs no webhook, and is answered at once;
/// and whose messages reach the app at once.
struct Other {
    page: ConnKey,
    heard: Bystander,
    xhr: (ConnKey, String),
    count: u32,
}

impl Other {
    fn of(world: &mut World) -> Other {
        Other {
            page: world.websocket(OTHER, ""),
            heard: Bystander::of(world),
            xhr: by_xhr(world, OTHER, MODERN),
            count: 0,
        }
    }

    /// Everything but messages: no time passes.
    fn is_answered(&mut self, world: &mut World) {
        self.count += 1;
        for kind in ["channel-subscribe", "channel-unsubscribe"] {
            let text = format!(r#"{{"type":"{kind}","channel":"c","id":{}}}"#, self.count);
            world.text(self.page, &text);
            let told = world.texts(self.page);
            assert!(told[0].contains(r#"subscribed""#), "{told:?}");
        }
        let newcomer = world.websocket(OTHER, "");
        world.text(newcomer, MODERN);
        assert!(world.texts(newcomer)[0].contains(r#""type":"connect""#));
        world.reset(newcomer);
        let (key, _) = by_xhr(world, OTHER, MODERN);
        world.reset(key);
        self.heard.hears(world);
        assert_eq!(world.texts(self.page).len(), 1, "what was published to all");
    }

    /// Its messages, by WebSocket and XHR, are with the app; then the app answers.
    fn gets_through(&mut self, world: &mut World) {
        self.count += 1;
        let body = format!("o{}", self.count);
        world.text(
            self.page,
            &format!(
                r#"{{"type":"message","data":"{body}","id":{},"version":1}}"#,
                self.count
            ),
        );
        answer(world, &body, OK);
        let told = world.texts(self.page);
        assert!(told[0].contains(r#""type":"accepted""#), "{told:?}");
        let (key, id) = self.xhr.clone();
        let id = message(
            &id,
            &format!("x{}", self.count),
            &format!(r#""id":{},"#, self.count),
        );
        assert_eq!(world.post(key, "/chloe/xhr", "", &id), "", "it is held");
        answer(world, &format!("x{}", self.count), OK);
        let told = world.heard(key);
        assert!(told.contains(r#""type":"accepted""#), "{told}");
    }
}

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// The app is asked for `body` among others, which it leaves unanswered, and says `what`.
fn answer(world: &mut World, body: &str, what: &str) {
    let asked = world.asked();
    let upstream = asked.iter().find(|(_, asked)| asked == body);
    let (upstream, _) = upstream.unwrap_or_else(|| panic!("{body} is not with the app: {asked:?}"));
    let upstream = *upstream;
    world.app_says(upstream, Some(what));
}

fn webhook(world: &mut World, name: &str) -> u64 {
    world.webhook()[name].as_u64().expect("a number")
}

#[test]
fn nine_thousand_messages_of_one_browser_hold_that_browser_alone() {
    // The app hangs: nothing is ever answered.
    let mut world = world(&[]);
    let mut other = Other::of(&mut world);
    let hostile = flood(&mut world, 9_000);
    assert_eq!(webhook(&mut world, "queued"), 64);
    other.is_answered(&mut world);
    other.gets_through(&mut world);
    let mut frame = Vec::new();
    encode_masked_frame(&mut frame, Opcode::Ping, b"?", [1, 2, 3, 4]);
    world.send(hostile, &frame);
    // It is held, not closed; minutes later the same is true.
    for _ in 0..10 {
        world.pass(2_000);
        other.is_answered(&mut world);
        other.gets_through(&mut world);
    }
    assert!(!world.end(hostile).closed);
}

#[test]
fn what_is_held_comes_in_order_and_whole_when_the_app_answers() {
    for finish in [false, true] {
        let mut world = world(&[]);
        let page = world.websocket(HOSTILE, "");
        let mut bytes = frames((0..700).map(|number| number.to_string()));
        if finish {
            encode_masked_frame(&mut bytes, Opcode::Close, &[3, 232], [1, 2, 3, 4]);
        }
        world.send(page, &bytes);
        for number in 0..700 {
            assert!(webhook(&mut world, "queued") <= 64);
            answer(&mut world, &number.to_string(), OK);
        }
        assert!(world.asked().is_empty());
        assert_eq!(
            (
                webhook(&mut world, "queued"),
                webhook(&mut world, "waiting")
            ),
            (0, 0)
        );
        assert_eq!(
            world.end(page).closed,
            finish,
            "its Close was heard in its turn"
        );
        assert_eq!(webhook(&mut world, "refused"), 0);
    }
}

#[test]
fn a_ping_behind_a_message_that_is_held_is_answered() {
    let mut world = world(&["webhook_queue_per_session_max=1"]);
    let page = world.websocket(HOSTILE, "");
    world.send(page, &frames((0..3).map(|number| number.to_string())));
    let mut frame = Vec::new();
    encode_masked_frame(&mut frame, Opcode::Ping, b"?", [1, 2, 3, 4]);
    world.send(page, &frame);
    assert_eq!(std::mem::take(&mut world.end(page).taken), b"\x8a\x01?");
    // A command behind it waits for its turn.
    world.text(page, r#"{"type":"channel-subscribe","channel":"c","id":1}"#);
    assert!(world.texts(page).is_empty());
    for number in 0..2 {
        answer(&mut world, &number.to_string(), OK);
    }
    assert!(world.texts(page)[0].contains(r#""type":"subscribed""#));
    // A message that is held with its connection leaves nothing behind.
    for _ in 0..2 {
        world.send(page, &frames(["gone".to_owned()].into_iter()));
    }
    assert!(webhook(&mut world, "waiting") > 0);
    world.reset(page);
    assert_eq!(webhook(&mut world, "waiting"), 0);
}

#[test]
fn many_sessions_of_one_address_have_a_tenth_of_the_queue() {
    let mut world = world(&[]);
    let mut other = Other::of(&mut world);
    let pages: Vec<_> = (0..50).map(|_| flood(&mut world, 200)).collect();
    assert_eq!(webhook(&mut world, "queued"), 1_000);
    other.is_answered(&mut world);
    other.gets_through(&mut world);

    // By XHR: today's client is told to come again, and may read when.
    let (key, id) = by_xhr(&mut world, HOSTILE, MODERN);
    let origin = "Origin: http://localhost\r\n";
    for more in ["", r#""id":7,"#] {
        let told = world.post(key, "/chloe/xhr", origin, &message(&id, "m", more));
        assert!(told.starts_with("HTTP/1.1 429 "), "{told}");
        for part in [
            "Retry-After: 1\r\n",
            "Access-Control-Expose-Headers: Retry-After\r\n",
        ] {
            assert!(told.contains(part), "{told}");
        }
        assert!(told.contains(r#""code":"app_busy""#), "{told}");
        assert!(told.contains(r#""temporary":true"#), "{told}");
    }
    // Other commands of that session are answered all the same.
    let body =
        format!(r#"data={{"type":"channel-subscribe","channel":"c","id":1,"sessionId":"{id}"}}"#);
    assert!(
        world
            .post(key, "/chloe/xhr", "", &body)
            .contains("subscribed")
    );

    // The wire of 2011: held until there is room, then 200.
    let (old, id) = by_xhr(&mut world, HOSTILE, OLD);
    let held = world.post(old, "/chloe/xhr", "", &message(&id, "old", ""));
    assert_eq!(held, "");
    other.is_answered(&mut world);
    let mut seen = HashSet::new();
    for round in 0.. {
        assert!(round < 20_000, "it never came");
        for (upstream, body) in world.asked() {
            seen.insert(body);
            world.app_says(upstream, Some(OK));
        }
        if world.heard(old).starts_with("HTTP/1.1 200 ") {
            break;
        }
    }
    while !seen.contains("old") {
        for (upstream, body) in world.asked() {
            seen.insert(body);
            world.app_says(upstream, Some(OK));
        }
    }
    for page in pages {
        world.reset(page);
    }
    other.is_answered(&mut world);
}

#[test]
fn a_full_queue_stops_no_delivery_and_no_command() {
    let mut world = world(&["webhook_queue_messages=20"]);
    let mut other = Other::of(&mut world);
    // Ten addresses, each with its tenth: the whole is full.
    for number in 0..20 {
        let page = world.websocket(&format!("203.0.113.{number}"), "");
        world.send(page, &frames((0..10).map(|number| number.to_string())));
    }
    assert_eq!(webhook(&mut world, "queued"), 20);
    assert!(webhook(&mut world, "waiting") >= 10);
    for _ in 0..5 {
        other.is_answered(&mut world);
        world.pass(1_000);
    }
}

#[test]
fn twenty_sessions_that_the_app_cannot_stand_stop_nobody_else() {
    for failure in ["429 Slow", "503 Busy", "closes", "hangs"] {
        let mut world = world(&[]);
        let mut other = Other::of(&mut world);
        for _ in 0..40 {
            flood(&mut world, 10);
        }
        for _ in 0..50 {
            for (upstream, body) in world.asked() {
                assert!(body.starts_with('h'));
                match failure {
                    "hangs" => {}
                    "closes" => world.app_says(upstream, None),
                    status => {
                        let text = format!(
                            "HTTP/1.1 {status}\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n"
                        );
                        world.app_says(upstream, Some(&text));
                    }
                }
            }
            other.gets_through(&mut world);
            other.is_answered(&mut world);
            world.pass(200);
        }
    }
}

/// A page that fills its share sends on until nothing is read any more, and is gone.
#[test]
fn a_page_that_is_held_and_gone_keeps_nothing() {
    let app = real::App::start();
    let chloe = real::Chloe::start(&[&app.setting(), "webhook_queue_per_session_max=1"]);
    let status = |name: &str| {
        let answer = chloe.connect().get("/chloe/status");
        let value: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        value[name].as_u64().unwrap()
    };
    let before = (status("websockets"), status("sessions"));
    let stream = chloe.websocket().client.stream;
    stream.set_nonblocking(true).unwrap();
    let messages = frames((0..1_000).map(|number| format!("h{number}")));
    while (&stream).write(&messages).is_ok() {}
    let asked = app.next();
    assert_eq!(asked.body, "h0");
    assert_eq!(status("websockets"), before.0 + 1);
    // As when its process is killed: no Close, and no end in order.
    socket2::SockRef::from(&stream)
        .set_linger(Some(std::time::Duration::ZERO))
        .unwrap();
    drop(stream);
    let began = std::time::Instant::now();
    while (status("websockets"), status("sessions")) != before {
        let waited = began.elapsed();
        assert!(waited.as_secs() < 8, "the app has not answered: it stays");
    }
    drop(asked);
}

#[test]
fn over_real_sockets_too() {
    let app = real::App::start();
    let chloe = real::Chloe::start(&[&app.setting(), "webhook_connections=8"]);
    let say = |page: &mut real::WebSocket, body: &str| {
        page.text(&format!(
            r#"{{"type":"message","data":"{body}","version":1}}"#
        ));
    };
    let mut hostile: Vec<_> = (0..8).map(|_| chloe.websocket()).collect();
    for page in &mut hostile {
        for _ in 0..200 {
            say(page, "hangs");
        }
    }
    let mut bystander = chloe.websocket();
    let hanging: Vec<_> = (0..8).map(|_| app.next()).collect();
    assert!(hanging.iter().all(|asked| asked.body == "hangs"));
    bystander.text(r#"{"type":"channel-subscribe","channel":"c","id":1}"#);
    assert_eq!(bystander.json()["type"], "subscribed");
    for number in 0..3 {
        // The exchanges that hang leave their upstream connections, before they are tried again.
        bystander.text(&format!(
            r#"{{"type":"message","data":"o{number}","id":{number},"version":1}}"#
        ));
        let asked = app.next();
        assert_eq!(asked.body, format!("o{number}"));
        asked.ok(&app);
        assert_eq!(bystander.json()["type"], "accepted");
    }
    chloe.send("data=hello");
    assert_eq!(bystander.data(), "hello");
    drop(hanging);
}

/// Else one address has the app get another's repeated message twice.
#[test]
fn answers_to_one_address_push_out_no_other() {
    let mut world = world(&["acks_total_bytes=100000"]);
    let (key, session) = by_xhr(&mut world, OTHER, MODERN);
    let mine = message(&session, "mine", r#""id":1,"#);
    world.send(key, request(&mine).as_bytes());
    answer(&mut world, "mine", OK);
    assert!(world.heard(key).contains(r#""type":"accepted""#));
    for number in 0..200 {
        let (key, session) = by_xhr(&mut world, HOSTILE, MODERN);
        let body = format!("h{number}");
        let many = message(&session, &body, r#""id":1,"#);
        world.send(key, request(&many).as_bytes());
        let long = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1002\r\n\r\n\"{}\"",
            "x".repeat(1_000)
        );
        answer(&mut world, &body, &long);
        world.reset(key);
    }
    // Its answer was lost on the way: it is told again what became of the message.
    world.send(key, request(&mine).as_bytes());
    assert!(world.asked().is_empty(), "the app gets it twice");
    assert!(world.heard(key).contains(r#""type":"accepted""#));
}
