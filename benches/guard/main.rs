//! The guard against getting slower: instructions that the pure paths take.
//!
//! A time says little on a machine that others use; a count of instructions is
//! the same to a few in a hundred. Each path runs under `valgrind
//! --tool=callgrind` twice, the second time with twice the rounds, so that the
//! difference holds no set-up. Run by `cargo bench --profile guard --bench guard`:
//! prints the counts beside those of `benches/baseline.json`, and fails when one
//! has grown by over 10%. With `-- --accept` it writes them there instead.
//! `docs/benchmarks.md` says when to do that.

mod baseline;
mod paths;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Error, Result};
use std::process::{Command, ExitCode};

use baseline::{Baseline, Makers};
use paths::{PATHS, Path};
use support::figures::{arguments, grouped, print_json, print_table};

fn main() -> Result<ExitCode> {
    let arguments = arguments();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [] => compare(),
        ["--accept"] => accept(),
        // What this program calls itself with, under valgrind.
        ["--path", name, rounds] => run_path(name, rounds),
        _ => Err(Error::other("the guard takes --accept or nothing")),
    }
}

fn run_path(name: &str, rounds: &str) -> Result<ExitCode> {
    let path = PATHS.iter().find(|path| path.name == name);
    let path = path.ok_or_else(|| Error::other("there is no such path"))?;
    (path.run)(rounds.parse().map_err(Error::other)?);
    Ok(ExitCode::SUCCESS)
}

fn accept() -> Result<ExitCode> {
    let now = measure()?;
    now.write()?;
    println!("{} holds these counts now", baseline::FILE);
    Ok(ExitCode::SUCCESS)
}

fn compare() -> Result<ExitCode> {
    let before = Baseline::read()?;
    let now = measure()?;
    let mut table = vec![row(["path", "counted for each", "before", "now", "change"])];
    let mut grown = Vec::new();
    for path in &PATHS {
        let count = now.count(path.name).unwrap_or(0);
        let Some(old) = before.count(path.name) else {
            let count = grouped(count as f64);
            table.push(row([path.name, path.unit, "-", &count, "new"]));
            continue;
        };
        let change = count as f64 / old as f64 - 1.0;
        if change > baseline::GROWTH_MAX {
            grown.push(path.name);
        }
        let (old, count) = (grouped(old as f64), grouped(count as f64));
        let change = format!("{:+.1}%", change * 100.0);
        table.push(row([path.name, path.unit, &old, &count, &change]));
    }
    println!("Instructions of the pure paths, by callgrind\n");
    print_table(&table);
    print_json("guard", now.as_json());
    Ok(verdict(&before.makers, &now.makers, &grown))
}

/// Counts of another compiler cannot accuse the code.
fn verdict(before: &Makers, now: &Makers, grown: &[&str]) -> ExitCode {
    if grown.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("grown by over 10%: {}", grown.join(", "));
    if before != now {
        println!("but the baseline is of {before}, and this is {now}: only a warning");
        return ExitCode::SUCCESS;
    }
    println!("find out why; if it is worth it, accept it: docs/benchmarks.md says how");
    ExitCode::FAILURE
}

fn row(cells: [&str; 5]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn measure() -> Result<Baseline> {
    let makers = Makers::here()?;
    let counts = PATHS.iter().map(|path| {
        let shorter = instructions(path, path.rounds)?;
        let longer = instructions(path, path.rounds * 2)?;
        let operations = path.rounds * path.operations;
        let count = longer.saturating_sub(shorter) / operations;
        Ok((path.name.to_owned(), count))
    });
    let counts = counts.collect::<Result<_>>()?;
    Ok(Baseline { makers, counts })
}

/// What one run of `path` takes, set-up included.
fn instructions(path: &Path, rounds: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--path", path.name, &rounds.to_string()])
        .output()
        .map_err(|error| Error::other(format!("valgrind does not run: {error}; install it")))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, count)| count.trim().parse().ok());
    match collected {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(Error::other(format!("{} failed:\n{told}", path.name))),
    }
}
