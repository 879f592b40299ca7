//! Where a message ends and whether another may follow: what the fields say.
//!
//! Two parties that disagree on where a body ends are how requests are
//! smuggled, so whatever can be read in two ways is refused. Called by the
//! request and the response decoder.

use std::borrow::Cow;
use std::str;

use super::chunked::{self, ChunkScan};
use super::error::HttpError;
use super::head::is_token;
use super::message::{Headers, HttpLimits, Version, elements};

/// How a body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// By Content-Length, in bytes.
    Known(u64),
    /// By the last chunk.
    Chunked,
}

/// The fields of one head that framing hangs on, gathered in one pass.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FramingFields<'a> {
    pub(super) host: Option<&'a [u8]>,
    pub(super) expect: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    transfer_encoding_repeated: bool,
    close: bool,
    keep_alive: bool,
}

impl<'a> FramingFields<'a> {
    /// Gathers them from `headers`.
    ///
    /// # Errors
    /// A second Host, Content-Length or Expect.
    pub(super) fn gather(headers: &Headers<'a>) -> Result<FramingFields<'a>, HttpError> {
        let mut found = FramingFields::default();
        for field in headers.fields() {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            match field.name.len() {
                4 if is("host") => once(&mut found.host, field.value, HttpError::HostRepeated)?,
                6 if is("expect") => {
                    once(&mut found.expect, field.value, HttpError::Expectation)?;
                }
                10 if is("connection") => found.read_connection(field.value),
                14 if is("content-length") => once(
                    &mut found.content_length,
                    field.value,
                    HttpError::ContentLengthRepeated,
                )?,
                17 if is("transfer-encoding") => {
                    found.transfer_encoding_repeated |= found.transfer_encoding.is_some();
                    found.transfer_encoding = Some(field.value);
                }
                _ => {}
            }
        }
        Ok(found)
    }

    fn read_connection(&mut self, value: &[u8]) {
        for element in value.split(|&byte| byte == b',') {
            let element = element.trim_ascii();
            self.close |= element.eq_ignore_ascii_case(b"close");
            self.keep_alive |= element.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Whether the connection may be used again after this message (RFC 9112, 9.3).
    pub(super) fn keep_alive(&self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }

    /// How the body's end is told; `None` if by neither field.
    ///
    /// # Errors
    /// Anything that another party might read differently.
    pub(super) fn body_length(&self, version: Version) -> Result<Option<BodyLength>, HttpError> {
        match (self.transfer_encoding, self.content_length) {
            // RFC 9112, 6.1 and 6.3: possibly an attempt at smuggling; a server may reject it.
            (Some(_), Some(_)) => Err(HttpError::LengthAndEncoding),
            // RFC 9112, 6.1: in HTTP/1.0 the framing is to be treated as faulty.
            (Some(_), None) if version == Version::Http10 => Err(HttpError::TransferEncodingOld),
            (Some(_), None) if self.transfer_encoding_repeated => Err(HttpError::TransferEncoding),
            (Some(value), None) => read_transfer_encoding(value).map(Some),
            (None, Some(value)) => match parse_length(value) {
                Some(length) => Ok(Some(BodyLength::Known(length))),
                None => Err(HttpError::ContentLength),
            },
            (None, None) => Ok(None),
        }
    }
}

fn once<'a>(
    slot: &mut Option<&'a [u8]>,
    value: &'a [u8],
    repeated: HttpError,
) -> Result<(), HttpError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(repeated),
    }
}

/// RFC 9112, 6.3: chunked must come last, and once. Other codings are unknown
/// here (6.1: 501), but a list that misuses chunked is an error whatever it lists.
fn read_transfer_encoding(value: &[u8]) -> Result<BodyLength, HttpError> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(BodyLength::Chunked);
    }
    let value = str::from_utf8(value).map_err(|_| HttpError::TransferEncoding)?;
    let mut chunked_seen = false;
    for coding in elements(value) {
        if chunked_seen || !is_token(coding.as_bytes()) {
            return Err(HttpError::TransferEncoding);
        }
        chunked_seen = coding.eq_ignore_ascii_case("chunked");
    }
    Err(HttpError::TransferEncodingUnknown)
}

/// A plain decimal number. Leading zeros are legal, but no sender has them and
/// some reader takes them for octal, so they are refused like signs and blanks.
fn parse_length(value: &[u8]) -> Option<u64> {
    let is_plain = match value {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !is_plain {
        return None;
    }
    value.iter().try_fold(0u64, |length, &digit| {
        length.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// A whole body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// How many bytes of input it took.
    pub(super) length: usize,
}

/// How far a body has been received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyScan {
    Known(usize),
    Chunked(ChunkScan),
}

impl BodyScan {
    /// At the start of a body of which `length` is known.
    ///
    /// # Errors
    /// The length is beyond the limit.
    pub(super) fn new(length: BodyLength, limits: &HttpLimits) -> Result<BodyScan, HttpError> {
        match length {
            BodyLength::Known(length) if length > limits.body_bytes as u64 => {
                Err(HttpError::BodyTooLarge)
            }
            BodyLength::Known(length) => Ok(BodyScan::Known(length as usize)),
            BodyLength::Chunked => Ok(BodyScan::Chunked(ChunkScan::default())),
        }
    }

    /// The body at the start of `input`; `None` if it is not all there yet.
    ///
    /// # Errors
    /// A malformed chunk, or a limit passed.
    pub(super) fn read<'a>(
        &mut self,
        input: &'a [u8],
        limits: &HttpLimits,
    ) -> Result<Option<Body<'a>>, HttpError> {
        match self {
            BodyScan::Known(length) => {
                let length = *length;
                let bytes = input.get(..length).map(Cow::Borrowed);
                Ok(bytes.map(|bytes| Body { bytes, length }))
            }
            BodyScan::Chunked(scan) => {
                let Some(length) = scan.find_end(input, limits)? else {
                    return Ok(None);
                };
                let bytes = chunked::join(&input[..length], scan.decoded());
                Ok(Some(Body { bytes, length }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_plain_numbers() {
        assert_eq!(parse_length(b"0"), Some(0));
        assert_eq!(parse_length(b"18446744073709551615"), Some(u64::MAX));
        for value in [
            &b""[..],
            b"+1",
            b"-1",
            b"0x1",
            b"1 2",
            b"1,1",
            b"1_0",
            b"00",
            b"01",
            b"1.0",
            b"a",
            b"18446744073709551616",
            b"99999999999999999999999999",
        ] {
            let text = String::from_utf8_lossy(value);
            assert_eq!(parse_length(value), None, "{text}");
        }
    }

    #[test]
    fn only_chunked_once_and_alone_is_taken() {
        use HttpError::{TransferEncoding as Bad, TransferEncodingUnknown as Unknown};
        let cases: [(&[u8], Result<BodyLength, HttpError>); 12] = [
            (b"chunked", Ok(BodyLength::Chunked)),
            (b"Chunked", Ok(BodyLength::Chunked)),
            (b"", Err(Bad)),
            (b",chunked", Err(Bad)),
            (b"chunked,", Err(Bad)),
            (b"chunked, identity", Err(Bad)),
            (b"chunked, chunked", Err(Bad)),
            (b"\"chunked\"", Err(Bad)),
            (b"chunked;a=b", Err(Bad)),
            (b"xchunked", Err(Unknown)),
            (b"identity", Err(Unknown)),
            (b"gzip, chunked", Err(Unknown)),
        ];
        for (value, expected) in cases {
            let text = String::from_utf8_lossy(value);
            assert_eq!(read_transfer_encoding(value), expected, "{text}");
        }
    }
}
