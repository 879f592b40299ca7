//! The scripts that carry JSON to a page by script tags (JSONP).
//!
//! Only the texts around the JSON, which the old client dictates (protocol A.24
//! to A.27); what is answered and when is the transport's business. Called by
//! the JSONP transport.

/// Appends the script that answers a request with `json`, one JSON object
/// (protocol A.24). The envelope's writers leave nothing in it that a script
/// could stumble over.
pub fn response(out: &mut Vec<u8>, json: &[u8]) {
    out.extend_from_slice(b"Chloe.JsonpTransport.response(");
    out.extend_from_slice(json);
    out.extend_from_slice(b");");
}

/// Appends the script that hands `json` to connection `id` and does not make
/// it poll again: for all messages of a burst but the last (protocol A.26).
pub fn onmessage(out: &mut Vec<u8>, id: u64, json: &[u8]) {
    connection(out, id);
    out.extend_from_slice(b".callbacks.onmessage('");
    push_quoted(out, json);
    out.extend_from_slice(b"');");
}

/// Appends the script that makes connection `id` poll again and does nothing
/// else: for a poll that was held as long as it may be (protocol A.27).
pub fn repoll(out: &mut Vec<u8>, id: u64) {
    connection(out, id);
    out.extend_from_slice(b".listenForMessages();");
}

/// The connection's place in the page. A number as its type keeps all else out of the script.
fn connection(out: &mut Vec<u8>, id: u64) {
    out.extend_from_slice(b"Chloe.JsonpTransport.connections[");
    out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    out.push(b']');
}

/// Appends `text` as it stands in a JavaScript string in single quotes.
fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len());
    let mut copied = 0;
    for (at, &byte) in text.iter().enumerate() {
        let (escape, width): (&[u8], usize) = match byte {
            b'\\' => (b"\\\\", 1),
            b'\'' => (b"\\'", 1),
            b'\n' => (b"\\n", 1),
            b'\r' => (b"\\r", 1),
            b'<' => (b"\\u003c", 1),
            0xe2 => match &text[at..] {
                [_, 0x80, 0xa8, ..] => (b"\\u2028", 3),
                [_, 0x80, 0xa9, ..] => (b"\\u2029", 3),
                _ => continue,
            },
            _ => continue,
        };
        out.extend_from_slice(&text[copied..at]);
        out.extend_from_slice(escape);
        copied = at + width;
    }
    out.extend_from_slice(&text[copied..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before ".to_vec();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        text.strip_prefix("before ").unwrap().to_owned()
    }

    #[test]
    fn the_scripts_are_those_of_old() {
        assert_eq!(
            written(|out| response(out, b"{\"id\":1}")),
            "Chloe.JsonpTransport.response({\"id\":1});"
        );
        assert_eq!(
            written(|out| onmessage(out, 12, br#"{"data":"it's \"a\" \\ b"}"#)),
            r#"Chloe.JsonpTransport.connections[12].callbacks.onmessage('{"data":"it\'s \\"a\\" \\\\ b"}');"#
        );
        assert_eq!(
            written(|out| repoll(out, u64::MAX)),
            "Chloe.JsonpTransport.connections[18446744073709551615].listenForMessages();"
        );
    }

    #[test]
    fn nothing_ends_the_string_or_the_script() {
        let script =
            written(|out| onmessage(out, 1, "</script>\u{2028}\u{2029}\r\n€'\\".as_bytes()));
        let (_, quoted) = script.split_once('\'').unwrap();
        assert_eq!(quoted, r"\u003c/script>\u2028\u2029\r\n€\'\\');");
    }

    /// What a JavaScript engine makes of the escapes written here.
    fn unquoted(mut text: &str) -> String {
        let mut out = String::new();
        while let Some(character) = text.chars().next() {
            text = &text[character.len_utf8()..];
            if character != '\\' {
                out.push(character);
                continue;
            }
            let (escape, mut width) = (&text[..1], 1);
            out.push(match escape {
                "n" => '\n',
                "r" => '\r',
                "u" => {
                    width = 5;
                    char::from_u32(u32::from_str_radix(&text[1..5], 16).unwrap()).unwrap()
                }
                other => other.chars().next().unwrap(),
            });
            text = &text[width..];
        }
        out
    }

    proptest! {
        #[test]
        fn quoting_is_undone(text in "['\\\\<\r\n\u{2026}-\u{202a}é]{0,40}|\\PC*") {
            let quoted = written(|out| push_quoted(out, text.as_bytes()));
            let plain = !quoted.contains(['\n', '\r', '<', '\u{2028}', '\u{2029}']);
            prop_assert!(plain);
            prop_assert_eq!(unquoted(&quoted), text);
        }
    }
}
