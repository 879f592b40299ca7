//! What no good client sends, at the real socket: a clear error, a clean close,
//! and a bystander whose messages come in order all the same.

mod real;

use std::io::Write;

use chloe::wire::websocket::Opcode;
use real::{Chloe, Frame, WebSocket};

/// A page that goes on hearing while others misbehave.
struct Bystander {
    page: WebSocket,
    heard: u32,
}

impl Bystander {
    fn of(chloe: &Chloe) -> Bystander {
        let mut page = chloe.websocket();
        page.frame(Opcode::Ping, b"");
        assert_eq!(page.read(), Frame::Pong(Vec::new()));
        Bystander { page, heard: 0 }
    }

    fn hears(&mut self, chloe: &Chloe) {
        chloe.send(&format!("data={}", self.heard));
        assert_eq!(self.page.data(), self.heard.to_string());
        self.heard += 1;
    }
}

#[test]
fn a_request_that_could_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let chloe = Chloe::start(&[]);
    let mut bystander = Bystander::of(&chloe);
    let post = "POST /send HTTP/1.1\r\nHost: a\r\n";
    let cases: &[(&str, String)] = &[
        (
            "two lengths",
            format!("{post}Content-Length: 6\r\nContent-Length: 6\r\n\r\ndata=x"),
        ),
        (
            "other lengths",
            format!("{post}Content-Length: 6\r\nContent-Length: 7\r\n\r\ndata=xy"),
        ),
        (
            "a list of lengths",
            format!("{post}Content-Length: 6, 6\r\n\r\ndata=x"),
        ),
        (
            "a signed length",
            format!("{post}Content-Length: +6\r\n\r\ndata=x"),
        ),
        (
            "a negative length",
            format!("{post}Content-Length: -6\r\n\r\ndata=x"),
        ),
        (
            "a length in words",
            format!("{post}Content-Length: six\r\n\r\ndata=x"),
        ),
        (
            "length and chunks",
            format!("{post}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "chunked twice",
            format!(
                "{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
        ),
        (
            "chunked and more",
            format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ),
        (
            "blank before the colon",
            format!("{post}Content-Length : 6\r\n\r\ndata=x"),
        ),
        (
            "a folded line",
            format!("{post}X-A: a\r\n b\r\nContent-Length: 6\r\n\r\ndata=x"),
        ),
        (
            "a first line folded",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_owned(),
        ),
        ("bare LF", "GET / HTTP/1.1\nHost: a\n\n".to_owned()),
        (
            "bare LF in a field",
            format!("{post}X-A: a\nContent-Length: 6\r\n\r\ndata=x"),
        ),
        (
            "bare CR",
            format!("{post}X-A: a\rb\r\nContent-Length: 6\r\n\r\ndata=x"),
        ),
        (
            "NUL in a field",
            format!("{post}X-A: a\0b\r\nContent-Length: 6\r\n\r\ndata=x"),
        ),
        (
            "a chunk size in hex notation",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n0x6\r\ndata=x\r\n0\r\n\r\n"),
        ),
        (
            "an empty chunk size",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n\r\ndata=x\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size too large for any number",
            format!("{post}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"),
        ),
        (
            "a chunk without its end",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n6\r\ndata=xyz\r\n0\r\n\r\n"),
        ),
        (
            "a chunk line with bare LF",
            format!("{post}Transfer-Encoding: chunked\r\n\r\n6\ndata=x\r\n0\r\n\r\n"),
        ),
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (
            "two hosts",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        ),
        (
            "a blank in the target",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        ),
        ("no version", "GET /\r\nHost: a\r\n\r\n".to_owned()),
        ("TLS", "\u{16}\u{3}\u{1}\0\u{5}hello".to_owned()),
    ];
    for (name, request) in cases {
        let mut client = chloe.connect();
        // The server may close before all is written.
        let _ = client.stream.write_all(request.as_bytes());
        let _ = client
            .stream
            .write_all(b"GET /chloe/ping HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = String::from_utf8(client.read_to_end()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{name}: {answer}");
        assert!(answer.contains("Connection: close"), "{name}: {answer}");
        assert_eq!(
            answer.matches("\r\nDate: ").count(),
            1,
            "{name}: nothing behind it is read: {answer}"
        );
        assert!(
            answer.lines().last().is_some_and(|line| line.len() > 10),
            "{name}: a sentence: {answer}"
        );
        bystander.hears(&chloe);
    }
}

#[test]
fn what_is_too_much_is_refused_with_its_own_status() {
    let chloe = Chloe::start(&[
        "head_bytes_max=2048",
        "body_bytes_max=2048",
        "headers_max=16",
    ]);
    let mut bystander = Bystander::of(&chloe);
    let long = "x".repeat(4_096);
    let many = "X-A: a\r\n".repeat(40);
    let cases = [
        (
            413,
            "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n".to_owned(),
        ),
        (
            413,
            format!(
                "POST /send HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n{long}\r\n0\r\n\r\n"
            ),
        ),
        (
            431,
            format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n"),
        ),
        (431, format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")),
        (414, format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned()),
        (
            501,
            "POST /send HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(),
        ),
        (
            417,
            "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nExpect: miracles\r\n\r\n"
                .to_owned(),
        ),
    ];
    for (status, request) in cases {
        let mut client = chloe.connect();
        let _ = client.stream.write_all(request.as_bytes());
        let answer = client.read_answer();
        assert_eq!(answer.status, status, "{:?}", request.get(..60));
        assert!(answer.text().len() > 10, "a sentence");
        bystander.hears(&chloe);
    }
}

#[test]
fn who_takes_too_long_is_cut_while_others_are_served() {
    let chloe = Chloe::start(&[
        "head_timeout_ms=300",
        "body_timeout_ms=300",
        "idle_timeout_ms=300",
    ]);
    let mut bystander = Bystander::of(&chloe);
    for (begun, answered) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nX-", true),
        (
            "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\ndata",
            true,
        ),
        ("", false),
    ] {
        let mut client = chloe.connect();
        client.write(begun.as_bytes());
        bystander.hears(&chloe);
        let answer = String::from_utf8(client.read_to_end()).unwrap();
        assert_eq!(
            answer.starts_with("HTTP/1.1 408 "),
            answered,
            "{begun}: {answer}"
        );
        bystander.hears(&chloe);
    }
}

#[test]
fn trickling_a_head_does_not_buy_time() {
    let chloe = Chloe::start(&["head_timeout_ms=500"]);
    let mut client = chloe.connect();
    let begun = std::time::Instant::now();
    client
        .stream
        .set_read_timeout(Some(std::time::Duration::from_millis(20)))
        .unwrap();
    client.write(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    let mut byte = [0; 64];
    let mut answer = Vec::new();
    loop {
        // Each wait for an answer that does not come is what spaces the bytes.
        match std::io::Read::read(&mut client.stream, &mut byte) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&byte[..count]),
            Err(_) if answer.is_empty() => {
                let _ = client.stream.write_all(b"x");
            }
            Err(_) => {}
        }
        assert!(begun.elapsed().as_secs() < 10, "it is never cut");
    }
    assert!(answer.starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn frames_against_the_rules_are_closed_with_the_code_of_the_rule() {
    let chloe = Chloe::start(&["message_bytes_max=1000"]);
    let mut bystander = Bystander::of(&chloe);
    let masked = |head: &[u8], payload: &[u8]| {
        let mut frame = head.to_vec();
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        frame
    };
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("not masked", vec![0x81, 0x02, b'h', b'i'], 1002),
        ("a reserved bit", masked(&[0xc1, 0x82], b"hi"), 1002),
        ("a reserved opcode", masked(&[0x83, 0x82], b"hi"), 1002),
        ("a ping in fragments", masked(&[0x09, 0x82], b"hi"), 1002),
        (
            "a continuation of nothing",
            masked(&[0x80, 0x82], b"hi"),
            1002,
        ),
        ("no UTF-8", masked(&[0x81, 0x82], &[0xc0, 0xaf]), 1007),
        ("too long", masked(&[0x81, 0xfe, 0x04, 0x00], b""), 1009),
        (
            "a length of 2^63",
            masked(&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], b""),
            1002,
        ),
        (
            "a close code that none may send",
            masked(&[0x88, 0x82], &[0x03, 0xed]),
            1002,
        ),
        ("half a close code", masked(&[0x88, 0x81], &[0x03]), 1002),
    ];
    for (name, frame, code) in cases {
        let mut page = chloe.websocket();
        page.client.write(&frame);
        assert_eq!(page.read(), Frame::Close(Some(code)), "{name}");
        assert_eq!(page.read(), Frame::End, "{name}");
        bystander.hears(&chloe);
    }
}

#[test]
fn a_handshake_that_is_none_is_refused_with_a_sentence() {
    let chloe = Chloe::start(&[]);
    let good = "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (method, fields, status) in [
        ("GET", good.replace("Version: 13", "Version: 8"), 426),
        ("GET", good.replace("Upgrade: websocket\r\n", ""), 426),
        (
            "GET",
            good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"),
            400,
        ),
        (
            "GET",
            good.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            400,
        ),
        (
            "POST",
            good.replace("Host: a", "Host: a\r\nContent-Length: 0"),
            405,
        ),
    ] {
        let mut client = chloe.connect();
        client.write(format!("{method} /chloe/websocket HTTP/1.1\r\n{fields}\r\n").as_bytes());
        let answer = client.read_answer();
        assert_eq!(answer.status, status, "{fields}");
        assert!(answer.text().len() > 10);
        if status == 426 {
            assert_eq!(answer.field("Sec-WebSocket-Version"), Some("13"));
        }
    }
}

#[test]
fn requests_in_one_piece_are_answered_in_order() {
    let chloe = Chloe::start(&[]);
    let mut client = chloe.connect();
    let mut requests = String::new();
    for number in 0..200 {
        let body = format!("data={number}");
        requests += &format!(
            "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        requests += &format!("GET /none/{number} HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let mut page = chloe.websocket();
    client.write(requests.as_bytes());
    for number in 0..200 {
        assert_eq!(client.read_answer().text(), "success", "{number}");
        assert_eq!(client.read_answer().status, 404, "{number}");
        assert_eq!(page.data(), number.to_string());
    }
}

#[test]
fn who_ends_its_side_still_gets_all_of_its_answers() {
    let chloe = Chloe::start(&[]);
    let mut client = chloe.connect();
    client.write(&b"GET /chloe/ping HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50));
    client.write(b"GET /half");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answers = String::from_utf8(client.read_to_end()).unwrap();
    assert_eq!(answers.matches("\r\n\r\npong").count(), 50);
    assert_eq!(
        answers.matches("\r\nDate: ").count(),
        50,
        "half a request gets none"
    );
}
