//! JSON text at the level of characters: escaping, unescaping, passing through.
//!
//! Not a parser: `serde_json` decides what is JSON. What is written here may
//! also stand in a script: no `<`, no U+2028 and no U+2029 comes out unescaped,
//! so neither `</script>` nor an old browser's line ends can end it early.
//! Called by the envelope's reader and writer, and by the transports.

use std::borrow::Cow;

/// What a byte of a string means to the writer: 0 for plain, else the letter
/// of its short escape, `u` for a long one, `3` for a possible U+2028 or U+2029.
const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = b'u';
        control += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'<' as usize] = b'u';
    table[0xe2] = b'3';
    table
}

/// Appends `text` as a JSON string, quotes and all.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` as it stands inside a JSON string, without the quotes.
pub fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let (mut copied, mut at) = (0, 0);
    loop {
        at += plain_prefix(&bytes[at..], is_special);
        let Some(&byte) = bytes.get(at) else { break };
        match CLASSES[byte as usize] {
            b'3' => {
                let Some(escape) = line_end(&bytes[at..]) else {
                    // Another character that begins with the same byte.
                    at += 1;
                    continue;
                };
                out.extend_from_slice(&bytes[copied..at]);
                out.extend_from_slice(escape);
                at += 3;
            }
            class => {
                out.extend_from_slice(&bytes[copied..at]);
                out.extend_from_slice(&[b'\\', class]);
                if class == b'u' {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                    out.extend_from_slice(&[b'0', b'0', high, low]);
                }
                at += 1;
            }
        }
        copied = at;
    }
    out.extend_from_slice(&bytes[copied..]);
}

/// How many bytes at the start are not special. The first few are tested one
/// by one, for text that is full of quotes; then whole blocks without a branch
/// for each byte, which the compiler turns into vector instructions.
#[inline(always)]
fn plain_prefix(bytes: &[u8], is_special: impl Fn(u8) -> bool) -> usize {
    const NEAR: usize = 16;
    const BLOCK: usize = 32;
    let find = |bytes: &[u8]| bytes.iter().position(|&byte| is_special(byte));
    let near = bytes.len().min(NEAR);
    if let Some(at) = find(&bytes[..near]) {
        return at;
    }
    let is_plain = |block: &&[u8]| {
        !block
            .iter()
            .fold(false, |found, &byte| found | is_special(byte))
    };
    let blocks = bytes[near..]
        .chunks_exact(BLOCK)
        .take_while(is_plain)
        .count();
    let far = near + blocks * BLOCK;
    far + find(&bytes[far..]).unwrap_or(bytes.len() - far)
}

/// Whether a byte of a string needs an escape, or may begin what does.
#[inline(always)]
fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte == b'<') | (byte == 0xe2)
}

/// Whether a byte of valid JSON may not stay as it is, or may begin what may not.
#[inline(always)]
fn is_special_raw(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'<') | (byte == 0xe2)
}

/// The escape for U+2028 or U+2029, if `bytes` begins with one of them.
fn line_end(bytes: &[u8]) -> Option<&'static [u8]> {
    match bytes {
        [0xe2, 0x80, 0xa8, ..] => Some(b"\\u2028"),
        [0xe2, 0x80, 0xa9, ..] => Some(b"\\u2029"),
        _ => None,
    }
}

/// Appends `json`, one complete JSON value, with the same meaning but safe in
/// a script and on one line: inside strings `<` and the two line ends are
/// escaped; line breaks and tabs, which valid JSON has only between tokens,
/// become blanks.
pub fn push_raw(out: &mut Vec<u8>, json: &str) {
    let bytes = json.as_bytes();
    out.reserve(bytes.len());
    let (mut copied, mut at) = (0, 0);
    loop {
        at += plain_prefix(&bytes[at..], is_special_raw);
        let Some(&byte) = bytes.get(at) else { break };
        let (escape, width): (&[u8], usize) = match byte {
            b'<' => (b"\\u003c", 1),
            ..0x20 => (b" ", 1),
            _ => match line_end(&bytes[at..]) {
                Some(escape) => (escape, 3),
                None => {
                    // Another character that begins with the same byte.
                    at += 1;
                    continue;
                }
            },
        };
        out.extend_from_slice(&bytes[copied..at]);
        out.extend_from_slice(escape);
        at += width;
        copied = at;
    }
    out.extend_from_slice(&bytes[copied..]);
}

/// `json` without the white space around it, if it is exactly one JSON value.
/// Deep nesting costs no stack.
pub fn single_value(json: &str) -> Option<&str> {
    serde_json::from_str::<&serde_json::value::RawValue>(json)
        .ok()
        .map(|value| value.get())
}

/// The text of a valid JSON string (with its quotes); `None` for any other
/// value. Borrowed if nothing in it is escaped. A lone surrogate, which
/// `JSON.stringify` writes as `\udXXX`, becomes U+FFFD.
pub fn string_text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    match memchr::memchr(b'\\', inner.as_bytes()) {
        None => Some(Cow::Borrowed(inner)),
        Some(first) => Some(Cow::Owned(unescape(inner, first))),
    }
}

/// Where in a valid JSON string the first half of a surrogate pair stands that
/// has no other half (RFC 8259, section 8.2), in bytes.
pub fn lone_surrogate(json: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &json.as_bytes()[at..]) {
        at += found;
        let rest = &json[at..];
        let (_, width) = escaped_character(rest);
        // A whole pair is twelve bytes wide.
        if width == 6 && code_unit(rest).is_some_and(|unit| matches!(unit, 0xd800..=0xdfff)) {
            return Some(at);
        }
        at += width;
    }
    None
}

/// `text` with its escapes undone, the first of which is at byte `first`.
fn unescape(text: &str, first: usize) -> String {
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut rest = &text[first..];
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let (character, width) = escaped_character(&rest[at..]);
        out.push(character);
        rest = &rest[at + width..];
    }
    out.push_str(rest);
    out
}

/// The character that the escape at the start of `text` means, and its width
/// in bytes. `text` is from valid JSON; what is not becomes U+FFFD.
fn escaped_character(text: &str) -> (char, usize) {
    let short = match text.as_bytes().get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(&byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
        Some(b'u') => return unicode_escape(text),
        _ => return (char::REPLACEMENT_CHARACTER, 1),
    };
    (short, 2)
}

/// As [`escaped_character`], for `\uXXXX` and pairs of it (RFC 8259, section 7).
fn unicode_escape(text: &str) -> (char, usize) {
    let Some(unit) = code_unit(text) else {
        return (char::REPLACEMENT_CHARACTER, 1);
    };
    if let Some(character) = char::from_u32(u32::from(unit)) {
        return (character, 6);
    }
    let low = text.get(6..).and_then(code_unit);
    let pair = [unit, low.unwrap_or(0)];
    match char::decode_utf16(pair).next() {
        Some(Ok(character)) => (character, 12),
        _ => (char::REPLACEMENT_CHARACTER, 6),
    }
}

/// The UTF-16 unit of a `\uXXXX` at the start of `text`.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        push_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    fn raw(json: &str) -> String {
        let mut out = Vec::new();
        push_raw(&mut out, json);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_must_be_escaped_is_and_nothing_else() {
        let cases = [
            ("", r#""""#),
            ("plain /text> 'é'", r#""plain /text> 'é'""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            (
                "\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}",
                "\"\\n\\r\\t\\b\\f\\u0000\\u001f\u{7f}\"",
            ),
            ("</script><!--", r#""\u003c/script>\u003c!--""#),
            (
                "\u{2027}\u{2028}\u{2029}\u{202a}",
                "\"\u{2027}\\u2028\\u2029\u{202a}\"",
            ),
            (
                "0123456789abcdef0123456789abcdef0123456789abcdef<",
                r#""0123456789abcdef0123456789abcdef0123456789abcdef\u003c""#,
            ),
        ];
        for (text, json) in cases {
            assert_eq!(quoted(text), json);
        }
    }

    #[test]
    fn raw_json_keeps_its_meaning_and_fits_on_a_line() {
        let json = "{\"a\":\r\n\"</script>\u{2028}\u{2029}\u{20ac}\"}";
        let line = raw(json);
        assert_eq!(line, "{\"a\":  \"\\u003c/script>\\u2028\\u2029\u{20ac}\"}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(json), value(&line));
    }

    #[test]
    fn strings_are_unescaped() {
        let cases = [
            (r#""""#, Some("")),
            (r#""a\"\\\/\b\f\n\r\t""#, Some("a\"\\/\u{8}\u{c}\n\r\t")),
            (r#""\u0041\u00e9\u20AC""#, Some("Aé€")),
            (r#""\ud83d\ude00!""#, Some("😀!")),
            (r#""\ud83d!""#, Some("\u{fffd}!")),
            (r#""\ud83d\u0041\ude00""#, Some("\u{fffd}A\u{fffd}")),
            (r#""\ud83d\ud83d\ude00""#, Some("\u{fffd}😀")),
            ("12", None),
            ("\"", None),
        ];
        for (json, text) in cases {
            assert_eq!(string_text(json).as_deref(), text, "{json}");
        }
        assert!(matches!(string_text("\"é\""), Some(Cow::Borrowed("é"))));
    }

    #[test]
    fn half_of_a_pair_is_found() {
        let cases = [
            (r#""a""#, None),
            (r#""\ufffd\n\ud83d\ude00\\ud83d""#, None),
            (r#""\ud83d""#, Some(1)),
            (r#""\ud83d\ude00\ude00""#, Some(13)),
            (r#""é\ud83d\u0041""#, Some(3)),
        ];
        for (json, at) in cases {
            assert_eq!(lone_surrogate(json), at, "{json}");
        }
    }

    #[test]
    fn exactly_one_value_is_told_from_none_and_from_two() {
        assert_eq!(single_value(" [1, {}] \n"), Some("[1, {}]"));
        for text in ["", " ", "1 2", "{", "nul", "{\"a\"}", "'a'"] {
            assert_eq!(single_value(text), None, "{text}");
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(single_value(&deep), Some(deep.as_str()));
    }

    proptest! {
        #[test]
        fn escaping_is_undone(text in "[\\x00-\\x7f\u{2020}-\u{2030}é😀]{0,100}|\\PC{0,100}") {
            let json = quoted(&text);
            let plain = !json.contains(['<', '\u{2028}', '\u{2029}', '\n']);
            prop_assert!(plain);
            prop_assert_eq!(&serde_json::from_str::<String>(&json).unwrap(), &text);
            prop_assert_eq!(string_text(&json).unwrap(), text);
        }

        #[test]
        fn raw_json_means_the_same(text in "[\\x00-\\x7f\u{2020}-\u{2030}é😀]{0,100}") {
            let value = serde_json::json!({"long": [&text, "x".repeat(50), {}], &text: 1});
            let line = raw(&serde_json::to_string_pretty(&value).unwrap());
            let plain = !line.contains(['<', '\u{2028}', '\u{2029}', '\n']);
            prop_assert!(plain);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
        }

        #[test]
        fn no_text_panics(text in "(\\\\|u|d8|dc|00|\"|é|\\PC){0,40}") {
            let _ = string_text(&format!("\"{text}\""));
            let _ = lone_surrogate(&text);
            let _ = single_value(&text);
            raw(&text);
        }
    }
}
