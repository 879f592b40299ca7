//! Tests of the request decoder: each case whole, split at every byte, byte by
//! byte, and with a tail.

use super::error::HttpError;
use super::message::{HttpLimits, Method, Version};
use super::request::{Decoded, RequestDecoder, Waiting};

const LIMITS: HttpLimits = HttpLimits {
    head_bytes: 256,
    headers: 6,
    body_bytes: 32,
};

/// What a request was, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    method: Method,
    target: String,
    body: String,
    keep_alive: bool,
}

/// A connection: keeps what is unused, and counts the calls for `100 Continue`.
#[derive(Default)]
struct Connection {
    decoder: RequestDecoder,
    bytes: Vec<u8>,
    used: usize,
    seen: Vec<Seen>,
    continues: usize,
    waiting: Option<Waiting>,
}

impl Connection {
    fn receive(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        self.bytes.extend_from_slice(bytes);
        loop {
            let unused = &self.bytes[self.used..];
            match self.decoder.decode(unused, &LIMITS)? {
                Decoded::NeedMore {
                    state,
                    send_continue,
                } => {
                    self.continues += usize::from(send_continue);
                    self.waiting = Some(state);
                    return Ok(());
                }
                Decoded::Request { request, consumed } => {
                    self.seen.push(Seen {
                        method: request.method,
                        target: request.target.to_owned(),
                        body: String::from_utf8_lossy(&request.body).into_owned(),
                        keep_alive: request.keep_alive,
                    });
                    self.used += consumed;
                }
            }
        }
    }
}

/// The requests in `pieces`, and what is left over; or the first error.
fn receive(pieces: &[&[u8]]) -> Result<(Vec<Seen>, Vec<u8>), HttpError> {
    let mut connection = Connection::default();
    for piece in pieces {
        connection.receive(piece)?;
    }
    let left = connection.bytes.split_off(connection.used);
    Ok((connection.seen, left))
}

/// Checks that `input` gives `expected` and leaves `left`, however it is split.
fn check_splits(input: &[u8], expected: &Result<(Vec<Seen>, Vec<u8>), HttpError>) {
    let text = String::from_utf8_lossy(input);
    assert_eq!(&receive(&[input]), expected, "{text:?}");
    for split in 1..input.len() {
        let (one, other) = input.split_at(split);
        assert_eq!(&receive(&[one, other]), expected, "{text:?} at {split}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(&receive(&bytes), expected, "{text:?} byte by byte");
}

fn seen(method: Method, target: &str, body: &str) -> Seen {
    Seen {
        method,
        target: target.to_owned(),
        body: body.to_owned(),
        keep_alive: true,
    }
}

/// Checks that `input` is the requests in `expected`: alone, followed by the
/// start of another, and followed by a whole one.
fn good(input: &str, expected: &[Seen]) {
    let mut expected = expected.to_vec();
    check_splits(input.as_bytes(), &Ok((expected.clone(), Vec::new())));
    let with_tail = format!("{input}GET /ta");
    let left = b"GET /ta".to_vec();
    check_splits(with_tail.as_bytes(), &Ok((expected.clone(), left)));
    let with_next = format!("{input}GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    expected.push(seen(Method::Get, "/next", ""));
    check_splits(with_next.as_bytes(), &Ok((expected, Vec::new())));
}

/// Checks that `input` is refused with `error`, alone and with a tail.
pub(super) fn bad(input: &str, error: HttpError) {
    check_splits(input.as_bytes(), &Err(error));
    let with_tail = format!("{input}GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    check_splits(with_tail.as_bytes(), &Err(error));
}

/// A POST with `fields` after its Host, then `body`.
pub(super) fn post(fields: &str, body: &str) -> String {
    format!("POST /p HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{body}")
}

#[test]
fn requests_are_read() {
    good(
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        &[seen(Method::Get, "/", "")],
    );
    good(
        "GET / HTTP/1.1\r\nhOST:h\r\nA:\r\n\r\n",
        &[seen(Method::Get, "/", "")],
    );
    good(
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        &[seen(Method::Options, "*", "")],
    );
    good(
        "get / HTTP/1.1\r\nHost: h\r\n\r\n",
        &[seen(Method::Other, "/", "")],
    );
    good(
        "GET http://h:1/p HTTP/1.1\r\nHost: H:1\r\n\r\n",
        &[seen(Method::Get, "http://h:1/p", "")],
    );
    good(
        "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
        &[seen(Method::Get, "/", ""), seen(Method::Get, "/b", "")],
    );
}

#[test]
fn bodies_are_read_and_the_next_request_begins_behind_them() {
    let full = "x".repeat(32);
    let posted = |body: &str| [seen(Method::Post, "/p", body)];
    good(&post("Content-Length: 5", "hello"), &posted("hello"));
    good(&post("content-length:\t0 ", ""), &posted(""));
    good(&post("Content-Length: 32", &full), &posted(&full));
    good(
        &post("Content-Length: 18", "GET / HTTP/1.1\r\n\r\n"),
        &posted("GET / HTTP/1.1\r\n\r\n"),
    );
    good(
        &post("Transfer-Encoding: chunked", "0\r\n\r\n"),
        &posted(""),
    );
    good(
        &post("Transfer-Encoding: Chunked", "5\r\nhello\r\n0\r\n\r\n"),
        &posted("hello"),
    );
    good(
        &post(
            "Transfer-Encoding:chunked",
            "3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n",
        ),
        &posted("hello"),
    );
    let two =
        post("Content-Length: 1", "a") + &post("Transfer-Encoding: chunked", "1\r\nb\r\n0\r\n\r\n");
    good(
        &two,
        &[seen(Method::Post, "/p", "a"), seen(Method::Post, "/p", "b")],
    );
    good(
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
        &[seen(Method::Get, "/", "x")],
    );
}

#[test]
fn limits_are_kept() {
    bad(&post("Content-Length: 33", ""), HttpError::BodyTooLarge);
    bad(
        &post("Expect: 100-continue\r\nContent-Length: 33", ""),
        HttpError::BodyTooLarge,
    );
    bad(
        &post("Transfer-Encoding: chunked", "21\r\n"),
        HttpError::BodyTooLarge,
    );
    bad(&"x".repeat(256), HttpError::TargetTooLong);
    bad(
        &format!("GET /{} HTTP/1.1\r\n", "x".repeat(256)),
        HttpError::TargetTooLong,
    );
    bad(
        &post(&format!("A: {}", "x".repeat(256)), ""),
        HttpError::HeadTooLarge,
    );
    bad(
        &post("A:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:", ""),
        HttpError::TooManyFields,
    );
    good(
        &post("A:\r\nB:\r\nC:\r\nD:\r\nE:", ""),
        &[seen(Method::Post, "/p", "")],
    );
    let full = 256 - post("A: ", "").len();
    good(
        &post(&format!("A: {}", "x".repeat(full)), ""),
        &[seen(Method::Post, "/p", "")],
    );
    bad(
        &post(&format!("A: {}", "x".repeat(full + 1)), ""),
        HttpError::HeadTooLarge,
    );
}

#[test]
fn a_connection_goes_on_as_its_version_says() {
    for (version, field, expected) in [
        ("1.1", "A: b", true),
        ("1.1", "Connection: close", false),
        ("1.1", "Connection: x, CLOSE", false),
        ("1.1", "Connection: x\r\nConnection: close", false),
        ("1.1", "Connection: closer", true),
        ("1.0", "A: b", false),
        ("1.0", "Connection: Keep-Alive", true),
        ("1.0", "Connection: keep-alive, close", false),
    ] {
        let input = format!("GET / HTTP/{version}\r\nHost: h\r\n{field}\r\n\r\n");
        let (seen, _) = receive(&[input.as_bytes()]).unwrap();
        assert_eq!(seen[0].keep_alive, expected, "{input}");
    }
}

#[test]
fn http_1_0_needs_no_host_and_expects_nothing() {
    let input = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    let mut connection = Connection::default();
    connection.receive(input).unwrap();
    assert_eq!(connection.continues, 0);
    connection.receive(b"x").unwrap();
    assert_eq!(connection.seen[0].body, "x");
}

#[test]
fn continue_is_asked_for_once_and_only_while_the_body_is_missing() {
    let head = post("Expect: 100-Continue\r\nContent-Length: 2", "");
    let mut connection = Connection::default();
    for byte in head.as_bytes() {
        connection.receive(&[*byte]).unwrap();
    }
    assert_eq!(connection.continues, 1);
    connection.receive(b"h").unwrap();
    connection.receive(b"i").unwrap();
    assert_eq!((connection.continues, connection.seen.len()), (1, 1));
    // The next request of the connection asks for its own.
    connection.receive(head.as_bytes()).unwrap();
    assert_eq!(connection.continues, 2);

    let mut connection = Connection::default();
    connection.receive(format!("{head}hi").as_bytes()).unwrap();
    assert_eq!((connection.continues, connection.seen.len()), (0, 1));
}

#[test]
fn what_is_waited_for_is_told() {
    let mut connection = Connection::default();
    for (piece, expected) in [
        ("", Waiting::NothingYet),
        ("\r", Waiting::NothingYet),
        ("\n", Waiting::NothingYet),
        ("P", Waiting::Head),
        (
            "OST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r",
            Waiting::Head,
        ),
        ("\n", Waiting::Body),
        ("x", Waiting::NothingYet),
    ] {
        connection.receive(piece.as_bytes()).unwrap();
        assert_eq!(connection.waiting, Some(expected), "after {piece:?}");
    }
}

#[test]
fn a_request_tells_its_parts() {
    let input = b"GET http://h:1/a%20b?c=d?e HTTP/1.1\r\nHost: h:1\r\nX: 1\r\nx: 2\r\n\r\n";
    let mut decoder = RequestDecoder::default();
    let Decoded::Request { request, consumed } = decoder.decode(input, &LIMITS).unwrap() else {
        panic!("the request is whole");
    };
    assert_eq!(consumed, input.len());
    assert_eq!(request.version, Version::Http11);
    assert_eq!((request.path(), request.query()), ("/a%20b", Some("c=d?e")));
    assert_eq!(request.host(), Some("h:1"));
    assert_eq!(request.headers.get_all("X").collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn an_idle_decoder_is_small() {
    assert!(size_of::<RequestDecoder>() <= 40);
}

#[test]
fn a_refused_request_may_still_say_who_asks() {
    let of = |input: &[u8]| {
        let request = super::request::peek(input, &LIMITS)?;
        let origin = request.headers.get("origin").map(str::to_owned);
        Some((request.path().to_owned(), origin))
    };
    let fields = "Host: h\r\nOrigin: http://a\r\n";
    for line in [
        "Content-Length: 99999999",
        "Content-Length: x",
        "Expect: x",
        "Host: h",
    ] {
        let input = format!("\r\nPOST /p?q HTTP/1.1\r\n{fields}{line}\r\n\r\nbody");
        let mut decoder = RequestDecoder::default();
        assert!(decoder.decode(input.as_bytes(), &LIMITS).is_err(), "{line}");
        let asked = Some(("/p".to_owned(), Some("http://a".to_owned())));
        assert_eq!(of(input.as_bytes()), asked, "{line}");
    }
    for unreadable in [
        "",
        "\r",
        "GET / HTTP/1.1\r\nHost: h\r\n",
        "GET /\r\n\r\n",
        "\n\r\n\r\n",
    ] {
        assert_eq!(of(unreadable.as_bytes()), None, "{unreadable:?}");
    }
}

/// What comes of `input` in pieces when each body that is not whole with its head
/// may have `most` bytes.
fn receive_limited(pieces: &[&[u8]], most: usize) -> Result<(Vec<String>, Vec<u8>), HttpError> {
    let mut decoder = RequestDecoder::default();
    let (mut bytes, mut seen) = (Vec::new(), Vec::new());
    let mut is_limited = false;
    for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            let consumed = match decoder.decode(&bytes, &LIMITS)? {
                Decoded::NeedMore { state, .. } => {
                    let head = decoder.head(&bytes)?;
                    assert_eq!(head.is_some(), state == Waiting::Body);
                    if let Some(head) = head.filter(|_| !is_limited) {
                        assert_eq!((head.method, head.target), (Method::Post, "/p"));
                        assert_eq!(head.headers.get("Host"), Some("h"));
                        assert!(head.body.is_empty());
                        decoder.limit_body(most)?;
                        is_limited = true;
                    }
                    break;
                }
                Decoded::Request { request, consumed } => {
                    seen.push(String::from_utf8_lossy(&request.body).into_owned());
                    consumed
                }
            };
            bytes.drain(..consumed);
            is_limited = false;
        }
    }
    Ok((seen, bytes))
}

#[test]
fn a_head_is_seen_before_its_body_and_limits_it() {
    let known = post("Content-Length: 8", "12345678");
    let chunked = post(
        "Transfer-Encoding: chunked",
        "3\r\n123\r\n5\r\n45678\r\n0\r\n\r\n",
    );
    for input in [known, chunked] {
        let head_end = input.find("\r\n\r\n").unwrap() + 4;
        // The limit is of one body: the next is not held to it.
        let whole = post("Content-Length: 9", "123456789");
        for tail in ["", "GET /ta", &whole] {
            let text = format!("{input}{tail}");
            let mut expected = (vec!["12345678".to_owned()], tail.as_bytes().to_vec());
            if tail == whole {
                expected = (
                    vec!["12345678".to_owned(), "123456789".to_owned()],
                    Vec::new(),
                );
            }
            for split in 1..input.len() {
                let (one, other) = text.as_bytes().split_at(split);
                let got = receive_limited(&[one, other], 8);
                assert_eq!(got.as_ref(), Ok(&expected), "{text:?} at {split}");
                let got = receive_limited(&[one, other], 7);
                let is_refused = got == Err(HttpError::BodyTooLarge);
                assert_eq!(
                    is_refused,
                    split >= head_end,
                    "{text:?} at {split}: {got:?}"
                );
            }
            let got = receive_limited(&[text.as_bytes()], 7);
            assert_eq!(got, Ok(expected), "{text:?} whole");
        }
        let bytes: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
        assert_eq!(
            receive_limited(&bytes, 8).map(|(seen, _)| seen.len()),
            Ok(1)
        );
        assert_eq!(receive_limited(&bytes, 7), Err(HttpError::BodyTooLarge));
    }
}

#[test]
fn a_body_is_refused_by_its_announced_length_before_it_comes() {
    let mut decoder = RequestDecoder::default();
    let head = post("Content-Length: 20", "");
    assert_eq!(decoder.head(b""), Ok(None));
    assert_eq!(decoder.limit_body(1), Ok(()), "no body is waited for");
    decoder.decode(head.as_bytes(), &LIMITS).unwrap();
    assert_eq!(decoder.limit_body(20), Ok(()));
    assert_eq!(decoder.limit_body(19), Err(HttpError::BodyTooLarge));
    assert_eq!(
        decoder.head(b"POST"),
        Err(HttpError::RequestLine),
        "other bytes"
    );
}
