//! Properties of the codec: what is encoded is decoded to the same, nothing
//! panics, and how a message is cut into pieces makes no difference.

use proptest::collection::vec;
use proptest::prelude::*;

use super::client::{DecodedResponse, ResponseDecoder, encode_request};
use super::error::HttpError;
use super::message::{HttpLimits, Method, Version};
use super::request::{Decoded, RequestDecoder};
use super::response::{Framing, Response, encode_chunk, encode_last_chunk};

/// Small, so that random input reaches them.
const LIMITS: HttpLimits = HttpLimits {
    head_bytes: 512,
    headers: 8,
    body_bytes: 64,
};

/// Field names that decide nothing.
fn name() -> impl Strategy<Value = String> {
    "[A-Z]x[a-zA-Z0-9!#$%&'*+.^_`|~-]{0,12}"
}

/// Values as they come out again: no control characters, no blanks around them.
fn value() -> impl Strategy<Value = String> {
    "([!-~é☃]([ -~é☃]{0,20}[!-~é☃])?)?"
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((name(), value()), 0..4)
}

fn borrowed(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// Pieces of messages, good and bad, which random bytes alone would hardly hit upon.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 32] = [
        b"GET / HTTP/1.1\r\n",
        b"POST /p HTTP/1.1\r\n",
        b"GET / HTTP/1.0\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 204 No\r\n",
        b"Host: h\r\n",
        b"Host: h\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"Content-Length: 3\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"3\r\nabc\r\n",
        b"1;a=b\r\n",
        b"a\r\n",
        b"0\r\n\r\n",
        b"0\r\n",
        b"abc",
        b"\r\n",
        b"\r",
        b"\n",
        b" ",
        b":",
        b"\0",
        b"A: b\r\n",
        b"A : b\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"fffffffffffffff0\r\n",
        b"3\r\n",
        b"http://h/",
    ];
    prop_oneof![
        8 => proptest::sample::select(pieces.to_vec()).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..8),
    ]
}

/// Targets, bodies and the number of bytes used, up to the end or an error.
type Read = (Vec<(String, Vec<u8>)>, usize, Option<HttpError>);

fn read_requests<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Read {
    let (mut decoder, mut kept) = (RequestDecoder::default(), Vec::new());
    let (mut seen, mut used) = (Vec::new(), 0);
    for piece in pieces {
        kept.extend_from_slice(piece);
        loop {
            match decoder.decode(&kept[used..], &LIMITS) {
                Ok(Decoded::NeedMore { .. }) => break,
                Ok(Decoded::Request { request, consumed }) => {
                    seen.push((request.target.to_owned(), request.body.into_owned()));
                    used += consumed;
                }
                Err(error) => return (seen, used, Some(error)),
            }
        }
    }
    (seen, used, None)
}

fn read_responses<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Read {
    let (mut decoder, mut kept) = (ResponseDecoder::default(), Vec::new());
    let (mut seen, mut used) = (Vec::new(), 0);
    for piece in pieces {
        kept.extend_from_slice(piece);
        loop {
            match decoder.decode(&kept[used..], &LIMITS) {
                Ok(DecodedResponse::NeedMore) => break,
                Ok(DecodedResponse::Response { response, consumed }) => {
                    seen.push((response.status.to_string(), response.body.into_owned()));
                    used += consumed;
                }
                Err(error) => return (seen, used, Some(error)),
            }
        }
    }
    match decoder.finish(&kept[used..], &LIMITS) {
        Ok(Some(response)) => seen.push((response.status.to_string(), response.body.into_owned())),
        Ok(None) => {}
        Err(error) => return (seen, used, Some(error)),
    }
    (seen, used, None)
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_written(
        fields in fields(),
        target in "/[!-\"$-~]{0,20}",
        body in vec(any::<u8>(), 0..=64),
        tail in vec(any::<u8>(), 0..8),
    ) {
        let mut input = Vec::new();
        encode_request(&mut input, "POST", &target, "h:1", &borrowed(&fields), &body);
        let length = input.len();
        input.extend_from_slice(&tail);
        let decoded = RequestDecoder::default().decode(&input, &LIMITS);
        let Ok(Decoded::Request { request, consumed }) = decoded else {
            return Err(TestCaseError::fail(format!("{decoded:?}")));
        };
        prop_assert_eq!(consumed, length);
        prop_assert_eq!(request.method, Method::Post);
        prop_assert_eq!(request.target, target);
        prop_assert_eq!(&request.body[..], &body[..]);
        let mut expected = vec![("Host", "h:1")];
        expected.extend(borrowed(&fields));
        let got: Vec<_> = request.headers.iter().filter(|(name, _)| *name != "Content-Length").collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn a_response_is_read_as_it_was_written(
        fields in fields(),
        status in 200u16..600,
        body in vec(any::<u8>(), 0..=64),
        chunk in 0usize..20,
        keep_alive: bool,
        date_unix_ms: u64,
    ) {
        let framing = Framing { version: Version::Http11, keep_alive, head_only: false, date_unix_ms };
        let mut response = Response::new(status).body(&body[..]);
        for (name, value) in &fields {
            response = response.header(name, value.as_str());
        }
        let has_body = status != 204 && status != 304;
        let mut input = Vec::new();
        if chunk == 0 || !has_body {
            response.encode(&mut input, &framing);
        } else {
            response.encode_chunked_head(&mut input, &framing);
            body.chunks(chunk).for_each(|bytes| encode_chunk(&mut input, bytes));
            encode_last_chunk(&mut input);
        }
        let decoded = ResponseDecoder::default().decode(&input, &LIMITS);
        let Ok(DecodedResponse::Response { response: got, consumed }) = decoded else {
            return Err(TestCaseError::fail(format!("{decoded:?}")));
        };
        prop_assert_eq!(consumed, input.len());
        prop_assert_eq!((got.status, got.keep_alive), (status, keep_alive));
        prop_assert_eq!(&got.body[..], if has_body { &body[..] } else { &[] });
        for (name, _) in &fields {
            let expected = fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
            prop_assert_eq!(got.headers.get(name), expected.map(|(_, value)| value.as_str()));
        }
    }

    #[test]
    fn no_value_breaks_out_of_its_field(value: String) {
        let framing = Framing {
            version: Version::Http11, keep_alive: true, head_only: false, date_unix_ms: 0,
        };
        let mut out = Vec::new();
        Response::new(200).header("X-Any", value).encode(&mut out, &framing);
        let decoded = ResponseDecoder::default().decode(&out, &HttpLimits::default());
        let Ok(DecodedResponse::Response { response, consumed }) = decoded else {
            return Err(TestCaseError::fail(format!("{decoded:?}")));
        };
        prop_assert_eq!((consumed, response.headers.len()), (out.len(), 3));
    }

    #[test]
    fn pieces_make_no_difference(pieces in vec(piece(), 0..12), size in 1usize..9) {
        let input = pieces.concat();
        let whole = || std::iter::once(&input[..]);
        prop_assert_eq!(read_requests(input.chunks(size)), read_requests(whole()));
        prop_assert_eq!(read_responses(input.chunks(size)), read_responses(whole()));
    }

    #[test]
    fn no_bytes_panic(input in vec(any::<u8>(), 0..200)) {
        let whole = || std::iter::once(&input[..]);
        prop_assert_eq!(read_requests(input.chunks(1)), read_requests(whole()));
        prop_assert_eq!(read_responses(input.chunks(1)), read_responses(whole()));
    }
}
