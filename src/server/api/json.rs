//! `/send` by JSON: one object, or a batch of them in a list.
//!
//! Unlike a browser's message, an object with a key that is not known is
//! refused, and so is a target that is empty: what is meant for a few would be
//! published to everyone. Nothing is published here. Called by `send`.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::transport::contract::Problem;
use crate::wire::envelope::json::{single_value, string_text};
use crate::wire::envelope::strict::{self, Flaw, FlawKind};

use super::publication::{
    Batch, Data, Publication, about, empty_target, everyone, too_many, unknown_key,
};

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
    let (list, objects) = match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => (false, vec![text]),
        Some(b'[') => (true, elements(text, most)?),
        _ => return Err(single_value(text).map_or_else(|| not_json(text), |_| not_an_object())),
    };
    let mut publications = Vec::with_capacity(objects.len());
    for (index, object) in objects.into_iter().enumerate() {
        let level = usize::from(list);
        let read = publication(text, object, level);
        publications.push(read.map_err(|problem| about(list, index, problem))?);
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

fn not_an_object() -> Problem {
    Problem::new(
        400,
        "not_an_object",
        "This is not an object: send {\"channel\": \"...\", \"data\": ...}.",
    )
}

fn flawed(flaw: Flaw) -> Problem {
    Problem::new(400, flaw.code(), flaw.to_string())
}

/// The elements of the list that `text` is.
fn elements(text: &str, most: usize) -> Result<Vec<&str>, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let elements = deserializer.deserialize_seq(Elements(most));
    let elements = elements.and_then(|elements| deserializer.end().map(|()| elements));
    elements.map_err(|error| match error.is_data() {
        // The length is all that the visitor itself finds fault with.
        true => too_many(most),
        false => not_json(text),
    })
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

/// The raw values of an object's keys, and the first key that is wrong.
#[derive(Default)]
struct Raw<'a> {
    data: Option<&'a str>,
    channel: Option<&'a str>,
    channels: Option<&'a str>,
    session: Option<&'a str>,
    id: Option<&'a str>,
    problem: Option<Box<Problem>>,
}

/// The names of all keys.
const NAMES: [&str; 5] = ["data", "channel", "channels", "session", "id"];

impl<'a> Raw<'a> {
    fn field(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        Some(match name {
            "data" => &mut self.data,
            "channel" => &mut self.channel,
            "channels" => &mut self.channels,
            "session" => &mut self.session,
            "id" => &mut self.id,
            _ => return None,
        })
    }

    /// Takes the next key and its value, if the key is known, written without
    /// escapes, and new. Returns false, and does nothing, for any other.
    #[inline]
    fn take_plain(&mut self, key: &'a str, value: &'a str) -> bool {
        let name = key.get(1..key.len() - 1).unwrap_or_default();
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
    fn take(&mut self, text: &str, key: &'a str, value: &'a str) -> Result<(), Problem> {
        let name = strict::name(text, key).map_err(flawed)?.unwrap_or_default();
        let field = self.field(&name).ok_or_else(|| not_a_key(&name))?;
        match field.replace(value) {
            None => Ok(()),
            Some(_) => Err(flawed(Flaw::at(FlawKind::KeyTwice, text, key))),
        }
    }
}

/// Reads one object, which is a part of `text`.
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
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            // The first problem is the one that is told. The place of each would be
            // sought through all that is ahead of it.
            if !raw.take_plain(key.get(), value.get())
                && raw.problem.is_none()
                && let Err(problem) = raw.take(text, key.get(), value.get())
            {
                raw.problem = Some(Box::new(problem));
            }
        }
        Ok(())
    }
}

/// Reads `object`, a part of `text` that stands `level` deep in it. As an element
/// of a list it is valid JSON already; alone it may be followed by what is not.
fn publication<'a>(
    text: &'a str,
    object: &'a str,
    level: usize,
) -> Result<Publication<'a>, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    let mut raw = Raw::default();
    let fields = Fields {
        text,
        raw: &mut raw,
    };
    let read = deserializer.deserialize_map(fields);
    let read = read.and_then(|()| deserializer.end());
    read.map_err(|error| match error.is_data() {
        true => not_an_object(),
        false => not_json(text),
    })?;
    if let Some(problem) = raw.problem {
        return Err(*problem);
    }
    let data = raw.data.ok_or_else(|| {
        Problem::new(
            400,
            "no_data",
            "The object has no data: add \"data\", which may be any JSON value.",
        )
    })?;
    strict::check(text, data, level + 1).map_err(flawed)?;
    let publication = Publication {
        // Half of a surrogate pair in a text becomes U+FFFD; it cannot be written as UTF-8.
        data: string_text(data).map_or(Data::Json(data), Data::Text),
        channels: channels(text, raw.channel, raw.channels)?,
        session: raw
            .session
            .map(|raw| target(text, "session", raw))
            .transpose()?,
        id: given(raw.id).map(|raw| id(text, raw)).transpose()?,
    };
    publication.checked()
}

/// `raw`, if it is not `null`.
fn given(raw: Option<&str>) -> Option<&str> {
    raw.filter(|&raw| raw != "null")
}

fn channels<'a>(
    text: &str,
    one: Option<&'a str>,
    several: Option<&'a str>,
) -> Result<Vec<Cow<'a, str>>, Problem> {
    match (one, several) {
        (None, None) => Ok(everyone()),
        (Some(one), None) => Ok(vec![target(text, "channel", one)?]),
        (Some(_), Some(_)) => Err(Problem::new(
            400,
            "bad_value",
            "There is channel and channels: send one of them.",
        )),
        (None, Some("null")) => Err(empty_target("channels")),
        (None, Some(list)) => {
            let wanted = || bad_value("channels", "a list of strings");
            let mut deserializer = serde_json::Deserializer::from_str(list);
            // What is more than any list of channels is told from it by the batch.
            let names = deserializer.deserialize_seq(Elements(usize::MAX));
            let mut channels = Vec::new();
            for name in names.map_err(|_| wanted())? {
                let name = strict::name(text, name).map_err(flawed)?;
                channels.push(name.ok_or_else(wanted)?);
            }
            match channels.iter().any(|name| name.is_empty()) {
                _ if channels.is_empty() => Err(empty_target("channels")),
                true => Err(empty_target("channel")),
                false => Ok(channels),
            }
        }
    }
}

/// A channel or a session. `null` is one that the app meant to fill in.
fn target<'a>(text: &str, key: &str, raw: &'a str) -> Result<Cow<'a, str>, Problem> {
    if matches!(raw, "null" | "\"\"") {
        return Err(empty_target(key));
    }
    let name = strict::name(text, raw).map_err(flawed)?;
    name.ok_or_else(|| bad_value(key, "a string"))
}

/// A string, or a number as it is written.
fn id<'a>(text: &str, raw: &'a str) -> Result<Cow<'a, str>, Problem> {
    if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Ok(Cow::Borrowed(raw));
    }
    let name = strict::name(text, raw).map_err(flawed)?;
    name.ok_or_else(|| bad_value("id", "a string or a number"))
}

fn bad_value(key: &str, wanted: &str) -> Problem {
    Problem::new(400, "bad_value", format!("\"{key}\" must be {wanted}."))
}

fn not_a_key(key: &str) -> Problem {
    let hint = match key {
        "sig" => {
            "; sig is for forms: sign JSON with the webhook headers, or send Authorization: Bearer"
        }
        _ => "",
    };
    unknown_key("An object", key, &NAMES, hint)
}
