//! The command line, as a user has it: the built program, run.

#[path = "cli/harness.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod harness;

use std::io::{Read, Write};
use std::net::TcpStream;

use harness::{Folder, Socket, eventually, get, outcome};
use rustix::process::Signal;

/// Flags of a server that any number of tests can run at a time.
const HERE: [&str; 4] = ["--port", "0", "--listen-addresses", "127.0.0.1"];
/// Flags of a server that certainly does not run.
const NOWHERE: [&str; 2] = ["--listen-addresses=", "--unix-socket=/nowhere/chloe.sock"];

fn words<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

#[test]
fn version_and_help_are_told() {
    let folder = Folder::new("help");
    let version = format!("chloe {}\n", env!("CARGO_PKG_VERSION"));
    for flag in ["--version", "-V"] {
        assert_eq!(folder.run(&[flag]).good(), version);
    }
    for flag in ["--help", "-h"] {
        let help = folder.run(&[flag]).good();
        assert!(help.contains("\n  listen CHANNEL "), "{help}");
        assert!(help.contains("\n  --poll-hold-ms 25000\n"), "{help}");
    }
    let help = folder.run(&["send", "--help"]).good();
    assert!(
        help.starts_with("Usage: chloe send [CHANNEL] DATA\n"),
        "{help}"
    );
}

#[test]
fn a_configuration_is_checked() {
    let folder = Folder::new("check");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/chloe.toml");
    let said = folder.run(&["check", example]).good();
    // It has no secret: the app takes messages from whoever reaches it.
    let (first, open) = said.split_once('\n').unwrap();
    assert_eq!(first, format!("{example} is good."));
    assert!(open.contains("http://localhost:4567/updates"), "{open}");
    assert!(open.contains("deny"), "{open}");
    let secret = folder.write("secret.toml", "secret = \"Trotter\"\n");
    let said = folder.run(&["check", &secret]).good();
    assert_eq!(said, format!("{secret} is good.\n"));
    let said = folder.run(&["check", "--config", &secret]).good();
    assert_eq!(
        said,
        format!("The settings are good, with those of {secret}.\n")
    );
    folder.run(&["check"]).good();

    let bad = folder.write("bad.toml", "port = 1\nprot = 2\n");
    let place = format!("{bad}:2: ");
    folder
        .run(&["check", &bad])
        .bad(2, &[&place, "did you mean port?"]);
    folder.run(&["--config", &bad]).bad(2, &[&place]);
    folder
        .run(&["check", "--config", &bad, "--port", "1"])
        .bad(2, &[&place]);
    let binary = folder.path("binary.toml");
    std::fs::write(&binary, b"port = 1\nsecret = \"\xff\"\n").unwrap();
    folder.run(&["check", &binary]).bad(2, &[":2: ", "UTF-8"]);
    let zero = folder.write("zero.toml", "webhook_queue_messages = 0\n");
    folder
        .run(&["check", &zero])
        .bad(2, &["webhook_queue_messages is 0", "the least is 1"]);

    let missing = folder.path("missing.toml");
    folder
        .run(&["check", &missing])
        .bad(1, &[&missing, "no such file"]);
}

#[test]
fn mistakes_on_the_command_line_are_told_with_what_was_meant() {
    let folder = Folder::new("usage");
    folder
        .run(&["strat"])
        .bad(2, &["did you mean chloe start?"]);
    folder
        .run(&["--prot", "1"])
        .bad(2, &["did you mean --port?"]);
    folder
        .run(&["--port", "x"])
        .bad(2, &["--port: ", "whole number"]);
    folder.run(&["--port"]).bad(2, &["--port"]);
    folder.run(&["listen"]).bad(2, &["needs a channel"]);
    folder
        .run(&["send", "a", "b", "c"])
        .bad(2, &["no use for \"c\""]);
    folder.run(&["ping", "--port", "0"]).bad(2, &["port is 0"]);
    let variable = |name, value| outcome(folder.chloe(&["check"]).env(name, value));
    variable("CHLOE_PROT", "1").bad(2, &["did you mean CHLOE_PORT?"]);
    variable("CHLOE_PORT", "x").bad(2, &["CHLOE_PORT", "whole number"]);
    variable("CHLOE_CONFIG", "/nowhere/c.toml").bad(1, &["/nowhere/c.toml"]);
    variable("CHLOE_PORT", "1").good();
}

#[test]
fn what_does_not_run_is_told_with_3() {
    let folder = Folder::new("nobody");
    for command in [&["ping"][..], &["status"], &["send", "a"], &["listen", "a"]] {
        let outcome = folder.run(&words(command, &NOWHERE));
        outcome.bad(3, &["does not run", "/nowhere/chloe.sock"]);
    }
    let pid_file = folder.write("stale.pid", "1\n");
    for pid_file in [pid_file, folder.path("none.pid")] {
        let outcome = folder.run(&words(&["stop", "--pid-file", &pid_file], &NOWHERE));
        outcome.bad(3, &["does not run", &pid_file]);
    }
}

#[test]
fn what_hinders_a_start_is_told_with_what_to_do() {
    let folder = Folder::new("hindered");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let flags = [
        "--port",
        &port,
        "--listen-addresses",
        "127.0.0.1",
        "--log-level",
        "off",
    ];
    let in_use = format!("port {port} is in use");
    folder.run(&flags).bad(1, &[&in_use, "set port"]);
    folder.run(&words(&["start"], &flags)).bad(1, &[&in_use]);
    folder
        .run(&["demo", "--app-port", &port])
        .bad(1, &[&in_use, "chloe demo --app-port"]);
    let demo = ["demo", "--app-port", "0", "--port", &port];
    folder.run(&demo).bad(1, &[&in_use, "chloe demo --port"]);

    for flag in ["--log-dir", "--pid-file"] {
        let path = folder.path("nowhere/x");
        let outcome = folder.run(&words(&HERE, &["--log-level=off", flag, &path]));
        outcome.bad(1, &[&path, "no such file or folder", &flag[2..5]]);
    }
    // Its log goes to a file, and why it did not start still to who started it.
    let log_dir = folder.path("");
    let outcome = folder.run(&["--port", &port, "--log-dir", &log_dir]);
    outcome.bad(1, &[&in_use]);
    let outcome = folder.run(&words(&HERE, &["--log-level=off", "--doc-root=/nowhere"]));
    outcome.bad(1, &["doc_root: /nowhere"]);
}

#[test]
fn start_ping_status_send_restart_stop() {
    let folder = Folder::new("daemon");
    let log_dir = folder.path("");
    let flags = words(&HERE, &["--log-dir", &log_dir]);
    let with = |command: &'static str| words(&[command], &flags);
    folder.write("chloe-0.pid", "1\n");

    let said = folder.run(&with("start")).good();
    assert!(
        said.starts_with("Chloe runs in the background: process "),
        "{said}"
    );
    let first = folder.read("chloe-0.pid");
    assert!(
        said.contains(&format!("process {},", first.trim())),
        "{said}: {first}"
    );
    folder
        .run(&with("start"))
        .bad(1, &["runs already", first.trim(), "chloe restart"]);

    let port = folder.port("chloe.log");
    let there = ["--port", &port, "--listen-addresses", "127.0.0.1"];
    let said = folder.run(&words(&["ping"], &there)).good();
    assert_eq!(said, format!("Chloe answers at 127.0.0.1:{port}.\n"));
    assert_eq!(
        folder
            .run(&words(&["send", "pumpkin", "Trotter"], &there))
            .good(),
        ""
    );
    let table = folder.run(&words(&["status"], &there)).good();
    assert!(table.contains("\npublished                1\n"), "{table}");
    let json = folder.run(&words(&["status", "--json"], &there)).good();
    assert!(json.contains("\"publications\": 1,"), "{json}");

    folder.run(&with("restart")).good();
    let second = folder.read("chloe-0.pid");
    assert_ne!(first, second);
    let status = folder.run(&with("stop")).good();
    assert_eq!(status, "Chloe has stopped.\n");
    assert_eq!(folder.read("chloe-0.pid"), "");
    folder.run(&with("stop")).bad(3, &["does not run"]);
    folder.run(&with("restart")).good();
    folder.run(&with("stop")).good();
}

#[test]
fn hangup_opens_the_log_anew() {
    let folder = Folder::new("hangup");
    let log_dir = folder.path("");
    let flags = words(&HERE, &["--log-dir", &log_dir]);
    let mut server = folder.serve("server", &flags);
    folder.port("chloe.log");
    std::fs::rename(folder.path("chloe.log"), folder.path("old.log")).unwrap();
    server.signal(Signal::HUP);
    folder.line("chloe.log", "event=log_reopened");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(folder.read("chloe.log").contains("event=stopped"));
    assert!(!folder.read("old.log").contains("event=stopped"));
    assert_eq!(folder.read("server.err"), "");
}

#[test]
fn a_log_that_nobody_takes_ends_nothing() {
    let folder = Folder::new("full");
    let mut command = folder.chloe(&words(&HERE, &["--unix-socket", &folder.path("s")]));
    command.stderr(
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap(),
    );
    let mut child = command.spawn().unwrap();
    let flags = ["--listen-addresses=", "--unix-socket", &folder.path("s")];
    eventually("it answers", || {
        let outcome = folder.run(&words(&["ping"], &flags));
        (outcome.code == Some(0)).then_some(())
    });
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_log_file_on_a_full_disk_ends_nothing() {
    let folder = Folder::new("full-log");
    let (log_dir, socket) = (folder.path(""), folder.path("s"));
    let flags = words(&HERE, &["--log-dir", &log_dir, "--unix-socket", &socket]);
    // No file of this process takes a byte.
    let mut command = folder.chloe_after("trap '' XFSZ; ulimit -f 0");
    command.args(&flags);
    let mut server = folder.serve_command("server", command);
    let there = ["--listen-addresses=", "--unix-socket", &socket];
    eventually("it answers", || {
        let outcome = folder.run(&words(&["ping"], &there));
        (outcome.code == Some(0)).then_some(())
    });
    server.signal(Signal::HUP);
    folder.run(&words(&["ping"], &there)).good();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(folder.read("chloe.log"), "");
}

#[test]
fn what_is_sent_is_heard_and_signed() {
    let folder = Folder::new("listen");
    let socket = folder.path("chloe.sock");
    let place = ["--listen-addresses=", "--unix-socket", &socket];
    let flags = words(&place, &["--secret", "Trotter"]);
    let mut server = folder.serve("server", &flags);
    folder.line("server.err", "event=started");
    let mut listener = folder.serve("listener", &words(&["listen", "pumpkin"], &flags));
    folder.line("listener.err", "listening to pumpkin");

    let send = |first: &[&'static str]| folder.run(&words(first, &flags));
    send(&["send", "pumpkin", "Dinner is ready"]).good();
    send(&["send", "to everyone"]).good();
    // A variable of a script that is not set must not reach everyone.
    for data in ["oops", "-"] {
        send(&["send", "", data]).bad(2, &["channel is empty"]);
    }
    send(&["send", "pumpkin", "1 + 1 = 2 & \u{e9}"]).good();
    let lines = words(&["send", "pumpkin", "-"], &flags);
    folder.run_with_input(&lines, b"one\ntwo\n\nthree").good();
    folder
        .run_with_input(&lines, b"four\n\xff\nsix\n")
        .bad(1, &["line 2", "UTF-8"]);
    folder.line("listener.out", "four");
    let heard = "Dinner is ready\n1 + 1 = 2 & \u{e9}\none\ntwo\n\nthree\nfour\n";
    assert_eq!(folder.read("listener.out"), heard);

    let forged = words(&["send", "a", "b", "--secret", "pumpkin"], &place);
    folder.run(&forged).bad(1, &["secret"]);
    folder.run(&words(&["status"], &place)).bad(1, &["secret"]);
    send(&["listen", ""]).bad(1, &["channel"]);

    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(listener.wait().code(), Some(1));
    assert!(folder.read("listener.err").contains("Chloe stops"));
}

#[test]
fn a_signal_begins_the_shutdown_and_a_second_one_ends_it() {
    let folder = Folder::new("signals");
    let patient = ["--close-timeout-ms=600000", "--shutdown-timeout-ms=600000"];
    let mut server = folder.serve("server", &words(&HERE, &patient));
    let port = folder.port("server.err");
    let mut socket = Socket::open(&port);
    server.signal(Signal::TERM);
    // A close frame with 1001 (RFC 6455, 5.5.1), which this browser never answers.
    let (first, payload) = socket.receive();
    assert_eq!((first, &payload[..2]), (0x88, &1001_u16.to_be_bytes()[..]));
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_addresses_of_services_are_no_settings() {
    let folder = Folder::new("services");
    let mut command = folder.chloe(&words(&HERE, &[]));
    for (name, value) in [
        ("CHLOE_PORT", "tcp://10.0.0.1:8901"),
        ("CHLOE_PORT_8901_TCP_ADDR", "10.0.0.1"),
        ("CHLOE_SERVICE_HOST", "10.0.0.1"),
        ("CHLOE_PING_INTERVAL_MS", "20000"),
    ] {
        command.env(name, value);
    }
    let _server = folder.serve_command("server", command);
    let port = folder.port("server.err");
    folder.run(&["ping", "--port", &port]).good();
    let line = folder.line("server.err", "event=environment_ignored");
    let names = "variables=CHLOE_PORT,CHLOE_PORT_8901_TCP_ADDR,CHLOE_SERVICE_HOST ";
    assert!(line.contains(names), "{line}");
}

#[test]
fn the_demo_answers() {
    let folder = Folder::new("demo");
    let mut demo = folder.serve("demo", &["demo", "--port", "0", "--app-port", "0"]);
    folder.line("demo.out", "Ctrl-C");
    let greeting = folder.line("demo.out", "Chloe listens at");
    let mut ports = greeting.split("localhost:").skip(1).map(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        rest[..digits].to_owned()
    });
    let (port, app_port) = (ports.next().unwrap(), ports.next().unwrap());
    let page = get(&app_port, "/");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(
        page.contains(&port) && !page.contains("{{CHLOE_PORT}}"),
        "{page}"
    );
    assert!(get(&app_port, "/x").starts_with("HTTP/1.1 404 "));
    assert!(get(&port, "/chloe.js").starts_with("HTTP/1.1 200 OK\r\n"));

    let mut socket = Socket::open(&port);
    let mut other = Socket::open(&port);
    socket.send(r#"{"data":"hello"}"#);
    let text = |(_, payload)| String::from_utf8(payload).unwrap();
    let said = text(socket.receive());
    assert!(said.contains(r#""data":"You said: hello""#), "{said}");
    let flags = [
        "send",
        "all",
        "--port",
        &port,
        "--listen-addresses",
        "127.0.0.1",
    ];
    folder.run(&flags).good();
    assert!(
        text(other.receive()).contains(r#""data":"all""#),
        "and nothing before"
    );

    // A browser that answers no close would be waited for.
    drop((socket, other));
    demo.signal(Signal::INT);
    assert_eq!(demo.wait().code(), Some(0));
    assert_eq!(folder.read("demo.err"), "");
}

#[test]
fn a_proxy_that_is_not_trusted_is_told_of_once() {
    let folder = Folder::new("proxy");
    let mut server = folder.serve("server", &words(&HERE, &["--trusted-proxies", "192.0.2.1"]));
    let port = folder.port("server.err");
    for _ in 0..3 {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        let request = "GET /chloe/ping HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("pong"), "{answer}");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let log = folder.read("server.err");
    assert_eq!(log.matches("event=proxy_not_trusted").count(), 1, "{log}");
    let line = folder.line("server.err", "event=proxy_not_trusted");
    assert!(
        line.contains("WARN") && line.contains("peer=127.0.0.1"),
        "{line}"
    );
    assert!(line.contains("all its visitors count as one"), "{line}");
    assert!(line.contains("trusted_proxies"), "{line}");
}
