//! Whether a file is still the one that the client knows, and which part of it
//! the client wants: RFC 9110, sections 8.8, 13 and 14.
//!
//! Values only: no file is touched here. Called by `files` alone.

use std::time::{Duration, UNIX_EPOCH};

/// A file younger than this may change again without its time telling so.
const SETTLED_MS: u64 = 2_000;

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// With its quotes, without `W/`.
    tag: String,
    /// It may be the same for two states of the file: good for 304, not for ranges.
    weak: bool,
    /// Seconds since 1970, for files that have a time.
    modified_s: Option<u64>,
}

/// What the client's conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Answer as if there were none.
    Met,
    /// The client has it: 304.
    NotModified,
    /// The client wanted another state of it: 412.
    Failed,
}

/// The part of a file that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// All of it: no `Range`, one that cannot be read, or several at once.
    Whole,
    /// The bytes from `first` to `last`, both included; they are there.
    Part { first: u64, last: u64 },
    /// None of what is wanted is there: 416.
    Unsatisfiable,
}

impl Validators {
    /// Of a file of `size` bytes, last changed `modified_ns` after 1970, seen at `now_unix_ms`.
    pub fn of_file(size: u64, modified_ns: i128, now_unix_ms: u64) -> Validators {
        let modified_ms = (modified_ns / 1_000_000).clamp(0, i128::from(u64::MAX)) as u64;
        Validators {
            tag: format!("\"{modified_ns:x}-{size:x}\""),
            weak: modified_ms.saturating_add(SETTLED_MS) > now_unix_ms,
            // RFC 9110, 8.8.2.1: a time in the future is replaced by that of the answer.
            modified_s: Some(modified_ms.min(now_unix_ms) / 1000),
        }
    }

    /// Of bytes that never change while Chloe runs: a hash of them (64-bit
    /// FNV-1a; nobody gains by a collision, for nobody else chooses the bytes).
    pub fn of_bytes(bytes: &[u8]) -> Validators {
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Validators {
            tag: format!("\"{hash:016x}\""),
            weak: false,
            modified_s: None,
        }
    }

    /// The value of `ETag`.
    pub fn etag(&self) -> String {
        format!("{}{}", if self.weak { "W/" } else { "" }, self.tag)
    }

    /// The value of `Last-Modified`, for what has a time.
    pub fn last_modified(&self) -> Option<String> {
        let time = UNIX_EPOCH.checked_add(Duration::from_secs(self.modified_s?))?;
        Some(httpdate::HttpDate::from(time).to_string())
    }

    /// Weighs the four conditions in the order of RFC 9110, section 13.2.2.
    /// `header` looks a header up by its lower-case name.
    pub fn evaluate<'a>(&self, header: impl Fn(&str) -> Option<&'a str>) -> Precondition {
        if let Some(known) = header("if-match") {
            // 13.1.1: compared strongly; `*` is any state there is.
            if !self.is_listed(known, false) {
                return Precondition::Failed;
            }
        } else if self.is_newer_than(header("if-unmodified-since")) == Some(true) {
            return Precondition::Failed;
        }
        if let Some(known) = header("if-none-match") {
            // 13.1.2: compared weakly.
            if self.is_listed(known, true) {
                return Precondition::NotModified;
            }
        } else if self.is_newer_than(header("if-modified-since")) == Some(false) {
            return Precondition::NotModified;
        }
        Precondition::Met
    }

    /// The part of `size` bytes that `range` wants, if `if_range` lets it
    /// (RFC 9110, 13.1.5: exactly this state, told strongly, else the whole).
    pub fn range(&self, range: Option<&str>, if_range: Option<&str>, size: u64) -> Range {
        let same = match if_range.map(str::trim) {
            None => true,
            Some(tag) if tag.starts_with(['"', 'W']) && tag.contains('"') => {
                tag != "*" && self.is_listed(tag, false)
            }
            Some(date) => {
                !self.weak && self.modified_s.is_some() && seconds(date) == self.modified_s
            }
        };
        match range {
            Some(range) if same => parse_range(range, size).unwrap_or(Range::Whole),
            _ => Range::Whole,
        }
    }

    /// `None` if either side has no time.
    fn is_newer_than(&self, date: Option<&str>) -> Option<bool> {
        Some(self.modified_s? > seconds(date?)?)
    }

    fn is_listed(&self, list: &str, weakly: bool) -> bool {
        if list.trim() == "*" {
            return true;
        }
        let mut rest = list;
        while let Some((weak, tag, after)) = next_tag(rest) {
            if tag == self.tag && (weakly || !(weak || self.weak)) {
                return true;
            }
            rest = after;
        }
        false
    }
}

/// The first entity tag of a list (whether weak, the tag with its quotes) and
/// what follows it. A tag may hold commas. `None` at the end, and at what is no tag.
fn next_tag(list: &str) -> Option<(bool, &str, &str)> {
    let list = list.trim_start_matches([' ', '\t', ',']);
    let (weak, tag) = match list.strip_prefix("W/") {
        Some(tag) => (true, tag),
        None => (false, list),
    };
    let length = tag.strip_prefix('"')?.find('"')? + 2;
    Some((weak, &tag[..length], &tag[length..]))
}

/// A date of HTTP as seconds since 1970; `None` if it is none (RFC 9110, 13.1.3: then it is ignored).
fn seconds(date: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(date.trim()).ok()?;
    time.duration_since(UNIX_EPOCH)
        .ok()
        .map(|since| since.as_secs())
}

/// RFC 9110, 14.1.2. `None` for what cannot be read, and for several ranges at
/// once: both are answered with the whole, as section 14.2 allows.
fn parse_range(range: &str, size: u64) -> Option<Range> {
    let (unit, set) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    if first.is_empty() {
        // The last so many bytes; more than there are is all of them.
        let wanted = number(last)?.min(size);
        return Some(match wanted {
            0 => Range::Unsatisfiable,
            _ => Range::Part {
                first: size - wanted,
                last: size - 1,
            },
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() {
        u64::MAX
    } else {
        number(last)?
    };
    if first > last {
        return None;
    }
    Some(match first < size {
        true => Range::Part {
            first,
            last: last.min(size - 1),
        },
        false => Range::Unsatisfiable,
    })
}

/// Digits only; a number beyond 64 bits is as good as the largest.
fn number(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MODIFIED_S: u64 = 784_111_777;
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn file(age_ms: u64) -> Validators {
        Validators::of_file(
            255,
            i128::from(MODIFIED_S) * 1_000_000_000,
            MODIFIED_S * 1000 + age_ms,
        )
    }

    fn evaluate(validators: &Validators, headers: &[(&str, &str)]) -> Precondition {
        let find = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| *known == name)
                .map(|h| h.1)
        };
        validators.evaluate(find)
    }

    #[test]
    fn conditions_are_weighed_in_order() {
        use Precondition::{Failed, Met, NotModified};
        let old = file(60_000);
        let tag = old.etag();
        let weak = format!("W/{tag}");
        let listed = format!("\"a,b\", W/\"c\" ,{tag}");
        for (headers, expected) in [
            (vec![], Met),
            (vec![("if-none-match", tag.as_str())], NotModified),
            (vec![("if-none-match", &weak)], NotModified),
            (vec![("if-none-match", &listed)], NotModified),
            (vec![("if-none-match", "*")], NotModified),
            (vec![("if-none-match", "\"other\"")], Met),
            (vec![("if-none-match", "rubbish")], Met),
            (vec![("if-none-match", "")], Met),
            (vec![("if-none-match", "\"open")], Met),
            (vec![("if-modified-since", DATE)], NotModified),
            (vec![("if-modified-since", LATER)], NotModified),
            (vec![("if-modified-since", EARLIER)], Met),
            (vec![("if-modified-since", "yesterday")], Met),
            // The tag knows better than the time.
            (
                vec![("if-none-match", "\"other\""), ("if-modified-since", DATE)],
                Met,
            ),
            (vec![("if-match", &tag)], Met),
            (vec![("if-match", "*")], Met),
            (vec![("if-match", "\"other\"")], Failed),
            (vec![("if-match", &weak)], Failed),
            (
                vec![("if-match", &tag), ("if-none-match", &tag)],
                NotModified,
            ),
            (
                vec![("if-match", &tag), ("if-unmodified-since", EARLIER)],
                Met,
            ),
            (vec![("if-unmodified-since", DATE)], Met),
            (vec![("if-unmodified-since", EARLIER)], Failed),
        ] {
            assert_eq!(evaluate(&old, &headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_file_just_written_is_told_weakly() {
        let (young, old) = (file(100), file(60_000));
        assert_eq!(young.etag(), format!("W/{}", old.etag()));
        let same = evaluate(&old, &[("if-none-match", &young.etag())]);
        assert_eq!(same, Precondition::NotModified);
        assert_eq!(
            young.range(Some("bytes=0-1"), Some(&young.etag()), 255),
            Range::Whole
        );
        assert_eq!(
            young.range(Some("bytes=0-1"), Some(DATE), 255),
            Range::Whole
        );
        assert_eq!(old.last_modified().as_deref(), Some(DATE));
    }

    #[test]
    fn a_time_in_the_future_is_not_passed_on() {
        let future =
            Validators::of_file(1, i128::from(i64::MAX) * 1_000_000_000, MODIFIED_S * 1000);
        let ancient = Validators::of_file(1, -5, MODIFIED_S * 1000);
        assert!(future.etag().starts_with("W/"));
        assert_eq!(future.last_modified().as_deref(), Some(DATE));
        assert_eq!(
            ancient.last_modified().as_deref(),
            Some("Thu, 01 Jan 1970 00:00:00 GMT")
        );
    }

    #[test]
    fn bytes_are_told_by_their_content() {
        assert_eq!(Validators::of_bytes(b"").etag(), "\"cbf29ce484222325\"");
        assert_eq!(Validators::of_bytes(b"a").etag(), "\"af63dc4c8601ec8c\"");
        assert_eq!(Validators::of_bytes(b"a").last_modified(), None);
        let bytes = Validators::of_bytes(b"a");
        assert_eq!(
            evaluate(&bytes, &[("if-modified-since", DATE)]),
            Precondition::Met
        );
    }

    #[test]
    fn ranges() {
        let part = |first, last| Range::Part { first, last };
        for (range, expected) in [
            ("bytes=0-0", part(0, 0)),
            ("bytes=0-99", part(0, 99)),
            ("bytes=10-19", part(10, 19)),
            ("bytes=90-", part(90, 99)),
            ("bytes=90-5000", part(90, 99)),
            ("bytes=-1", part(99, 99)),
            ("bytes=-5000", part(0, 99)),
            ("bytes=0-99999999999999999999999", part(0, 99)),
            ("BYTES=1-2", part(1, 2)),
            ("bytes= 1-2 ", part(1, 2)),
            ("bytes=100-", Range::Unsatisfiable),
            ("bytes=99999999999999999999999-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=0-1,3-4", Range::Whole),
            ("bytes=5-4", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=", Range::Whole),
            ("bytes", Range::Whole),
            ("bytes=+1-2", Range::Whole),
            ("bytes=--5", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("lines=0-1", Range::Whole),
        ] {
            assert_eq!(
                file(60_000).range(Some(range), None, 100),
                expected,
                "{range}"
            );
        }
        assert_eq!(
            file(60_000).range(Some("bytes=0-"), None, 0),
            Range::Unsatisfiable
        );
        assert_eq!(file(60_000).range(None, None, 100), Range::Whole);
    }

    #[test]
    fn a_range_of_another_state_is_the_whole() {
        let old = file(60_000);
        let part = Range::Part { first: 0, last: 1 };
        let (tag, weak) = (old.etag(), format!("W/{}", old.etag()));
        for (if_range, expected) in [
            (tag.as_str(), part),
            (DATE, part),
            (&weak, Range::Whole),
            ("\"other\"", Range::Whole),
            (EARLIER, Range::Whole),
            (LATER, Range::Whole),
            ("*", Range::Whole),
            ("", Range::Whole),
        ] {
            let range = old.range(Some("bytes=0-1"), Some(if_range), 100);
            assert_eq!(range, expected, "{if_range}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(range in "(bytes=)?[0-9]{0,21}-?[0-9]{0,21}|.*", size: u64) {
            let old = file(60_000);
            if let Range::Part { first, last } = old.range(Some(&range), None, size) {
                prop_assert!(first <= last && last < size);
            }
            let any = evaluate(&old, &[("if-none-match", &range), ("if-match", &range)]);
            let named = range.trim() == "*" || range.contains(&old.tag);
            prop_assert!(any != Precondition::NotModified || named);
        }
    }
}
