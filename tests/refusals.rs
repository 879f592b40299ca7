//! What a browser is refused over real sockets, and that the refusal finds its message.

mod real;

use real::{Chloe, Client, escape};

fn script(client: &mut Client, fields: &str, json: &str) -> real::Answer {
    let target = format!("/chloe/jsonp.js?data={}", escape(json));
    client.write(
        format!("GET {target} HTTP/1.1\r\nHost: chloe.example:8901\r\n{fields}\r\n").as_bytes(),
    );
    client.read_answer()
}

#[test]
fn a_refusal_bears_the_id_of_its_message_on_every_transport() {
    let chloe = Chloe::start(&[]);
    let mut page = chloe.websocket();
    let mut client = chloe.connect();
    for (bad, code, id) in [
        (
            r#"{"type":"message","data":7,"id":"a"}"#,
            "data_not_a_string",
            "\"a\"",
        ),
        (r#"{"type":"message","id":8}"#, "no_data", "8"),
        (r#"{"type":"channel-subscribe","id":9}"#, "no_channel", "9"),
        (r#"{"id":10,"type":"#, "bad_json", "10"),
        (
            r#"{"type":"channel-subscribe","channel":"a","since":"b","id":11}"#,
            "bad_position",
            "11",
        ),
    ] {
        page.text(bad);
        let by_socket = page.json();
        let answer = client.post("/chloe/xhr", &format!("data={}", escape(bad)));
        assert_eq!(answer.status, 400, "{bad}");
        let by_xhr: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!(by_socket["code"], code, "{bad}");
        assert_eq!(by_socket["id"].to_string(), id, "{bad}");
        assert_eq!(by_xhr, by_socket, "{bad}");
        let by_script = script(&mut client, "", bad);
        assert_eq!(by_script.status, 200);
        let json = serde_json::to_string(&by_socket["message"]).unwrap();
        let text = by_script.text();
        assert!(text.starts_with("Chloe.JsonpTransport.response("), "{text}");
        assert!(text.contains(&json), "{text}");
    }
    let unread = client.post("/chloe/xhr", "data=%5B%5D");
    assert_eq!(
        (unread.status, unread.text().contains("\"id\"")),
        (400, false)
    );
}

#[test]
fn a_script_tag_of_a_foreign_page_is_refused() {
    let chloe = Chloe::start(&["application_server=http://app.example"]);
    let mut client = chloe.connect();
    let connect = r#"{"type":"connect","version":1,"id":7}"#;
    for fields in [
        "",
        "Referer: http://app.example/page\r\n",
        "Referer: http://chloe.example:8901/\r\n",
        "Referer: http://other.example/\r\nSec-Fetch-Site: same-origin\r\n",
    ] {
        let text = script(&mut client, fields, connect).text();
        assert!(text.contains("\"sessionId\""), "{fields}: {text}");
    }
    for fields in [
        "Referer: http://evil.example/http://app.example/\r\n",
        "Referer: http://evil.example/\r\nSec-Fetch-Site: cross-site\r\n",
        "Origin: http://evil.example\r\n",
    ] {
        let answer = script(&mut client, fields, connect);
        assert_eq!(answer.status, 200, "an error would make an old page storm");
        let text = answer.text();
        assert!(text.contains("forbidden_origin"), "{fields}: {text}");
        assert!(text.contains("\"id\":7"), "{fields}: {text}");
    }
}

#[test]
fn a_page_may_read_why_what_it_sent_is_no_request() {
    let chloe = Chloe::start(&[
        "application_server=http://app.example",
        "allowed_origins=http://other.example",
        "body_timeout_ms=200",
    ]);
    for (target, fields, origin, status, readable) in [
        (
            "/chloe/xhr",
            "Content-Length: 9999999",
            "http://app.example",
            413,
            Some("http://app.example"),
        ),
        (
            "/chloe/xhr/7",
            "Content-Length: 9999999",
            "http://other.example",
            413,
            Some("http://other.example"),
        ),
        (
            "/chloe/xhr",
            "Content-Length: +1",
            "http://other.example",
            400,
            Some("http://other.example"),
        ),
        (
            "/chloe/xhr",
            "Content-Length: 4",
            "http://other.example",
            408,
            Some("http://other.example"),
        ),
        // It is told whose pages may read it, and that is not this one.
        (
            "/chloe/xhr",
            "Content-Length: +1",
            "http://evil.example",
            400,
            Some("http://app.example"),
        ),
        (
            "/send",
            "Content-Length: 9999999",
            "http://app.example",
            413,
            None,
        ),
        (
            "/chloe/jsonp.js",
            "Content-Length: +1",
            "http://app.example",
            400,
            None,
        ),
    ] {
        let mut client = chloe.connect();
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\n{fields}\r\n\r\n");
        client.write(head.as_bytes());
        let answer = client.read_answer();
        assert_eq!(answer.status, status, "{target} {fields}");
        assert_eq!(
            answer.field("Access-Control-Allow-Origin"),
            readable,
            "{target} {origin}"
        );
    }
}
