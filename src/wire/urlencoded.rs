//! Forms: the pairs of `/send`, and what the old client's `escape()` made.
//!
//! Two ways to read that look alike and differ in `+`, in `%uXXXX` and in what
//! `%XX` means; so each has its own function. Called by the server's API and
//! by the XHR and JSONP transports; forms are written by the command line.

use std::borrow::Cow;

/// A pair of a form or query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    pub name: Cow<'a, str>,
    /// Empty if there was no `=`.
    pub value: Cow<'a, str>,
    /// Whether both were UTF-8. What was not reads as U+FFFD, so that two
    /// different names may read alike.
    pub utf8: bool,
}

/// The pairs of a form or query as every browser and `curl -d` write them:
/// `+` is a space, `%XX` is UTF-8. Empty pairs are skipped.
pub fn form_pairs(bytes: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    split_pairs(bytes).filter_map(|pair| plain_pair(pair).or_else(|| decoded_pair(pair)))
}

/// A pair in which nothing is to be decoded; it is found out in a fifth of the time.
fn plain_pair(pair: &[u8]) -> Option<Pair<'_>> {
    if pair.is_empty() || memchr::memchr2(b'%', b'+', pair).is_some() {
        return None;
    }
    let pair = std::str::from_utf8(pair).ok()?;
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Some(Pair {
        name: name.into(),
        value: value.into(),
        utf8: true,
    })
}

fn decoded_pair(pair: &[u8]) -> Option<Pair<'_>> {
    let (name, value) = form_urlencoded::parse(pair).next()?;
    // No byte that is not ASCII comes from '+' or '=', so the pair is judged whole.
    let replaced = name.contains('\u{fffd}') || value.contains('\u{fffd}');
    let utf8 = !replaced || percent_encoding::percent_decode(pair).decode_utf8().is_ok();
    Some(Pair { name, value, utf8 })
}

/// A form of these pairs, as [`form_pairs`] reads it: the body of a POST to `/send`.
pub fn encode_form(pairs: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs);
    form.finish()
}

/// The value of `data=` in the query or the body of `/chloe/xhr` and
/// `/chloe/jsonp.js`, decoded; `None` if there is none. The value ends at `&`;
/// the old client's JSONP leaves that out, and `ts=...` follows the JSON
/// directly (protocol A.23), which the envelope's reader ignores.
///
/// The value is JSON. A lone surrogate, which no text of ours can hold, becomes
/// its escape in JSON, `\uXXXX`: the envelope's reader decides what it means.
pub fn browser_data(bytes: &[u8]) -> Option<String> {
    split_pairs(bytes)
        .find_map(|pair| pair.strip_prefix(b"data="))
        .map(unescape)
}

/// What stands between the `&`.
fn split_pairs(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let end = memchr::memchr(b'&', bytes);
        rest = end.map(|end| &bytes[end + 1..]);
        Some(&bytes[..end.unwrap_or(bytes.len())])
    })
}

/// Undoes `escape()` or `encodeURIComponent()` (protocol A.29, A.30).
///
/// `%uXXXX` is a UTF-16 unit, and only `escape()` writes it: if there is one,
/// or if the bytes are not UTF-8, `%XX` is a Latin-1 character. Otherwise it is
/// a byte of UTF-8. `+` is a plus. A `%` that begins neither stands for itself.
fn unescape(value: &[u8]) -> String {
    let bytes = match memchr::memchr(b'%', value) {
        None => value.to_vec(),
        Some(_) if has_wide_escape(value) => return unescape_latin1(value),
        Some(_) => Cow::from(percent_encoding::percent_decode(value)).into_owned(),
    };
    String::from_utf8(bytes).unwrap_or_else(|_| unescape_latin1(value))
}

fn has_wide_escape(value: &[u8]) -> bool {
    memchr::memchr_iter(b'%', value).any(|at| matches!(escape_at(&value[at..]), Some((_, 6))))
}

/// The UTF-16 unit that the escape at the start of `value` means, and its width in bytes.
fn escape_at(value: &[u8]) -> Option<(u16, usize)> {
    let (digits, width) = match value {
        [b'%', b'u', digits @ ..] => (digits.get(..4)?, 6),
        [b'%', digits @ ..] => (digits.get(..2)?, 3),
        _ => return None,
    };
    let mut unit = 0;
    for &digit in digits {
        unit = unit << 4 | char::from(digit).to_digit(16)? as u16;
    }
    Some((unit, width))
}

/// `value` with its escapes read as UTF-16 units; runs of other bytes are UTF-8.
fn unescape_latin1(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while !rest.is_empty() {
        let escapes = push_escapes(&mut out, rest);
        rest = &rest[escapes..];
        // A '%' here is no escape: it is part of the run.
        let run = rest.iter().skip(1).position(|&byte| byte == b'%');
        let run = run.map_or(rest.len(), |at| at + 1);
        match std::str::from_utf8(&rest[..run]) {
            Ok(text) => out.push_str(text),
            // As U+FFFD two names could read alike.
            Err(_) => out.extend(rest[..run].iter().map(|&byte| char::from(byte))),
        }
        rest = &rest[run..];
    }
    out
}

/// Appends what the escapes at the start of `value` mean and returns their width in
/// bytes. Surrogates pair up across escapes; a lone one becomes its escape in JSON.
fn push_escapes(out: &mut String, value: &[u8]) -> usize {
    let mut at = 0;
    let units = std::iter::from_fn(|| {
        let (unit, width) = escape_at(&value[at..])?;
        at += width;
        Some(unit)
    });
    for unit in char::decode_utf16(units) {
        match unit {
            Ok(character) => out.push(character),
            Err(lone) => out.push_str(&format!("\\u{:04x}", lone.unpaired_surrogate())),
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(text: &str) -> Option<String> {
        browser_data(text.as_bytes())
    }

    #[test]
    fn forms_are_read_as_everywhere() {
        let form = b"data=a+b%2Bc%C3%A9&channel=n%26&sig&data=&%FF=1&a=\xff&b=%EF%BF%BD+";
        let pairs: Vec<_> = form_pairs(form).collect();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|pair| (&*pair.name, &*pair.value, pair.utf8))
            .collect();
        assert_eq!(
            pairs,
            [
                ("data", "a b+cé", true),
                ("channel", "n&", true),
                ("sig", "", true),
                ("data", "", true),
                ("\u{fffd}", "1", false),
                ("a", "\u{fffd}", false),
                ("b", "\u{fffd} ", true),
            ]
        );
    }

    #[test]
    fn what_is_written_as_a_form_is_read_as_it_was() {
        let pairs = [
            ("channel", "a&b=c"),
            ("data", "1 + 1 = 2 \u{e9}\n\u{1f600}%"),
        ];
        let form = encode_form(&pairs);
        assert!(form.is_ascii(), "{form}");
        let read: Vec<_> = form_pairs(form.as_bytes())
            .map(|pair| (pair.name, pair.value))
            .collect();
        assert_eq!(read, pairs.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn the_clients_data_is_found_and_decoded() {
        let cases = [
            ("", None),
            ("dat=1&ts=2&xdata=3", None),
            ("data=", Some("")),
            ("ts=1&data=a&data=b", Some("a")),
            // The old client's JSONP.
            ("data=%7B%22a%22%3A1%7Dts=123", Some("{\"a\":1}ts=123")),
            // A plus is a plus, bare or not (A.30).
            ("data=1+1%2B1%201", Some("1+1+1 1")),
            ("data=@*_+-./", Some("@*_+-./")),
            // UTF-8, and Latin-1 where it cannot be UTF-8 (A.29).
            ("data=%C3%A9", Some("é")),
            ("data=%E9", Some("é")),
            ("data=%E9%80", Some("é\u{80}")),
            ("data=%u20AC%C3%A9", Some("€Ã©")),
            ("data=%C3%A9%E9", Some("Ã©é")),
            ("data=é%20%u20ac", Some("é €")),
            // Surrogates.
            ("data=%uD83D%uDE00", Some("😀")),
            ("data=%uD83D", Some("\\ud83d")),
            ("data=%uDE00%uD83Dx", Some("\\ude00\\ud83dx")),
            ("data=%uD83D%uD83D%uDE00", Some("\\ud83d😀")),
            ("data=%uD83D-%uDE00", Some("\\ud83d-\\ude00")),
            // What is no escape stands for itself.
            ("data=100%", Some("100%")),
            ("data=%zz%4", Some("%zz%4")),
            ("data=%u12%u+123%u0041%", Some("%u12%u+123A%")),
            ("data=%%41", Some("%A")),
            ("data=%%u0041", Some("%A")),
        ];
        for (text, data) in cases {
            assert_eq!(decoded(text).as_deref(), data, "{text}");
        }
        assert_eq!(
            browser_data(b"data=\xff%u0041\xc3\xa9"),
            Some("\u{ff}Aé".to_owned())
        );
    }

    /// JavaScript's escape(), as ECMA-262, annex B.2.1.1, has it.
    fn escape(text: &str) -> String {
        let mut out = String::new();
        for unit in text.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte) if byte.is_ascii_alphanumeric() || b"@*_+-./".contains(&byte) => {
                    out.push(char::from(byte));
                }
                Ok(byte) => out += &format!("%{byte:02X}"),
                Err(_) => out += &format!("%u{unit:04X}"),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn a_form_is_read_as_the_library_reads_it(bytes: Vec<u8>, near in "([%+&=]|[0-9a-f]|é){0,40}") {
            for form in [&bytes[..], near.as_bytes()] {
                let pairs: Vec<_> = form_pairs(form).map(|pair| (pair.name, pair.value)).collect();
                prop_assert_eq!(pairs, form_urlencoded::parse(form).collect::<Vec<_>>());
            }
        }

        #[test]
        fn escape_is_undone(text in "\\PC{0,40}€") {
            prop_assert_eq!(decoded(&format!("data={}", escape(&text))), Some(text));
        }

        #[test]
        fn escape_of_ascii_is_undone(text in "[\\x00-\\x7f]{0,40}") {
            prop_assert_eq!(decoded(&format!("ts=1&data={}&x", escape(&text))), Some(text));
        }

        #[test]
        fn encode_uri_component_is_undone(text: String) {
            let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
            prop_assert_eq!(decoded(&format!("data={encoded}")), Some(text));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, near in "(%|u|[dD]8|[0-9a-f]|é|&|data=){0,40}") {
            let _ = browser_data(&bytes);
            let _ = browser_data(near.as_bytes());
            let _ = form_pairs(&bytes).count();
        }
    }
}
