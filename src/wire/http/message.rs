//! What requests and responses have in common: methods, versions, fields, limits.
//!
//! Plain values; nothing is decoded here. Used by every file in this folder
//! and by everyone who reads a request.

use std::str;

/// How much of one message is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// The most bytes of first line and fields together, blank line included.
    pub head_bytes: usize,
    /// The most field lines in a head.
    pub headers: usize,
    /// The most bytes of a body, after chunks are joined.
    pub body_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits {
            head_bytes: 16 * 1024,
            headers: 100,
            body_bytes: 1024 * 1024,
        }
    }
}

impl HttpLimits {
    /// The most that chunk sizes, extensions and trailers may add to a body, in bytes.
    pub(super) fn chunk_overhead_bytes(&self) -> usize {
        self.body_bytes.saturating_add(self.head_bytes)
    }

    /// The most bytes a decoder can want kept before a message is whole. A
    /// connection's buffer of this size is never what stops a legal message.
    pub fn message_bytes(&self) -> usize {
        /// Room for blank lines ahead and for the line that is being read.
        const SLACK_BYTES: usize = 8 * 1024;
        self.head_bytes
            .saturating_add(self.body_bytes)
            .saturating_add(self.chunk_overhead_bytes())
            .saturating_add(SLACK_BYTES)
    }
}

/// What a request asks for. Names are case-sensitive (RFC 9110, 9.1): `get` is `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Patch,
    /// Any other name; answered with 501, or with 405 where that says more.
    Other,
}

impl Method {
    /// The method that `name` spells.
    pub fn from_name(name: &[u8]) -> Method {
        match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"PATCH" => Method::Patch,
            _ => Method::Other,
        }
    }

    /// Its name; of [`Method::Other`] none that a request can have.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Patch => "PATCH",
            Method::Other => "?",
        }
    }
}

/// The versions spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// The fields of a head, in the order in which they came.
///
/// One allocation of the exact size: measured, it costs less than a fifth of
/// what moving an inline array along with each request does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    fields: Vec<httparse::Header<'a>>,
}

/// What a value that is not UTF-8 reads as: it is there, and equal to nothing meant.
const UNREADABLE: &str = "\u{fffd}";

impl<'a> Headers<'a> {
    /// Room for `count` fields, to be filled through [`Headers::fields_mut`].
    pub(super) fn with_len(count: usize) -> Headers<'a> {
        Headers {
            fields: vec![httparse::EMPTY_HEADER; count],
        }
    }

    pub(super) fn fields_mut(&mut self) -> &mut [httparse::Header<'a>] {
        &mut self.fields
    }

    pub(super) fn fields(&self) -> &[httparse::Header<'a>] {
        &self.fields
    }

    /// The value of the first field called `name`, in any case, without the
    /// white space around it. A value that is not UTF-8 reads as U+FFFD.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.get_all(name).next()
    }

    /// The bytes of the first field called `name`, in any case.
    pub fn get_bytes(&self, name: &str) -> Option<&'a [u8]> {
        let field = self.fields.iter().find(|field| is_same(field.name, name))?;
        Some(field.value)
    }

    /// Whether there is a field called `name`, in any case.
    pub fn has(&self, name: &str) -> bool {
        self.get_bytes(name).is_some()
    }

    /// The values of all fields called `name`, in any case, each as [`Headers::get`] reads it.
    pub fn get_all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + use<'a, 's> {
        self.fields
            .iter()
            .filter(move |field| is_same(field.name, name))
            .map(|field| readable(field.value))
    }

    /// Whether one of the comma-separated elements of the fields called `name`
    /// is `token`, both in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.get_all(name)
            .any(|value| elements(value).any(|element| element.eq_ignore_ascii_case(token)))
    }

    /// All fields as name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.fields
            .iter()
            .map(|field| (field.name, readable(field.value)))
    }

    /// The names of all fields, as sent.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.fields.iter().map(|field| field.name)
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.eq_ignore_ascii_case(other)
}

fn readable(value: &[u8]) -> &str {
    str::from_utf8(value).unwrap_or(UNREADABLE)
}

/// The comma-separated elements of a value, without the white space around them.
pub(super) fn elements(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(|element| element.trim_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers<'a>(fields: &[(&'a str, &'a [u8])]) -> Headers<'a> {
        let mut headers = Headers::with_len(fields.len());
        for (slot, &(name, value)) in headers.fields_mut().iter_mut().zip(fields) {
            *slot = httparse::Header { name, value };
        }
        headers
    }

    #[test]
    fn names_are_found_in_any_case_and_order_is_kept() {
        let headers = headers(&[("Accept", b"a"), ("X", b"1"), ("accept", b"b")]);
        assert_eq!(headers.get("ACCEPT"), Some("a"));
        assert_eq!(headers.get_all("accept").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(headers.get("accep"), None);
        assert_eq!(headers.iter().count(), headers.len());
    }

    #[test]
    fn tokens_are_whole_elements_of_any_field_of_the_name() {
        let headers = headers(&[
            ("Connection", b"keep-alive"),
            ("connection", b"x,\tUpgrade , y"),
        ]);
        assert!(headers.has_token("Connection", "upgrade"));
        assert!(headers.has_token("Connection", "Keep-Alive"));
        assert!(!headers.has_token("Connection", "grade"));
        assert!(!headers.has_token("Upgrade", "upgrade"));
    }

    #[test]
    fn a_value_that_is_not_utf_8_is_there_and_equal_to_nothing() {
        let headers = headers(&[("Origin", b"http://caf\xe9")]);
        assert_eq!(headers.get("origin"), Some("\u{fffd}"));
        assert_eq!(headers.get_bytes("origin"), Some(&b"http://caf\xe9"[..]));
    }
}
