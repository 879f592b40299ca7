//! What valid JSON may still not be: ambiguous, or nested without end.
//!
//! RFC 8259, section 4, leaves open what a name that occurs twice in an object
//! means, and section 8.2 what half of a surrogate pair means: two readers of one
//! text can understand different things. Both are refused here, and nesting over
//! [`LEVELS_MAX`]. Not a parser: `serde_json` decides what is JSON, and bytes
//! that are not never panic. Called by the readers of the envelope and of `/send`.

use std::borrow::Cow;
use std::fmt;

use super::json;

/// The deepest nesting: lists and objects, one within the other.
pub const LEVELS_MAX: usize = 128;

/// Why valid JSON is refused, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw {
    pub kind: FlawKind,
    pub place: Place,
}

/// See [`Flaw`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlawKind {
    /// An object has a key that it already has.
    KeyTwice,
    /// A name contains half of a surrogate pair.
    LoneSurrogate,
    /// More than [`LEVELS_MAX`] levels.
    TooDeep,
}

/// A place in a text; both numbers count from 1, columns in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Flaw {
    /// A flaw at `part`, which is a part of `text`.
    pub fn at(kind: FlawKind, text: &str, part: &str) -> Flaw {
        Flaw::at_byte(kind, text, offset_of(text, part))
    }

    fn at_byte(kind: FlawKind, text: &str, offset: usize) -> Flaw {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let place = Place {
            line: 1 + memchr::memchr_iter(b'\n', before).count(),
            column: 1 + before.len() - line_start,
        };
        Flaw { kind, place }
    }

    /// The `code` of the error that answers it.
    pub fn code(self) -> &'static str {
        match self.kind {
            FlawKind::KeyTwice => "key_twice",
            FlawKind::LoneSurrogate => "lone_surrogate",
            FlawKind::TooDeep => "too_deep",
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        let place = format_args!("(line {line}, column {column})");
        match self.kind {
            FlawKind::KeyTwice => {
                write!(f, "A key occurs twice in one object {place}: send it once.")
            }
            FlawKind::LoneSurrogate => write!(
                f,
                "A name contains half of a surrogate pair {place}, which is not a character: send the whole pair, or leave it out."
            ),
            FlawKind::TooDeep => write!(
                f,
                "The JSON is nested more than {LEVELS_MAX} levels deep {place}: send it flatter."
            ),
        }
    }
}

/// Where `part` begins in `text`, in bytes; `part` is a slice of `text`.
fn offset_of(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// The text of a valid JSON string that is a name; `None` for any other value.
///
/// # Errors
/// A lone surrogate in it. `raw` is a part of `text`, which the place is counted in.
#[inline]
pub fn name<'a>(text: &str, raw: &'a str) -> Result<Option<Cow<'a, str>>, Flaw> {
    match json::string_text(raw) {
        Some(Cow::Owned(name)) => whole(text, raw, name).map(|name| Some(Cow::Owned(name))),
        // Without an escape there is nothing to look for.
        name => Ok(name),
    }
}

/// `name`, the text of `raw`, if it has no lone surrogate.
#[cold]
fn whole(text: &str, raw: &str, name: String) -> Result<String, Flaw> {
    match json::lone_surrogate(raw) {
        Some(at) => {
            let offset = offset_of(text, raw) + at;
            Err(Flaw::at_byte(FlawKind::LoneSurrogate, text, offset))
        }
        None => Ok(name),
    }
}

/// The key of an object, and where it stands.
pub struct Key<'a> {
    name: Cow<'a, str>,
    raw: &'a str,
}

impl<'a> Key<'a> {
    /// `name` is the text of `raw`, a part of the text that is read.
    pub fn new(name: Cow<'a, str>, raw: &'a str) -> Key<'a> {
        Key { name, raw }
    }
}

/// Whether no two of an object's keys are the same. The keys change their order.
///
/// # Errors
/// The earliest key that occurs again; all are parts of `text`.
pub fn distinct(text: &str, keys: &mut [Key<'_>]) -> Result<(), Flaw> {
    if keys.len() < 2 {
        return Ok(());
    }
    // Sorting costs the same whatever names a peer chooses; no hash does.
    keys.sort_unstable_by(|a, b| {
        let by_name = a.name.cmp(&b.name);
        by_name.then_with(|| a.raw.as_ptr().cmp(&b.raw.as_ptr()))
    });
    let again = keys.windows(2).filter(|pair| pair[0].name == pair[1].name);
    match again.map(|pair| pair[1].raw).min_by_key(|raw| raw.as_ptr()) {
        Some(raw) => Err(Flaw::at(FlawKind::KeyTwice, text, raw)),
        None => Ok(()),
    }
}

/// Checks `value`, valid JSON that stands `levels` deep in `text`. A number or a
/// string is right at once. It takes no stack, however deep the nesting.
///
/// # Errors
/// The first flaw.
#[inline]
pub fn check(text: &str, value: &str, levels: usize) -> Result<(), Flaw> {
    match value.as_bytes().first() {
        Some(b'{' | b'[') => check_nested(text, value, levels),
        _ => Ok(()),
    }
}

fn check_nested(text: &str, value: &str, levels: usize) -> Result<(), Flaw> {
    let mut keys = Vec::new();
    // For each object the number of keys before its own; `None` for a list.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut key_is_next = false;
    let mut at = 0;
    while let Some(&byte) = value.as_bytes().get(at) {
        match byte {
            b'"' => {
                let end = string_end(value, at);
                if key_is_next {
                    let raw = &value[at..end];
                    let name = name(text, raw)?.unwrap_or_default();
                    keys.push(Key::new(name, raw));
                    key_is_next = false;
                }
                at = end;
                continue;
            }
            b'{' | b'[' => {
                if levels + open.len() == LEVELS_MAX {
                    return Err(Flaw::at(FlawKind::TooDeep, text, &value[at..]));
                }
                key_is_next = byte == b'{';
                open.push(key_is_next.then_some(keys.len()));
            }
            b',' => key_is_next = matches!(open.last(), Some(Some(_))),
            b'}' | b']' => {
                if let Some(Some(first)) = open.pop() {
                    distinct(text, &mut keys[first..])?;
                    keys.truncate(first);
                }
                key_is_next = false;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Where the string ends that begins at byte `start` of `json`.
fn string_end(json: &str, start: usize) -> usize {
    let bytes = json.as_bytes();
    let mut at = start + 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[at.min(bytes.len())..]) {
        at += found;
        match bytes[at] {
            b'"' => return at + 1,
            _ => at += 2,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn flaw(json: &str) -> Option<(FlawKind, usize, usize)> {
        let flaw = check(json, json, 0).err()?;
        Some((flaw.kind, flaw.place.line, flaw.place.column))
    }

    #[test]
    fn flaws_are_found_with_their_place() {
        use FlawKind::*;
        let many: String = (0..50).map(|n| format!("\"k{n}\":{{}},")).collect();
        let many = format!("{{{many}\"k7\":1}}");
        for (json, found) in [
            ("1", None),
            ("\"\\ud83d\"", None),
            ("{}", None),
            (r#"{"a":1,"b":{"a":[{"a":"b"},{"a":"c"}]}}"#, None),
            (r#"{"a":"a","b":"a","c":["a","a"]}"#, None),
            (r#"{"a":"\"},{\"a\":","b":1}"#, None),
            (r#"{"a":"\ud83d","\ud83d\ude00":1,"\ufffd":2}"#, None),
            (r#"{"a":1,"a":2}"#, Some((KeyTwice, 1, 8))),
            (r#"{"a":1,"\u0061":2}"#, Some((KeyTwice, 1, 8))),
            ("[{\"a\":{},\n \"a\":2}]", Some((KeyTwice, 2, 2))),
            (
                r#"{"b":{"a":1,"b":2,"a":3},"b":1}"#,
                Some((KeyTwice, 1, 19)),
            ),
            (r#"{"":1,"":2}"#, Some((KeyTwice, 1, 7))),
            (&many, Some((KeyTwice, 1, many.len() - 6))),
            (r#"{"x":1,"a\ud83d":2}"#, Some((LoneSurrogate, 1, 10))),
            (r#"{"\ude00\ud83d":2}"#, Some((LoneSurrogate, 1, 3))),
        ] {
            assert_eq!(flaw(json), found, "{json}");
        }
    }

    #[test]
    fn nesting_has_a_limit_and_takes_no_stack() {
        let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(flaw(&deep(128)), None);
        assert_eq!(flaw(&deep(129)), Some((FlawKind::TooDeep, 1, 129)));
        assert_eq!(flaw(&deep(1_000_000)).unwrap().2, 129);
        let objects = format!("{}1{}", "{\"a\":".repeat(129), "}".repeat(129));
        assert_eq!(flaw(&objects), Some((FlawKind::TooDeep, 1, 641)));
        let wide = format!("[{}1]", "[[]],{\"a\":[]},".repeat(10_000));
        assert_eq!(flaw(&wide), None, "side by side is not deep");
        let json = deep(126);
        assert!(check(&json, &json, 2).is_ok() && check(&json, &json, 3).is_err());
    }

    /// Whether an object in `json` has a key twice, told from what a reader that
    /// keeps one of them writes again. `json` is compact and has no escapes.
    fn loses_a_key(json: &str) -> bool {
        let value: Value = serde_json::from_str(json).unwrap();
        value.to_string().matches(':').count() != json.matches(':').count()
    }

    proptest! {
        #[test]
        fn a_key_twice_is_found_wherever_a_reader_would_lose_one(
            keys in prop::collection::vec("[a-d]{1,2}", 0..24),
            shape in prop::collection::vec(0..4u8, 24),
        ) {
            let mut json = String::from("{");
            let mut open = vec!['}'];
            for (key, shape) in keys.iter().zip(shape) {
                if !json.ends_with(['{', '[']) {
                    json.push(',');
                }
                if open.last() == Some(&'}') {
                    json += &format!("\"{key}\":");
                }
                match shape {
                    0 => { json.push('{'); open.push('}'); }
                    1 => { json.push('['); open.push(']'); }
                    2 if open.len() > 1 => { json += "1"; json.extend(open.pop()); }
                    _ => json += "\"a\"",
                }
            }
            json.extend(open.into_iter().rev());
            prop_assert_eq!(flaw(&json).is_some(), loses_a_key(&json), "{}", json);
        }

        #[test]
        fn no_text_panics(text in "\\PC*", near in "(\\[|\\]|\\{|\\}|,|:|\"|\\\\|é|1|\\\\ud83d){0,40}") {
            let _ = flaw(&text);
            let _ = flaw(&near);
        }
    }
}
