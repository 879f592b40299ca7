//! Proof that the rules of `tests/layers.rs` see what they are there to see:
//! each case is a small house with one fault, or with none.

use crate::house::House;
use crate::source::Source;
use crate::*;

const ROOT: (&str, &str) = (
    "src/lib.rs",
    "//! Root.\npub mod base;\npub mod wire;\npub mod hub;\npub mod server;\npub mod net;\npub mod config;\n",
);
const WIRE: (&str, &str) = (
    "src/wire/mod.rs",
    "//! Wire.\npub mod url;\npub mod http;\npub mod jsonp;\n#[cfg(test)] mod trials;\npub use url::Url;\n",
);

type Rule = fn(&House) -> Vec<String>;

/// Runs `rule` on a house with `text` in the file `path`.
fn faults(rule: Rule, path: &str, text: &str) -> Vec<String> {
    let rooms = [
        ("src/base/mod.rs", "//! B.\npub mod time;"),
        ("src/base/time.rs", "//! T."),
        ("src/hub/mod.rs", "//! H.\npub mod log;\nuse log::Log;"),
        ("src/hub/log.rs", "//! L.\npub struct Log;"),
        ("src/wire/url.rs", "//! U."),
        (
            "src/wire/http/mod.rs",
            "//! H.\npub mod head;\npub use head::Head;",
        ),
        ("src/wire/http/head.rs", "//! H."),
        ("src/wire/jsonp.rs", "//! J."),
        ("src/server/mod.rs", "//! S."),
        ("src/config.rs", "//! C."),
    ];
    let others = [ROOT, WIRE].into_iter().chain(rooms);
    rule(&House::new(
        others
            .filter(|(other, _)| *other != path)
            .chain([(path, text)]),
    ))
}

#[track_caller]
fn allowed(rule: Rule, path: &str, text: &str) {
    let faults = faults(rule, path, text);
    assert!(faults.is_empty(), "in {text:?}: {faults:?}");
}

#[track_caller]
fn refused(rule: Rule, path: &str, text: &str, place: &str) {
    let faults = faults(rule, path, text);
    assert_eq!(faults.len(), 1, "in {text:?}: {faults:?}");
    assert!(faults[0].starts_with(place), "{} is at {place}", faults[0]);
}

#[test]
fn an_import_that_goes_up_or_aside_is_seen() {
    let (url, head) = ("src/wire/url.rs", "src/wire/http/head.rs");
    refused(
        floor_faults,
        url,
        "\n\nuse crate::hub::Hub;",
        "src/wire/url.rs:3:",
    );
    refused(
        floor_faults,
        url,
        "use crate::{base::time, server::Server};",
        "src/wire/url.rs:1:",
    );
    refused(
        floor_faults,
        url,
        "use super::super::net::Loop;",
        "src/wire/url.rs:1:",
    );
    refused(
        floor_faults,
        url,
        "fn f() -> crate::config::Config {}",
        "src/wire/url.rs:1:",
    );
    refused(
        floor_faults,
        head,
        "use super::super::super::hub::log;",
        head,
    );
    refused(
        floor_faults,
        "src/hub/log.rs",
        "use crate::wire::url;",
        "src/hub/log.rs:1:",
    );
    refused(
        floor_faults,
        "src/net/mod.rs",
        "use crate::wire::Url;",
        "src/net/mod.rs:1:",
    );
    refused(
        floor_faults,
        "src/attic.rs",
        "use crate::base::time;",
        "src/attic.rs:1:",
    );
    refused(
        floor_faults,
        url,
        "use crate as all; use crate::base;",
        "src/wire/url.rs:1:",
    );
    let in_test = "#[cfg(test)] mod tests { use crate::hub::Hub; }";
    refused(floor_faults, url, in_test, "src/wire/url.rs:1:");
    allowed(
        floor_faults,
        url,
        "use crate::base::time::Time; // use crate::hub::Hub;",
    );
    allowed(
        floor_faults,
        url,
        r##"const A: &str = r#""crate::hub::B"#; /* crate::hub::C */"##,
    );
    allowed(floor_faults, "src/main.rs", "use chloe::cli::run;");
}

#[test]
fn an_import_from_further_down_the_list_is_seen() {
    let (url, jsonp) = ("src/wire/url.rs", "src/wire/jsonp.rs");
    refused(
        order_faults,
        url,
        "use super::http::Head;",
        "src/wire/url.rs:1:",
    );
    refused(
        order_faults,
        url,
        "use crate::wire::{url, jsonp as j};",
        "src/wire/url.rs:1:",
    );
    refused(order_faults, url, "use super::Url;", "src/wire/url.rs:1:");
    refused(
        order_faults,
        "src/wire/http/head.rs",
        "use super::super::jsonp;",
        "src/wire/http/head.rs:1:",
    );
    refused(
        order_faults,
        "src/wire/http/head.rs",
        "use super::Head;",
        "src/wire/http/head.rs:1:",
    );
    allowed(
        order_faults,
        jsonp,
        "use super::url; use crate::wire::http::Head;",
    );
    allowed(
        order_faults,
        "src/wire/http/head.rs",
        "use crate::wire::url::Url;",
    );
    allowed(
        order_faults,
        url,
        "mod inner { use super::Url; } pub(in crate::wire) fn f() {}",
    );
    allowed(
        order_faults,
        url,
        "#[cfg(test)]\nmod tests { use super::*; use crate::wire::http; }",
    );
    allowed(
        order_faults,
        "src/wire/trials.rs",
        "use super::jsonp; use super::Url;",
    );
}

#[test]
fn a_crate_off_its_floor_is_seen() {
    let (log, url) = ("src/hub/log.rs", "src/wire/url.rs");
    refused(
        outside_faults,
        log,
        "use mio::net::TcpStream;",
        "src/hub/log.rs:1:",
    );
    refused(
        outside_faults,
        log,
        "fn f() { ::mio::Poll::new(); }",
        "src/hub/log.rs:1:",
    );
    refused(
        outside_faults,
        url,
        "fn f() { log::warn!(\"x\") }",
        "src/wire/url.rs:1:",
    );
    refused(
        outside_faults,
        url,
        "use leftpad::pad;",
        "src/wire/url.rs:1:",
    );
    refused(
        outside_faults,
        url,
        "use proptest::prelude::*;",
        "src/wire/url.rs:1:",
    );
    allowed(
        outside_faults,
        url,
        "#[cfg(test)] mod tests { use proptest::prelude::*; }",
    );
    allowed(outside_faults, log, "fn f() { log::warn!(\"x\") }");
    allowed(
        outside_faults,
        "src/net/mod.rs",
        "use mio::Poll; enum A { B } use A::*;",
    );
    allowed(
        outside_faults,
        url,
        "use crate::base::log; fn f() { log::Log::new() }",
    );
    allowed(
        outside_faults,
        url,
        "use std::fmt; fn f() { use fmt::Write; }",
    );
    refused(
        outside_faults,
        log,
        "use mio::{self, Poll};",
        "src/hub/log.rs:1:",
    );
}

#[test]
fn a_clock_or_a_socket_below_net_is_seen() {
    let log = "src/hub/log.rs";
    refused(
        world_faults,
        log,
        "use std::time::{Duration, Instant};",
        "src/hub/log.rs:1:",
    );
    refused(
        world_faults,
        log,
        "fn f() { std::time::SystemTime::now(); }",
        "src/hub/log.rs:1:",
    );
    refused(world_faults, log, "use std::time;", "src/hub/log.rs:1:");
    refused(world_faults, log, "use std::net::*;", "src/hub/log.rs:1:");
    refused(
        world_faults,
        log,
        "use std::os::unix::net::UnixStream;",
        "src/hub/log.rs:1:",
    );
    allowed(
        world_faults,
        log,
        "use std::time::Duration; use std::net::SocketAddr; use std::io;",
    );
    allowed(
        world_faults,
        "src/net/mod.rs",
        "use std::time::Instant; use std::net;",
    );
}

#[test]
fn the_small_rules_see_their_faults() {
    refused(
        unsafe_faults,
        "src/hub/log.rs",
        "\nfn f() { unsafe {} }",
        "src/hub/log.rs:2:",
    );
    allowed(
        unsafe_faults,
        "src/hub/log.rs",
        "fn f() {\n // SAFETY: empty.\n unsafe {} }",
    );
    allowed(
        unsafe_faults,
        "src/hub/log.rs",
        "// unsafe\nconst A: &str = \"unsafe\";",
    );
    refused(
        doc_faults,
        "src/hub/log.rs",
        "// What?\n",
        "src/hub/log.rs:1:",
    );
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# a b\nmio = \"1\"\nmd-5={}\n[profile.release]\nlto = true\n";
    assert_eq!(crates(manifest), ["mio", "md-5"]);
}

#[test]
fn literals_and_tests_do_not_confuse_the_reader() {
    let text = "fn a<'x>(c: &'x str) { '\"'; '\\''; b'\"'; \"\\\"\"; br#\"\"# } // \"\nuse a::b;\n";
    let source = Source::read("src/wire/url.rs", text);
    let paths: Vec<_> = source
        .mentions
        .iter()
        .map(|m| (m.segments.join("::"), m.line))
        .collect();
    assert_eq!(paths, [("a::b".to_string(), 2)]);
    let text = "#[cfg(test)] use a::{b, c}; use d::e; #[cfg(test)] fn f(a: [u8; 3]) { g::h() } use i::{self, j::*};";
    let source = Source::read("src/wire/url.rs", text);
    let paths: Vec<_> = source
        .mentions
        .iter()
        .map(|m| (m.segments.join("::"), m.in_test))
        .collect();
    let expected = [
        ("a::b", true),
        ("a::c", true),
        ("d::e", false),
        ("g::h", true),
        ("i", false),
        ("i::j::*", false),
    ];
    assert_eq!(
        paths,
        expected.map(|(path, in_test)| (path.to_string(), in_test))
    );
}
