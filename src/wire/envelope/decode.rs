//! What a browser sent, read from JSON text into an [`Envelope`].
//!
//! It reads keys and kinds of values; what a message asks for, and whether it
//! may, is the transports' and the server's business. Called by the transports.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json;

/// The longest message id, in bytes of JSON: it is kept while the app is asked, and sent back.
pub const ID_BYTES_MAX: usize = 64;

/// One message of a browser. A key that is missing or `null` is `None`, unknown
/// keys are ignored, and of a repeated key the last one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `type`: `connect`, `poll`, `message`, `channel-subscribe`, `channel-unsubscribe`, ...
    pub kind: Option<Cow<'a, str>>,
    /// The channel's name, byte for byte.
    pub channel: Option<Cow<'a, str>>,
    /// What the app shall get.
    pub data: Option<Cow<'a, str>>,
    /// The version of the protocol, if it was a whole number. Clients say 1.
    pub version: Option<u64>,
    /// What the answer shall be marked with.
    pub id: Option<Id<'a>>,
    /// `sessionId`, as text: the old server gave out numbers.
    pub session_id: Option<Cow<'a, str>>,
    /// The position seen last in each channel. `Some`, even if empty, tells a new client.
    pub positions: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    /// The position from which a subscription starts.
    pub since: Option<Cow<'a, str>>,
    /// `wait`: how long a poll may be held, in milliseconds.
    pub wait_ms: Option<u64>,
    /// The number of the last batch that a poll's client has got; 0 before the first.
    pub batch: Option<u64>,
}

/// A message's id: the JSON text of a number or a string of at most
/// [`ID_BYTES_MAX`] bytes, kept as it was written so that it goes back unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id<'a>(&'a str);

impl<'a> Id<'a> {
    /// The JSON text.
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// Its value, if it is a number written in digits only, as JSONP needs it.
    pub fn number(self) -> Option<u64> {
        let digits = self.0.bytes().all(|byte| byte.is_ascii_digit());
        if digits { self.0.parse().ok() } else { None }
    }
}

/// Why a message could not be read. Its sentence is for the page's author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// The text does not begin with a complete JSON value.
    NotJson,
    /// The text begins with something other than a JSON object.
    NotObject,
    /// `data` is not a string (protocol A.8).
    DataNotString,
    /// Another known key holds the wrong kind of value.
    WrongKind {
        key: &'static str,
        wanted: &'static str,
    },
    /// The id is longer than [`ID_BYTES_MAX`].
    IdTooLong,
}

impl EnvelopeError {
    /// The `code` of the error message that answers it.
    pub fn code(self) -> &'static str {
        match self {
            EnvelopeError::NotJson => "bad_json",
            EnvelopeError::NotObject => "not_an_object",
            EnvelopeError::DataNotString => "data_not_a_string",
            EnvelopeError::WrongKind { .. } => "bad_value",
            EnvelopeError::IdTooLong => "id_too_long",
        }
    }

    /// The status of the HTTP response that answers it.
    pub fn status(self) -> u16 {
        400
    }
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnvelopeError::NotJson => {
                f.write_str("The message is not valid JSON: send one object.")
            }
            EnvelopeError::NotObject => {
                f.write_str("The message is not a JSON object: send one, in braces.")
            }
            EnvelopeError::DataNotString => {
                f.write_str("\"data\" must be a string: pass objects through JSON.stringify first.")
            }
            EnvelopeError::WrongKind { key, wanted } => write!(f, "\"{key}\" must be {wanted}."),
            EnvelopeError::IdTooLong => {
                write!(
                    f,
                    "\"id\" is too long: {ID_BYTES_MAX} bytes of JSON at most."
                )
            }
        }
    }
}

impl std::error::Error for EnvelopeError {}

/// A message that could not be read, and what its refusal is marked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable<'a> {
    pub error: EnvelopeError,
    /// The message's id, if that much of it could be read.
    pub id: Option<Id<'a>>,
}

/// Reads the first complete JSON value of `text`. What follows it is ignored:
/// the old client's JSONP adds `ts=...` without a separator (protocol A.23).
///
/// # Errors
/// [`Unreadable`]; a message with any [`EnvelopeError`] is refused whole.
pub fn decode(text: &str) -> Result<Envelope<'_>, Unreadable<'_>> {
    let nameless = |error| Unreadable { error, id: None };
    let blank = [' ', '\t', '\n', '\r'];
    match text.trim_start_matches(blank).as_bytes().first() {
        None => return Err(nameless(EnvelopeError::NotJson)),
        Some(b'{') => {}
        Some(_) => return Err(nameless(EnvelopeError::NotObject)),
    }
    let mut raw = Raw::default();
    let complete = serde_json::Deserializer::from_str(text).deserialize_map(Fields(&mut raw));
    let known = raw.id;
    let read = match complete {
        Ok(()) => raw.interpret(),
        Err(_) => Err(EnvelopeError::NotJson),
    };
    read.map_err(|error| {
        // Digits at which the text breaks off may be the beginning of another number.
        let end = |text: &str| text.as_bytes().as_ptr_range().end;
        let whole = |raw: &&str| end(raw) != end(text);
        let id = known.filter(whole).and_then(|raw| id(raw).ok());
        Unreadable { error, id }
    })
}

/// The raw values of the keys that Chloe knows. `null` is kept as missing.
#[derive(Default)]
struct Raw<'a> {
    kind: Option<&'a str>,
    channel: Option<&'a str>,
    data: Option<&'a str>,
    version: Option<&'a str>,
    id: Option<&'a str>,
    session_id: Option<&'a str>,
    positions: Option<&'a str>,
    since: Option<&'a str>,
    wait: Option<&'a str>,
    batch: Option<&'a str>,
}

impl<'a> Raw<'a> {
    fn field(&mut self, key: &str) -> Option<&mut Option<&'a str>> {
        Some(match key {
            "type" => &mut self.kind,
            "channel" => &mut self.channel,
            "data" => &mut self.data,
            "version" => &mut self.version,
            "id" => &mut self.id,
            "sessionId" => &mut self.session_id,
            "positions" => &mut self.positions,
            "since" => &mut self.since,
            "wait" => &mut self.wait,
            "batch" => &mut self.batch,
            _ => return None,
        })
    }

    fn interpret(self) -> Result<Envelope<'a>, EnvelopeError> {
        let data = match self.data {
            None => None,
            Some(raw) => Some(json::string_text(raw).ok_or(EnvelopeError::DataNotString)?),
        };
        Ok(Envelope {
            kind: string("type", self.kind)?,
            channel: string("channel", self.channel)?,
            data,
            // It tells nothing that Chloe acts on, so no kind of value is refused.
            version: self.version.and_then(|raw| raw.parse().ok()),
            id: self.id.map(id).transpose()?,
            session_id: self.session_id.map(session_id).transpose()?,
            positions: self.positions.map(positions).transpose()?,
            since: string("since", self.since)?,
            wait_ms: whole("wait", "a number of milliseconds", self.wait)?,
            batch: whole("batch", "the number of a batch, or 0", self.batch)?,
        })
    }
}

/// Reads one object key by key. Values are only skipped over here, which
/// takes no stack however deep they nest. What was read before a mistake stays.
struct Fields<'r, 'de>(&'r mut Raw<'de>);

impl<'de> Visitor<'de> for Fields<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = self.0;
        while let Some(key) = map.next_key::<&RawValue>()? {
            let key = json::string_text(key.get()).unwrap_or_default();
            match fields.field(&key) {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(field) => {
                    let value = map.next_value::<&RawValue>()?.get();
                    *field = (value != "null").then_some(value);
                }
            }
        }
        Ok(())
    }
}

/// The positions' object, each value a string.
struct Positions;

impl<'de> Visitor<'de> for Positions {
    type Value = BTreeMap<Cow<'de, str>, Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut positions = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let texts = json::string_text(key.get()).zip(json::string_text(value.get()));
            let (channel, position) =
                texts.ok_or_else(|| serde::de::Error::custom("not a string"))?;
            positions.insert(channel, position);
        }
        Ok(positions)
    }
}

fn is_number(raw: &str) -> bool {
    raw.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

fn string<'a>(
    key: &'static str,
    raw: Option<&'a str>,
) -> Result<Option<Cow<'a, str>>, EnvelopeError> {
    let wanted = "a string";
    match raw {
        None => Ok(None),
        Some(raw) => match json::string_text(raw) {
            None => Err(EnvelopeError::WrongKind { key, wanted }),
            text => Ok(text),
        },
    }
}

fn id(raw: &str) -> Result<Id<'_>, EnvelopeError> {
    if raw.len() > ID_BYTES_MAX {
        return Err(EnvelopeError::IdTooLong);
    }
    if raw.starts_with('"') || is_number(raw) {
        return Ok(Id(raw));
    }
    let (key, wanted) = ("id", "a number or a string");
    Err(EnvelopeError::WrongKind { key, wanted })
}

fn session_id(raw: &str) -> Result<Cow<'_, str>, EnvelopeError> {
    if is_number(raw) {
        return Ok(Cow::Borrowed(raw));
    }
    let (key, wanted) = ("sessionId", "a string");
    json::string_text(raw).ok_or(EnvelopeError::WrongKind { key, wanted })
}

fn positions<'a>(raw: &'a str) -> Result<BTreeMap<Cow<'a, str>, Cow<'a, str>>, EnvelopeError> {
    let (key, wanted) = (
        "positions",
        "an object of strings, \"channel\": \"epoch:offset\"",
    );
    serde_json::Deserializer::from_str(raw)
        .deserialize_map(Positions)
        .map_err(|_| EnvelopeError::WrongKind { key, wanted })
}

/// A whole number; a fraction, which JavaScript's arithmetic may leave, is dropped.
fn whole(
    key: &'static str,
    wanted: &'static str,
    raw: Option<&str>,
) -> Result<Option<u64>, EnvelopeError> {
    let Some(raw) = raw else {
        return Ok(None);
    };
    match raw.parse::<f64>() {
        // The cast saturates, and the callers have limits of their own.
        Ok(number) if is_number(raw) && number >= 0.0 => Ok(Some(number as u64)),
        _ => Err(EnvelopeError::WrongKind { key, wanted }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_old_clients_messages_are_read() {
        let text = r#"{"data":"hi \"you\" \u00e9","version":1,"type":"message","sessionId":7,"id":42}ts=1"#;
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
        let text = r#" {"type":"connect","id":"a<b","positions":{"n\u00e9ws":"x:1","b":"y:2","b":"y:3"},
            "since":"x:4","wait":25000.9,"batch":7,"unknown":[{}]}"#;
        let envelope = decode(text).unwrap();
        let positions = envelope.positions.unwrap();
        let positions: Vec<_> = positions.iter().map(|(c, p)| (&**c, &**p)).collect();
        assert_eq!(positions, [("b", "y:3"), ("néws", "x:1")]);
        assert_eq!(envelope.since.as_deref(), Some("x:4"));
        assert_eq!((envelope.wait_ms, envelope.batch), (Some(25_000), Some(7)));
        let id = envelope.id.unwrap();
        assert_eq!((id.raw(), id.number()), ("\"a<b\"", None));
        assert_eq!(
            decode(r#"{"positions":{}}"#).unwrap().positions,
            Some(BTreeMap::new())
        );
    }

    #[test]
    fn null_is_missing_and_the_last_of_a_repeated_key_counts() {
        let nothing = r#"{"type":null,"channel":null,"data":null,"version":null,"id":null,
            "sessionId":null,"positions":null,"since":null,"wait":null}"#;
        assert_eq!(decode(nothing), Ok(Envelope::default()));
        let envelope = decode(r#"{"data":7,"id":1,"data":"b","\u0069d":2,"id":null}"#).unwrap();
        assert_eq!(envelope.data.as_deref(), Some("b"));
        assert_eq!(envelope.id, None);
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
            (r#"{"id":1,"id":2,"wait":-1}"#, Some("2")),
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
        assert_eq!(decode(&text), Ok(Envelope::default()));
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
}
