//! `/send` by JSON: one object, or a batch of them in a list.
//!
//! Unlike a browser's message, an object with a key that is not known is
//! refused: a misspelt `channel` would publish to everyone what is meant for a
//! few. Nothing is published here. Called by `send`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::base::names::ALL_CHANNEL;
use crate::transport::contract::Problem;
use crate::wire::envelope::json::{single_value, string_text};

use super::publication::{Batch, Data, Publication, about, too_many};

/// Reads the body of a request; of a list no more than `most` objects.
///
/// # Errors
/// The first thing that is wrong, with its place in the list.
pub fn read(body: &[u8], most: usize) -> Result<Batch<'_>, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| {
        Problem::new(
            400,
            "bad_utf8",
            "The body is not UTF-8, which JSON has to be.",
        )
    })?;
    let value = single_value(text).ok_or_else(|| not_json(text))?;
    let list = value.starts_with('[');
    let objects = match list {
        true => elements(value, most)?,
        false => vec![value],
    };
    let mut publications = Vec::with_capacity(objects.len());
    for (index, object) in objects.into_iter().enumerate() {
        let read = publication(object).map_err(|problem| about(list, index, problem));
        publications.push(read?);
    }
    Ok(Batch { publications, list })
}

fn not_json(text: &str) -> Problem {
    let place = match serde_json::from_str::<IgnoredAny>(text) {
        Err(error) => format!(" (line {}, column {})", error.line(), error.column()),
        Ok(_) => String::new(),
    };
    Problem::new(
        400,
        "bad_json",
        format!(
            "The body is not one JSON value{place}: send an object with data, or a list of such."
        ),
    )
}

/// The elements of a valid list.
fn elements(list: &str, most: usize) -> Result<Vec<&str>, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(list);
    // The list is valid: there is nothing to stop it but its length.
    let elements = deserializer.deserialize_seq(Elements(most));
    elements.map_err(|_| too_many(most))
}

/// Reads at most so many elements.
struct Elements(usize);

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} objects", self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element::<&RawValue>()? {
            if elements.len() == self.0 {
                return Err(A::Error::custom("too many"));
            }
            elements.push(element.get());
        }
        Ok(elements)
    }
}

/// The raw values of an object's keys. `null` is kept as missing, but for
/// `data`, for which it is a value like others.
#[derive(Default)]
struct Raw<'a> {
    data: Option<&'a str>,
    channel: Option<&'a str>,
    channels: Option<&'a str>,
    session: Option<&'a str>,
    id: Option<&'a str>,
    unknown: Option<Cow<'a, str>>,
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw<'de>, A::Error> {
        let mut raw = Raw::default();
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let key = string_text(key.get()).unwrap_or_default();
            let value = value.get();
            let given = (value != "null").then_some(value);
            match &*key {
                "data" => raw.data = Some(value),
                "channel" => raw.channel = given,
                "channels" => raw.channels = given,
                "session" => raw.session = given,
                "id" => raw.id = given,
                _ => raw.unknown = Some(key),
            }
        }
        Ok(raw)
    }
}

fn publication(object: &str) -> Result<Publication<'_>, Problem> {
    let raw = serde_json::Deserializer::from_str(object).deserialize_map(Fields);
    // It is valid JSON: if it is not read as an object, it is none.
    let raw = raw.map_err(|_| {
        Problem::new(
            400,
            "not_an_object",
            "This is not an object: send {\"channel\": \"...\", \"data\": ...}.",
        )
    })?;
    if let Some(key) = raw.unknown {
        return Err(unknown_key(&key));
    }
    let data = raw.data.ok_or_else(|| {
        Problem::new(
            400,
            "no_data",
            "The object has no data: add \"data\", which may be any JSON value.",
        )
    })?;
    let publication = Publication {
        data: string_text(data).map_or(Data::Json(data), Data::Text),
        channels: channels(raw.channel, raw.channels)?,
        session: raw.session.map(|raw| string("session", raw)).transpose()?,
        id: raw.id.map(id).transpose()?,
    };
    publication.checked()
}

fn channels<'a>(
    one: Option<&'a str>,
    several: Option<&'a str>,
) -> Result<Vec<Cow<'a, str>>, Problem> {
    match (one, several) {
        // Protocol A.3: without a channel it is for everybody.
        (None, None) => Ok(vec![ALL_CHANNEL.into()]),
        (Some(one), None) => Ok(vec![string("channel", one)?]),
        (Some(_), Some(_)) => Err(Problem::new(
            400,
            "bad_value",
            "There is channel and channels: send one of them.",
        )),
        (None, Some(list)) => {
            let wanted = || bad_value("channels", "a list of strings, and not empty");
            let mut deserializer = serde_json::Deserializer::from_str(list);
            // What is more than any list of channels is told from it by the batch.
            let names = deserializer.deserialize_seq(Elements(usize::MAX));
            let names = names.map_err(|_| wanted())?;
            let names: Option<Vec<_>> = names.into_iter().map(string_text).collect();
            names.filter(|names| !names.is_empty()).ok_or_else(wanted)
        }
    }
}

fn string<'a>(key: &str, raw: &'a str) -> Result<Cow<'a, str>, Problem> {
    string_text(raw).ok_or_else(|| bad_value(key, "a string"))
}

/// A string, or a number as it is written.
fn id(raw: &str) -> Result<Cow<'_, str>, Problem> {
    if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Ok(Cow::Borrowed(raw));
    }
    string_text(raw).ok_or_else(|| bad_value("id", "a string or a number"))
}

fn bad_value(key: &str, wanted: &str) -> Problem {
    Problem::new(400, "bad_value", format!("\"{key}\" must be {wanted}."))
}

fn unknown_key(key: &str) -> Problem {
    // A key may be as long as the body; the sentence is not.
    let shown: String = key.chars().take(40).collect();
    let hint = match key {
        "sig" => {
            "; sig is for forms: sign JSON with the webhook headers, or send Authorization: Bearer"
        }
        _ => "",
    };
    Problem::new(
        400,
        "unknown_key",
        format!(
            "There is no key {shown:?}: an object has channel or channels, data, session, id{hint}."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let full = one(r#"{"channel":"a","channels":null,"data":1,"session":"s","id":7,"data":2}"#);
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
            (r#"{"data":1,"channels":[]}"#, "bad_value", "not empty"),
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
    fn deep_nesting_takes_no_stack() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        let text = format!(r#"{{"data":{deep}}}"#);
        assert_eq!(one(&text).data, Data::Json(&deep));
        assert_eq!(read(deep.as_bytes(), 1).unwrap_err().code, "not_an_object");
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(text: String, channel in "\\PC{1,20}", number: i64) {
            let values = json!([
                {"data": &text, "channel": &channel, "id": number},
                {"data": {"a": &text}, "channels": [&channel], "session": &text},
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
            prop_assert_eq!(two.session.as_deref(), Some(text.as_str()));
        }

        #[test]
        fn no_body_panics(body in "(\\[|\\]|\\{|\\}|,|:|\"(data|channels?|session|id)\"|\"|1|null|\\PC){0,30}") {
            let _ = read(body.as_bytes(), 3);
        }
    }
}
