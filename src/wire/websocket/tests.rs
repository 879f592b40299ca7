//! What the message decoder makes of frames: whole, split at every byte, with a tail.

use proptest::prelude::*;

use super::close::CloseError;
use super::frame::{FrameError, apply_mask};
use super::*;

/// An event without borrows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

fn text(text: &str) -> Got {
    Got::Text(text.to_owned())
}

fn owned(event: Event<'_>) -> Got {
    match event {
        Event::Text(text) => Got::Text(text.into_owned()),
        Event::Binary(bytes) => Got::Binary(bytes.into_owned()),
        Event::Ping(payload) => Got::Ping(payload.to_vec()),
        Event::Pong(payload) => Got::Pong(payload.to_vec()),
        Event::Close { code, reason } => Got::Close(code, reason.to_owned()),
    }
}

/// A connection's side that reads: the decoder and the bytes that its caller keeps.
struct Reader {
    decoder: MessageDecoder,
    kept: Vec<u8>,
    limits: WebSocketLimits,
    got: Vec<Got>,
    error: Option<WebSocketError>,
}

impl Reader {
    fn new(limits: WebSocketLimits) -> Reader {
        Reader {
            decoder: MessageDecoder::new(Role::Server),
            kept: Vec::new(),
            limits,
            got: Vec::new(),
            error: None,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let mut input = std::mem::take(&mut self.kept);
        input.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            match self.decoder.decode(&mut input[at..], &self.limits) {
                Ok((0, None)) => break,
                Ok((used, event)) => {
                    at += used;
                    self.got.extend(event.map(owned));
                }
                Err(error) => {
                    assert_eq!(self.error.replace(error), None, "an error is told once");
                    at = input.len();
                }
            }
        }
        self.kept = input.split_off(at);
        assert!(
            self.kept.len() <= 130,
            "no payload of a message is kept outside"
        );
    }
}

/// A masked frame whose first byte is `first`.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_masked_frame(&mut out, Opcode::Binary, payload, [0x37, 0xfa, 0x21, 0x3d]);
    out[0] = first;
    out
}

fn read(pieces: &[&[u8]], limits: WebSocketLimits) -> (Vec<Got>, Option<WebSocketError>) {
    let mut reader = Reader::new(limits);
    pieces.iter().for_each(|piece| reader.feed(piece));
    (reader.got, reader.error)
}

/// Feeds `frames` in every way and expects the same of each.
fn check(frames: &[Vec<u8>], events: &[Got], error: Option<WebSocketError>) {
    let limits = WebSocketLimits {
        message_bytes: 70_000,
        fragments: 4,
    };
    let bytes = frames.concat();
    let expected = (events.to_vec(), error);
    assert_eq!(read(&[&bytes], limits), expected, "whole");
    let singles: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&singles, limits), expected, "byte by byte");
    for cut in 0..bytes.len().min(2_000) {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(read(&[first, second], limits), expected, "cut at {cut}");
    }
    let tail = frame(0x81, b"tail");
    let with_tail = read(&[&bytes, &tail], limits);
    let mut events = expected.0;
    let is_closed = matches!(events.last(), Some(Got::Close(..)));
    if error.is_none() && !is_closed {
        events.push(text("tail"));
    }
    assert_eq!(with_tail, (events, error), "with a tail");
}

#[test]
fn messages_come_through() {
    let long = "é".repeat(100);
    let longer = "x".repeat(66_000);
    check(&[frame(0x81, b"Hello")], &[text("Hello")], None);
    check(&[frame(0x81, b"")], &[text("")], None);
    check(
        &[frame(0x82, b"\xff\x00")],
        &[Got::Binary(b"\xff\x00".to_vec())],
        None,
    );
    check(&[frame(0x82, b"")], &[Got::Binary(Vec::new())], None);
    check(&[frame(0x81, long.as_bytes())], &[text(&long)], None);
    check(&[frame(0x81, longer.as_bytes())], &[text(&longer)], None);
    let three = [frame(0x81, b"a"), frame(0x82, b"b"), frame(0x81, b"c")];
    check(
        &three,
        &[text("a"), Got::Binary(b"b".to_vec()), text("c")],
        None,
    );
}

#[test]
fn fragments_come_together_and_control_frames_between_them_at_once() {
    check(
        &[frame(0x01, b"Hel"), frame(0x00, b""), frame(0x80, b"lo")],
        &[text("Hello")],
        None,
    );
    check(
        &[frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")],
        &[text("")],
        None,
    );
    check(
        &[
            frame(0x02, b"a"),
            frame(0x89, b"p"),
            frame(0x8a, b""),
            frame(0x80, b"b"),
        ],
        &[
            Got::Ping(b"p".to_vec()),
            Got::Pong(Vec::new()),
            Got::Binary(b"ab".to_vec()),
        ],
        None,
    );
    // A character cut between frames, with a ping in the cut.
    let euro = "€".as_bytes();
    check(
        &[
            frame(0x01, &euro[..1]),
            frame(0x89, b""),
            frame(0x00, &euro[1..2]),
            frame(0x80, &euro[2..]),
        ],
        &[Got::Ping(Vec::new()), text("€")],
        None,
    );
    check(
        &[frame(0x01, b"never"), frame(0x88, b"")],
        &[Got::Close(None, String::new())],
        None,
    );
}

#[test]
fn control_frames_are_read() {
    let full = vec![b'x'; 125];
    check(&[frame(0x89, &full)], &[Got::Ping(full.clone())], None);
    check(
        &[frame(0x8a, b"\xff")],
        &[Got::Pong(b"\xff".to_vec())],
        None,
    );
    check(
        &[frame(0x88, b"\x03\xe8bye")],
        &[Got::Close(Some(1000), "bye".to_owned())],
        None,
    );
    check(
        &[frame(0x88, b"")],
        &[Got::Close(None, String::new())],
        None,
    );
}

#[test]
fn broken_rules_fail_the_connection() {
    use WebSocketError::*;
    let ok = || frame(0x81, b"ok");
    let cases = [
        (
            vec![frame(0xc1, b"a")],
            Frame(FrameError::ReservedBits),
            1002,
        ),
        (
            vec![frame(0x83, b"")],
            Frame(FrameError::ReservedOpcode(3)),
            1002,
        ),
        (
            vec![frame(0x09, b"")],
            Frame(FrameError::FragmentedControl),
            1002,
        ),
        (
            vec![frame(0x89, &[b'x'; 126])],
            Frame(FrameError::LongControl),
            1002,
        ),
        (
            vec![b"\x81\x02ok".to_vec()],
            Frame(FrameError::NotMasked),
            1002,
        ),
        (vec![frame(0x80, b"a")], UnexpectedContinuation, 1002),
        (vec![frame(0x00, b"")], UnexpectedContinuation, 1002),
        (
            vec![frame(0x01, b"a"), frame(0x81, b"b")],
            ExpectedContinuation,
            1002,
        ),
        (
            vec![frame(0x01, b"a"), frame(0x02, b"b")],
            ExpectedContinuation,
            1002,
        ),
        (vec![frame(0x88, b"\x03")], Close(CloseError::Short), 1002),
        (
            vec![frame(0x88, b"\x03\xed")],
            Close(CloseError::Code(1005)),
            1002,
        ),
        (
            vec![frame(0x88, b"\x03\xe8\xff")],
            Close(CloseError::Utf8),
            1007,
        ),
        (vec![frame(0x81, b"\xff")], InvalidUtf8, 1007),
        (vec![frame(0x81, b"a\xe2\x82")], InvalidUtf8, 1007),
        (
            vec![frame(0x01, b"\xe2\x82"), frame(0x80, b"")],
            InvalidUtf8,
            1007,
        ),
        (
            vec![frame(0x01, b"\xe2"), frame(0x80, b"\xe2\x82\xac")],
            InvalidUtf8,
            1007,
        ),
        (vec![frame(0x81, b"\xed\xa0\x80")], InvalidUtf8, 1007),
        (vec![frame(0x81, b"\xf4\x90\x80\x80")], InvalidUtf8, 1007),
        (vec![frame(0x81, b"\xc0\xaf")], InvalidUtf8, 1007),
        (
            vec![frame(0x81, &[b'x'; 70_001])],
            MessageTooBig { bytes_max: 70_000 },
            1009,
        ),
        (
            vec![frame(0x01, &[b'x'; 70_000]), frame(0x00, b"x")],
            MessageTooBig { bytes_max: 70_000 },
            1009,
        ),
        (
            vec![
                frame(0x01, b""),
                frame(0, b""),
                frame(0, b""),
                frame(0, b""),
                frame(0x80, b""),
            ],
            TooManyFragments { fragments_max: 4 },
            1008,
        ),
    ];
    for (frames, error, code) in cases {
        let frames: Vec<_> = std::iter::once(ok()).chain(frames).collect();
        check(&frames, &[text("ok")], Some(error));
        assert_eq!(error.close_code(), code);
        assert!(error.to_string().ends_with('.') && error.to_string().len() <= 123);
    }
}

/// How many bytes of `bytes` it took until the decoder failed.
fn fails_at(bytes: &[u8], message_bytes: usize) -> Option<usize> {
    let mut reader = Reader::new(WebSocketLimits {
        message_bytes,
        fragments: 100,
    });
    let fails = |byte: &u8| {
        reader.feed(std::slice::from_ref(byte));
        reader.error.is_some()
    };
    bytes.iter().position(fails).map(|at| at + 1)
}

#[test]
fn bad_text_fails_on_its_first_bad_byte() {
    let head = 6;
    // The bytes of each text up to and with the first that cannot be.
    let cases: [(&[u8], usize); 7] = [
        (b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80edited", 7),
        (b"abc\xffdef", 4),
        (b"\xed\xa0\x80....", 2),
        (b"\xe0\x80....", 2),
        (b"\xf5.......", 1),
        (b"\xf0\x9f\x98a....", 4),
        (b"\x80......", 1),
    ];
    for (payload, bad) in cases {
        assert_eq!(
            fails_at(&frame(0x81, payload), 100),
            Some(head + bad),
            "{payload:x?}"
        );
        for cut in 0..bad {
            let (first, second) = payload.split_at(cut);
            let frames = [frame(0x01, first), frame(0x80, second)].concat();
            assert_eq!(
                fails_at(&frames, 100),
                Some(2 * head + bad),
                "{payload:x?} cut at {cut}"
            );
        }
    }
}

#[test]
fn limits_are_checked_on_the_header_and_no_memory_is_taken_for_promises() {
    // 2^63 - 1 bytes, announced and never sent.
    let huge = b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0";
    assert_eq!(fails_at(huge, 65_536), Some(14));
    let mut fragments = frame(0x01, b"abc");
    fragments.extend_from_slice(&huge.map(|byte| if byte == 0x81 { 0x80 } else { byte }));
    assert_eq!(fails_at(&fragments, 65_536), Some(fragments.len()));
    let mut reader = Reader::new(WebSocketLimits {
        message_bytes: usize::MAX,
        fragments: 1,
    });
    reader.feed(huge);
    reader.feed(b"abc");
    assert_eq!((reader.got, reader.error), (Vec::new(), None));
}

#[test]
fn a_whole_message_is_borrowed_and_an_idle_decoder_is_small() {
    let mut decoder = MessageDecoder::new(Role::Server);
    let mut bytes = frame(0x81, b"Hello");
    let (used, event) = decoder
        .decode(&mut bytes, &WebSocketLimits::default())
        .unwrap();
    assert_eq!(used, 11);
    assert!(matches!(
        event,
        Some(Event::Text(std::borrow::Cow::Borrowed("Hello")))
    ));
    assert!(size_of::<MessageDecoder>() <= 16);
}

#[test]
fn a_client_reads_what_a_server_writes() {
    let mut bytes = Vec::new();
    encode_frame(&mut bytes, Opcode::Text, true, b"a");
    encode_close_frame(&mut bytes, 1001, "bye");
    let mut decoder = MessageDecoder::new(Role::Client);
    let limits = WebSocketLimits::default();
    let (used, event) = decoder.decode(&mut bytes, &limits).unwrap();
    assert_eq!(event, Some(Event::Text("a".into())));
    let (_, event) = decoder.decode(&mut bytes[used..], &limits).unwrap();
    assert_eq!(
        event,
        Some(Event::Close {
            code: Some(1001),
            reason: "bye"
        })
    );
    let mut masked = frame(0x81, b"a");
    let error = MessageDecoder::new(Role::Client).decode(&mut masked, &limits);
    assert_eq!(error, Err(WebSocketError::Frame(FrameError::Masked)));
}

proptest! {
    #[test]
    fn messages_survive_any_fragments_and_any_reads(
        message in "\\PC{0,60}",
        is_text: bool,
        mut frame_ends in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        mut read_ends in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        mask: [u8; 4],
    ) {
        let payload = message.as_bytes();
        let mut bytes = Vec::new();
        let mut start = 0;
        frame_ends.sort_by_key(|end| end.index(payload.len() + 1));
        let ends: Vec<_> = frame_ends.iter().map(|end| end.index(payload.len() + 1)).chain([payload.len()]).collect();
        for (index, &end) in ends.iter().enumerate() {
            let opcode = if index > 0 { 0 } else if is_text { 1 } else { 2 };
            let fin = if index + 1 == ends.len() { 0x80 } else { 0 };
            let at = bytes.len();
            encode_masked_frame(&mut bytes, Opcode::Binary, &payload[start..end], mask);
            bytes[at] = fin | opcode;
            start = end;
        }
        read_ends.sort_by_key(|end| end.index(bytes.len() + 1));
        let mut reader = Reader::new(WebSocketLimits::default());
        let mut start = 0;
        for end in read_ends.iter().map(|end| end.index(bytes.len() + 1)).chain([bytes.len()]) {
            reader.feed(&bytes[start..end]);
            start = end;
        }
        let expected = if is_text { Got::Text(message) } else { Got::Binary(message.into_bytes()) };
        prop_assert_eq!((reader.got, reader.error), (vec![expected], None));
    }

    #[test]
    fn no_bytes_panic_or_are_read_otherwise_in_parts(
        starts in prop::collection::vec((prop::sample::select(vec![0x00u8, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0xc1, 0x83]), prop::collection::vec(any::<u8>(), 0..10)), 0..6),
        noise: Vec<u8>,
        cut: prop::sample::Index,
    ) {
        let frames: Vec<_> = starts.iter().map(|(first, payload)| frame(*first, payload)).collect();
        let mut bytes = frames.concat();
        bytes.extend_from_slice(&noise);
        let limits = WebSocketLimits { message_bytes: 20, fragments: 3 };
        let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
        prop_assert_eq!(read(&[&bytes], limits), read(&[first, second], limits));
        let mut masked = noise.clone();
        apply_mask(&mut masked, [1, 2, 3, 4], 3);
        read(&[&masked], limits);
    }
}
