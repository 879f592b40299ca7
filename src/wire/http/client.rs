//! The client's side: requests out, responses in.
//!
//! Speaks to the app behind the webhook, and for the command line to a running
//! Chloe. Opens no connection and follows no redirect. Called by the webhook and
//! the command line.

use std::borrow::Cow;

use super::error::HttpError;
use super::framing::{Body, BodyLength, BodyScan, FramingFields};
use super::head::{HeadScan, parse_fields, split_first_line};
use super::message::{Headers, HttpLimits, Version};
use super::response::encode_field;

/// Appends a request. Content-Length is written if there is a body, and for
/// the methods that usually have one also if there is none (RFC 9110, 8.6).
///
/// `method`, `target` and `host` are the program's own and checked by it;
/// control characters in the values of `headers` are written as blanks.
pub fn encode_request(
    out: &mut Vec<u8>,
    method: &str,
    target: &str,
    host: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) {
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    encode_field(out, "Host", host);
    for (name, value) in headers {
        encode_field(out, name, value);
    }
    if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        out.extend_from_slice(b"Content-Length: ");
        out.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

/// A whole response as it was received, borrowed from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedResponse<'a> {
    pub status: u16,
    pub version: Version,
    pub headers: Headers<'a>,
    /// Borrowed unless it came in several chunks.
    pub body: Cow<'a, [u8]>,
    /// Whether the connection can take another request.
    pub keep_alive: bool,
}

/// What came of the bytes so far.
#[derive(Debug, PartialEq, Eq)]
pub enum DecodedResponse<'a> {
    /// The response is not whole: keep the bytes and call again with more
    /// behind them, or call [`ResponseDecoder::finish`] when no more can come.
    NeedMore,
    /// A response, and how many bytes it took, interim responses before it included.
    Response {
        response: ReceivedResponse<'a>,
        consumed: usize,
    },
}

/// Interim responses that may stand before a response, all together, in bytes.
const INTERIM_BYTES: usize = 64 * 1024;

/// Decodes the responses on one connection, one after another. After an error
/// the connection is beyond saving.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseDecoder {
    /// The request was a HEAD: no body follows, whatever the fields say.
    head_only: bool,
    /// Where the current head begins, behind interim responses.
    start: usize,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head(HeadScan),
    /// As in the request decoder, a whole head is parsed again once the body is there.
    Body {
        head_end: usize,
        fields: usize,
        body: BodyScan,
    },
    /// The body goes on to the end of the connection.
    UntilClose {
        head_end: usize,
        fields: usize,
    },
}

impl Default for State {
    fn default() -> Self {
        State::Head(HeadScan::default())
    }
}

impl ResponseDecoder {
    /// A decoder for the responses to requests of which the next one is a HEAD or not.
    pub fn new(head_only: bool) -> ResponseDecoder {
        ResponseDecoder {
            head_only,
            ..ResponseDecoder::default()
        }
    }

    /// Looks for a whole response at the start of `input`. As long as it says
    /// `NeedMore`, the same bytes must come again with more behind them.
    /// Interim responses (1xx) are skipped, but for 101, after which the
    /// connection speaks another protocol.
    ///
    /// # Errors
    /// A response that breaks the rules or `limits`.
    pub fn decode<'a>(
        &mut self,
        input: &'a [u8],
        limits: &HttpLimits,
    ) -> Result<DecodedResponse<'a>, HttpError> {
        while let State::Head(mut scan) = self.state {
            let rest = input.get(self.start..).unwrap_or_default();
            let found = scan.find_end(rest, limits).map_err(as_response_error)?;
            let Some(head_bytes) = found else {
                self.state = State::Head(scan);
                return Ok(DecodedResponse::NeedMore);
            };
            let head_end = self.start + head_bytes;
            let head = Head::parse(&rest[..head_bytes], scan.fields())?;
            self.pass_head(&head, head_end, scan.fields(), limits)?;
        }
        match self.state {
            State::Body {
                head_end,
                fields,
                mut body,
            } => {
                let rest = input.get(head_end..).unwrap_or_default();
                let found = body.read(rest, limits)?;
                self.state = State::Body {
                    head_end,
                    fields,
                    body,
                };
                match found {
                    Some(Body { bytes, length }) => {
                        self.give_out(input, head_end, fields, bytes, head_end + length)
                    }
                    None => Ok(DecodedResponse::NeedMore),
                }
            }
            State::UntilClose { head_end, .. } => {
                match input.len().saturating_sub(head_end) > limits.body_bytes {
                    true => Err(HttpError::BodyTooLarge),
                    false => Ok(DecodedResponse::NeedMore),
                }
            }
            State::Head(_) => Ok(DecodedResponse::NeedMore),
        }
    }

    /// The response that ends with the connection: `input` is everything that
    /// came, as for [`ResponseDecoder::decode`]. `None` if not a byte came.
    ///
    /// # Errors
    /// [`HttpError::Truncated`] if more was announced.
    pub fn finish<'a>(
        &mut self,
        input: &'a [u8],
        limits: &HttpLimits,
    ) -> Result<Option<ReceivedResponse<'a>>, HttpError> {
        if input.is_empty() {
            return Ok(None);
        }
        if let DecodedResponse::Response { response, .. } = self.decode(input, limits)? {
            return Ok(Some(response));
        }
        let State::UntilClose { head_end, fields } = self.state else {
            return Err(HttpError::Truncated);
        };
        let body = Cow::Borrowed(input.get(head_end..).unwrap_or_default());
        match self.give_out(input, head_end, fields, body, input.len())? {
            DecodedResponse::Response { response, .. } => Ok(Some(response)),
            DecodedResponse::NeedMore => Err(HttpError::Truncated),
        }
    }

    /// Decides what follows a head: another head, a body or the end.
    fn pass_head(
        &mut self,
        head: &Head<'_>,
        head_end: usize,
        fields: usize,
        limits: &HttpLimits,
    ) -> Result<(), HttpError> {
        // RFC 9110, 15.2: a client must be able to skip interim responses.
        if matches!(head.status, 100..=199) && head.status != 101 {
            if head_end > INTERIM_BYTES {
                return Err(HttpError::HeadTooLarge);
            }
            self.start = head_end;
            self.state = State::default();
            return Ok(());
        }
        // RFC 9112, 6.3: in this order.
        let body_length = match (self.head_only, head.status) {
            (true, _) | (_, 101 | 204 | 304) => Some(BodyLength::Known(0)),
            _ => head.framing.body_length(head.version)?,
        };
        self.state = match body_length {
            Some(length) => State::Body {
                head_end,
                fields,
                body: BodyScan::new(length, limits)?,
            },
            None => State::UntilClose { head_end, fields },
        };
        Ok(())
    }

    fn give_out<'a>(
        &mut self,
        input: &'a [u8],
        head_end: usize,
        fields: usize,
        body: Cow<'a, [u8]>,
        consumed: usize,
    ) -> Result<DecodedResponse<'a>, HttpError> {
        let head = Head::parse(&input[self.start..head_end], fields)?;
        let is_framed = !matches!(self.state, State::UntilClose { .. });
        *self = ResponseDecoder::default();
        Ok(DecodedResponse::Response {
            response: ReceivedResponse {
                status: head.status,
                version: head.version,
                keep_alive: is_framed && head.framing.keep_alive(head.version),
                headers: head.headers,
                body,
            },
            consumed,
        })
    }
}

/// A first line without end is no target in a response.
fn as_response_error(error: HttpError) -> HttpError {
    match error {
        HttpError::TargetTooLong => HttpError::HeadTooLarge,
        other => other,
    }
}

/// A parsed head.
struct Head<'a> {
    status: u16,
    version: Version,
    headers: Headers<'a>,
    framing: FramingFields<'a>,
}

impl<'a> Head<'a> {
    fn parse(head: &'a [u8], fields: usize) -> Result<Head<'a>, HttpError> {
        let (line, block) = split_first_line(head);
        let (version, status) = parse_status_line(line)?;
        let headers = parse_fields(block, fields)?;
        let framing = FramingFields::gather(&headers)?;
        Ok(Head {
            status,
            version,
            headers,
            framing,
        })
    }
}

/// RFC 9112, 4: `HTTP/1.1 200 OK`. The phrase says nothing, and its blank is often missing.
fn parse_status_line(line: &[u8]) -> Result<(Version, u16), HttpError> {
    let (version, rest) = match line.split_at_checked(9) {
        Some((b"HTTP/1.1 ", rest)) => (Version::Http11, rest),
        Some((b"HTTP/1.0 ", rest)) => (Version::Http10, rest),
        _ => return Err(HttpError::StatusLine),
    };
    match rest {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']
        | [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] => {
            let digit = |digit: &u8| u16::from(*digit - b'0');
            Ok((version, digit(a) * 100 + digit(b) * 10 + digit(c)))
        }
        _ => Err(HttpError::StatusLine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HttpLimits = HttpLimits {
        head_bytes: 128,
        headers: 4,
        body_bytes: 16,
    };

    /// Status, body, keep-alive and the bytes left over.
    type Got = (u16, String, bool, usize);

    /// Feeds `input` in pieces of `step` bytes, then ends the connection.
    fn receive(input: &[u8], step: usize, head_only: bool) -> Result<Option<Got>, HttpError> {
        let got = |response: ReceivedResponse<'_>, left: usize| {
            let body = String::from_utf8(response.body.into_owned()).unwrap();
            Some((response.status, body, response.keep_alive, left))
        };
        let mut decoder = ResponseDecoder::new(head_only);
        let mut end = 0;
        while end < input.len() {
            end = (end + step).min(input.len());
            if let DecodedResponse::Response { response, consumed } =
                decoder.decode(&input[..end], &LIMITS)?
            {
                return Ok(got(response, input.len() - consumed));
            }
        }
        let finished = decoder.finish(input, &LIMITS)?;
        Ok(finished.and_then(|response| got(response, 0)))
    }

    fn check(input: &str, expected: Result<Option<(u16, &str, bool, usize)>, HttpError>) {
        let expected = expected.map(|got| {
            got.map(|(status, body, keep_alive, left)| (status, body.to_owned(), keep_alive, left))
        });
        for step in [1, 2, 7, usize::MAX / 2] {
            let got = receive(input.as_bytes(), step, false);
            assert_eq!(got, expected, "{input:?} by {step}");
        }
    }

    fn good(status: u16, body: &str, keep_alive: bool) -> Result<Option<Response<'_>>, HttpError> {
        Ok(Some((status, body, keep_alive, 0)))
    }
    type Response<'a> = (u16, &'a str, bool, usize);

    #[test]
    fn responses_end_where_they_say() {
        check("", Ok(None));
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            good(200, "hi", true),
        );
        check(
            "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
            good(404, "", true),
        );
        check(
            "HTTP/1.1 200 \r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
            good(200, "x", false),
        );
        check(
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
            good(200, "x", false),
        );
        check(
            "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx",
            good(200, "x", true),
        );
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
            good(200, "ab", true),
        );
        check("HTTP/1.1 204 No\r\n\r\n", good(204, "", true));
        check(
            "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n",
            good(304, "", true),
        );
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1",
            Ok(Some((200, "x", true, 8))),
        );
    }

    #[test]
    fn a_body_without_length_ends_with_the_connection() {
        check("HTTP/1.1 200 OK\r\n\r\n", good(200, "", false));
        check(
            "HTTP/1.0 200 OK\r\n\r\nto the end",
            good(200, "to the end", false),
        );
        check(
            "HTTP/1.1 200 OK\r\n\r\n0123456789abcdefg",
            Err(HttpError::BodyTooLarge),
        );
    }

    #[test]
    fn interim_responses_are_skipped_but_a_switch_is_final() {
        check(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 X\r\nA: b\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
            good(204, "", true),
        );
        check(
            "HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n\u{1}\u{2}",
            Ok(Some((101, "", true, 2))),
        );
        let many = "HTTP/1.1 100 Continue\r\n\r\n".repeat(4000);
        assert_eq!(
            receive(many.as_bytes(), many.len(), false),
            Err(HttpError::HeadTooLarge)
        );
    }

    #[test]
    fn a_response_to_head_has_no_body() {
        let input = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(
            receive(input, 1, true),
            Ok(Some((200, String::new(), true, 0)))
        );
        let input = b"HTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(
            receive(input, 1, true),
            Ok(Some((200, String::new(), true, 0)))
        );
    }

    #[test]
    fn bad_responses_are_refused() {
        for line in [
            "HTTP/1.1200 OK",
            "HTTP/1.1 20",
            "HTTP/1.1 2000",
            "HTTP/1.1 099 x",
            "HTTP/2.0 200 OK",
            "HTTP/1.1  200",
            "ICY 200 OK",
            "",
        ] {
            check(&format!("{line}\r\n\r\n"), Err(HttpError::StatusLine));
        }
        let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        check(&head("Content-Length: 17"), Err(HttpError::BodyTooLarge));
        check(&head("Content-Length: 1"), Err(HttpError::Truncated));
        check(&head("Content-Length: x"), Err(HttpError::ContentLength));
        check(
            &head("Content-Length: 1\r\nContent-Length: 1"),
            Err(HttpError::ContentLengthRepeated),
        );
        check(
            &head("Content-Length: 1\r\nTransfer-Encoding: chunked"),
            Err(HttpError::LengthAndEncoding),
        );
        check(
            &head("Transfer-Encoding: gzip"),
            Err(HttpError::TransferEncodingUnknown),
        );
        check(&head("A : b"), Err(HttpError::Field));
        check(&"x".repeat(128), Err(HttpError::HeadTooLarge));
        check("HTTP/1.1 200 OK\r\n", Err(HttpError::Truncated));
    }

    #[test]
    fn requests_are_written_with_their_length() {
        let mut out = Vec::new();
        encode_request(&mut out, "POST", "/a", "h:1", &[("X", "y\r\nz")], b"body");
        let expected = "POST /a HTTP/1.1\r\nHost: h:1\r\nX: y  z\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        encode_request(&mut out, "GET", "/", "h", &[], b"");
        assert_eq!(out, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    }
}
