//! `chloe-bench` from end to end: it starts a server, drives it, and counts.
//!
//! Nothing is said of speed: what must hold is that every delivery comes once, in
//! order, and that the line of JSON has what `docs/benchmarks.md` says. Slow machines
//! measure little, and that is no fault.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Runs `chloe-bench` with `arguments`, each for a moment, and reads its line.
fn bench(arguments: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_chloe-bench"))
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{arguments}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn count(line: &Value, key: &str) -> u64 {
    let number = line[key].as_u64();
    number.unwrap_or_else(|| panic!("{key} is missing in {line}"))
}

const MOMENT: &str = "--seconds 0.3 --warm-up 0.1";

#[test]
fn everything_comes_once_from_every_server() {
    for arguments in [
        "fanout --clients 50 --processes 3",
        "fanout --clients 50 --pipeline 32",
        "fanout --clients 50 --transport poll --finished delivered",
        "fanout --clients 50 --stalled 5",
        "limit --clients 50",
        "limit --clients 50 --mode coalesced --overhead 70 --finished delivered",
        "limit --clients 100 --mode rolling --overhead 70 --in-flight 32",
        "limit --clients 100 --mode rolling --finished delivered",
        "latency --clients 50 --rate 50",
    ] {
        let line = bench(&format!("{arguments} {MOMENT}"));
        assert!(count(&line, "owed") > 0, "{arguments}: {line}");
        for key in ["lost", "doubled", "disordered", "unanswered", "stalls"] {
            assert_eq!(count(&line, key), 0, "{arguments}: {key} in {line}");
        }
        let words: Vec<_> = arguments.split(' ').collect();
        let clients = words.iter().position(|word| *word == "--clients").unwrap();
        assert_eq!(count(&line, "clients").to_string(), words[clients + 1]);
        for key in ["deliveries", "publications", "reader_processes"] {
            count(&line, key);
        }
        for key in [
            "bytes_per_delivery",
            "connect_cpu_us_each",
            "deliveries_per_read",
            "deliveries_per_second",
            "deliveries_per_server_cpu_second",
            "generator_cpu_us_per_delivery",
            "server_cpu_us_per_delivery",
        ] {
            let known = line.get(key).is_some();
            assert!(known, "{arguments}: {key} is missing in {line}");
        }
        for quantile in ["p50", "p99", "p99_9", "max"] {
            assert!(line["latency_us"][quantile].is_u64(), "{line}");
        }
        let resident = &line["memory"]["resident"];
        assert!(count(resident, "before") > 0 && resident["each"].is_number());
        let congestion = &line["kernel"]["tcp_congestion_control"];
        assert!(congestion.as_str().is_some_and(|name| !name.is_empty()));
    }
}

#[test]
fn idle_readers_and_sleepers_are_counted() {
    let line = bench("idle --clients 50 --seconds 0.2");
    assert!(line["start_ms"].is_number());
    assert!(line["idle_cpu_us"].is_number() && line["idle_wake_ups"].is_u64());
    assert!(line["memory_later"]["private_dirty"]["each"].is_number());
    let line = bench(&format!("publish --pipeline 8 --sleeping 20 {MOMENT}"));
    assert_eq!((count(&line, "owed"), count(&line, "lost")), (0, 0));
    assert_eq!(
        (count(&line, "sleeping"), count(&line, "publishers")),
        (20, 1)
    );
    assert!(line["sleeping_memory"]["anonymous"]["after"].is_u64());
    assert!(line.get("server_cpu_us_per_publication").is_some());
}

#[test]
fn mistakes_are_told_in_one_line() {
    for (arguments, expected) in [
        ("fanuot", "there is no command 'fanuot'"),
        ("fanout --clients", "missing argument"),
        ("fanout --peer nowhere.toml", "nowhere.toml"),
        ("fanout --transport sse", "no table for the transport 'sse'"),
        ("check --peer chloe extra two", "one word too many"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_chloe-bench"))
            .args(arguments.split_whitespace())
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(expected), "{arguments}: {errors}");
    }
}

#[test]
fn what_was_started_ends_with_it() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chloe-bench"))
        .args(["fanout", "--clients", "2", "--seconds", "60"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    // Chloe, and a process of readers.
    let deadline = Instant::now() + Duration::from_secs(20);
    let started = loop {
        let text = std::fs::read_to_string(&children).unwrap();
        let pids: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if pids.len() == 2 {
            break pids;
        }
        assert!(Instant::now() < deadline, "{pids:?}");
        std::thread::yield_now();
    };
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    for pid in started {
        let lives = std::path::Path::new(&format!("/proc/{pid}")).exists();
        assert!(!lives, "{pid} lives on");
    }
}
