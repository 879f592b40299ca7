//! Who may connect and who may publish, at the real socket.

mod real;

use real::{Chloe, escape};

#[test]
fn pages_of_other_origins_may_not_connect() {
    let chloe = Chloe::start(&["application_server=http://app.example"]);
    let ask = |path: &str, more: &str| {
        let mut client = chloe.connect();
        client
            .write(format!("GET {path} HTTP/1.1\r\nHost: chloe.example\r\n{more}\r\n").as_bytes());
        client.read_answer()
    };
    let handshake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (origin, websocket, xhr) in [
        ("", 101, 200),
        ("Origin: http://app.example\r\n", 101, 200),
        ("Origin: http://chloe.example\r\n", 101, 200),
        ("Origin: http://evil.example\r\n", 403, 403),
        ("Origin: null\r\n", 403, 403),
    ] {
        assert_eq!(
            ask("/chloe/websocket", &format!("{handshake}{origin}")).status,
            websocket,
            "{origin}"
        );
        let connect = format!(
            "/chloe/xhr?data={}",
            escape(r#"{"type":"connect","version":1}"#)
        );
        assert_eq!(ask(&connect, origin).status, xhr, "{origin}");
    }
}

#[test]
fn who_may_publish_without_a_secret_and_with_one() {
    let open = Chloe::start(&[]);
    let ask = |chloe: &Chloe, body: &str, more: &str| {
        let mut client = chloe.connect();
        let length = body.len();
        client.write(format!("POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{more}\r\n{body}").as_bytes());
        let answer = client.read_answer();
        (answer.status, answer.text())
    };
    assert_eq!(ask(&open, "data=", ""), (200, "success".to_owned()));
    for closed in [
        "X-Forwarded-For: 1.2.3.4\r\n",
        "Forwarded: for=1.2.3.4\r\n",
        "Origin: http://evil.example\r\n",
    ] {
        let (status, sentence) = ask(&open, "data=x", closed);
        assert_eq!(status, 403);
        assert!(sentence.contains("secret"), "{sentence}");
    }
    assert_eq!(ask(&open, "channel=x", "").0, 400);
    assert_eq!(ask(&open, "data=x", "Content-Type: text/xml\r\n").0, 415);
    assert_eq!(ask(&open, "data=x&session=1", "").0, 404);
    let closed = Chloe::start(&["secret=trotter-secret", "allow_md5=true"]);
    let refused = (401, "unauthenticated".to_owned());
    assert_eq!(ask(&closed, "data=hi", ""), refused);
    assert_eq!(
        ask(&closed, "data=hi&sig=49f68a5c8493ec2c0bf489821c21fc3b", ""),
        refused
    );
    let wrong = "5b4df2ad5c1ba4b5a5ba5b1f9a2ff2a9";
    assert_eq!(ask(&closed, &format!("data=hi&sig={wrong}"), ""), refused);
    assert_eq!(
        ask(
            &closed,
            "data=hi",
            "Authorization: Bearer trotter-secret\r\n"
        )
        .0,
        200
    );
    let secret = chloe::wire::signature::Secret::new("trotter-secret").unwrap();
    let signed = format!(
        "data=1%2B1+%C3%BC&sig={}",
        secret.md5_hex("1+1 ü".as_bytes())
    );
    assert_eq!(
        ask(&closed, &signed, "X-Forwarded-For: 1.2.3.4\r\n"),
        (200, "success".to_owned())
    );
}
