//! Messages of browsers, read: old and new ones, and what is refused.

use std::collections::BTreeMap;

use super::decode::{Envelope, EnvelopeError, Id, decode};
use super::strict::{self, Flaw, FlawKind};
use proptest::prelude::*;

#[test]
fn the_old_clients_messages_are_read() {
    let text =
        r#"{"data":"hi \"you\" \u00e9","version":1,"type":"message","sessionId":7,"id":42}ts=1"#;
    let envelope = decode(text).unwrap();
    assert_eq!(envelope.kind.as_deref(), Some("message"));
    assert_eq!(envelope.data.as_deref(), Some("hi \"you\" é"));
    assert_eq!(envelope.version, Some(1));
    assert_eq!(envelope.session_id.as_deref(), Some("7"));
    let id = envelope.id.unwrap();
    assert_eq!((id.raw(), id.number()), ("42", Some(42)));
    assert_eq!((envelope.channel, envelope.positions), (None, None));
}

#[test]
fn the_new_clients_messages_are_read() {
    let text = r#" {"type":"connect","id":"a<b","positions":{"n\u00e9ws":"x:1","b":"y:3"},
        "since":"x:4","wait":25000.9,"batch":7,"unknown":[{}],"data":"\ud83d"}"#;
    let envelope = decode(text).unwrap();
    let positions = envelope.positions.unwrap();
    let positions: Vec<_> = positions.iter().map(|(c, p)| (&**c, &**p)).collect();
    assert_eq!(positions, [("b", "y:3"), ("néws", "x:1")]);
    assert_eq!(envelope.since.as_deref(), Some("x:4"));
    assert_eq!(envelope.data.as_deref(), Some("\u{fffd}"), "half of a pair");
    assert_eq!((envelope.wait_ms, envelope.batch), (Some(25_000), Some(7)));
    let id = envelope.id.unwrap();
    assert_eq!((id.raw(), id.number()), ("\"a<b\"", None));
    assert_eq!(
        decode(r#"{"positions":{}}"#).unwrap().positions,
        Some(BTreeMap::new())
    );
}

#[test]
fn null_is_missing() {
    let nothing = r#"{"type":null,"channel":null,"data":null,"version":null,"id":null,
        "sessionId":null,"positions":null,"since":null,"wait":null}"#;
    assert_eq!(decode(nothing), Ok(Envelope::default()));
}

#[test]
fn what_two_readers_could_understand_differently_is_refused_with_its_place() {
    use FlawKind::*;
    let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let (fits, too_deep) = (deep(127), deep(128));
    let (unknown, version) = (
        format!(r#"{{"id":7,"x":{too_deep}}}"#),
        format!(r#"{{"id":7,"version":{too_deep}}}"#),
    );
    for (text, kind, column) in [
        (r#"{"data":"a","id":7,"data":"b"}"#, KeyTwice, 20),
        (r#"{"id":7,"d\u0061ta":"a","data":"b"}"#, KeyTwice, 25),
        (r#"{"id":7,"channel":null,"channel":"b"}"#, KeyTwice, 24),
        (r#"{"id":7,"x":1,"y":2,"x":1}"#, KeyTwice, 21),
        (r#"{"id":7,"x":{"a":1,"a":2}}"#, KeyTwice, 20),
        (r#"{"id":7,"x":[{"\ud83d":2}]}"#, LoneSurrogate, 16),
        (
            r#"{"id":7,"positions":{"a":"x:1","a":"x:2"}}"#,
            KeyTwice,
            32,
        ),
        (
            r#"{"id":7,"positions":{"\ude00":"x:1"}}"#,
            LoneSurrogate,
            23,
        ),
        (r#"{"id":7,"channel":"a\ud83d"}"#, LoneSurrogate, 21),
        (r#"{"id":7,"sessionId":"\ud83d"}"#, LoneSurrogate, 22),
        (r#"{"id":7,"type":"\ud83d"}"#, LoneSurrogate, 17),
        (r#"{"id":7,"since":"\ud83d"}"#, LoneSurrogate, 18),
        (r#"{"id":7,"\ud83d":1}"#, LoneSurrogate, 10),
        (&unknown, TooDeep, 13 + 127),
        (&version, TooDeep, 19 + 127),
    ] {
        let refused = decode(text).unwrap_err();
        let place = strict::Place { line: 1, column };
        let error = EnvelopeError::Flawed(Flaw { kind, place });
        assert_eq!(refused.error, error, "{text}");
        assert_eq!(refused.id.map(Id::raw), Some("7"), "{text}");
        let told = error.to_string();
        assert!(
            told.contains(&format!("(line 1, column {column})")),
            "{told}"
        );
    }
    assert!(decode(&format!(r#"{{"x":{fits}}}"#)).is_ok());
    // The first is told, and text that is not JSON before all.
    let two = decode("{\"\\ud83d\":1,\n\"data\":\"a\",\"data\":7}").unwrap_err();
    assert_eq!(two.error.code(), "lone_surrogate");
    let cut = decode(r#"{"data":"a","data":"b""#).unwrap_err();
    assert_eq!(cut.error, EnvelopeError::NotJson);
}

#[test]
fn what_is_wrong_is_told() {
    use EnvelopeError::*;
    let wrong = |key, wanted| WrongKind { key, wanted };
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(63));
    let cases = [
        ("", NotJson),
        ("{", NotJson),
        (r#"{"data":"a}"#, NotJson),
        (r#"{"data" "a"}"#, NotJson),
        (r#"{"data":"a",}"#, NotJson),
        ("{\"data\":\"a\nb\"}", NotJson),
        ("[]", NotObject),
        ("null", NotObject),
        (r#"{"data":7}"#, DataNotString),
        (r#"{"data":{"a":1}}"#, DataNotString),
        (r#"{"type":7}"#, wrong("type", "a string")),
        (r#"{"channel":["a"]}"#, wrong("channel", "a string")),
        (r#"{"id":{}}"#, wrong("id", "a number or a string")),
        (r#"{"id":true}"#, wrong("id", "a number or a string")),
        (&long, IdTooLong),
        (r#"{"sessionId":[]}"#, wrong("sessionId", "a string")),
        (r#"{"wait":-1}"#, wrong("wait", "a number of milliseconds")),
        (r#"{"wait":"1"}"#, wrong("wait", "a number of milliseconds")),
        (
            r#"{"batch":-1}"#,
            wrong("batch", "the number of a batch, or 0"),
        ),
    ];
    for (text, error) in cases {
        assert_eq!(decode(text).unwrap_err().error, error, "{text}");
    }
    for text in [
        r#"{"positions":[]}"#,
        r#"{"positions":{"a":1}}"#,
        r#"{"positions":"a"}"#,
    ] {
        let error = decode(text).unwrap_err().error;
        assert!(
            error
                .to_string()
                .starts_with("\"positions\" must be an object"),
            "{error}"
        );
    }
}

#[test]
fn a_refusal_bears_the_id_where_it_could_be_read() {
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(63));
    for (text, id) in [
        (r#"{"data":7,"id":42}"#, Some("42")),
        (r#"{"id":"a","type":7}"#, Some("\"a\"")),
        (r#"{"id":1,"id":2}"#, None),
        (r#"{"id":1,"id":2,"id":3}"#, None),
        (r#"{"id":42,"data":"#, Some("42")),
        (r#"{"id":42,"data":"42"#, Some("42")),
        (r#"{"id":42,"#, Some("42")),
        (r#"{"id":42"#, None),
        (r#"{"id":4"#, None),
        (r#"{"data":"a","id":"#, None),
        (r#"{"data":7}"#, None),
        (r#"{"data":7,"id":null}"#, None),
        (r#"{"data":7,"id":{}}"#, None),
        (&long, None),
        (r#"[{"id":42}]"#, None),
    ] {
        let refused = decode(text).unwrap_err();
        assert_eq!(refused.id.map(Id::raw), id, "{text}");
    }
}

#[test]
fn deep_nesting_takes_no_stack() {
    for key in ["unknown", "data", "id", "positions"] {
        let text = format!(r#"{{"{key}":{}"#, "[{\"a\":".repeat(200_000));
        assert_eq!(decode(&text).unwrap_err().error, EnvelopeError::NotJson);
    }
    let text = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(decode(&text).unwrap_err().error.code(), "too_deep");
}

proptest! {
    #[test]
    fn a_written_message_is_read_again(data: String, channel: String, id: u64, tail in "[^\\s]*") {
        let value = serde_json::json!({"data": data, "channel": channel, "id": id});
        let text = format!("{value}{tail}");
        let envelope = decode(&text).unwrap();
        prop_assert_eq!(envelope.data.as_deref(), Some(data.as_str()));
        prop_assert_eq!(envelope.channel.as_deref(), Some(channel.as_str()));
        prop_assert_eq!(envelope.id.and_then(Id::number), Some(id));
    }

    #[test]
    fn no_text_panics(text in "\\PC*", near in r#"\{("(id|data|positions)":("a"|1|\{\}|\[|null)?,?){0,5}\}?"#) {
        let _ = decode(&text);
        let _ = decode(&near);
    }
}
