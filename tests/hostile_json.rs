//! JSON that is made to cost the one loop much: each message, and each body of `/send`,
//! costs what its length does, whatever is wrong with it.

mod pure;

use std::time::{Duration, Instant};

use chloe::server::ConnKey;
use pure::World;

const HOSTILE: &str = "192.0.2.1";
const APP: &str = "127.0.0.1";

/// As long as the longest body of a message.
const BYTES: usize = 8 * 65_536;

/// How long the server is busy with `text` as a message by XHR; the refusal names `code`.
fn message(world: &mut World, key: ConnKey, text: &str, code: &str) -> Duration {
    let begun = Instant::now();
    let answer = world.post(key, "/chloe/xhr", "", &format!("data={text}"));
    assert!(answer.contains(code), "{answer}");
    begun.elapsed()
}

/// The same for `text` as a publication.
fn publication(world: &mut World, key: ConnKey, text: &str, code: &str) -> Duration {
    let begun = Instant::now();
    let json = "Content-Type: application/json\r\n";
    let answer = world.post(key, "/send", json, text);
    assert!(answer.contains(code), "{answer}");
    begun.elapsed()
}

/// `part`, with a number in the place of `@`, as often as it fits.
fn object(part: &str) -> String {
    let parts = BYTES / (part.len() + 6);
    let parts: Vec<String> = (0..parts)
        .map(|number| part.replace('@', &format!("{number:06}")))
        .collect();
    format!("{{{}}}", parts.join(","))
}

#[test]
fn a_message_with_many_flaws_costs_what_one_with_none_does() {
    let mut world = World::new(&[]);
    let key = world.connect(HOSTILE).unwrap();
    let plain = object(r#""@":1"#);
    let once = message(&mut world, key, &plain, "no_data");
    let of_positions = |text: String| format!(r#"{{"type":"connect","positions":{text}}}"#);
    for (text, code) in [
        (object(r#""id":1"#), "key_twice"),
        (object(r#""\ud800":1"#), "lone_surrogate"),
        (object(r#""a":{"\ud800":1}"#), "lone_surrogate"),
        (of_positions(object(r#""a":"""#)), "key_twice"),
        (of_positions(object(r#""\ud800":"""#)), "lone_surrogate"),
    ] {
        // The square is 60 times as much here.
        let taken = message(&mut world, key, &text, code);
        assert!(taken < 8 * once, "{taken:?}, not {once:?}: {}", &text[..40]);
    }
}

#[test]
fn a_publication_with_many_flaws_costs_what_one_with_few_does() {
    let mut world = World::new(&[]);
    let key = world.connect(APP).unwrap();
    let plain = format!(r#"{{"data":{}}}"#, object(r#""@":1"#));
    let once = publication(&mut world, key, &plain, r#""ok":true"#);
    for (part, code) in [
        (r#""data":1"#, "key_twice"),
        (r#""\ud800":1"#, "lone_surrogate"),
    ] {
        let taken = publication(&mut world, key, &object(part), code);
        assert!(taken < 8 * once, "{taken:?}, not {once:?}: {part}");
    }
}
