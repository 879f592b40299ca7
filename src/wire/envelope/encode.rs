//! What Chloe says to a browser, written as JSON objects.
//!
//! All writers append to `out` and nothing else. Ids are raw JSON text, as the
//! client wrote them. Called by the transports and by the server's fan-out.

use std::fmt::Display;
use std::io::Write as _;

use crate::base::names::{Epoch, Offset, Position, SessionId};

use super::json;

/// What keeps a quiet connection of a new client alive where intermediaries count only data.
pub const HEARTBEAT: &str = r#"{"type":"heartbeat","version":1}"#;

/// The data of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataRef<'a> {
    /// Text, delivered as a JSON string.
    Str(&'a str),
    /// One complete JSON value, delivered as it is; see [`json::single_value`].
    Raw(&'a str),
}

/// Appends a delivery WITHOUT its leading `{`: a suffix that is the same for
/// every subscriber, before which a transport puts `{` or keys of its own.
/// `direct` marks a message to one session.
pub fn encode_delivery(
    out: &mut Vec<u8>,
    data: DataRef<'_>,
    channel: &str,
    offset: Offset,
    epoch: Option<Epoch>,
    direct: bool,
) {
    out.extend_from_slice(b"\"data\":");
    match data {
        DataRef::Str(text) => json::push_string(out, text),
        DataRef::Raw(value) => json::push_raw(out, value),
    }
    out.extend_from_slice(b",\"version\":1,\"channel\":");
    json::push_string(out, channel);
    out.extend_from_slice(b",\"offset\":");
    push_number(out, offset);
    if let Some(epoch) = epoch {
        out.extend_from_slice(b",\"epoch\":");
        push_plain(out, epoch);
    }
    if direct {
        out.extend_from_slice(b",\"direct\":true");
    }
    out.push(b'}');
}

/// The answer to a `connect` of a new client: one that sent `positions`.
#[derive(Clone, Copy, Debug)]
pub struct Connected<'a> {
    pub id: Option<&'a str>,
    pub session_id: SessionId,
    /// Whether the session of before goes on.
    pub resumed: bool,
    /// Each channel the session is in.
    pub channels: &'a [ChannelState<'a>],
    /// How often at least the client hears something, in milliseconds.
    pub heartbeat_ms: u64,
}

/// Where a session stands in a channel.
#[derive(Clone, Copy, Debug)]
pub struct ChannelState<'a> {
    pub channel: &'a str,
    pub position: Position,
    /// False when anything may have been missed.
    pub recovered: bool,
}

/// Appends the answer to a new client's `connect`.
pub fn encode_connect(out: &mut Vec<u8>, answer: &Connected<'_>) {
    begin(out, "connect", answer.id);
    out.extend_from_slice(b",\"sessionId\":");
    push_plain(out, answer.session_id);
    out.extend_from_slice(b",\"resumed\":");
    push_bool(out, answer.resumed);
    out.extend_from_slice(b",\"channels\":{");
    for (index, state) in answer.channels.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::push_string(out, state.channel);
        out.extend_from_slice(b":{\"position\":");
        push_plain(out, state.position);
        out.extend_from_slice(b",\"recovered\":");
        push_bool(out, state.recovered);
        out.push(b'}');
    }
    out.extend_from_slice(b"},\"heartbeat\":");
    push_number(out, answer.heartbeat_ms);
    out.push(b'}');
}

/// Appends the answer to an old client's `connect`: all six keys in the old
/// server's order, `null` for what there is not (protocol A.1).
pub fn encode_connect_old(out: &mut Vec<u8>, id: Option<&str>, session_id: SessionId) {
    out.extend_from_slice(
        b"{\"data\":null,\"version\":1,\"type\":\"connect\",\"channel\":null,\"id\":",
    );
    json::push_raw(out, id.unwrap_or("null"));
    out.extend_from_slice(b",\"sessionId\":");
    push_plain(out, session_id);
    out.push(b'}');
}

/// Appends the answer to a `channel-subscribe` that bore an id.
pub fn encode_subscribed(out: &mut Vec<u8>, id: Option<&str>, state: &ChannelState<'_>) {
    begin(out, "subscribed", id);
    out.extend_from_slice(b",\"channel\":");
    json::push_string(out, state.channel);
    out.extend_from_slice(b",\"position\":");
    push_plain(out, state.position);
    out.extend_from_slice(b",\"recovered\":");
    push_bool(out, state.recovered);
    out.push(b'}');
}

/// Appends the answer to a `channel-unsubscribe` that bore an id.
pub fn encode_unsubscribed(out: &mut Vec<u8>, id: Option<&str>, channel: &str) {
    begin(out, "unsubscribed", id);
    out.extend_from_slice(b",\"channel\":");
    json::push_string(out, channel);
    out.push(b'}');
}

/// Appends the answer to a `message` that bore an id and that the app has
/// taken. `answer` is the app's own, one complete JSON value.
pub fn encode_accepted(out: &mut Vec<u8>, id: Option<&str>, answer: Option<&str>) {
    begin(out, "accepted", id);
    if let Some(answer) = answer {
        out.extend_from_slice(b",\"answer\":");
        json::push_raw(out, answer);
    }
    out.push(b'}');
}

/// Appends an error. `code` is for programs, `message` is a sentence that says
/// what to do, `temporary` says whether the same may succeed later.
pub fn encode_error(
    out: &mut Vec<u8>,
    id: Option<&str>,
    code: &str,
    message: &str,
    temporary: bool,
) {
    begin(out, "error", id);
    out.extend_from_slice(b",\"code\":");
    json::push_string(out, code);
    out.extend_from_slice(b",\"message\":");
    json::push_string(out, message);
    out.extend_from_slice(b",\"temporary\":");
    push_bool(out, temporary);
    out.push(b'}');
}

/// Appends the notice that `missed` messages of `channel` were lost to this
/// reader, who now stands at `position`.
pub fn encode_gap(out: &mut Vec<u8>, channel: &str, missed: u64, position: Position) {
    begin(out, "gap", None);
    out.extend_from_slice(b",\"channel\":");
    json::push_string(out, channel);
    out.extend_from_slice(b",\"missed\":");
    push_number(out, missed);
    out.extend_from_slice(b",\"position\":");
    push_plain(out, position);
    out.push(b'}');
}

/// The keys that every answer begins with.
fn begin(out: &mut Vec<u8>, kind: &str, id: Option<&str>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"version\":1");
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        json::push_raw(out, id);
    }
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn push_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// A name whose spelling needs no escape: a session, an epoch, a position.
fn push_plain(out: &mut Vec<u8>, name: impl Display) {
    write!(out, "\"{name}\"").expect("writing to memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::envelope::decode;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"before ".to_vec();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        text.strip_prefix("before ").unwrap().to_owned()
    }

    fn position(offset: Offset) -> Position {
        Position {
            epoch: Epoch::from_random(0xab),
            offset,
        }
    }

    #[test]
    fn deliveries_are_a_suffix() {
        let plain =
            written(|out| encode_delivery(out, DataRef::Str("a\"<b"), "/all", 7, None, false));
        assert_eq!(
            plain,
            r#""data":"a\"\u003cb","version":1,"channel":"/all","offset":7}"#
        );
        let raw = written(|out| {
            let epoch = Some(position(0).epoch);
            encode_delivery(
                out,
                DataRef::Raw("{\"a\":\n1}"),
                "n\u{2028}",
                8,
                epoch,
                true,
            );
        });
        assert_eq!(
            raw,
            r#""data":{"a": 1},"version":1,"channel":"n\u2028","offset":8,"epoch":"00000000ab","direct":true}"#
        );
    }

    #[test]
    fn connect_is_answered_to_each_client_in_its_way() {
        let session_id = SessionId(0xff);
        let session = "000000000000000000000000000000ff";
        let channels = [
            ChannelState {
                channel: "/all",
                position: position(3),
                recovered: true,
            },
            ChannelState {
                channel: "n\"",
                position: position(0),
                recovered: false,
            },
        ];
        let answer = Connected {
            id: Some("\"x\""),
            session_id,
            resumed: true,
            channels: &channels,
            heartbeat_ms: 25_000,
        };
        assert_eq!(
            written(|out| encode_connect(out, &answer)),
            format!(
                r#"{{"type":"connect","version":1,"id":"x","sessionId":"{session}","resumed":true,"channels":{{"/all":{{"position":"00000000ab:3","recovered":true}},"n\"":{{"position":"00000000ab:0","recovered":false}}}},"heartbeat":25000}}"#
            )
        );
        let answer = Connected {
            id: None,
            resumed: false,
            channels: &[],
            ..answer
        };
        assert_eq!(
            written(|out| encode_connect(out, &answer)),
            format!(
                r#"{{"type":"connect","version":1,"sessionId":"{session}","resumed":false,"channels":{{}},"heartbeat":25000}}"#
            )
        );
        for (id, text) in [(Some("12"), "12"), (None, "null")] {
            assert_eq!(
                written(|out| encode_connect_old(out, id, session_id)),
                format!(
                    r#"{{"data":null,"version":1,"type":"connect","channel":null,"id":{text},"sessionId":"{session}"}}"#
                )
            );
        }
    }

    #[test]
    fn answers_are_written() {
        let state = ChannelState {
            channel: "a",
            position: position(5),
            recovered: true,
        };
        let cases = [
            (
                written(|out| encode_subscribed(out, Some("1"), &state)),
                r#"{"type":"subscribed","version":1,"id":1,"channel":"a","position":"00000000ab:5","recovered":true}"#,
            ),
            (
                written(|out| encode_unsubscribed(out, Some("1"), "a")),
                r#"{"type":"unsubscribed","version":1,"id":1,"channel":"a"}"#,
            ),
            (
                written(|out| encode_accepted(out, Some("\"<\""), None)),
                r#"{"type":"accepted","version":1,"id":"\u003c"}"#,
            ),
            (
                written(|out| encode_accepted(out, Some("1"), Some("[1,\n\"<\"]"))),
                r#"{"type":"accepted","version":1,"id":1,"answer":[1, "\u003c"]}"#,
            ),
            (
                written(|out| encode_error(out, None, "c", "Say \"m\".", true)),
                r#"{"type":"error","version":1,"code":"c","message":"Say \"m\".","temporary":true}"#,
            ),
            (
                written(|out| encode_gap(out, "a", 9, position(u64::MAX))),
                r#"{"type":"gap","version":1,"channel":"a","missed":9,"position":"00000000ab:18446744073709551615"}"#,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(text, expected);
            assert!(decode(&text).unwrap().version == Some(1), "{text}");
        }
        assert_eq!(
            decode(HEARTBEAT).unwrap().kind.as_deref(),
            Some("heartbeat")
        );
    }

    proptest! {
        #[test]
        fn a_delivery_is_read_again(data: String, channel: String, offset: u64) {
            let text = written(|out| {
                encode_delivery(out, DataRef::Str(&data), &channel, offset, None, false);
            });
            let text = format!("{{{text}");
            let envelope = decode(&text).unwrap();
            prop_assert_eq!(envelope.data.as_deref(), Some(data.as_str()));
            prop_assert_eq!(envelope.channel.as_deref(), Some(channel.as_str()));
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(value["offset"].as_u64(), Some(offset));
        }
    }
}
