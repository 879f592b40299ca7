//! The codecs of text: envelopes, forms, addresses, signatures.

use chloe::base::names::Epoch;
use chloe::base::time::Time;
use chloe::transport::contract::Call;
use chloe::wire::envelope::{self, DataRef, json};
use chloe::wire::jsonp;
use chloe::wire::signature::{
    Accept, Covered, Direction, OWN_ID_PREFIX, Secret, SignatureError, WebhookHeaders,
};
use chloe::wire::url::{HttpUrl, decode_path, parse_origin};
use chloe::wire::urlencoded::{Pair, browser_data, encode_form, form_pairs};

/// What was understood is written as deliveries and errors, and those are read back.
pub fn envelope(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(value) = json::single_value(&text) {
        delivered(DataRef::Raw(value), "raw");
        let said = json::string_text(value);
        assert!(said.is_none() || value.starts_with('"'));
    }
    let read = match envelope::decode(&text) {
        Ok(read) => read,
        Err(unreadable) => {
            assert!(!unreadable.error.to_string().is_empty());
            if let Some(id) = unreadable.id {
                assert_eq!(json::single_value(id.raw()), Some(id.raw()));
            }
            return;
        }
    };
    let tail = format!("{text}ts=1322489");
    assert_eq!(envelope::decode(&tail).as_ref(), Ok(&read), "with a tail");
    if let Some(id) = read.id {
        assert!(id.raw().len() <= envelope::ID_BYTES_MAX);
        let mut error = Vec::new();
        envelope::encode_error(&mut error, Some(id.raw()), "code", "message", true);
        let error = String::from_utf8(error).unwrap();
        assert_eq!(json::single_value(&error), Some(&*error));
        let marked = format!("\"id\":{},", plain(id.raw()));
        assert!(plain(&error).contains(&marked), "{error}");
    }
    let channel = read.channel.as_deref().unwrap_or("none");
    if let Some(data) = &read.data {
        let back = delivered(DataRef::Str(data), channel);
        let back = envelope::decode(&back).unwrap();
        assert_eq!(back.data.as_deref(), Some(&**data));
        assert_eq!(back.channel.as_deref(), Some(channel));
    }
    for polls in [true, false] {
        if let Err(unusable) = Call::from_envelope(read.clone(), polls) {
            assert!((400..500).contains(&unusable.problem.status));
        }
    }
}

/// JSON without the escapes that keep it from ending a script.
fn plain(json: &str) -> String {
    json.replace("\\u003c", "<")
        .replace("\\u2028", "\u{2028}")
        .replace("\\u2029", "\u{2029}")
}

/// A delivery of `data`, fit for a page and for a script.
fn delivered(data: DataRef<'_>, channel: &str) -> String {
    let mut delivery = vec![b'{'];
    let epoch = Some(Epoch::from_random(7));
    envelope::encode_delivery(&mut delivery, data, channel, 1, epoch, true);
    let text = String::from_utf8(delivery.clone()).unwrap();
    assert!(json::single_value(&text).is_some(), "{text}");
    assert!(!text.contains("</") && !text.contains("<!"), "{text}");
    assert!(!text.contains(['\u{2028}', '\u{2029}']), "{text}");
    let mut script = Vec::new();
    jsonp::onmessage(&mut script, 7, &delivery);
    let script = String::from_utf8(script).unwrap();
    assert!(
        !script.contains(['\n', '\r', '\u{2028}', '\u{2029}']),
        "{script}"
    );
    text
}

pub fn urlencoded(data: &[u8]) {
    let pairs: Vec<_> = form_pairs(data).collect();
    let borrowed: Vec<_> = pairs
        .iter()
        .map(|pair| (&*pair.name, &*pair.value))
        .collect();
    let form = encode_form(&borrowed);
    let again: Vec<_> = form_pairs(form.as_bytes()).collect();
    let whole: Vec<_> = pairs
        .iter()
        .map(|pair| Pair {
            utf8: true,
            ..pair.clone()
        })
        .collect();
    assert_eq!(again, whole, "{form}");
    if let Some(text) = browser_data(data) {
        // Nothing is made longer than it came, but for Latin-1.
        assert!(text.len() <= 3 * data.len());
    }
    let plain: String = String::from_utf8_lossy(data)
        .chars()
        .filter(|c| !matches!(c, '%' | '&'))
        .collect();
    let sent = format!("data={plain}");
    assert_eq!(browser_data(sent.as_bytes()), Some(plain));
}

pub fn url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match HttpUrl::parse(&text) {
        Ok(parsed) => {
            let shown = parsed.to_string();
            assert_eq!(HttpUrl::parse(&shown), Ok(parsed), "{shown}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(origin) = parse_origin(&text) {
        assert_eq!(parse_origin(&origin).as_deref(), Ok(&*origin));
    }
    if let Some(path) = decode_path(&text) {
        assert!(path.starts_with('/') || path.is_empty(), "{path:?}");
        assert!(
            !path.contains(['\0', '\\']) && !path.contains("//"),
            "{path:?}"
        );
        let climbs = |segment: &str| matches!(segment, "." | "..");
        assert!(!path.split('/').any(climbs), "{path:?}");
    }
}

/// Lines: the secret, an id, a timestamp, a signature, and then the body.
pub fn signature(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(5, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (secret, id, timestamp, signature, body) = (line(), line(), line(), line(), line());
    let Some(secret) = Secret::new(secret) else {
        return;
    };
    let now = Time {
        ms: 1,
        unix_ms: 1_700_000_000_000,
    };
    let headers = |timestamp, signature| WebhookHeaders {
        id,
        timestamp,
        signature,
    };
    // What stands there is no signature of a body that is not known yet.
    let body = format!("{body}, and what nobody has signed");
    let send = Covered {
        method: "POST",
        target: "/send",
        ..Covered::default()
    };
    let verify = |timestamp, signature| {
        let headers = headers(timestamp, signature);
        secret.verify_webhook(&headers, &send, body.as_bytes(), now, Accept::V1OrChloe1)
    };
    assert!(verify(timestamp, signature).is_err());
    assert!(!secret.verify_md5(body.as_bytes(), signature));
    let _ = secret.verify_bearer(signature);

    // Chloe signs for the app whatever browsers say, and accepts none of it.
    let to_app = secret.sign_chloe1(Direction::ToApp, id, 1_700_000_000, &send, body.as_bytes());
    assert!(verify("1700000000", &to_app).is_err());
    let right = secret.sign_v1(id, 1_700_000_000, body.as_bytes());
    if id.starts_with(OWN_ID_PREFIX) {
        assert_eq!(verify("1700000000", &right), Err(SignatureError::OwnId));
        return;
    }
    assert_eq!(verify("1700000000", &right), Ok(()));
    let several = format!("{} {right}", signature.replace(char::is_whitespace, "_"));
    assert_eq!(verify("1700000000", &several), Ok(()), "one of several");
    assert!(verify("1700000001", &right).is_err(), "another timestamp");
    assert!(secret.verify_md5(body.as_bytes(), &secret.md5_hex(body.as_bytes())));
}
