//! Requests: bytes in, [`Request`]s out.
//!
//! Nothing is routed and nothing answered here. A request is given out when
//! its body is whole; until then the caller keeps the bytes. Called by the
//! server's connections.

use std::borrow::Cow;

use super::error::HttpError;
use super::framing::{Body, BodyLength, BodyScan, FramingFields};
use super::head::{HeadScan, is_token_byte, parse_fields, split_first_line};
use super::message::{Headers, HttpLimits, Method, Version};
use super::request_line;

/// A whole request, borrowed from the bytes in which it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub method: Method,
    /// As sent: origin form (`/path?query`), absolute form (`http://host/path`),
    /// `*` with OPTIONS, or `host:port` with CONNECT. Printable ASCII only.
    pub target: &'a str,
    pub version: Version,
    pub headers: Headers<'a>,
    /// Borrowed unless it came in several chunks.
    pub body: Cow<'a, [u8]>,
    /// Whether the client will use the connection again.
    pub keep_alive: bool,
}

impl<'a> Request<'a> {
    /// The path as sent, still percent-encoded, without query, scheme and host.
    pub fn path(&self) -> &'a str {
        request_line::path_and_query(self.target).0
    }

    /// What follows the first `?` of the target, still encoded.
    pub fn query(&self) -> Option<&'a str> {
        request_line::path_and_query(self.target).1
    }

    /// The host and port asked for: those of an absolute target, else the Host
    /// field. `None` only in HTTP/1.0.
    pub fn host(&self) -> Option<&'a str> {
        request_line::authority(self.target).or_else(|| self.headers.get("host"))
    }

    /// The bytes of [`Request::host`]: to compare them, which needs no text.
    pub fn host_bytes(&self) -> Option<&'a [u8]> {
        match self.target.as_bytes() {
            // What most requests are spares the look for a scheme.
            [b'/', ..] => self.headers.get_bytes("host"),
            _ => self.host().map(str::as_bytes),
        }
    }
}

/// Who asks, as far as it can be read at the start of `input`: the first line and
/// the fields, if the head is whole. For a request that the decoder refused, so
/// that the refusal reaches its sender; nothing else of it is to be believed.
pub fn peek<'a>(input: &'a [u8], limits: &HttpLimits) -> Option<Request<'a>> {
    let (start, _) = skip_blank_lines(input, 0).ok()?;
    let rest = &input[start as usize..];
    let mut scan = HeadScan::default();
    let head = &rest[..scan.find_end(rest, limits).ok()??];
    let (line, block) = split_first_line(head);
    let (method, target, version) = request_line::parse(line).ok()?;
    Some(Request {
        method,
        target,
        version,
        headers: parse_fields(block, scan.fields()).ok()?,
        body: Cow::Borrowed(&[]),
        keep_alive: false,
    })
}

/// What a connection is waiting for, which decides how long it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// No request has begun.
    NothingYet,
    /// The head is under way.
    Head,
    /// The head is whole, the body is not.
    Body,
}

/// What came of the bytes so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// The next request is not whole: keep the bytes and call again with more behind them.
    NeedMore {
        state: Waiting,
        /// The client waits for `100 Continue` before it sends the body. True
        /// at most once a request.
        send_continue: bool,
    },
    /// A request, and how many bytes it took. What follows is the next one.
    Request {
        request: Request<'a>,
        consumed: usize,
    },
}

impl Decoded<'_> {
    fn need_more<'a>(state: Waiting) -> Decoded<'a> {
        Decoded::NeedMore {
            state,
            send_continue: false,
        }
    }
}

/// Blank lines that may stand before a request, in bytes.
const BLANK_LINES_BYTES: u32 = 8;

/// Decodes the requests of one connection, one after another. After an error
/// the connection is beyond saving: answer with the error's status and close.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestDecoder {
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The head is looked for, behind `start` bytes of blank lines.
    Head { start: u32, scan: HeadScan },
    /// A whole head was seen: it is parsed again once the body is there, so
    /// that nothing of it needs keeping.
    Body {
        start: u32,
        head_end: u32,
        fields: u32,
        body: BodyScan,
        /// The most bytes of this body, if the limits do not say less.
        body_bytes: u32,
    },
}

impl Default for State {
    fn default() -> Self {
        State::Head {
            start: 0,
            scan: HeadScan::default(),
        }
    }
}

impl RequestDecoder {
    /// Looks for a whole request at the start of `input`. As long as it says
    /// `NeedMore`, the same bytes must come again with more behind them; what
    /// was looked at once is not looked at again.
    ///
    /// # Errors
    /// A request that breaks the rules or `limits`.
    pub fn decode<'a>(
        &mut self,
        input: &'a [u8],
        limits: &HttpLimits,
    ) -> Result<Decoded<'a>, HttpError> {
        match self.state {
            State::Head { start, scan } => self.decode_head(start, scan, input, limits),
            State::Body { .. } => self.decode_body(input, limits),
        }
    }

    /// The request whose body is waited for, its body empty, out of the bytes that
    /// [`RequestDecoder::decode`] was last called with; `None` unless it said that a
    /// [body](Waiting::Body) is waited for. So a server can refuse a request, or
    /// [limit](RequestDecoder::limit_body) its body, before the body comes.
    ///
    /// # Errors
    /// Other bytes than those.
    pub fn head<'a>(&self, input: &'a [u8]) -> Result<Option<Request<'a>>, HttpError> {
        let State::Body {
            start,
            head_end,
            fields,
            ..
        } = self.state
        else {
            return Ok(None);
        };
        let head = input.get(start as usize..head_end as usize);
        let head = head.ok_or(HttpError::RequestLine)?;
        Ok(Some(Head::parse(head, fields as usize)?.request))
    }

    /// From here on the body that is waited for may have at most `bytes`, if the limits
    /// given to [`RequestDecoder::decode`] do not say less. It holds for this one body.
    ///
    /// # Errors
    /// [`HttpError::BodyTooLarge`] if its announced length is more, or that of the
    /// chunks so far.
    pub fn limit_body(&mut self, bytes: usize) -> Result<(), HttpError> {
        let State::Body {
            body, body_bytes, ..
        } = &mut self.state
        else {
            return Ok(());
        };
        *body_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let announced = match body {
            BodyScan::Known(length) => *length,
            BodyScan::Chunked(scan) => scan.decoded(),
        };
        match announced > bytes {
            true => Err(HttpError::BodyTooLarge),
            false => Ok(()),
        }
    }

    fn decode_head<'a>(
        &mut self,
        start: u32,
        mut scan: HeadScan,
        input: &'a [u8],
        limits: &HttpLimits,
    ) -> Result<Decoded<'a>, HttpError> {
        let (start, has_begun) = skip_blank_lines(input, start)?;
        let head_end = match input.get(start as usize..) {
            Some(rest) if has_begun => scan.find_end(rest, limits)?,
            _ => None,
        };
        let Some(head_bytes) = head_end else {
            self.state = State::Head { start, scan };
            let state = match has_begun {
                true => Waiting::Head,
                false => Waiting::NothingYet,
            };
            return Ok(Decoded::need_more(state));
        };
        let head_end = start as usize + head_bytes;
        let mut head = Head::parse(&input[start as usize..head_end], scan.fields())?;
        let mut body = BodyScan::new(head.body_length, limits)?;
        if let Some(Body { bytes, length }) = body.read(&input[head_end..], limits)? {
            self.state = State::default();
            head.request.body = bytes;
            return Ok(Decoded::Request {
                request: head.request,
                consumed: head_end + length,
            });
        }
        self.state = State::Body {
            start,
            head_end: head_end as u32,
            fields: scan.fields() as u32,
            body,
            body_bytes: u32::MAX,
        };
        Ok(Decoded::NeedMore {
            state: Waiting::Body,
            send_continue: head.expects_continue,
        })
    }

    fn decode_body<'a>(
        &mut self,
        input: &'a [u8],
        limits: &HttpLimits,
    ) -> Result<Decoded<'a>, HttpError> {
        let State::Body {
            start,
            head_end,
            fields,
            body,
            body_bytes,
        } = &mut self.state
        else {
            return Ok(Decoded::need_more(Waiting::Body));
        };
        let limits = &HttpLimits {
            body_bytes: limits.body_bytes.min(*body_bytes as usize),
            ..*limits
        };
        let (head, rest) = match input.split_at_checked(*head_end as usize) {
            Some((head, rest)) => (&head[*start as usize..], rest),
            None => return Ok(Decoded::need_more(Waiting::Body)),
        };
        let Some(Body { bytes, length }) = body.read(rest, limits)? else {
            return Ok(Decoded::need_more(Waiting::Body));
        };
        let mut request = Head::parse(head, *fields as usize)?.request;
        request.body = bytes;
        let consumed = *head_end as usize + length;
        self.state = State::default();
        Ok(Decoded::Request { request, consumed })
    }
}

/// Skips blank lines from `start` on, and says where they end and whether a request begins there.
///
/// RFC 9112, 2.2: a server should ignore at least one empty line before a request.
fn skip_blank_lines(input: &[u8], mut start: u32) -> Result<(u32, bool), HttpError> {
    loop {
        match input.get(start as usize..).unwrap_or_default() {
            [b'\r', b'\n', ..] if start < BLANK_LINES_BYTES => start += 2,
            [] | [b'\r'] => return Ok((start, false)),
            [b'\r' | b'\n', ..] => return Err(HttpError::LineEnd),
            // No need to wait for a line end to see that this is not HTTP (TLS, for instance).
            [first, ..] if !is_token_byte(*first) => return Err(HttpError::RequestLine),
            _ => return Ok((start, true)),
        }
    }
}

/// A parsed head: the request, its body still missing.
struct Head<'a> {
    request: Request<'a>,
    body_length: BodyLength,
    expects_continue: bool,
}

impl<'a> Head<'a> {
    fn parse(head: &'a [u8], fields: usize) -> Result<Head<'a>, HttpError> {
        let (line, block) = split_first_line(head);
        let (method, target, version) = request_line::parse(line)?;
        let headers = parse_fields(block, fields)?;
        let framing = FramingFields::gather(&headers)?;
        check_host(framing.host, target, version)?;
        // RFC 9112, 6.3: a request that names no length has no body.
        let body_length = framing
            .body_length(version)?
            .unwrap_or(BodyLength::Known(0));
        Ok(Head {
            body_length,
            expects_continue: read_expect(framing.expect, version)?,
            request: Request {
                method,
                target,
                version,
                headers,
                body: Cow::Borrowed(&[]),
                keep_alive: framing.keep_alive(version),
            },
        })
    }
}

/// RFC 9112, 3.2: HTTP/1.1 needs one Host. Where an absolute target names
/// another host, some server on the way may have gone by the wrong one: refused.
fn check_host(host: Option<&[u8]>, target: &str, version: Version) -> Result<(), HttpError> {
    let Some(host) = host else {
        return match version {
            Version::Http11 => Err(HttpError::HostMissing),
            Version::Http10 => Ok(()),
        };
    };
    let is_same = request_line::authority(target)
        .is_none_or(|authority| host.eq_ignore_ascii_case(authority.as_bytes()));
    if is_same && request_line::is_host(host) {
        Ok(())
    } else {
        Err(HttpError::Host)
    }
}

/// RFC 9110, 10.1.1: another expectation is 417; all are ignored in HTTP/1.0.
fn read_expect(expect: Option<&[u8]>, version: Version) -> Result<bool, HttpError> {
    match (expect, version) {
        (None, _) | (_, Version::Http10) => Ok(false),
        (Some(value), Version::Http11) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(HttpError::Expectation),
    }
}
