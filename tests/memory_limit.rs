//! A process with little memory, and peers that want all of it: it lives, and a bystander
//! is served meanwhile.

#[path = "cli/harness.rs"]
#[allow(dead_code, reason = "it is there for the command line's tests")]
mod harness;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use harness::{Folder, get};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The address space of the process, in KiB: half a gibibyte. An address may have 8 MiB of
/// each kind then, and what comes from this machine 64 MiB.
const SPACE_KIB: &str = "524288";

/// What it may take at its most, in KiB: the shares of the peers here (8, 64 and 8 MiB) and
/// what a debug build takes anyway, with room. Without shares it would be 400 MiB and more.
const PEAK_KIB: u64 = 200 * 1024;

fn connect(port: &str) -> TcpStream {
    let stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream.set_write_timeout(patience).unwrap();
    stream
}

/// Another visitor of the same proxy is served.
fn bystander_is_served(port: &str) {
    let mut stream = connect(port);
    let request = "GET /chloe/ping HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

fn peak_kib(pid: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let digits = line.unwrap().trim().trim_end_matches(" kB");
    digits.parse().unwrap()
}

#[test]
fn a_process_with_little_memory_outlives_peers_that_want_all_of_it() {
    let files = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: files.maximum,
        maximum: files.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let folder = Folder::new("memory");
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -v "$0" && exec "$@""#, SPACE_KIB]);
    command.arg(env!("CARGO_BIN_EXE_chloe"));
    command.args(["--port", "0", "--listen-addresses", "127.0.0.1"]);
    let _chloe = folder.serve_command("chloe", command);
    let port = folder.port("chloe.err");
    let started = folder.line("chloe.err", "event=started");
    let (_, pid) = started.rsplit_once("pid=").unwrap();
    let memory = folder.line("chloe.err", "event=memory ");
    let quarter = "input_total_bytes=134217728 output_total_bytes=134217728";
    assert!(memory.ends_with(quarter), "{memory}");

    // Requests of which all but the last byte comes, through a proxy and without one.
    let body = vec![b'x'; 589_823];
    for fields in ["X-Forwarded-For: 198.51.100.1\r\n", ""] {
        let head = format!(
            "POST /chloe/xhr HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: 589824\r\n\r\n"
        );
        let mut held = Vec::new();
        for _ in 0..400 {
            let mut stream = connect(&port);
            // Who has too much is closed in the middle of it.
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&body));
            held.push(stream);
        }
        bystander_is_served(&port);
        let peak = peak_kib(pid);
        assert!(peak < PEAK_KIB, "{peak} KiB by bodies with {fields:?}");
    }

    // Answers that are not read.
    let asks = "GET /chloe.js HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.2\r\n\r\n";
    let asks = asks.repeat(250);
    let mut held = Vec::new();
    for _ in 0..900 {
        let mut stream = connect(&port);
        let _ = stream.write_all(asks.as_bytes());
        held.push(stream);
    }
    bystander_is_served(&port);
    let peak = peak_kib(pid);
    assert!(peak < PEAK_KIB, "{peak} KiB by answers");
    println!("at its peak it took {peak} KiB");
    let status = get(&port, "/chloe/status");
    assert!(status.contains("\"shed\""), "{status}");
}
