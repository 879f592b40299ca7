//! What an operator does to a Chloe: a link that is moved to the next version,
//! signals to process 1, commands beside a Chloe in the foreground, a secret in a file.

#[path = "cli/harness.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod harness;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use harness::{Folder, Process, eventually, outcome};
use rustix::process::{Pid, Signal, kill_process};

/// Flags of a server that any number of tests can run at a time.
const HERE: [&str; 2] = ["--port=0", "--listen-addresses=127.0.0.1"];

fn with<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

/// A Chloe in the foreground, and the flags of commands that mean it.
fn in_the_foreground(folder: &Folder, more: &[&str]) -> (Process, [String; 3]) {
    let log_dir = folder.path("");
    let flags = with(&HERE, &["--log-dir", &log_dir]);
    let server = folder.serve("server", &with(&flags, more));
    let port = format!("--port={}", folder.port("chloe.log"));
    let place = "--listen-addresses=127.0.0.1".to_owned();
    (server, [port, place, format!("--log-dir={log_dir}")])
}

#[test]
fn a_restart_goes_by_the_path_that_was_called() {
    let chloe = env!("CARGO_BIN_EXE_chloe");
    for way in ["absolute", "relative", "search"] {
        let folder = Folder::new(&format!("path-{way}"));
        for version in ["one", "two"] {
            fs::create_dir(folder.path(version)).unwrap();
        }
        fs::hard_link(chloe, folder.path("one/chloe"))
            .or_else(|_| fs::copy(chloe, folder.path("one/chloe")).map(drop))
            .unwrap();
        // The next version leaves a trace.
        let ran = folder.path("two.ran");
        let script = format!("#!/bin/sh\necho $1 > '{ran}'\nexec '{chloe}' \"$@\"\n");
        let second = folder.write("two/chloe", &script);
        fs::set_permissions(&second, fs::Permissions::from_mode(0o755)).unwrap();
        let current = folder.path("current");
        symlink("one", &current).unwrap();

        // As the shell of somebody who called it so.
        let program = match way {
            "absolute" => format!("{current}/chloe"),
            "relative" => "./chloe".to_owned(),
            _ => "chloe".to_owned(),
        };
        let mut command = folder.another(&program);
        match way {
            "relative" => command.current_dir(&current).env("PWD", &current),
            _ => command.env("PATH", format!("{current}:/usr/bin:/bin")),
        };
        let log_dir = folder.path("");
        let flags = with(&HERE, &["--log-dir", &log_dir]);
        command.arg("start").args(&flags);
        outcome(&mut command).good();
        let first = folder.read("chloe-0.pid");
        symlink("two", folder.path("next")).unwrap();
        fs::rename(folder.path("next"), &current).unwrap();
        folder.run(&with(&["restart"], &flags)).good();
        assert_ne!(folder.read("chloe-0.pid"), first);
        assert_eq!(folder.read("two.ran"), "daemon\n", "{way}");
        // And the next one, which the script has called by another path, goes on too.
        folder.run(&with(&["restart"], &flags)).good();
        folder.run(&with(&["stop"], &flags)).good();
    }
}

/// The beginning of a command line by which the program is process 1.
fn as_process_1() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [
        &["unshare", "--pid", "--fork", "--kill-child"],
        &[
            "unshare",
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--kill-child",
        ],
    ];
    ways.into_iter().find(|way| {
        let tried = Command::new(way[0]).args(&way[1..]).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    })
}

/// The processes whose parent is `pid`, zombies too.
fn children(pid: &str) -> Vec<String> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let listed = fs::read_to_string(path).unwrap_or_default();
    listed.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn process_1_does_not_hand_over_and_leaves_no_zombies() {
    let Some(way) = as_process_1() else {
        // The sentence itself is tested in `supervisor`, for every number.
        eprintln!("this host lets nobody make a process 1: nothing to be seen here");
        return;
    };
    let folder = Folder::new("process-1");
    let gate = folder.write("gate", "");
    // The loop loses its parent, and ends when Chloe runs in the shell's place.
    let script = format!("(while [ -e '{gate}' ]; do sleep 0.01; done &); (true &); exec \"$@\"");
    let mut command = folder.another(way[0]);
    let pid_file = folder.path("pid");
    command.args(&way[1..]).args(["sh", "-c", &script, "sh"]);
    command.arg(env!("CARGO_BIN_EXE_chloe")).args(HERE);
    command.args(["--pid-file", &pid_file]);
    let mut unshare = folder.serve_command("server", command);
    let port = format!("--port={}", folder.port("server.err"));
    assert_eq!(folder.read("pid"), "1\n");
    let one = children(&unshare.id().to_string()).remove(0);
    fs::remove_file(&gate).unwrap();
    eventually("the orphans are gone", || {
        children(&one).is_empty().then_some(())
    });

    let pid = Pid::from_raw(one.parse().unwrap()).unwrap();
    kill_process(pid, Signal::USR2).unwrap();
    let line = folder.line("server.err", "event=restart_failed");
    assert!(
        line.contains("it is process 1") && line.contains("state_file"),
        "{line}"
    );
    assert!(folder.read("pid.failed").contains("it is process 1"));
    let there = ["ping", "--listen-addresses=127.0.0.1", &port];
    folder.run(&there).good();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(unshare.wait().code(), Some(0));
}

#[test]
fn the_main_process_of_a_systemd_service_does_not_hand_over() {
    let folder = Folder::new("systemd");
    let pid_file = format!("--pid-file={}", folder.path("pid"));
    let mut command = folder.chloe_after("export SYSTEMD_EXEC_PID=$$");
    command.args(HERE).arg(&pid_file);
    let mut server = folder.serve_command("server", command);
    let _ = folder.port("server.err");
    folder
        .run(&with(&["restart"], &with(&HERE, &[&pid_file])))
        .bad(1, &["goes on", "systemctl restart"]);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn commands_beside_a_chloe_in_the_foreground_say_so_and_leave_its_log_alone() {
    let folder = Folder::new("foreground");
    let (mut server, there) = in_the_foreground(&folder, &["--secret=Trotter"]);
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    let log = folder.read("chloe.log");
    let answers = format!("answers at 127.0.0.1:{}", &there[0]["--port=".len()..]);
    for command in ["start", "stop", "restart"] {
        folder.run(&with(&[command], &there)).bad(
            1,
            &["did not start", &answers, "systemctl restart", "SIGUSR2"],
        );
    }
    folder.run(&with(&["status"], &there)).bad(1, &["secret"]);
    folder
        .run(&with(&["status", "--secret=Trotter"], &there))
        .good();
    assert_eq!(folder.read("chloe.log"), log);
    let mut left: Vec<_> = fs::read_dir(folder.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["chloe.log", "server.err", "server.out"]);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    folder
        .run(&with(&["stop"], &there))
        .bad(3, &["does not run"]);
}

#[test]
fn one_in_the_foreground_with_a_pid_file_is_not_replaced_by_one_in_the_background() {
    let folder = Folder::new("foreground-pid");
    let pid_file = format!("--pid-file={}", folder.path("pid"));
    let (mut server, there) = in_the_foreground(&folder, &[&pid_file]);
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    let log = folder.read("chloe.log");
    let pid = folder.read("pid");
    let flags = with(&there, &[&pid_file]);
    folder
        .run(&with(&["restart"], &flags))
        .bad(1, &[pid.trim(), "not started by chloe start"]);
    folder
        .run(&with(&["start"], &flags))
        .bad(1, &["runs already", pid.trim()]);
    assert_eq!(folder.read("chloe.log"), log);
    // Where it does not listen, the pid file still tells who it is.
    folder
        .run(&[
            "status",
            "--listen-addresses=",
            "--unix-socket=/nowhere/s",
            &pid_file,
        ])
        .bad(3, &["nobody listens", pid.trim()]);
    folder.run(&with(&["stop"], &flags)).good();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_secret_is_read_from_its_file() {
    let folder = Folder::new("secret-file");
    // As Kubernetes and systemd hand it over: by a link, and for its reader alone.
    let real = folder.write("real", "Trotter\n");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o400)).unwrap();
    symlink("real", folder.path("secret")).unwrap();
    let socket = folder.path("s");
    let text = format!(
        "listen_addresses = []\nunix_socket = \"{socket}\"\nsecret_file = \"{}\"\n",
        folder.path("secret")
    );
    let config = folder.write("chloe.toml", &text);
    folder.run(&["check", &config]).good();
    let mut server = folder.serve("server", &["-c", &config]);
    folder.line("server.err", "event=started");
    let table = folder.run(&["status", "-c", &config]).good();
    assert!(table.starts_with("version"), "{table}");
    folder.run(&["send", "-c", &config, "pumpkin"]).good();

    let bare = ["--listen-addresses=", "--unix-socket", &socket];
    folder.run(&with(&["status"], &bare)).bad(1, &["secret"]);
    let by_flag = folder.path("real");
    folder
        .run(&with(&["status", "--secret-file", &by_flag], &bare))
        .good();
    // The environment wins over the file, as for a credential of systemd.
    let other = folder.write("other", "pumpkin");
    let with_environment =
        |words: &[&str]| outcome(folder.chloe(words).env("CHLOE_SECRET_FILE", &other));
    with_environment(&["status", "-c", &config]).bad(1, &["secret"]);
    folder
        .run(&["status", "-c", &config, "--secret=Trotter"])
        .bad(2, &["secret and secret_file are both set"]);

    // What needs no secret does not ask for it.
    fs::remove_file(&by_flag).unwrap();
    folder.run(&["ping", "-c", &config]).good();
    folder
        .run(&["status", "-c", &config])
        .bad(1, &["secret", "no such file"]);
    for (text, part) in [("", "is empty"), ("CHLOE_SECRET=a\nb\n", "in one line")] {
        let path = folder.write("real", text);
        let outcome = folder.run(&["check", &config]);
        assert!(!outcome.err.contains("=a"), "{}", outcome.err);
        outcome.bad(2, &["secret_file", part]);
        fs::remove_file(path).unwrap();
    }
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let told = folder.read("server.err");
    assert!(!told.contains("Trotter"), "{told}");
}
