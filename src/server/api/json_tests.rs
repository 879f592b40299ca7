//! Publications in JSON, read: alone and in batches, and what is refused.

use super::json::read;
use super::publication::{Data, Publication};
use proptest::prelude::*;
use serde_json::json;

fn one(text: &str) -> Publication<'_> {
    let mut batch = read(text.as_bytes(), 10).unwrap();
    assert!(!batch.list && batch.publications.len() == 1, "{text}");
    batch.publications.remove(0)
}

#[test]
fn an_object_is_read_with_data_of_any_kind() {
    for (data, kind) in [
        (r#""a\u00e9\ud83d""#, Data::Text("aé\u{fffd}".into())),
        (r#""""#, Data::Text("".into())),
        ("null", Data::Json("null")),
        ("1.50", Data::Json("1.50")),
        (r#"{"b":[1, 2]}"#, Data::Json(r#"{"b":[1, 2]}"#)),
        ("[]", Data::Json("[]")),
    ] {
        let text = format!(" {{\"data\": {data} }}\n");
        let read = one(&text);
        assert_eq!(read.data, kind, "{data}");
        assert_eq!(read.channels, ["/all"]);
        assert_eq!((read.session, read.id), (None, None));
    }
    let full = one(r#"{"channel":"a","session":"s","id":7,"data":2}"#);
    assert_eq!(
        (full.data, full.channels),
        (Data::Json("2"), vec!["a".into()])
    );
    assert_eq!(
        (full.session.as_deref(), full.id.as_deref()),
        (Some("s"), Some("7"))
    );
    let several = one(r#"{"channels":["a","b","\u0061"],"data":1,"id":"x"}"#);
    assert_eq!(several.channels, ["a", "b"], "each once");
}

#[test]
fn a_batch_keeps_its_order_and_has_a_limit() {
    let text = r#" [ {"data":1} , {"data":"2","channel":"b"} ] "#;
    let batch = read(text.as_bytes(), 2).unwrap();
    assert!(batch.list);
    let data: Vec<_> = batch
        .publications
        .iter()
        .map(|one| one.data.clone())
        .collect();
    assert_eq!(data, [Data::Json("1"), Data::Text("2".into())]);
    assert_eq!(
        read(text.as_bytes(), 1).unwrap_err().code,
        "too_many_publications"
    );
    assert_eq!(read(b"[]", 1).unwrap().publications, []);
    let wide = read(br#"[{"data":1,"channels":["a","b"]},{"data":1}]"#, 2).unwrap();
    assert_eq!(wide.check_size(2).unwrap_err().status, 413);
    assert_eq!(wide.check_size(3), Ok(()));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let long = format!(r#"{{"data":1,"id":"{}"}}"#, "x".repeat(256));
    for (text, code, said) in [
        ("", "bad_json", "(line 1, column 0)"),
        ("{\"data\":\n1,}", "bad_json", "(line 2, column 3)"),
        ("{\"data\":1} {}", "bad_json", "(line 1, column 12)"),
        ("7", "not_an_object", "This is not an object"),
        (
            "[{\"data\":1},[]]",
            "not_an_object",
            "Number 2 of the batch: This is not",
        ),
        ("{}", "no_data", "add \"data\""),
        (
            r#"{"data":1,"chanel":"a"}"#,
            "unknown_key",
            "no key \"chanel\"",
        ),
        (r#"{"data":1,"sig":"a"}"#, "unknown_key", "sig is for forms"),
        (
            r#"{"data":1,"channel":7}"#,
            "bad_value",
            "\"channel\" must be a string",
        ),
        (
            r#"{"data":1,"channels":"a"}"#,
            "bad_value",
            "a list of strings",
        ),
        (
            r#"{"data":1,"channels":[]}"#,
            "bad_value",
            "\"channels\" is empty",
        ),
        (
            r#"{"data":1,"channels":null}"#,
            "bad_value",
            "\"channels\" is empty",
        ),
        (
            r#"{"data":1,"channels":["a",""]}"#,
            "channel_name",
            "\"channel\"",
        ),
        (
            r#"{"data":1,"channel":null}"#,
            "channel_name",
            "\"channel\" is empty",
        ),
        (
            r#"{"data":1,"channel":""}"#,
            "channel_name",
            "\"channel\" is empty",
        ),
        (
            r#"{"data":1,"session":null}"#,
            "bad_value",
            "\"session\" is empty",
        ),
        (
            r#"{"data":1,"session":"","channel":"a"}"#,
            "bad_value",
            "\"session\"",
        ),
        (
            r#"{"data":1,"sessionId":"a"}"#,
            "unknown_key",
            "did you mean session?",
        ),
        (
            r#"{"data":1,"Channel":"a"}"#,
            "unknown_key",
            "did you mean channel?",
        ),
        (r#"{"data":1,"user":"a"}"#, "unknown_key", "no key \"user\""),
        (r#"{"data":1,"":"a"}"#, "unknown_key", "no key \"\""),
        (r#"{"data":1,"data":1}"#, "key_twice", "(line 1, column 11)"),
        (
            "{\"data\":1,\n \"id\":null,\"id\":1}",
            "key_twice",
            "(line 2, column 12)",
        ),
        (
            r#"[{"data":1},{"data":{"a":[{"b":1,"b":2}]}}]"#,
            "key_twice",
            "(line 1, column 34)",
        ),
        (
            r#"[{"data":1},{"data":1,"data":2}]"#,
            "key_twice",
            "Number 2 of the batch: A key",
        ),
        (
            r#"{"data":1,"channel":"a\ud83d"}"#,
            "lone_surrogate",
            "(line 1, column 23)",
        ),
        (
            r#"{"data":1,"channels":["b","\ud83d"]}"#,
            "lone_surrogate",
            "column 28)",
        ),
        (
            r#"{"data":1,"session":"\ud83d"}"#,
            "lone_surrogate",
            "column 22)",
        ),
        (
            r#"{"data":1,"id":"\ud83d"}"#,
            "lone_surrogate",
            "column 17)",
        ),
        (r#"{"data":{"\ude00":1}}"#, "lone_surrogate", "column 11)"),
        (
            r#"{"data":1,"channels":["a",1]}"#,
            "bad_value",
            "a list of strings",
        ),
        (
            r#"{"data":1,"channel":"a","channels":["a"]}"#,
            "bad_value",
            "send one of them",
        ),
        (
            r#"{"data":1,"session":1}"#,
            "bad_value",
            "\"session\" must be",
        ),
        (
            r#"{"data":1,"session":"s","channels":["a","b"]}"#,
            "several_channels",
            "one channel",
        ),
        (r#"{"data":1,"id":[]}"#, "bad_value", "\"id\" must be"),
        (r#"{"data":1,"id":""}"#, "bad_key", "1 to 255 bytes"),
        (&long, "bad_key", "1 to 255 bytes"),
    ] {
        let problem = read(text.as_bytes(), 10).unwrap_err();
        assert_eq!((problem.status, problem.code), (400, code), "{text}");
        assert!(
            problem.message.contains(said),
            "{text}: {}",
            problem.message
        );
    }
    assert_eq!(
        read(b"{\"data\":\"\xff\"}", 1).unwrap_err().code,
        "bad_utf8"
    );
    let key = format!(r#"{{"data":1,"{}":1}}"#, "k".repeat(100_000));
    assert!(read(key.as_bytes(), 1).unwrap_err().message.len() < 300);
}

#[test]
fn nesting_has_a_limit_and_takes_no_stack() {
    let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    // The object is a level as well, and in a batch the list.
    for (levels, before, behind) in [(127, "{\"data\":", "}"), (126, "[{\"data\":", "}]")] {
        let text = format!("{before}{}{behind}", deep(levels));
        assert!(read(text.as_bytes(), 1).is_ok(), "{levels}");
        for levels in [levels + 1, 200_000] {
            let text = format!("{before}{}{behind}", deep(levels));
            let problem = read(text.as_bytes(), 1).unwrap_err();
            assert_eq!(problem.code, "too_deep");
            let column = before.len() + if before.len() == 8 { 128 } else { 127 };
            let place = format!("(line 1, column {column})");
            assert!(problem.message.contains(&place), "{}", problem.message);
        }
    }
    assert_eq!(
        read(deep(200_000).as_bytes(), 1).unwrap_err().code,
        "not_an_object"
    );
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_written(text: String, channel in "\\PC{1,20}", number: i64) {
        let values = json!([
            {"data": &text, "channel": &channel, "id": number},
            {"data": {"a": &text}, "channels": [&channel], "session": &channel},
        ]);
        let written = values.to_string();
        let batch = read(written.as_bytes(), 2).unwrap();
        let (one, two) = (&batch.publications[0], &batch.publications[1]);
        prop_assert_eq!(&one.data, &Data::Text(text.as_str().into()));
        prop_assert_eq!(one.channels[0].as_ref(), channel.as_str());
        prop_assert_eq!(one.id.as_deref().unwrap(), number.to_string());
        let Data::Json(inner) = two.data else { panic!("an object is no text") };
        let inner: serde_json::Value = serde_json::from_str(inner).unwrap();
        prop_assert_eq!(&inner, &values[1]["data"]);
        prop_assert_eq!(two.session.as_deref(), Some(channel.as_str()));
    }

    #[test]
    fn no_body_panics(body in "(\\[|\\]|\\{|\\}|,|:|\"(data|channels?|session|id)\"|\"|1|null|\\PC){0,30}") {
        let _ = read(body.as_bytes(), 3);
    }
}
