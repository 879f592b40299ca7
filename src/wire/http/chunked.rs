//! The chunked transfer coding (RFC 9112, 7.1), decoding side.
//!
//! A [`ChunkScan`] walks over the chunks as they come, remembers how far it
//! got, and joins nothing; once the last chunk is there, [`join`] gives the
//! body. Extensions and trailers are checked, bounded and dropped. Called by
//! the request and the response decoder.

use std::borrow::Cow;

use memchr::memchr2;

use super::error::HttpError;
use super::head::{is_field_value, is_token, is_token_byte};
use super::message::HttpLimits;

/// The longest size line taken, extensions included, in bytes.
const SIZE_LINE_BYTES: usize = 256;

/// The longest trailer line taken, in bytes.
const TRAILER_LINE_BYTES: usize = 4096;

/// How far a chunked body has been looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ChunkScan {
    /// Where `part` begins, from the body's first byte.
    position: usize,
    /// Bytes of data in the chunks so far, the one being received included.
    decoded: usize,
    part: Part,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    SizeLine,
    /// The CR LF behind a chunk's data.
    DataEnd,
    /// A line of the trailer section, after this many others.
    Trailer(u32),
}

impl ChunkScan {
    /// Bytes of the body when its chunks are joined.
    pub(super) fn decoded(&self) -> usize {
        self.decoded
    }

    /// Looks for the end of the chunked body at the start of `input`, which
    /// begins with the same bytes in each call; `None` if it has not come yet.
    /// The length includes everything up to the last CR LF.
    ///
    /// # Errors
    /// A malformed chunk or trailer, or a limit passed.
    pub(super) fn find_end(
        &mut self,
        input: &[u8],
        limits: &HttpLimits,
    ) -> Result<Option<usize>, HttpError> {
        while let Some(rest) = input.get(self.position..) {
            let went_on = match self.part {
                Part::SizeLine => self.pass_size_line(rest, limits)?,
                Part::DataEnd => self.pass_data_end(rest)?,
                Part::Trailer(count) => match line_length(rest, TRAILER_LINE_BYTES) {
                    Ok(Some(0)) => return Ok(Some(self.position + 2)),
                    Ok(Some(length)) => self.pass_trailer(&rest[..length], count, limits)?,
                    Ok(None) => false,
                    Err(error) => return Err(error.unwrap_or(HttpError::Trailer)),
                },
            };
            if !went_on {
                break;
            }
        }
        Ok(None)
    }

    fn pass_size_line(&mut self, rest: &[u8], limits: &HttpLimits) -> Result<bool, HttpError> {
        let Some((size, line_bytes)) = read_size_line(rest)? else {
            return Ok(false);
        };
        if size == 0 {
            self.position += line_bytes;
            self.part = Part::Trailer(0);
            return Ok(true);
        }
        if size > limits.body_bytes.saturating_sub(self.decoded) as u64 {
            return Err(HttpError::BodyTooLarge);
        }
        self.decoded += size as usize;
        self.position += line_bytes + size as usize;
        self.part = Part::DataEnd;
        match self.is_mostly_overhead(limits) {
            true => Err(HttpError::BodyTooLarge),
            false => Ok(true),
        }
    }

    fn pass_data_end(&mut self, rest: &[u8]) -> Result<bool, HttpError> {
        match rest {
            [] | [b'\r'] => Ok(false),
            [b'\r', b'\n', ..] => {
                self.position += 2;
                self.part = Part::SizeLine;
                Ok(true)
            }
            _ => Err(HttpError::Chunk),
        }
    }

    fn pass_trailer(
        &mut self,
        line: &[u8],
        count: u32,
        limits: &HttpLimits,
    ) -> Result<bool, HttpError> {
        let colon = line.iter().position(|&byte| byte == b':');
        let is_field = colon
            .is_some_and(|colon| is_token(&line[..colon]) && is_field_value(&line[colon + 1..]));
        if !is_field || count as usize >= limits.headers {
            return Err(HttpError::Trailer);
        }
        self.position += line.len() + 2;
        self.part = Part::Trailer(count + 1);
        match self.is_mostly_overhead(limits) {
            true => Err(HttpError::Trailer),
            false => Ok(true),
        }
    }

    /// All that came is kept until the body is whole: framing must not outgrow it.
    fn is_mostly_overhead(&self, limits: &HttpLimits) -> bool {
        self.position - self.decoded > limits.chunk_overhead_bytes()
    }
}

/// The length of the line at the start of `rest`, without its CR LF; `None` if
/// its end has not come yet.
///
/// # Errors
/// [`HttpError::LineEnd`] on a bare CR or LF; `None` if the line is longer than `limit`.
fn line_length(rest: &[u8], limit: usize) -> Result<Option<usize>, Option<HttpError>> {
    let window = &rest[..rest.len().min(limit)];
    match memchr2(b'\r', b'\n', window) {
        Some(end) => match (rest[end], rest.get(end + 1)) {
            (b'\r', Some(b'\n')) => Ok(Some(end)),
            (b'\r', None) => Ok(None),
            _ => Err(Some(HttpError::LineEnd)),
        },
        None if rest.len() >= limit => Err(None),
        None => Ok(None),
    }
}

/// The size that the line at the start of `rest` gives, and the line's length
/// with its CR LF; `None` if its end has not come yet.
fn read_size_line(rest: &[u8]) -> Result<Option<(u64, usize)>, HttpError> {
    let length = match line_length(rest, SIZE_LINE_BYTES) {
        Ok(Some(length)) => length,
        Ok(None) => return Ok(None),
        Err(error) => return Err(error.unwrap_or(HttpError::Chunk)),
    };
    let line = &rest[..length];
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let digits = digits.count();
    // No sign, no `0x`, no white space, no overflow: 16 hex digits fill 64 bits.
    if digits == 0 || digits > 16 || !is_extensions(&line[digits..]) {
        return Err(HttpError::Chunk);
    }
    let size = line[..digits].iter().fold(0, |size, &digit| {
        (size << 4) | u64::from((digit as char).to_digit(16).unwrap_or(0))
    });
    Ok(Some((size, length + 2)))
}

/// Whether `bytes` are extensions: any number of `;name`, `;name=token` or
/// `;name="quoted"` (RFC 9112, 7.1.1). White space around them is "bad" there, and
/// refused here.
fn is_extensions(mut bytes: &[u8]) -> bool {
    while let Some(rest) = bytes.strip_prefix(b";") {
        let Some(behind) = skip_token(rest) else {
            return false;
        };
        bytes = behind;
        if let Some(value) = behind.strip_prefix(b"=") {
            let behind = match value.strip_prefix(b"\"") {
                Some(quoted) => skip_quoted(quoted),
                None => skip_token(value),
            };
            let Some(behind) = behind else {
                return false;
            };
            bytes = behind;
        }
    }
    bytes.is_empty()
}

/// What stands behind the token at the start of `bytes`; `None` if none is there.
fn skip_token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes
        .iter()
        .take_while(|byte| is_token_byte(**byte))
        .count();
    (length > 0).then_some(&bytes[length..])
}

/// What stands behind the quote that ends the quoted string (RFC 9110, 5.6.4), whose first
/// quote is read; `None` if it has no end, or a control character in it.
fn skip_quoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', escaped, rest @ ..] if is_field_value(&[*escaped]) => rest,
            [b'\\', ..] => return None,
            [byte, rest @ ..] if is_field_value(&[*byte]) => rest,
            _ => return None,
        };
    }
}

/// The body in `encoded`, a whole chunked body in which a [`ChunkScan`] found
/// `decoded` bytes. A single chunk is borrowed, several are copied together.
pub(super) fn join(encoded: &[u8], decoded: usize) -> Cow<'_, [u8]> {
    let mut rest = encoded;
    let mut joined = Vec::new();
    while let Ok(Some((size, line_bytes))) = read_size_line(rest) {
        let Some(data) = rest.get(line_bytes..line_bytes.saturating_add(size as usize)) else {
            break;
        };
        if data.len() == decoded {
            return Cow::Borrowed(data);
        }
        if data.is_empty() {
            break;
        }
        if joined.is_empty() {
            joined.reserve_exact(decoded);
        }
        joined.extend_from_slice(data);
        rest = rest.get(line_bytes + data.len() + 2..).unwrap_or_default();
    }
    debug_assert_eq!(joined.len(), decoded, "joined as it was scanned");
    Cow::Owned(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HttpLimits = HttpLimits {
        head_bytes: 64,
        headers: 2,
        body_bytes: 40,
    };

    fn decode(input: &[u8], step: usize) -> Result<Option<(Vec<u8>, usize)>, HttpError> {
        let mut scan = ChunkScan::default();
        let mut end = 0;
        loop {
            if let Some(length) = scan.find_end(&input[..end], &LIMITS)? {
                let body = join(&input[..length], scan.decoded());
                return Ok(Some((body.into_owned(), length)));
            }
            if end == input.len() {
                return Ok(None);
            }
            end = (end + step).min(input.len());
        }
    }

    fn check(input: &[u8], expected: Result<Option<(&[u8], usize)>, HttpError>) {
        let expected = expected.map(|found| found.map(|(body, length)| (body.to_vec(), length)));
        for step in [1, 2, 3, usize::MAX / 2] {
            let text = String::from_utf8_lossy(input);
            assert_eq!(decode(input, step), expected, "{text:?} by {step}");
        }
    }

    #[test]
    fn bodies_are_joined() {
        check(b"0\r\n\r\n", Ok(Some((b"", 5))));
        check(b"5\r\nhello\r\n0\r\n\r\nrest", Ok(Some((b"hello", 15))));
        check(
            b"2\r\nhe\r\n003\r\nllo\r\n000\r\n\r\n",
            Ok(Some((b"hello", 24))),
        );
        check(
            b"A\r\n0123\r\n6789\r\n0\r\n\r\n",
            Ok(Some((b"0123\r\n6789", 20))),
        );
        check(b"1;a=\"b c\";d\r\nx\r\n0;e\r\n\r\n", Ok(Some((b"x", 23))));
        check(
            b"1;a=\"b\\\"c\";d=e;f=\"\"\r\nx\r\n0\r\n\r\n",
            Ok(Some((b"x", 29))),
        );
        check(b"0\r\nA: b\r\nC:\r\n\r\n", Ok(Some((b"", 15))));
        check(b"5\r\nhel", Ok(None));
        check(b"0\r\n\r", Ok(None));
    }

    #[test]
    fn bad_chunks_are_refused() {
        for input in [
            &b"\r\nx\r\n0\r\n\r\n"[..],
            b"0x1\r\nx\r\n",
            b"+1\r\nx\r\n",
            b"-1\r\nx\r\n",
            b" 1\r\nx\r\n",
            b"1 \r\nx\r\n",
            b"1\t\r\nx\r\n",
            b"1 ;a\r\nx\r\n",
            b"1;\r\nx\r\n",
            b"1; a\r\nx\r\n",
            b"1;a\0\r\nx\r\n",
            b"1;a=\"b\r\nx\r\n",
            b"1;a=\"b\\\"\r\nx\r\n",
            b"1;a=\"b\\\r\nx\r\n",
            b"1;a=\"b\0\"\r\nx\r\n",
            b"1;a=\"b\"c\r\nx\r\n",
            b"1;a=b\"c\"\r\nx\r\n",
            b"1;a=\r\nx\r\n",
            b"1;a;\r\nx\r\n",
            b"1_0\r\nx\r\n",
            b"g\r\nx\r\n",
            b"00000000000000001\r\nx\r\n",
            b"10000000000000000\r\nx\r\n",
            b"1\r\nxy\r\n",
            b"1\r\nx0\r\n\r\n",
            b"1\r\nx\n0\r\n\r\n",
            b"1\r\nx\r0\r\n\r\n",
        ] {
            check(input, Err(HttpError::Chunk));
        }
        check(&[b'0'; SIZE_LINE_BYTES], Err(HttpError::Chunk));
        check(b"1\nx\r\n0\r\n\r\n", Err(HttpError::LineEnd));
        check(b"1\rx\r\n0\r\n\r\n", Err(HttpError::LineEnd));
        check(b"1;a\nx\r\n", Err(HttpError::LineEnd));
        check(b"0\r\n\n", Err(HttpError::LineEnd));
    }

    #[test]
    fn the_limits_hold_before_the_data_comes() {
        check(b"28\r\n", Ok(None));
        check(b"29\r\n", Err(HttpError::BodyTooLarge));
        check(b"ffffffffffffffff\r\n", Err(HttpError::BodyTooLarge));
        check(b"1\r\nx\r\n28\r\n", Err(HttpError::BodyTooLarge));
        let small = b"1\r\nx\r\n".repeat(40);
        check(&small, Err(HttpError::BodyTooLarge));
    }

    #[test]
    fn trailers_are_checked_and_bounded() {
        for input in [
            &b"0\r\nA b\r\n\r\n"[..],
            b"0\r\nA : b\r\n\r\n",
            b"0\r\n b: c\r\n\r\n",
            b"0\r\nA: \0\r\n\r\n",
            b"0\r\nA: b\r\nA: b\r\nA: b\r\n\r\n",
        ] {
            check(input, Err(HttpError::Trailer));
        }
        let long = [b"0\r\n".to_vec(), vec![b'a'; TRAILER_LINE_BYTES]].concat();
        check(&long, Err(HttpError::Trailer));
        let wide = format!("0\r\nA: {0}\r\nB: {0}\r\n\r\n", "x".repeat(50));
        check(wide.as_bytes(), Err(HttpError::Trailer));
    }
}
