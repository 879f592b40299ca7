//! How much memory the state takes while it is written and read: hardly more
//! than the history itself.

#[path = "cli/harness.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod harness;
mod real;

use std::fs;
use std::net::SocketAddr;

use harness::{Folder, eventually, outcome};
use real::{Client, WebSocket};
use serde_json::{Value, json};

const CHANNELS: usize = 20;
const DATA_BYTES: usize = 2_000;
const BATCH: usize = 250;
const HISTORY_BYTES: usize = 70_000_000;

/// A figure of a process's memory, in bytes.
fn memory(pid: &str, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<usize>().unwrap() * 1024
}

fn log_bytes(client: &mut Client) -> usize {
    let status: Value = serde_json::from_str(&client.get("/chloe/status").text()).unwrap();
    status["log_bytes"].as_u64().unwrap() as usize
}

fn publish(client: &mut Client) {
    let filler = "x".repeat(DATA_BYTES);
    let mut sent = 0;
    while sent * DATA_BYTES < HISTORY_BYTES {
        let batch: Vec<Value> = (sent..sent + BATCH)
            .map(|number| json!({"channel": format!("c{}", number % CHANNELS), "data": filler}))
            .collect();
        let body = Value::from(batch).to_string();
        let length = body.len();
        let head = "POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
        client.write(format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes());
        let answer = client.read_answer();
        assert_eq!(answer.status, 200, "{answer:?}");
        sent += BATCH;
    }
}

/// Measured at 73 MB of history: the peak of the process that writes is its
/// memory of before, and that of the one that reads 1.01 times the history,
/// beside the 7 MB that each takes when it is empty.
#[test]
fn the_state_is_written_and_read_in_little_more_memory_than_the_history() {
    let folder = Folder::new("state-memory");
    let log_dir = format!("--log-dir={}", folder.path(""));
    let flags = [
        "--port=0",
        "--listen-addresses=127.0.0.1",
        &log_dir,
        "--history-total-bytes=90000000",
        // It stays when the other has taken over, to be looked at.
        "--close-timeout-ms=30000",
        "--shutdown-timeout-ms=30000",
    ];
    let with = |command| [&[command], &flags[..]].concat();
    // What is freed goes back to the system at once, as the allocator of the released
    // program (musl) has it. That of glibc keeps much of it for later otherwise.
    let mut start = folder.chloe(&with("start"));
    start.env("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072");
    outcome(&mut start).good();
    let port = folder.port("chloe.log");
    let address: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let old = folder.read("chloe-0.pid").trim().to_owned();
    let empty = memory(&old, "VmRSS");
    let mut client = Client::connect(address);
    publish(&mut client);
    let history = log_bytes(&mut client);
    assert!(history > HISTORY_BYTES, "{history}");
    drop(client);
    let mut silent = WebSocket::over(Client::connect(address));
    silent.text(r#"{"type":"connect","id":1,"version":1,"positions":{}}"#);
    silent.json();
    let before = memory(&old, "VmRSS");
    // proc(5): its peak is what it has now.
    fs::write(format!("/proc/{old}/clear_refs"), "5").unwrap();

    folder.run(&with("restart")).good();
    folder.line("chloe.log", "event=state_restored");
    let new = eventually("the other process runs", || {
        let pid = folder.read("chloe-0.pid").trim().to_owned();
        (!pid.is_empty() && pid != old).then_some(pid)
    });
    folder.line("chloe.log", "event=handed_over");
    let (wrote, read) = (memory(&old, "VmHWM"), memory(&new, "VmHWM"));
    let left = memory(&old, "VmRSS");
    eprintln!(
        "history {history}, empty {empty}, before {before}, wrote {wrote}, left {left}, read {read}"
    );
    assert!(wrote <= before + before / 5, "{wrote} of {before}");
    assert!(read - empty <= history + history / 5, "{read} of {history}");
    assert!(
        left <= before / 2,
        "what was handed over is let go of: {left}"
    );
    let kept = log_bytes(&mut Client::connect(address));
    assert_eq!(kept, history);
    drop(silent);
    folder.run(&with("stop")).good();
}
