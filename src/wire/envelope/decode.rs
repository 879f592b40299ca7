//! What a browser sent, read from JSON text into an [`Envelope`].
//!
//! It reads keys and kinds of values; what a message asks for, and whether it
//! may, is the transports' and the server's business. Called by the transports.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json;
use super::strict::{self, Flaw, FlawKind, Key};

/// The longest message id, in bytes of JSON: it is kept while the app is asked, and sent back.
pub const ID_BYTES_MAX: usize = 64;

/// One message of a browser. A key that is missing or `null` is `None`, and
/// unknown keys are ignored.
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
    /// It is JSON that could be understood in two ways, or nested too deep.
    Flawed(Flaw),
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
            EnvelopeError::Flawed(flaw) => flaw.code(),
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
            EnvelopeError::Flawed(flaw) => flaw.fmt(f),
        }
    }
}

impl std::error::Error for EnvelopeError {}

impl From<Flaw> for EnvelopeError {
    fn from(flaw: Flaw) -> EnvelopeError {
        EnvelopeError::Flawed(flaw)
    }
}

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
    let complete = serde_json::Deserializer::from_str(text).deserialize_map(Fields {
        text,
        raw: &mut raw,
    });
    let known = given(raw.id);
    let read = match complete {
        Ok(()) => raw.interpret(text),
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

/// The raw values of the keys that Chloe knows, `null` too.
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
    /// The keys that Chloe does not know.
    unknown: Vec<Key<'a>>,
    /// The first flaw, for which the message is refused once it proves to be JSON.
    flaw: Option<Flaw>,
}

/// `raw`, if it is not `null`.
fn given(raw: Option<&str>) -> Option<&str> {
    raw.filter(|&raw| raw != "null")
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

    /// Takes the next key and its value as nearly every message has them: the key
    /// is known, written without escapes, and new, and nothing nests in the value.
    /// Returns false, and does nothing, for any other.
    #[inline]
    fn take_plain(&mut self, key: &'a str, value: &'a str) -> bool {
        let name = key.get(1..key.len() - 1).unwrap_or_default();
        // What nests in the positions is looked at by their reader.
        let nested = matches!(value.as_bytes().first(), Some(b'{' | b'['));
        if nested && name != "positions" {
            return false;
        }
        match self.field(name) {
            Some(field @ None) => {
                *field = Some(value);
                true
            }
            _ => false,
        }
    }

    /// Takes any other key and its value, both parts of `text`.
    #[cold]
    fn take(&mut self, text: &str, key: &'a str, value: &'a str) -> Result<(), Flaw> {
        let name = strict::name(text, key)?.unwrap_or_default();
        let Some(field) = self.field(&name) else {
            self.unknown.push(Key::new(name, key));
            return strict::check(text, value, 1);
        };
        if field.is_some() {
            if name == "id" {
                // No answer can be marked with one of two ids.
                *field = Some("null");
            }
            return Err(Flaw::at(FlawKind::KeyTwice, text, key));
        }
        *field = Some(value);
        match &*name {
            // Its reader looks at each of its keys.
            "positions" => Ok(()),
            _ => strict::check(text, value, 1),
        }
    }

    /// Passes over a key behind the first flaw. The answer to the message bears its id,
    /// if that is given once.
    #[cold]
    fn pass(&mut self, key: &str, value: &'a str) {
        if json::string_text(key).as_deref() == Some("id") {
            let again = self.id.is_some();
            self.id = Some(if again { "null" } else { value });
        }
    }

    fn interpret(mut self, text: &'a str) -> Result<Envelope<'a>, EnvelopeError> {
        if let Some(flaw) = self.flaw {
            return Err(flaw.into());
        }
        strict::distinct(text, &mut self.unknown)?;
        let data = match given(self.data) {
            None => None,
            // What is said may hold half of a pair (protocol A.29); no name may.
            Some(raw) => Some(json::string_text(raw).ok_or(EnvelopeError::DataNotString)?),
        };
        let positions = given(self.positions).map(|raw| positions(text, raw));
        Ok(Envelope {
            kind: string(text, "type", self.kind)?,
            channel: string(text, "channel", self.channel)?,
            data,
            // It tells nothing that Chloe acts on, so no kind of value is refused.
            version: self.version.and_then(|raw| raw.parse().ok()),
            id: given(self.id).map(id).transpose()?,
            session_id: session_id(text, self.session_id)?,
            positions: positions.transpose()?,
            since: string(text, "since", self.since)?,
            wait_ms: whole("wait", "a number of milliseconds", self.wait)?,
            batch: whole("batch", "the number of a batch, or 0", self.batch)?,
        })
    }
}

/// Reads one object key by key. Values are only skipped over here, which
/// takes no stack however deep they nest. What was read before a mistake stays.
struct Fields<'r, 'de> {
    text: &'de str,
    raw: &'r mut Raw<'de>,
}

impl<'de> Visitor<'de> for Fields<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Fields { text, raw } = self;
        while let Some(key) = map.next_key::<&RawValue>()? {
            let value = map.next_value::<&RawValue>()?;
            let (key, value) = (key.get(), value.get());
            if raw.take_plain(key, value) {
                continue;
            }
            // The place of a flaw is sought through all that is ahead of it: once only,
            // or a message with many flaws costs the square of its length.
            match raw.flaw {
                None => raw.flaw = raw.take(text, key, value).err(),
                Some(_) => raw.pass(key, value),
            }
        }
        Ok(())
    }
}

/// The positions' object, each value a string.
struct Positions<'r, 'de> {
    text: &'de str,
    /// The first flaw in it.
    flaw: &'r mut Option<Flaw>,
}

impl<'de> Visitor<'de> for Positions<'_, 'de> {
    type Value = BTreeMap<Cow<'de, str>, Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let text = self.text;
        let mut positions = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let (key, value) = (key.get(), value.get());
            if self.flaw.is_some() {
                // As above: the place of the first is enough.
                if !value.starts_with('"') {
                    return Err(serde::de::Error::custom("not a string"));
                }
                continue;
            }
            let names = strict::name(text, key)
                .and_then(|channel| Ok(channel.zip(strict::name(text, value)?)));
            *self.flaw = match names {
                Ok(Some((channel, position))) => positions
                    .insert(channel, position)
                    .map(|_| Flaw::at(FlawKind::KeyTwice, text, key)),
                Ok(None) => return Err(serde::de::Error::custom("not a string")),
                Err(flaw) => Some(flaw),
            };
        }
        Ok(positions)
    }
}

fn is_number(raw: &str) -> bool {
    raw.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

fn string<'a>(
    text: &str,
    key: &'static str,
    raw: Option<&'a str>,
) -> Result<Option<Cow<'a, str>>, EnvelopeError> {
    let wanted = "a string";
    match given(raw) {
        None => Ok(None),
        Some(raw) => match strict::name(text, raw)? {
            None => Err(EnvelopeError::WrongKind { key, wanted }),
            name => Ok(name),
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

fn session_id<'a>(text: &str, raw: Option<&'a str>) -> Result<Option<Cow<'a, str>>, EnvelopeError> {
    match raw {
        Some(raw) if is_number(raw) => Ok(Some(Cow::Borrowed(raw))),
        raw => string(text, "sessionId", raw),
    }
}

fn positions<'a>(
    text: &'a str,
    raw: &'a str,
) -> Result<BTreeMap<Cow<'a, str>, Cow<'a, str>>, EnvelopeError> {
    let (key, wanted) = (
        "positions",
        "an object of strings, \"channel\": \"epoch:offset\"",
    );
    let mut flaw = None;
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    let positions = deserializer.deserialize_map(Positions {
        text,
        flaw: &mut flaw,
    });
    match (positions, flaw) {
        (Err(_), _) => Err(EnvelopeError::WrongKind { key, wanted }),
        (Ok(_), Some(flaw)) => Err(flaw.into()),
        (Ok(positions), None) => Ok(positions),
    }
}

/// A whole number; a fraction, which JavaScript's arithmetic may leave, is dropped.
fn whole(
    key: &'static str,
    wanted: &'static str,
    raw: Option<&str>,
) -> Result<Option<u64>, EnvelopeError> {
    let Some(raw) = given(raw) else {
        return Ok(None);
    };
    match raw.parse::<f64>() {
        // The cast saturates, and the callers have limits of their own.
        Ok(number) if is_number(raw) && number >= 0.0 => Ok(Some(number as u64)),
        _ => Err(EnvelopeError::WrongKind { key, wanted }),
    }
}
