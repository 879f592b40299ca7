//! The two directions of signatures over real sockets: what opens the app's side,
//! and that nothing does which Chloe has signed, whatever a browser says.

mod real;

use std::time::SystemTime;

use chloe::wire::signature::{Covered, Direction, Secret};
use real::{Answer, App, Asked, Chloe};

const SECRET: &str = "trotter";

/// One request; `fields` are whole lines.
fn ask(chloe: &Chloe, line: &str, fields: &str, body: &str) -> Answer {
    let mut client = chloe.connect();
    let length = body.len();
    client.write(
        format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
        )
        .as_bytes(),
    );
    client.read_answer()
}

fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// The three headers.
fn fields(id: &str, at: &str, signature: &str) -> String {
    format!("webhook-id: {id}\r\nwebhook-timestamp: {at}\r\nwebhook-signature: {signature}\r\n")
}

/// What the app gets when a browser says `text`.
fn captured(chloe: &Chloe, app: &App, text: &str) -> Asked {
    let mut page = chloe.websocket();
    let text = serde_json::Value::from(text);
    page.text(&format!(r#"{{"type":"message","data":{text}}}"#));
    let asked = app.next();
    let copy = Asked {
        head: asked.head.clone(),
        body: asked.body.clone(),
        stream: asked.stream.try_clone().unwrap(),
    };
    asked.ok(app);
    copy
}

#[test]
fn what_a_browser_has_signed_by_chloe_opens_nothing() {
    let app = App::start();
    for md5 in ["allow_md5=false", "allow_md5=true"] {
        let chloe = Chloe::start(&[&app.setting(), "secret=trotter", md5]);
        let mut bystander = chloe.websocket();
        for said in [
            "data=stolen&channel=room",
            r#"{"data":"stolen"}"#,
            "data=stolen",
            "",
        ] {
            let asked = captured(&chloe, &app, said);
            let field = |name| asked.field(name).unwrap().to_owned();
            let (id, at) = (field("webhook-id"), field("webhook-timestamp"));
            assert!(id.starts_with("chloe_msg_"), "{id}");
            let whole = field("webhook-signature");
            let session = format!("X-Chloe-Session: {}\r\n", field("X-Chloe-Session"));
            let parts: Vec<&str> = whole.split(' ').collect();
            let other = "msg_00000000000000000000000000000001";
            for signature in [&whole, parts[0], parts[1]] {
                for id in [&*id, &id[6..], other, ""] {
                    let mut fields = fields(id, &at, signature);
                    fields += &session;
                    for (line, kind) in [
                        ("POST /send", "application/x-www-form-urlencoded"),
                        ("POST /send", "application/json"),
                        ("GET /chloe/status", "text/plain"),
                        ("GET /channels/room", "text/plain"),
                    ] {
                        let fields = format!("{fields}Content-Type: {kind}\r\n");
                        let answer = ask(&chloe, line, &fields, said);
                        assert_eq!(answer.status, 401, "{line} {fields}");
                    }
                }
            }
        }
        // An id of Chloe's own is refused whatever else proves who sent it.
        let own = "Authorization: Bearer trotter\r\nwebhook-id: chloe_event_1\r\n";
        let answer = ask(&chloe, "POST /send", own, "data=stolen");
        assert_eq!(answer.status, 401);
        assert!(answer.text().contains("chloe_"), "{}", answer.text());
        let bearer = "Authorization: Bearer trotter\r\n";
        // Where it answers a message, its id is a good key for what is published.
        let key = format!("{bearer}Idempotency-Key: chloe_msg_1\r\n");
        assert_eq!(ask(&chloe, "POST /send", &key, "data=end").status, 200);
        assert_eq!(bystander.data(), "end", "nothing was published before");
    }
}

#[test]
fn md5_signs_what_goes_to_the_app_only_where_it_is_on() {
    let app = App::start();
    for (settings, expected) in [
        (&["secret=trotter"][..], None),
        (
            &["secret=trotter", "allow_md5=true"],
            Some("d64b83e0575bcaac782ba21faf087d60"),
        ),
        (&[], Some("")),
    ] {
        let mut settings = settings.to_vec();
        let setting = app.setting();
        settings.push(&setting);
        let chloe = Chloe::start(&settings);
        let asked = captured(&chloe, &app, "hello");
        assert_eq!(asked.field("x-chloe-signature"), expected, "{settings:?}");
    }
}

#[test]
fn a_message_cannot_be_passed_off_as_another_sessions() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting(), "secret=trotter"]);
    let asked = captured(&chloe, &app, "hello");
    let field = |name| asked.field(name).unwrap().to_owned();
    let chloe1 = |session: &str| {
        let covered = Covered {
            method: "POST",
            target: asked.head.split(' ').nth(1).unwrap(),
            session,
            ..Covered::default()
        };
        let at_s = field("webhook-timestamp").parse().unwrap();
        let secret = Secret::new(SECRET).unwrap();
        let id = field("webhook-id");
        secret.sign_chloe1(Direction::ToApp, &id, at_s, &covered, b"hello")
    };
    let all = field("webhook-signature");
    let all: Vec<&str> = all.split(' ').collect();
    assert_eq!(all.len(), 2, "libraries skip the one that they do not know");
    assert!(all[0].starts_with("v1,"));
    assert_eq!(all[1], chloe1(&field("X-Chloe-Session")));
    assert_ne!(all[1], chloe1("00000000000000000000000000000001"));
    assert_ne!(all[1], chloe1(""));
}

#[test]
fn each_endpoint_takes_the_signatures_that_cover_it() {
    let chloe = Chloe::start(&["secret=trotter"]);
    let secret = Secret::new(SECRET).unwrap();
    let now_s = now_s();
    let endpoints = [
        ("POST", "/send", "data=x"),
        ("GET", "/chloe/status", ""),
        ("GET", "/channels/a%20b?x=1", ""),
        ("HEAD", "/channels/a%20b", ""),
    ];
    for (number, (method, target, body)) in endpoints.into_iter().enumerate() {
        let line = format!("{method} {target}");
        let status = |fields: &str| {
            let mut client = chloe.connect();
            let length = body.len();
            client.write(
                format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{fields}Connection: close\r\n\r\n{body}").as_bytes(),
            );
            String::from_utf8_lossy(&client.read_to_end()[9..12]).into_owned()
        };
        let id = format!("app_{number}");
        let covered = Covered {
            method,
            target,
            ..Covered::default()
        };
        let v1 = secret.sign_v1(&id, now_s, body.as_bytes());
        let to = |direction, covered: &Covered<'_>| {
            secret.sign_chloe1(direction, &id, now_s, covered, body.as_bytes())
        };
        let chloe1 = to(Direction::ToChloe, &covered);
        let at = now_s.to_string();
        let signed = |signature: &str| status(&fields(&id, &at, signature));
        assert_eq!(signed(&chloe1), "200", "{line}");
        assert_eq!(signed(&format!("{v1} {chloe1}")), "200", "{line}");
        let v1_is_enough = line == "POST /send";
        let v1_alone = if v1_is_enough { "200" } else { "401" };
        assert_eq!(signed(&v1), v1_alone, "{line}");
        for forged in [
            to(Direction::ToApp, &covered),
            to(
                Direction::ToChloe,
                &Covered {
                    method: "PUT",
                    ..covered
                },
            ),
            to(
                Direction::ToChloe,
                &Covered {
                    target: "/",
                    ..covered
                },
            ),
            to(
                Direction::ToChloe,
                &Covered {
                    session: "a",
                    ..covered
                },
            ),
            chloe1.replace("chloe1,", "chloe2,"),
        ] {
            assert_eq!(signed(&forged), "401", "{line}");
        }
        // A header that is covered cannot be added on the way.
        for name in ["X-Chloe-Session", "X-Chloe-User", "X-Chloe-Channel"] {
            let more = format!("{}{name}: a\r\n", fields(&id, &at, &chloe1));
            assert_eq!(status(&more), "401", "{line} {name}");
        }
        let late = (now_s - 400).to_string();
        assert_eq!(status(&fields(&id, &late, &chloe1)), "401", "{line}");
        assert_eq!(status("Authorization: Bearer trotter\r\n"), "200", "{line}");
        assert_eq!(status("Authorization: Bearer trotte\r\n"), "401", "{line}");
        assert_eq!(status(""), "401", "{line}");
    }
}

#[test]
fn a_refusal_says_what_to_sign_with() {
    let chloe = Chloe::start(&["secret=trotter"]);
    let secret = Secret::new(SECRET).unwrap();
    let at_s = now_s();
    let v1 = fields("a", &at_s.to_string(), &secret.sign_v1("a", at_s, b""));
    for (line, fields, body, said) in [
        ("GET /chloe/status", &*v1, "", "chloe1"),
        ("POST /send", "", "data=x&sig=0", "allow_md5 = true"),
        ("GET /chloe/status", "", "", "chloe1"),
        ("POST /send", "", "data=x", "unauthenticated"),
    ] {
        let answer = ask(&chloe, line, fields, body);
        assert_eq!(answer.status, 401, "{line}");
        assert!(answer.text().contains(said), "{line}: {}", answer.text());
        assert!(!answer.text().contains(SECRET), "{}", answer.text());
        assert_eq!(answer.field("WWW-Authenticate"), Some("Bearer"));
    }
}
