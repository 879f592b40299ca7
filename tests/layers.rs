//! The plan of the house, held by a test: who may import whom, which outside
//! crate lives on which floor, who may read a clock or open a socket.
//!
//! It reads the text of `src`, not the compiler's mind: it sees each path that
//! stands in a file, and no type that reaches it by inference. The tables below
//! are the plan; a change of plan is a change of a row here.

#[path = "layers/source.rs"]
mod source;
#[path = "layers/house.rs"]
mod house;
#[path = "layers/annexe.rs"]
mod annexe;
#[path = "layers/proof.rs"]
mod proof;

use house::{House, collect};
use source::{Mention, Source};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A module, its floor, and the modules that it may import.
const FLOORS: &[(&str, u8, &str)] = &[
    ("base", 1, ""),
    ("wire", 2, "base"),
    ("hub", 2, "base"),
    ("transport", 3, "base wire hub"),
    ("config", 4, "base wire hub transport"),
    ("server", 5, "base wire hub transport config"),
    ("net", 6, "base config server"),
    ("cli", 7, "base wire hub transport config server net"),
    ("main", 7, "base wire hub transport config server net cli"),
];

/// Each crate of Cargo.toml, under the name that code gives it, and where it
/// may be named. An empty list: in `#[cfg(test)]` parts only, of any floor, or
/// in `chloe-bench`, which may name any.
const OUTSIDE: &[(&str, &str)] = &[
    ("base64", "wire"),
    ("form_urlencoded", "wire"),
    ("getrandom", "net cli"),
    ("hdrhistogram", ""),
    ("hmac", "wire"),
    ("httparse", "wire"),
    ("httpdate", "wire server"),
    ("itoa", "wire server"),
    ("lexopt", "cli"),
    ("log", "hub transport config server net cli main"),
    ("md5", "wire"),
    ("memchr", "wire server"),
    ("mio", "net"),
    ("percent_encoding", "wire"),
    ("proptest", ""),
    ("rand_chacha", "base"),
    ("rustc_hash", "base"),
    ("rustix", "server net cli"),
    ("serde", "wire config server"),
    ("serde_json", "wire server cli"),
    ("sha1", "wire"),
    ("sha2", "wire server"),
    ("signal_hook", "net cli"),
    ("simple_logger", "cli"),
    ("smallvec", "base wire hub transport server"),
    ("socket2", "net"),
    ("subtle", "wire"),
    ("toml", "config"),
];

/// Crates whose name in code is not their name in Cargo.toml with `_` for `-`.
const RENAMED: &[(&str, &str)] = &[("md-5", "md5")];

/// Parts of the standard library that reach the world, where they may be
/// named, and what the other floors do instead.
const WORLD: &[(&str, &str, &str)] = &[
    ("std::time::Instant", "net cli", CLOCK),
    ("std::time::SystemTime", "net cli", CLOCK),
    ("std::net::TcpListener", "net cli", SOCKET),
    ("std::net::TcpStream", "net cli", SOCKET),
    ("std::net::ToSocketAddrs", "net cli", SOCKET),
    ("std::net::UdpSocket", "net cli", SOCKET),
    ("std::os::unix::net", "net cli", SOCKET),
];
const CLOCK: &str = "take a `base::time::Time` as an argument; `net` reads the clock once a turn";
const SOCKET: &str = "hand bytes and actions to `net`, the one place with sockets";

/// Lines of a file, its tests included. A file over it is split by its nouns.
const LINES_MAX: usize = 500;

/// Files allowed over [`LINES_MAX`], each with its reason. It stays empty.
const LONG_FILES: &[(&str, &str)] = &[];

fn top(module: &[String]) -> &str {
    module.first().map_or("lib", String::as_str)
}

fn listed(names: &str, name: &str) -> bool {
    names.split(' ').any(|listed| listed == name)
}

fn place(source: &Source, mention: &Mention) -> String {
    let path = mention.segments.join("::");
    format!("{}:{}: `{path}`", source.path, mention.line)
}

/// Imports between the modules of the root go down, as [`FLOORS`] says.
fn floor_faults(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for (source, mention, _) in house.mentions() {
        let Some(path) = house.ours(source, mention) else {
            continue;
        };
        let (from, to) = (top(&source.module), top(&path));
        if from == "lib" || from == to {
            continue;
        }
        let place = place(source, mention);
        let Some((_, floor, allowed)) = FLOORS.iter().find(|(name, ..)| *name == from) else {
            faults.push(format!(
                "{place}: module `{from}` has no row in FLOORS: give it a floor"
            ));
            continue;
        };
        if !listed(allowed, to) {
            let allowed = match *allowed {
                "" => "nothing of ours",
                some => some,
            };
            faults.push(format!(
                "{place}: `{from}` (floor {floor}) may import {allowed}; not `{to}`"
            ));
        }
    }
    faults
}

/// Within a folder a file imports only files listed above it in `mod.rs`; `mod.rs` comes last.
fn order_faults(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for (source, mention, in_test) in house.mentions() {
        let Some(path) = house.ours(source, mention).filter(|_| !in_test) else {
            continue;
        };
        let (from, to) = (source.module.as_slice(), house.room(&path));
        if from.is_empty() || top(from) != top(to) || from == to {
            continue;
        }
        let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        if shared == from.len() {
            continue; // A folder's mod.rs is above its own files.
        }
        let (parent, place) = (&house.0[&from[..shared]], place(source, mention));
        if shared == to.len() {
            faults.push(format!(
                "{place}: {} comes last in its folder, so its files cannot import it; \
                 import from the file that holds the item, or move the item to one",
                parent.path
            ));
            continue;
        }
        let rank = |name: &String| parent.children.iter().position(|child| child == name);
        if rank(&to[shared]) > rank(&from[shared]) {
            faults.push(format!(
                "{place}: {} lists `{}` below `{}`; a file imports only what is listed above it. \
                 Move the shared item up, or change the order of the `mod` lines",
                parent.path, to[shared], from[shared]
            ));
        }
    }
    faults
}

/// Outside crates stay on their floors, as [`OUTSIDE`] says.
fn outside_faults(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for (source, mention, in_test) in house.mentions() {
        let name = mention.segments[0].as_str();
        if house.ours(source, mention).is_some() || is_std(name) {
            continue;
        }
        if mention.segments.len() > 1 && source.imported.contains(name) {
            continue; // Checked at the `use` that brought it in.
        }
        let from = top(&source.module);
        match OUTSIDE.iter().find(|(outside, _)| *outside == name) {
            Some((_, floors)) if listed(floors, from) => {}
            Some((_, floors)) if floors.is_empty() && in_test => {}
            Some((_, floors)) => faults.push(format!(
                "{}: crate `{name}` may be named in {}; not in `{from}`",
                place(source, mention),
                if floors.is_empty() {
                    "tests only"
                } else {
                    floors
                },
            )),
            // `use Method::*;` is an enum of the file's own.
            None if mention.is_use && name.starts_with(|c: char| c.is_lowercase()) => {
                faults.push(format!(
                    "{}: `{name}` is no module of this file and has no row in OUTSIDE",
                    place(source, mention)
                ));
            }
            None => {}
        }
    }
    faults
}

fn is_std(name: &str) -> bool {
    matches!(name, "std" | "core" | "alloc")
}

/// Clocks and sockets stay where [`WORLD`] says. A module that holds one of
/// them is imported by its items, so that nothing gets in under its name.
fn world_faults(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for (source, mention, _) in house.mentions().filter(|(_, m, _)| is_std(&m.segments[0])) {
        let path = mention.segments.join("::");
        let module = path.strip_suffix("::*").unwrap_or(&path);
        for (item, floors, instead) in WORLD {
            if listed(floors, top(&source.module)) {
                continue;
            }
            if path == *item || path.starts_with(&format!("{item}::")) {
                faults.push(format!("{}: {instead}", place(source, mention)));
            } else if mention.is_use && item.starts_with(&format!("{module}::")) {
                let place = place(source, mention);
                faults.push(format!(
                    "{place}: name the items you need, so that `{item}` is not among them"
                ));
                break;
            }
        }
    }
    faults
}

/// No `unsafe`, unless a paragraph that starts with `// SAFETY:` says why it is sound.
fn unsafe_faults(house: &House) -> Vec<String> {
    let reasoned = |source: &Source| {
        source
            .text
            .lines()
            .any(|line| line.trim_start().starts_with("// SAFETY:"))
    };
    house
        .0
        .values()
        .filter(|source| !reasoned(source))
        .flat_map(|source| source.unsafe_lines.iter().map(move |line| (source, line)))
        .map(|(source, line)| {
            format!(
                "{}:{line}: `unsafe` without a paragraph that starts `// SAFETY:`",
                source.path
            )
        })
        .collect()
}

/// Every file says first what it is.
fn doc_faults(house: &House) -> Vec<String> {
    house
        .0
        .values()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| {
            format!(
                "{}:1: opens with `//!`: what it is, what it is not, who calls it",
                source.path
            )
        })
        .collect()
}

fn assert_none(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "{} fault(s):\n{}\n",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn imports_go_down() {
    assert_none(&floor_faults(&House::load()));
}

#[test]
fn files_of_a_folder_import_upwards_in_its_list() {
    assert_none(&order_faults(&House::load()));
}

#[test]
fn outside_crates_stay_on_their_floors() {
    assert_none(&outside_faults(&House::load()));
}

#[test]
fn clocks_and_sockets_are_in_net_and_cli_alone() {
    assert_none(&world_faults(&House::load()));
}

#[test]
fn nothing_is_unsafe_without_a_reason() {
    assert_none(&unsafe_faults(&House::load()));
}

#[test]
fn every_file_says_what_it_is() {
    assert_none(&doc_faults(&House::load()));
}

#[test]
fn no_file_outgrows_its_limit() {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        collect(folder, &mut files);
    }
    let faults: Vec<String> = files
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .filter(|(path, _)| !LONG_FILES.iter().any(|(long, _)| long == path))
        .map(|(path, lines)| {
            format!("{path}: {lines} lines, of {LINES_MAX}: split it by its nouns")
        })
        .collect();
    assert_none(&faults);
}

/// Each crate has its row in [`OUTSIDE`] and its line in docs/dependencies.md, and no other has.
#[test]
fn every_crate_has_a_row_and_a_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect(path);
    let docs = read("docs/dependencies.md");
    let mut faults = Vec::new();
    let mut in_use = BTreeSet::new();
    for package in crates(&read("Cargo.toml")) {
        if !docs.contains(&format!("| `{package}` |")) {
            faults.push(format!(
                "docs/dependencies.md: no line for crate `{package}`"
            ));
        }
        let renamed = RENAMED.iter().find(|(name, _)| *name == package);
        let name = renamed.map_or(package.replace('-', "_"), |(_, name)| name.to_string());
        if !OUTSIDE.iter().any(|(row, _)| *row == name) {
            faults.push(format!(
                "tests/layers.rs: no row in OUTSIDE for crate `{name}`"
            ));
        }
        in_use.insert(name);
    }
    for (row, _) in OUTSIDE.iter().filter(|(row, _)| !in_use.contains(*row)) {
        faults.push(format!(
            "tests/layers.rs: `{row}` has a row in OUTSIDE, but is not in Cargo.toml"
        ));
    }
    assert_none(&faults);
}

/// The crates named in a Cargo.toml, as it names them.
fn crates(manifest: &str) -> Vec<String> {
    let mut section = "";
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && let Some((name, _)) = line.split_once([' ', '=', '.'])
            && !name.is_empty()
            && !name.starts_with('#')
        {
            names.push(name.to_string());
        }
    }
    names
}
