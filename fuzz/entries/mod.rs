//! What is fuzzed: one function for each target, from bytes to nothing.
//!
//! Each panics when something is wrong: when Chloe's code does, or when what
//! came out cannot be right. Two programs include this folder: the targets of
//! `fuzz/targets`, where libFuzzer makes the bytes, and `tests/fuzz_seeds.rs`,
//! which runs those that are kept.

#[path = "../../tests/testkit/mod.rs"]
mod testkit;

mod config;
mod http;
mod server;
mod state;
mod text;
mod websocket;

/// A target: its name, which is that of its folder in `corpus`, and its function.
type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("http_request", http::request),
    ("http_response", http::response),
    ("http_chunked", http::chunked),
    ("websocket_server", websocket::server),
    ("websocket_client", websocket::client),
    ("envelope", text::envelope),
    ("urlencoded", text::urlencoded),
    ("url", text::url),
    ("signature", text::signature),
    ("config", config::config),
    ("server", server::server),
    ("state", state::state),
];

/// Runs the target `name` on `data`.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, function) = target.expect("the target has a row in TARGETS");
    function(data);
}

/// Takes the first byte off: by how many bytes the rest is to be fed, 0 for all at once.
fn pieces(data: &[u8]) -> (usize, &[u8]) {
    match data {
        [first, rest @ ..] => (usize::from(*first), rest),
        [] => (0, data),
    }
}

/// `input` in pieces of `size` bytes.
fn cut(input: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    let size = if size == 0 { input.len() } else { size };
    input.chunks(size.max(1))
}
