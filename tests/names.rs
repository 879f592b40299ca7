//! Names and JSON that two readers could understand in two ways: refused with the
//! place on every transport, and the bystander gets what is meant for him alone.

mod real;

use real::{Answer, Chloe, Client, escape, session_of, xhr_post};
use serde_json::Value;

/// Messages that are refused; `{}` stands for the keys that the transport needs.
const AMBIGUOUS: [(&str, &str); 6] = [
    (r#"{{},"channel":"a","channel":"b"}"#, "key_twice"),
    (r#"{{},"channel":"a\ud83d"}"#, "lone_surrogate"),
    (r#"{{},"channel":"a","x":1,"x":2}"#, "key_twice"),
    (r#"{{},"channel":"a","x":[{"b":1,"b":2}]}"#, "key_twice"),
    (r#"{{},"channel":"a","\ude00":1}"#, "lone_surrogate"),
    (r#"{{},"channel":"a","x":DEEP}"#, "too_deep"),
];

fn message(pattern: &str, keys: &str) -> String {
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    pattern.replacen("{}", keys, 1).replace("DEEP", &deep)
}

fn check(error: &Value, code: &str, text: &str) {
    assert_eq!(error["code"].as_str(), Some(code), "{text}: {error}");
    assert_eq!(error["id"].as_u64(), Some(7), "{text}: {error}");
    let said = error["message"].as_str().unwrap();
    assert!(said.contains("(line 1, column "), "{said}");
}

fn jsonp(client: &mut Client, json: &str) -> Answer {
    client.get(&format!("/chloe/jsonp.js?data={}ts=1", escape(json)))
}

/// The object in a script.
fn object(script: &str) -> Value {
    let (start, end) = (script.find('{').unwrap(), script.rfind('}').unwrap());
    serde_json::from_str(&script[start..=end]).unwrap()
}

#[test]
fn what_is_ambiguous_is_refused_with_its_place_on_each_transport() {
    let chloe = Chloe::start(&[]);
    let mut stream = chloe.websocket();
    let mut client = chloe.connect();
    let connect = r#"{"type":"connect","id":1,"version":1,"positions":{}}"#;
    let xhr = session_of(&xhr_post(&mut client, connect).text());
    let script = object(&jsonp(&mut client, connect).text());
    let script = script["sessionId"].as_str().unwrap();
    for kind in [
        "channel-subscribe",
        "channel-unsubscribe",
        "message",
        "connect",
    ] {
        for (pattern, code) in AMBIGUOUS {
            let keys = format!(r#""type":"{kind}","id":7,"version":1"#);
            let text = message(pattern, &keys);
            stream.text(&text);
            check(&stream.json(), code, &text);
            let keys = |session: &str| format!(r#"{keys},"sessionId":"{session}""#);
            let text = message(pattern, &keys(&xhr));
            let answer = xhr_post(&mut client, &text);
            assert_eq!(answer.status, 400, "{text}");
            check(&serde_json::from_slice(&answer.body).unwrap(), code, &text);
            let text = message(pattern, &keys(script));
            let answer = jsonp(&mut client, &text);
            check(&object(&answer.text()), code, &text);
        }
    }
}

#[test]
fn no_two_names_meet() {
    let chloe = Chloe::start(&[]);
    let mut bystander = chloe.websocket();
    // A name that a page may have: the character that stands for what is none.
    bystander.text("{\"type\":\"channel-subscribe\",\"id\":1,\"channel\":\"a\u{fffd}\"}");
    assert_eq!(bystander.json()["type"], "subscribed");
    let mut client = chloe.connect();
    let connect = r#"{"type":"connect","id":1,"version":1,"positions":{}}"#;
    let session = session_of(&xhr_post(&mut client, connect).text());
    // As escape() writes half of a pair, and as bytes that are not UTF-8.
    for name in ["a%uD83D", "a%uDE00", "a%uDE00%uD83D"] {
        let keys = format!(r#""type":"channel-subscribe","id":7,"sessionId":"{session}""#);
        let data = format!(
            "{},%22channel%22%3A%22{name}%22%7D",
            escape(&format!("{{{keys}"))
        );
        let answer = client.post("/chloe/xhr", &format!("data={data}"));
        check(
            &serde_json::from_slice(&answer.body).unwrap(),
            "lone_surrogate",
            &data,
        );
        let answer = client.get(&format!("/chloe/jsonp.js?data={data}ts=1"));
        check(&object(&answer.text()), "lone_surrogate", &data);
    }
    for form in [
        "channel=a%FF&data=x",
        "channel=a%FE&data=x",
        "channel=a%ED%A0%BD&data=x",
    ] {
        assert_eq!(client.post("/send", form).status, 400, "{form}");
    }
    for name in ["a%FF", "a%ED%A0%BD"] {
        assert_eq!(
            client.get(&format!("/channels/{name}")).status,
            400,
            "{name}"
        );
    }
    chloe.send("channel=a%EF%BF%BD&data=end");
    assert_eq!(bystander.data(), "end");
}

#[test]
fn what_is_said_may_hold_half_of_a_pair() {
    // Protocol A.29: it becomes U+FFFD, whatever transport brings it.
    let app = real::App::start();
    let chloe = Chloe::start(&[&app.setting()]);
    let mut page = chloe.websocket();
    page.text(r#"{"type":"message","data":"half \ud83d"}"#);
    let asked = app.next();
    assert_eq!(asked.body, "half \u{fffd}");
    asked.ok(&app);
    let mut client = chloe.connect();
    let session = session_of(&xhr_post(&mut client, r#"{"type":"connect","id":1}"#).text());
    let text = format!(r#"{{"type":"message","sessionId":"{session}","data":"half "#);
    let data = format!("{}%uD83D%22%7D", escape(&text));
    client.write(
        format!(
            "POST /chloe/xhr HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\ndata={data}",
            data.len() + 5
        )
        .as_bytes(),
    );
    let asked = app.next();
    assert_eq!(asked.body, "half \u{fffd}");
    asked.ok(&app);
    assert_eq!(client.read_answer().status, 200);
}
