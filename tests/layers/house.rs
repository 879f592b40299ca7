//! All files of `src` together, and how a path in one leads to another.
//!
//! Called by the rules in `tests/layers.rs` alone.

use crate::source::{Mention, Source};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where programs beside `chloe` live, each a house of its own.
pub const PROGRAMS: &str = "src/bin/";

/// The files of `src`, by module.
pub struct House(pub BTreeMap<Vec<String>, Source>);

impl House {
    /// From pairs of path and text.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> House {
        let mut rooms = BTreeMap::new();
        for (path, text) in files {
            let source = Source::read(path, text);
            rooms.insert(source.module.clone(), source);
        }
        House(rooms)
    }

    /// The package's own files, without those of its other programs.
    pub fn load() -> House {
        let mut files = Vec::new();
        collect("src", &mut files);
        let files = files.iter().filter(|(path, _)| !path.starts_with(PROGRAMS));
        House::new(files.map(|(path, text)| (path.as_str(), text.as_str())))
    }

    /// Whether the file is there for tests alone: `#[cfg(test)] mod x;`, or below such a one.
    pub fn is_test(&self, source: &Source) -> bool {
        (1..=source.module.len()).any(|length| {
            let (parent, name) = (&source.module[..length - 1], &source.module[length - 1]);
            self.0
                .get(parent)
                .is_some_and(|parent| parent.test_children.contains(name))
        })
    }

    /// Every mention in every file, and whether it stands in a test.
    pub fn mentions(&self) -> impl Iterator<Item = (&Source, &Mention, bool)> {
        self.0.values().flat_map(|source| {
            let test_file = self.is_test(source);
            source
                .mentions
                .iter()
                .map(move |mention| (source, mention, test_file || mention.in_test))
        })
    }

    /// Where a path of ours leads, from the crate's root; `None` if it is not ours.
    pub fn ours(&self, source: &Source, mention: &Mention) -> Option<Vec<String>> {
        let mut here: Vec<String> = source.module.clone();
        here.extend(mention.inline.iter().cloned());
        let mut names = mention.segments.as_slice();
        match names[0].as_str() {
            "crate" | "chloe" => (here, names) = (Vec::new(), &names[1..]),
            "self" => names = &names[1..],
            "super" => {
                while names.first().is_some_and(|name| name == "super") {
                    here.pop();
                    names = &names[1..];
                }
            }
            child if mention.inline.is_empty() && source.children.iter().any(|c| c == child) => {}
            _ => return None,
        }
        here.extend(names.iter().cloned());
        Some(here)
    }

    /// The file that holds what `path` names: the longest part of it that is a module.
    pub fn room<'a>(&self, path: &'a [String]) -> &'a [String] {
        let length = (0..=path.len())
            .rev()
            .find(|length| self.0.contains_key(&path[..*length]))
            .unwrap_or(0);
        &path[..length]
    }
}

/// The Rust files below `folder` of the package, as pairs of path and text.
pub fn collect(folder: &str, files: &mut Vec<(String, String)>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(entries) = fs::read_dir(root.join(folder)) else {
        return;
    };
    for entry in entries {
        let entry = entry.expect("the folder can be listed");
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().expect("a kind").is_dir() {
            collect(&path, files);
        } else if path.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).expect("a source file is UTF-8");
            files.push((path, text));
        }
    }
}
