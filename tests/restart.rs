//! `chloe restart`: nobody is refused, and nobody misses or gets twice what is
//! published meanwhile.

#[path = "cli/harness.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod harness;
mod real;

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chloe::wire::websocket::Opcode;
use harness::{Folder, eventually};
use real::{Client, Frame, WebSocket};
use rustix::process::Signal;
use serde_json::{Value, json};

const PAGES: usize = 200;

/// Reads the channel until `end` comes, over as many connections as it takes.
/// Returns the offsets as they came, and the close codes.
fn read_to_end(address: SocketAddr, subscribed: &Barrier) -> (Vec<u64>, Vec<u16>) {
    let mut session = Value::Null;
    let mut position = None;
    let (mut offsets, mut codes) = (Vec::new(), Vec::new());
    loop {
        let mut page = WebSocket::over(Client::connect(address));
        let positions = match &position {
            None => json!({}),
            Some(position) => json!({"news": position}),
        };
        let connect = json!({
            "type": "connect", "id": 1, "version": 1, "sessionId": session, "positions": positions
        });
        page.text(&connect.to_string());
        let told = page.json();
        if position.is_none() {
            session = told["sessionId"].clone();
            page.text(r#"{"type":"channel-subscribe","id":2,"channel":"news","version":1}"#);
            position = Some(page.json()["position"].as_str().unwrap().to_owned());
            subscribed.wait();
        } else {
            assert_eq!(told["resumed"], json!(true), "{told}");
            assert_eq!(told["channels"]["news"]["recovered"], json!(true), "{told}");
        }
        loop {
            match page.read() {
                Frame::Text(text) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    let Some(offset) = message["offset"].as_u64() else {
                        continue;
                    };
                    offsets.push(offset);
                    let epoch = position.as_deref().unwrap().split(':').next().unwrap();
                    position = Some(format!("{epoch}:{offset}"));
                    if message["data"] == "end" {
                        return (offsets, codes);
                    }
                }
                Frame::Close(code) => {
                    codes.extend(code);
                    page.frame(Opcode::Close, &[0x03, 0xf4]);
                }
                Frame::End => break,
                Frame::Ping | Frame::Pong(_) => {}
            }
        }
    }
}

#[test]
fn nothing_is_lost_or_doubled_over_a_restart() {
    let folder = Folder::new("restart");
    let log_dir = folder.path("");
    let flags = [
        "--port=0",
        "--listen-addresses=127.0.0.1",
        "--log-dir",
        &log_dir,
    ];
    let with = |command| [&[command], &flags[..]].concat();
    folder.run(&with("start")).good();
    let address = format!("127.0.0.1:{}", folder.port("chloe.log"));
    let address: SocketAddr = address.parse().unwrap();
    let send = |data: &str| {
        let form = format!("channel=news&data={data}");
        assert_eq!(
            Client::connect(address).post("/send", &form).text(),
            "success"
        );
    };
    let (subscribed, over) = (Barrier::new(PAGES + 1), AtomicBool::new(false));
    let published = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let pages: Vec<_> = (0..PAGES)
            .map(|_| scope.spawn(|| read_to_end(address, &subscribed)))
            .collect();
        subscribed.wait();
        let publisher = scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                send(&published.fetch_add(1, Ordering::SeqCst).to_string());
            }
        });
        let count_beyond = |count| {
            eventually("it publishes", || {
                (published.load(Ordering::SeqCst) > count).then_some(())
            });
        };
        count_beyond(20);
        let first = folder.read("chloe-0.pid");
        let said = folder.run(&with("restart")).good();
        assert!(said.starts_with("Chloe has restarted: process "), "{said}");
        assert_ne!(folder.read("chloe-0.pid"), first);
        count_beyond(published.load(Ordering::SeqCst) + 20);
        over.store(true, Ordering::SeqCst);
        publisher.join().unwrap();
        send("end");
        let all: Vec<u64> = (1..=published.load(Ordering::SeqCst) as u64 + 1).collect();
        for page in pages {
            let (offsets, codes) = page.join().unwrap();
            assert!(offsets == all, "{} of {}", offsets.len(), all.len());
            assert_eq!(codes, [1012]);
        }
    });
    folder.line("chloe.log", "event=state_restored");
    folder.run(&with("stop")).good();
    let refused = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_new_process_that_does_not_start_leaves_the_old_one_in_place() {
    let folder = Folder::new("restart-failed");
    let log_dir = folder.path("");
    let config = folder.write(
        "chloe.toml",
        "port = 0\nlisten_addresses = [\"127.0.0.1\"]\n",
    );
    let flags = ["--config", &config, "--log-dir", &log_dir, "--pid-file"];
    let pid_file = folder.path("pid");
    let with = |command| [&[command], &flags[..], &[&pid_file]].concat();
    folder.run(&with("start")).good();
    let address = format!("127.0.0.1:{}", folder.port("chloe.log"));
    let first = folder.read("pid");
    // The command reads its settings from elsewhere: what it would refuse itself.
    folder.write(
        "chloe.toml",
        "port = 0\nlisten_addresses = [\"127.0.0.1\"]\ndoc_root = \"/nowhere\"\n",
    );
    folder
        .run(&with("restart"))
        .bad(1, &["goes on", "doc_root: /nowhere"]);
    assert_eq!(folder.read("pid"), first);
    let mut client = Client::connect(address.parse().unwrap());
    assert_eq!(client.get("/chloe/ping").text(), "pong");
    drop(client);
    folder.write(
        "chloe.toml",
        "port = 0\nlisten_addresses = [\"127.0.0.1\"]\n",
    );
    folder.run(&with("restart")).good();
    assert_ne!(folder.read("pid"), first);
    let mut client = Client::connect(address.parse().unwrap());
    assert_eq!(client.get("/chloe/ping").text(), "pong");
    folder.run(&with("stop")).good();
}

/// Runs Chloe as systemd does, with `sockets` as its descriptors from 3 on.
fn activated(folder: &Folder, socket: OwnedFd) -> std::process::Child {
    let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" --port 1 3<&0 </dev/null";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_chloe")]);
    let log = std::fs::File::create(folder.path("log")).unwrap();
    command.stdin(Stdio::from(socket)).stderr(log);
    command.spawn().unwrap()
}

#[test]
fn the_sockets_of_systemd_are_served() {
    let folder = Folder::new("activated");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for _ in 0..2 {
        // It comes while nobody serves, and waits.
        let mut early = Client::connect(address);
        let mut child = activated(&folder, listener.try_clone().unwrap().into());
        assert_eq!(early.get("/chloe/ping").text(), "pong");
        drop(early);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    let path = folder.path("sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut child = activated(&folder, listener.into());
    folder.line("log", "event=started");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(std::fs::exists(path).unwrap(), "the file is systemd's");

    let silent = std::os::unix::net::UnixStream::pair().unwrap().0;
    let mut child = activated(&folder, silent.into());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    folder.line("log", "does not listen");
}
