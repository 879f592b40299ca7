//! Whom a publication reaches: everyone only if it names no target at all.

mod real;

use real::{Answer, Chloe, Client};
use serde_json::Value;

const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

fn post(client: &mut Client, fields: &str, body: &str) -> Answer {
    let length = body.len();
    client.write(
        format!(
            "POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
        )
        .as_bytes(),
    );
    client.read_answer()
}

fn parsed(answer: &Answer) -> Value {
    assert_eq!(answer.field("Content-Type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

fn refused(answer: &Answer, status: u16, code: &str) -> String {
    let parsed = parsed(answer);
    assert_eq!(
        (answer.status, parsed["error"]["code"].as_str()),
        (status, Some(code)),
        "{parsed}"
    );
    assert_eq!(parsed["ok"], false);
    parsed["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn only_what_names_no_target_reaches_everyone() {
    let chloe = Chloe::start(&[]);
    let (mut app, mut page) = (chloe.connect(), chloe.websocket());
    let json = format!("{JSON}Accept: application/json\r\n");
    let form = format!("{FORM}Accept: application/json\r\n");
    for (fields, body, code, named) in [
        (&form, "data=x&channel=", "channel_name", "\"channel\""),
        (&form, "data=x&channel", "channel_name", "\"channel\""),
        (&form, "data=x&session=", "bad_value", "\"session\""),
        (&form, "data=x&chanel=room", "unknown_key", "\"chanel\""),
        (&form, "data=x&Channel=room", "unknown_key", "\"Channel\""),
        (&form, "data=x&channels=room", "unknown_key", "\"channels\""),
        (
            &form,
            "data=x&channel[]=room",
            "unknown_key",
            "\"channel[]\"",
        ),
        (&form, "data=x&sessionId=1", "unknown_key", "\"sessionId\""),
        (&form, "data=x&user=42", "unknown_key", "\"user\""),
        (&form, "data=x&channel=%FF", "bad_utf8", "\"channel\""),
        (&form, "data=x&data=y", "key_twice", "data"),
        (
            &json,
            r#"{"data":1,"channel":null}"#,
            "channel_name",
            "\"channel\"",
        ),
        (
            &json,
            r#"{"data":1,"channel":""}"#,
            "channel_name",
            "\"channel\"",
        ),
        (
            &json,
            r#"{"data":1,"channels":null}"#,
            "bad_value",
            "\"channels\"",
        ),
        (
            &json,
            r#"{"data":1,"channels":[]}"#,
            "bad_value",
            "\"channels\"",
        ),
        (
            &json,
            r#"{"data":1,"session":null}"#,
            "bad_value",
            "\"session\"",
        ),
        (
            &json,
            r#"{"data":1,"chanel":"room"}"#,
            "unknown_key",
            "\"chanel\"",
        ),
        (
            &json,
            r#"[{"data":1},{"data":1,"user":"42"}]"#,
            "unknown_key",
            "Number 2",
        ),
        (
            &json,
            r#"{"data":1,"data":2}"#,
            "key_twice",
            "(line 1, column 11)",
        ),
        (
            &json,
            r#"{"data":{"a":1,"a":2}}"#,
            "key_twice",
            "(line 1, column 16)",
        ),
        (
            &json,
            r#"{"data":1,"channel":"\ud83d"}"#,
            "lone_surrogate",
            "(line 1, column 22)",
        ),
    ] {
        let said = refused(&post(&mut app, fields, body), 400, code);
        assert!(said.contains(named), "{body}: {said}");
    }
    let deep = format!("{{\"data\":{}{}}}", "[".repeat(128), "]".repeat(128));
    refused(&post(&mut app, &json, &deep), 400, "too_deep");
    // Nothing in the address is read.
    let answer = app.post("/send?channel=room", "data=x");
    assert_eq!(answer.status, 400, "{}", answer.text());
    let keys = "Idempotency-Key: a\r\nIdempotency-Key: b\r\n";
    let two = post(&mut app, &format!("{json}{keys}"), r#"{"data":1}"#);
    refused(&two, 400, "bad_key");
    for (fields, body) in [(&form, "data=form"), (&json, r#"{"data":"json"}"#)] {
        assert_eq!(post(&mut app, fields, body).status, 200);
    }
    assert_eq!([page.data(), page.data()], ["form", "json"]);
}

#[test]
fn a_key_that_is_not_utf8_is_no_key() {
    let chloe = Chloe::start(&[]);
    let mut app = chloe.connect();
    // Both would read as U+FFFD, and the second be taken for the first.
    for byte in [0xfe, 0xff] {
        let mut request =
            b"POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nIdempotency-Key: ".to_vec();
        request.push(byte);
        request.extend_from_slice(b"\r\n\r\ndata=x");
        app.write(&request);
        assert_eq!(app.read_answer().status, 400);
    }
}
