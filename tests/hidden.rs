//! Where a secret must not be seen: the list of processes, the log, an error.

#[path = "cli/harness.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod harness;

use harness::Folder;
use rustix::process::Signal;

fn words<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

/// The arguments and variables of every process whose arguments hold `mark`.
fn processes(mark: &str) -> Vec<(String, String)> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let read = |path: std::path::PathBuf| {
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).replace('\0', " ")
    };
    let both = all.map(|entry| {
        let path = entry.path();
        (read(path.join("cmdline")), read(path.join("environ")))
    });
    both.filter(|(arguments, _)| arguments.contains(mark))
        .collect()
}

/// Flags for a server at `socket` alone, with its log in `log_dir`.
fn place<'a>(socket: &'a str, log_dir: &'a str) -> [&'a str; 5] {
    [
        "--listen-addresses=",
        "--unix-socket",
        socket,
        "--log-dir",
        log_dir,
    ]
}

#[test]
fn a_secret_is_in_no_list_of_processes_and_in_no_log() {
    let folder = Folder::new("hidden");
    let socket = folder.path("hidden.sock");
    let log_dir = folder.path("");
    let place = place(&socket, &log_dir);
    let mut server = folder.serve("server", &words(&place, &["--secret", "hunter2"]));
    folder.line("chloe.log", "event=started");
    let listener = [
        "--secret=hunter2",
        "listen",
        "room",
        "--unix-socket",
        &*socket,
        "--listen-addresses=",
    ];
    let _listener = folder.serve("listener", &listener);
    folder.line("listener.err", "listening to room");
    let seen = processes(&socket);
    assert_eq!(seen.len(), 2, "{seen:?}");
    for (arguments, variables) in seen {
        assert!(!arguments.contains("hunter2"), "{arguments}");
        assert!(
            variables.contains("CHLOE_SECRET=hunter2"),
            "it is there all the same"
        );
    }
    // The secret is what it was: only who knows it may publish.
    let send = |secret| {
        folder.run(&words(
            &["send", "room", "hi", "--secret", secret],
            &place[..3],
        ))
    };
    send("hunter2").good();
    send("hunter3").bad(1, &["secret"]);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let logs = folder.read("chloe.log") + &folder.read("server.err");
    assert!(!logs.contains("hunter2"), "{logs}");
}

#[test]
fn a_server_in_the_background_keeps_its_secret_hidden_over_restarts() {
    let folder = Folder::new("hidden-start");
    let socket = folder.path("hidden.sock");
    let log_dir = folder.path("");
    let place = place(&socket, &log_dir);
    let run = |first: &[&'static str]| folder.run(&words(first, &place));
    for (command, secret) in [
        ("start", "hunter2"),
        ("restart", "hunter2"),
        ("restart", "hunter3"),
    ] {
        run(&[command, "--secret", secret]).good();
        let seen = processes(&socket);
        let seen: Vec<_> = seen
            .iter()
            .filter(|(line, _)| line.contains("daemon"))
            .collect();
        assert!(!seen.is_empty());
        for (arguments, _) in seen {
            assert!(!arguments.contains("hunter"), "{arguments}");
        }
        run(&["send", "room", "hi", "--secret", secret]).good();
    }
    run(&["send", "room", "hi", "--secret", "hunter2"]).bad(1, &["secret"]);
    run(&["stop"]).good();
}

#[test]
fn what_a_setting_leaves_open_is_warned_of() {
    let folder = Folder::new("warned");
    let file = folder.write("chloe.toml", "secret = \"hunter2\"\nallow_md5 = true\n");
    let said = folder.run(&["check", &file]).good();
    assert!(said.contains("is good.\nwarning: allow_md5: "), "{said}");
    let mut server = folder.serve(
        "server",
        &words(
            &["--port=0", "--listen-addresses=127.0.0.1"],
            &["--config", &file],
        ),
    );
    let line = folder.line("server.err", "setting=allow_md5");
    assert!(line.contains("chloe1"), "{line}");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(!folder.read("server.err").contains("hunter2"));
    let url = "http://ann:hunter2@localhost/";
    let bad = ["check", "--application-server-url", url];
    let refused = folder.run(&bad);
    assert!(!refused.err.contains("hunter2"), "{refused:?}");
    refused.bad(2, &["user name and password", "(hidden)@localhost"]);
}
