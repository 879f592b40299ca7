//! The fuzzing targets on what is kept of their input: the seeds of
//! `fuzz/corpus`, and what once went wrong, in `fuzz/regressions`.

#[path = "../fuzz/entries/mod.rs"]
mod entries;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// The files of a target in one of the two folders, by name.
fn files(folder: &str, target: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(entries) = fs::read_dir(root.join("fuzz").join(folder).join(target)) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn what_is_kept_is_survived() {
    let mut failed = Vec::new();
    for (target, _) in entries::TARGETS {
        let seeds = files("corpus", target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for path in seeds.into_iter().chain(files("regressions", target)) {
            let data = fs::read(&path).unwrap();
            if catch_unwind(|| entries::run(target, &data)).is_err() {
                failed.push(path);
            }
        }
    }
    assert!(failed.is_empty(), "these fail: {failed:#?}");
}

/// Half of each seed as well, and each but for its first byte: what is cut
/// where it hurts, without a fuzzer.
#[test]
fn parts_of_seeds_are_survived() {
    for (target, _) in entries::TARGETS {
        for path in files("corpus", target) {
            let data = fs::read(&path).unwrap();
            for part in [&data[..data.len() / 2], data.get(1..).unwrap_or_default()] {
                entries::run(target, part);
            }
        }
    }
}

/// No seed of a target that is gone.
#[test]
fn each_folder_has_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for folder in ["corpus", "regressions"] {
        let Ok(entries) = fs::read_dir(root.join(folder)) else {
            continue;
        };
        for entry in entries {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let known = entries::TARGETS.iter().any(|(target, _)| *target == name);
            assert!(known, "fuzz/{folder}/{name} is of no target");
            let source = root.join("targets").join(&name).with_extension("rs");
            assert!(source.is_file(), "{name} has no program in fuzz/targets");
        }
    }
}
