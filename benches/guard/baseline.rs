//! `benches/baseline.json`: the counts that are compared with, and who made them.
//!
//! Used by `main.rs`.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result as Formatted};
use std::fs;
use std::io::{Error, Result};
use std::process::Command;

use serde_json::{Value, json};

/// From the folder of the package, where cargo runs benchmarks.
pub const FILE: &str = "benches/baseline.json";
/// A path may take so much more than in the baseline, as a share of it.
pub const GROWTH_MAX: f64 = 0.10;

/// Instructions for one operation of each path.
pub struct Baseline {
    pub makers: Makers,
    pub counts: BTreeMap<String, u64>,
}

/// What a count depends on beside the code.
#[derive(PartialEq, Eq)]
pub struct Makers {
    rustc: String,
    valgrind: String,
}

impl Baseline {
    pub fn read() -> Result<Baseline> {
        let text = fs::read(FILE)?;
        let json: Value = serde_json::from_slice(&text)?;
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let counts = json["instructions"].as_object().into_iter().flatten();
        let counts = counts.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)));
        Ok(Baseline {
            makers: Makers {
                rustc: text("rustc"),
                valgrind: text("valgrind"),
            },
            counts: counts.collect(),
        })
    }

    pub fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.as_json())?;
        fs::write(FILE, text + "\n")
    }

    pub fn as_json(&self) -> Value {
        json!({
            "rustc": self.makers.rustc,
            "valgrind": self.makers.valgrind,
            "instructions": self.counts,
        })
    }

    pub fn count(&self, path: &str) -> Option<u64> {
        self.counts.get(path).copied().filter(|count| *count > 0)
    }
}

impl Makers {
    pub fn here() -> Result<Makers> {
        Ok(Makers {
            rustc: version("rustc")?,
            valgrind: version("valgrind")?,
        })
    }
}

impl Display for Makers {
    fn fmt(&self, out: &mut Formatter<'_>) -> Formatted {
        write!(out, "{} with {}", self.rustc, self.valgrind)
    }
}

fn version(program: &str) -> Result<String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.map_err(|error| Error::other(format!("{program}: {error}")))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
