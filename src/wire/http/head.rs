//! Finding the end of a head, and its fields.
//!
//! `httparse` takes line ends that we refuse (a bare LF), so the lines are told
//! apart here first, strictly; it then reads the fields of a head known to be
//! whole. Called by the request and the response decoder.

use memchr::memchr2;

use super::error::HttpError;
use super::message::{Headers, HttpLimits};

/// How far a head has been looked at. Offsets count from the head's first
/// byte, so they stay right when more bytes are appended, and no byte is
/// looked at twice however small the pieces are in which a head comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeadScan {
    scanned: u32,
    line_start: u32,
    fields: u32,
}

impl HeadScan {
    /// Field lines seen so far.
    pub(super) fn fields(&self) -> usize {
        self.fields as usize
    }

    /// Whether the first line is whole.
    fn has_first_line(&self) -> bool {
        self.line_start > 0
    }

    /// Looks for the blank line that ends a head at the start of `input`;
    /// `None` if it has not come yet. The length includes the blank line.
    ///
    /// # Errors
    /// A bare CR or LF, a folded line, or a limit passed.
    pub(super) fn find_end(
        &mut self,
        input: &[u8],
        limits: &HttpLimits,
    ) -> Result<Option<usize>, HttpError> {
        let limit = limits.head_bytes.min(u32::MAX as usize);
        let window = &input[..input.len().min(limit)];
        let mut scanned = self.scanned as usize;
        while let Some(distance) = window.get(scanned..).and_then(|b| memchr2(b'\r', b'\n', b)) {
            let line_end = scanned + distance;
            // RFC 9112, 2.2: a recipient may take a single LF for a line end. We
            // do not: what one party takes for a line end and another does not
            // is how requests are smuggled. A bare CR is invalid to all.
            match (window[line_end], window.get(line_end + 1)) {
                (b'\r', Some(b'\n')) => {}
                (b'\r', None) => {
                    self.scanned = line_end as u32;
                    return self.unfinished(input, limit);
                }
                _ => return Err(HttpError::LineEnd),
            }
            if line_end == self.line_start as usize {
                return Ok(Some(line_end + 2));
            }
            self.count_line(window, limits)?;
            scanned = line_end + 2;
            self.line_start = scanned as u32;
        }
        self.scanned = window.len() as u32;
        self.unfinished(input, limit)
    }

    fn count_line(&mut self, window: &[u8], limits: &HttpLimits) -> Result<(), HttpError> {
        if !self.has_first_line() {
            return Ok(());
        }
        // RFC 9112, 5.2: a server must reject obs-fold. This is white space
        // before the first field as well (2.2).
        if matches!(window[self.line_start as usize], b' ' | b'\t') {
            return Err(HttpError::FoldedField);
        }
        self.fields += 1;
        if self.fields as usize > limits.headers {
            return Err(HttpError::TooManyFields);
        }
        Ok(())
    }

    fn unfinished(&self, input: &[u8], limit: usize) -> Result<Option<usize>, HttpError> {
        match (input.len() >= limit, self.has_first_line()) {
            (false, _) => Ok(None),
            (true, true) => Err(HttpError::HeadTooLarge),
            (true, false) => Err(HttpError::TargetTooLong),
        }
    }
}

/// The first line of a whole head, without its line end, and the rest.
pub(super) fn split_first_line(head: &[u8]) -> (&[u8], &[u8]) {
    let line_end = memchr::memchr(b'\r', head).unwrap_or(head.len());
    (
        &head[..line_end],
        head.get(line_end + 2..).unwrap_or_default(),
    )
}

/// The `count` fields of `block`: everything after the first line, with the blank line.
///
/// # Errors
/// A name that is no token (white space before the colon, for instance), or a
/// control character in a value.
pub(super) fn parse_fields(block: &[u8], count: usize) -> Result<Headers<'_>, HttpError> {
    let mut headers = Headers::with_len(count);
    let parsed = match httparse::parse_headers(block, headers.fields_mut()) {
        Ok(httparse::Status::Complete((_, fields))) => fields.len(),
        _ => return Err(HttpError::Field),
    };
    debug_assert_eq!(parsed, count, "each line between is a field");
    Ok(headers)
}

/// Whether `byte` may stand in a name or a method (`tchar` of RFC 9110, 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether `bytes` are a token (RFC 9110, 5.6.2): at least one, and no others.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// Whether `bytes` may stand in a field value (RFC 9110, 5.5): no control
/// characters but the tab.
pub(super) fn is_field_value(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HttpLimits = HttpLimits {
        head_bytes: 64,
        headers: 3,
        body_bytes: 0,
    };

    /// Feeds the first 1, 2, 3, ... bytes to one scan, as a slow peer does.
    fn trickle(input: &[u8]) -> Result<Option<usize>, HttpError> {
        let mut scan = HeadScan::default();
        for end in 0..=input.len() {
            if let Some(length) = scan.find_end(&input[..end], &LIMITS)? {
                return Ok(Some(length));
            }
        }
        Ok(None)
    }

    #[test]
    fn the_end_is_found_whole_and_byte_by_byte() {
        type Found = Result<Option<usize>, HttpError>;
        let cases: [(&[u8], Found); 12] = [
            (b"a\r\n\r\n", Ok(Some(5))),
            (b"a\r\nb\r\nc\r\nd\r\n\r\nrest", Ok(Some(14))),
            (b"a\r\nb\r\n", Ok(None)),
            (b"a\r\nb\r\n\r", Ok(None)),
            (b"a\nb", Err(HttpError::LineEnd)),
            (b"a\r\n\n", Err(HttpError::LineEnd)),
            (b"a\rb", Err(HttpError::LineEnd)),
            (b"a\r\r\n", Err(HttpError::LineEnd)),
            (b"a\r\nb\r\n c\r\n\r\n", Err(HttpError::FoldedField)),
            (b"a\r\n\tb\r\n\r\n", Err(HttpError::FoldedField)),
            (
                b"a\r\nb\r\nc\r\nd\r\ne\r\n\r\n",
                Err(HttpError::TooManyFields),
            ),
            (
                b"a\r\n12345678901234567890123456789012345678901234567890123456789\r\n\r\n",
                Err(HttpError::HeadTooLarge),
            ),
        ];
        for (input, expected) in cases {
            let text = String::from_utf8_lossy(input);
            let whole = HeadScan::default().find_end(input, &LIMITS);
            assert_eq!(whole, expected, "{text:?}");
            assert_eq!(trickle(input), expected, "{text:?}, byte by byte");
        }
    }

    #[test]
    fn a_first_line_without_end_is_a_target_too_long() {
        assert_eq!(trickle(&[b'a'; 64]), Err(HttpError::TargetTooLong));
        assert_eq!(trickle(&[b'a'; 63]), Ok(None));
    }

    #[test]
    fn bad_fields_are_refused() {
        for block in [
            &b"Name : v\r\n\r\n"[..],
            b"Name\t: v\r\n\r\n",
            b": v\r\n\r\n",
            b"Name\r\n\r\n",
            b"N\0: v\r\n\r\n",
            b"N: v\0\r\n\r\n",
            b"N: \x0bv\r\n\r\n",
            b"N: v\x7f\r\n\r\n",
            b"N\xc3\xa9: v\r\n\r\n",
            b"N(: v\r\n\r\n",
        ] {
            let text = String::from_utf8_lossy(block);
            assert_eq!(parse_fields(block, 1), Err(HttpError::Field), "{text:?}");
        }
        let headers = parse_fields(b"A:\t b c \t\r\nB:\r\n\r\n", 2).unwrap();
        assert_eq!(
            (headers.get("a"), headers.get("b")),
            (Some("b c"), Some(""))
        );
    }
}
