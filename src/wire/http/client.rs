//! The client's side: requests out, responses in.
//!
//! Speaks to the app behind the relay, and for the command line to a running
//! Chloe. Opens no connection and follows no redirect. Called by the relay and
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
#[expect(
    clippy::large_enum_variant,
    reason = "boxing would cost each response an allocation; the value lives for one call"
)]
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
