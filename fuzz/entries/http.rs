//! HTTP both ways: how the bytes are cut must not matter, chunks must mean the
//! same in a request and in a response, and what is encoded is read back.

use chloe::transport::{self, Way};
use chloe::wire::http::{
    Decoded, DecodedResponse, HttpError, HttpLimits, Request, RequestDecoder, ResponseDecoder,
    Waiting, encode_chunk, encode_last_chunk, peek,
};
use chloe::wire::{url, websocket};

use super::{cut, pieces};

/// Small, so that they are reached.
const LIMITS: HttpLimits = HttpLimits {
    head_bytes: 1024,
    headers: 12,
    body_bytes: 256,
};

/// What was read: a line for each message.
type Seen = (Vec<String>, Option<HttpError>);

pub fn request(data: &[u8]) {
    let (size, input) = pieces(data);
    let whole = requests(input, 0);
    let parts = requests(input, size);
    assert_eq!(whole, parts, "in pieces of {size}");
}

fn requests(input: &[u8], size: usize) -> Seen {
    let mut decoder = RequestDecoder::default();
    let (mut kept, mut seen) = (Vec::new(), Vec::new());
    for piece in cut(input, size) {
        kept.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match decoder.decode(&kept[at..], &LIMITS) {
                Ok(Decoded::NeedMore { state, .. }) => {
                    let head = decoder.head(&kept[at..]).expect("it was read before");
                    assert_eq!(head.is_some(), state == Waiting::Body);
                    head.iter().for_each(check);
                    break;
                }
                Ok(Decoded::Request { request, consumed }) => {
                    assert!(consumed > 0 && consumed <= kept.len() - at);
                    check(&request);
                    seen.push(format!("{request:?}"));
                    at += consumed;
                }
                Err(error) => {
                    assert!((400..600).contains(&error.status()));
                    assert!(!error.to_string().is_empty());
                    if let Some(asked) = peek(&kept[at..], &LIMITS) {
                        check(&asked);
                    }
                    return (seen, Some(error));
                }
            }
        }
        kept.drain(..at);
        assert!(kept.len() <= LIMITS.message_bytes() + piece.len());
    }
    (seen, None)
}

/// What the server does first with a request.
fn check(request: &Request<'_>) {
    assert!(request.body.len() <= LIMITS.body_bytes);
    assert!(request.headers.len() <= LIMITS.headers);
    let clean = |text: &str| !text.bytes().any(|byte| byte < b' ' || byte == 0x7f);
    assert!(clean(request.target));
    for (name, value) in request.headers.iter() {
        assert!(!name.is_empty() && clean(name));
        assert!(!value.contains(['\r', '\n', '\0']), "{value:?}");
    }
    let _ = (request.host(), request.query());
    if let Some(path) = url::decode_path(request.path()) {
        assert!(path.starts_with('/'));
    }
    if let Err(error) = websocket::accept(request) {
        assert!((400..500).contains(&error.status()));
    }
    if let Some(row) = transport::at(request.path())
        && let Way::Polling(polling) = &row.way
        && let Err(unusable) = (polling.read)(request, &mut String::new())
    {
        assert!((400..500).contains(&unusable.problem.status));
    }
}

pub fn response(data: &[u8]) {
    let (size, input) = pieces(data);
    for head_only in [false, true] {
        let whole = responses(input, 0, head_only);
        let parts = responses(input, size, head_only);
        assert_eq!(whole, parts, "in pieces of {size}, to HEAD: {head_only}");
    }
}

fn responses(input: &[u8], size: usize, head_only: bool) -> Seen {
    let mut decoder = ResponseDecoder::new(head_only);
    let (mut kept, mut seen) = (Vec::new(), Vec::new());
    for piece in cut(input, size) {
        kept.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match decoder.decode(&kept[at..], &LIMITS) {
                Ok(DecodedResponse::NeedMore) => break,
                Ok(DecodedResponse::Response { response, consumed }) => {
                    assert!(consumed > 0 && consumed <= kept.len() - at);
                    assert!(response.body.len() <= LIMITS.body_bytes);
                    seen.push(format!("{response:?}"));
                    at += consumed;
                }
                Err(error) => return (seen, Some(error)),
            }
        }
        kept.drain(..at);
    }
    match decoder.finish(&kept, &LIMITS) {
        Ok(last) => {
            seen.extend(last.map(|response| format!("{response:?} to the end")));
            (seen, None)
        }
        Err(error) => (seen, Some(error)),
    }
}

/// The bytes stand behind the heads of a request and of a response, as the
/// chunks of a body; then the same bytes are sent in chunks, and read back.
pub fn chunked(data: &[u8]) {
    let (size, input) = pieces(data);
    assert_eq!(posted(input, 0), posted(input, size), "a request's chunks");
    assert_eq!(posted(input, 0), answered(input), "both ways");

    let body = &input[..input.len().min(LIMITS.body_bytes)];
    let mut chunks = Vec::new();
    for piece in cut(body, size.max(8)) {
        encode_chunk(&mut chunks, piece);
    }
    encode_last_chunk(&mut chunks);
    let length = chunks.len();
    let read = Some(Ok((body.to_vec(), length)));
    assert_eq!(posted(&chunks, size), read, "read back");
}

/// A body and how many bytes its chunks took; `None` if they are not whole.
type Body = Option<Result<(Vec<u8>, usize), HttpError>>;

fn posted(chunks: &[u8], size: usize) -> Body {
    let head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut decoder = RequestDecoder::default();
    let mut kept = Vec::new();
    for piece in [&head[..]].into_iter().chain(cut(chunks, size)) {
        kept.extend_from_slice(piece);
        match decoder.decode(&kept, &LIMITS) {
            Ok(Decoded::NeedMore { .. }) => {}
            Ok(Decoded::Request { request, consumed }) => {
                return Some(Ok((request.body.into_owned(), consumed - head.len())));
            }
            Err(error) => return Some(Err(error)),
        }
    }
    None
}

fn answered(chunks: &[u8]) -> Body {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bytes = [&head[..], chunks].concat();
    match ResponseDecoder::default().decode(&bytes, &LIMITS) {
        Ok(DecodedResponse::NeedMore) => None,
        Ok(DecodedResponse::Response { response, consumed }) => {
            Some(Ok((response.body.into_owned(), consumed - head.len())))
        }
        Err(error) => Some(Err(error)),
    }
}
