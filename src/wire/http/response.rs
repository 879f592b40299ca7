//! Responses: values in, bytes out.
//!
//! Writes what RFC 9112 wants around a body: Date, Content-Length or chunks,
//! Connection. What to answer is decided elsewhere. Called by the server.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::date::encode_date;
use super::message::Version;

/// The interim answer that lets a client send the body it has announced.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What the request and the clock say about how a response is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// The version of the request.
    pub version: Version,
    /// Whether the connection stays open for another request.
    pub keep_alive: bool,
    /// The request was a HEAD: the head is written as for a GET, the body is not.
    pub head_only: bool,
    /// For the Date, in milliseconds since 1970-01-01 UTC.
    pub date_unix_ms: u64,
}

/// A response being put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    pub status: u16,
    pub headers: SmallVec<[(&'a str, Cow<'a, str>); 6]>,
    pub body: Cow<'a, [u8]>,
}

impl<'a> Response<'a> {
    /// A response without fields and body.
    pub fn new(status: u16) -> Response<'a> {
        Response {
            status,
            headers: SmallVec::new(),
            body: Cow::Borrowed(&[]),
        }
    }

    /// Adds a field. Control characters in `value` (a CR LF that would begin
    /// another field) are written as blanks; `name` is the program's own.
    /// Date, Content-Length, Transfer-Encoding and Connection are not to be
    /// given here, but for the `Connection: Upgrade` of a 101 or 426.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: impl Into<Cow<'a, str>>) -> Response<'a> {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds the Content-Type.
    #[must_use]
    pub fn content_type(self, value: &'a str) -> Response<'a> {
        self.header("Content-Type", value)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Cow<'a, [u8]>>) -> Response<'a> {
        self.body = bytes.into();
        self
    }

    /// Appends the whole response to `out`.
    pub fn encode(&self, out: &mut Vec<u8>, framing: &Framing) {
        /// Room for a usual head, so that a fresh vector grows once.
        const HEAD_BYTES: usize = 256;
        out.reserve(HEAD_BYTES + self.body.len());
        self.encode_head_with_length(out, framing, self.body.len() as u64);
        if !framing.head_only && has_body(self.status) {
            out.extend_from_slice(&self.body);
        }
    }

    /// Appends the head of a response whose body of `length` bytes the caller
    /// sends by itself (and leaves out when the request was a HEAD).
    pub fn encode_head_with_length(&self, out: &mut Vec<u8>, framing: &Framing, length: u64) {
        self.encode_head_start(out, framing);
        // RFC 9110, 8.6: no Content-Length with 1xx and 204; with 304 only the
        // length that the 200 would have had, which is not known here.
        if has_body(self.status) {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the head of a response whose body comes in pieces of unknown
    /// number. True: write each with [`encode_chunk`], then [`encode_last_chunk`].
    /// False, as HTTP/1.0 knows no chunks: write them bare and close the
    /// connection at the end. (To a HEAD, nothing follows in either case.)
    pub fn encode_chunked_head(&self, out: &mut Vec<u8>, framing: &Framing) -> bool {
        let is_chunked = framing.version == Version::Http11;
        let framing = Framing {
            keep_alive: framing.keep_alive && is_chunked,
            ..*framing
        };
        self.encode_head_start(out, &framing);
        if is_chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        out.extend_from_slice(b"\r\n");
        is_chunked
    }

    /// Status line, Date, the fields and Connection.
    fn encode_head_start(&self, out: &mut Vec<u8>, framing: &Framing) {
        encode_status_line(out, self.status);
        let is_interim = self.status < 200;
        if !is_interim {
            out.extend_from_slice(b"Date: ");
            encode_date(out, framing.date_unix_ms);
            out.extend_from_slice(b"\r\n");
        }
        for (name, value) in &self.headers {
            encode_field(out, name, value);
        }
        // RFC 9112, 9.6: who will close says so; 9.3: HTTP/1.0 is told of the contrary.
        match (framing.version, framing.keep_alive) {
            _ if is_interim => {}
            (Version::Http11, true) => {}
            (Version::Http10, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (_, false) => out.extend_from_slice(b"Connection: close\r\n"),
        }
    }
}

/// Whether a response of this status can have a body (RFC 9110, 6.4.1).
fn has_body(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 304)
}

/// Appends one chunk. Nothing, for no bytes: an empty chunk would end the body.
pub fn encode_chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let mut digits = [0; 16];
    let mut start = digits.len();
    let mut rest = bytes.len();
    while rest > 0 {
        start -= 1;
        digits[start] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    out.extend_from_slice(&digits[start..]);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends what ends a chunked body.
pub fn encode_last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

/// The server speaks HTTP/1.1 to all, also to HTTP/1.0 (RFC 9110, 2.5).
fn encode_status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends `name: value`, control characters in the value as blanks.
pub(super) fn encode_field(out: &mut Vec<u8>, name: &str, value: &str) {
    debug_assert!(super::head::is_token(name.as_bytes()), "names are tokens");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let start = out.len();
    out.extend_from_slice(value.as_bytes());
    // Looked at without a branch first: there is hardly ever one.
    let is_control = |byte: u8| (byte < b' ') | (byte == 0x7f);
    let any = value
        .bytes()
        .fold(false, |any, byte| any | is_control(byte));
    if any {
        for byte in &mut out[start..] {
            if is_control(*byte) {
                *byte = b' ';
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The phrase that goes with a status; empty for one that Chloe does not send.
fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMING: Framing = Framing {
        version: Version::Http11,
        keep_alive: true,
        head_only: false,
        date_unix_ms: 784_111_777_000,
    };
    const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

    fn encoded(response: &Response<'_>, framing: Framing) -> String {
        let mut out = Vec::new();
        response.encode(&mut out, &framing);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_response_is_written_whole() {
        let response = Response::new(200).content_type("text/plain").body(b"hi");
        let expected = format!(
            "HTTP/1.1 200 OK\r\n{DATE}Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
        );
        assert_eq!(encoded(&response, FRAMING), expected);
    }

    #[test]
    fn the_peer_is_told_whether_the_connection_goes_on() {
        let response = Response::new(404);
        let written = |version, keep_alive| {
            let framing = Framing {
                version,
                keep_alive,
                ..FRAMING
            };
            encoded(&response, framing)
        };
        assert!(!written(Version::Http11, true).contains("Connection"));
        assert!(written(Version::Http11, false).contains("\r\nConnection: close\r\n"));
        assert!(written(Version::Http10, true).contains("\r\nConnection: keep-alive\r\n"));
        assert!(written(Version::Http10, false).contains("\r\nConnection: close\r\n"));
    }

    #[test]
    fn a_head_has_the_length_of_the_body_that_is_left_out() {
        let framing = Framing {
            head_only: true,
            ..FRAMING
        };
        let written = encoded(&Response::new(200).body(b"hello"), framing);
        assert!(written.ends_with("Content-Length: 5\r\n\r\n"), "{written}");
    }

    #[test]
    fn statuses_without_a_body_have_no_length_either() {
        for status in [101, 204, 304] {
            let response = Response::new(status).header("X", "y").body(b"hello");
            let written = encoded(&response, FRAMING);
            assert!(!written.contains("Content-Length"), "{written}");
            assert!(written.ends_with("X: y\r\n\r\n"), "{written}");
        }
        let switching = Response::new(101).header("Connection", "Upgrade");
        let framing = Framing {
            keep_alive: false,
            ..FRAMING
        };
        assert_eq!(
            encoded(&switching, framing),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"
        );
    }

    #[test]
    fn a_value_cannot_begin_another_field() {
        let response = Response::new(200).header("Location", "/a\r\nSet-Cookie: b\0\n");
        let written = encoded(&response, FRAMING);
        assert!(
            written.contains("Location: /a  Set-Cookie: b  \r\n"),
            "{written}"
        );
    }

    #[test]
    fn chunks_are_framed_and_an_empty_one_is_not_the_last() {
        let mut out = Vec::new();
        assert!(Response::new(200).encode_chunked_head(&mut out, &FRAMING));
        encode_chunk(&mut out, b"");
        encode_chunk(&mut out, &[b'x'; 26]);
        encode_last_chunk(&mut out);
        let body = "1a\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n";
        let expected = format!("HTTP/1.1 200 OK\r\n{DATE}Transfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn http_1_0_gets_no_chunks_and_a_close() {
        let framing = Framing {
            version: Version::Http10,
            ..FRAMING
        };
        let mut out = Vec::new();
        assert!(!Response::new(200).encode_chunked_head(&mut out, &framing));
        let expected = format!("HTTP/1.1 200 OK\r\n{DATE}Connection: close\r\n\r\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn the_length_of_a_streamed_body_is_the_callers() {
        let mut out = Vec::new();
        Response::new(206).encode_head_with_length(&mut out, &FRAMING, 1 << 40);
        let written = String::from_utf8(out).unwrap();
        assert!(written.ends_with("Content-Length: 1099511627776\r\n\r\n"));
        assert!(written.starts_with("HTTP/1.1 206 Partial Content\r\n"));
    }
}
