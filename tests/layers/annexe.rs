//! The plan of the second house, `chloe-bench`: small, and beside the first.
//!
//! Its floors are its files, in the order of the `mod` lines of its `main.rs`: each
//! imports only what is listed above it. Of Chloe it uses the codecs alone, so
//! that what measures cannot lean on what is measured. Called by `cargo test`.

use crate::house::{House, PROGRAMS, collect};
use crate::source::{Mention, Source};
use crate::{assert_none, doc_faults, place, unsafe_faults};

const FOLDER: &str = "chloe-bench/";

/// What it may use of Chloe's library.
const OF_CHLOE: [&str; 2] = ["base", "wire"];

/// Its files as a house of their own, in which `main.rs` is the root.
fn annexe(files: &[(String, String)]) -> House {
    let folder = format!("{PROGRAMS}{FOLDER}");
    let mut house = House::new([]);
    for (path, text) in files {
        let Some(inner) = path.strip_prefix(&folder) else {
            continue;
        };
        let inner = if inner == "main.rs" { "lib.rs" } else { inner };
        let mut source = Source::read(&format!("src/{inner}"), text);
        source.path.clone_from(path);
        house.0.insert(source.module.clone(), source);
    }
    house
}

fn load() -> House {
    let mut files = Vec::new();
    collect("src", &mut files);
    annexe(&files)
}

/// A file imports only files that `main.rs`, or its folder's `mod.rs`, lists above it.
fn order_faults(house: &House) -> Vec<String> {
    let mut faults = Vec::new();
    for (source, mention, in_test) in house.mentions() {
        let Some(path) = own_path(house, source, mention).filter(|_| !in_test) else {
            continue;
        };
        let (from, to) = (source.module.as_slice(), house.room(&path));
        let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        if shared == from.len() {
            continue; // A folder's mod.rs is above its own files, and main.rs above all.
        }
        let parent = &house.0[&from[..shared]];
        let rank = |name: &String| parent.children.iter().position(|child| child == name);
        if shared == to.len() || rank(&to[shared]) > rank(&from[shared]) {
            faults.push(format!(
                "{}: a file imports only what {} lists above it",
                place(source, mention),
                parent.path
            ));
        }
    }
    faults
}

/// Where a path leads if it stays in this house.
fn own_path(house: &House, source: &Source, mention: &Mention) -> Option<Vec<String>> {
    match mention.segments[0].as_str() {
        "chloe" => None,
        _ => house.ours(source, mention),
    }
}

fn library_faults(house: &House) -> Vec<String> {
    let mentions = house.mentions();
    mentions
        .filter(|(_, mention, _)| mention.segments[0] == "chloe")
        .filter(|(_, mention, _)| {
            let module = mention.segments.get(1);
            !module.is_some_and(|module| OF_CHLOE.contains(&module.as_str()))
        })
        .map(|(source, mention, _)| {
            format!(
                "{}: chloe-bench uses of Chloe only {}",
                place(source, mention),
                OF_CHLOE.join(" and ")
            )
        })
        .collect()
}

#[test]
fn the_second_house_keeps_its_plan() {
    let house = load();
    assert!(!house.0[&[][..]].children.is_empty(), "its main.rs is read");
    assert_none(&order_faults(&house));
    assert_none(&library_faults(&house));
    assert_none(&unsafe_faults(&house));
    assert_none(&doc_faults(&house));
}

#[test]
fn the_rules_of_the_second_house_see_their_faults() {
    let house = |line: &str| {
        let file = |name: &str, text: &str| (format!("{PROGRAMS}{FOLDER}{name}"), text.to_owned());
        annexe(&[
            file("main.rs", "mod low;\nmod high;\n"),
            file("low.rs", line),
            file(
                "high.rs",
                "use crate::low::A; use chloe::wire::http::Version;",
            ),
        ])
    };
    assert_none(&order_faults(&house("use std::io;")));
    assert_none(&library_faults(&house("use chloe::base::outbox::Outbox;")));
    assert_eq!(order_faults(&house("use crate::high::B;")).len(), 1);
    assert_eq!(library_faults(&house("use chloe::hub::Hub;")).len(), 1);
    assert_eq!(
        library_faults(&house("fn f() { chloe::cli::main() }")).len(),
        1
    );
}
