//! The files of a Chloe, and what the other users of the host do to them: folders
//! that cannot be written to, files that were put in the way, locks that are held.

#[path = "cli/harness.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod harness;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use harness::{Folder, outcome};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::Signal;

/// Flags of a server that any number of tests can run at a time.
const HERE: [&str; 2] = ["--port=0", "--listen-addresses=127.0.0.1"];

fn with<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

fn mode(path: &str) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn mkfifo(path: &str) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a start to its end, which has to come, and checks what it said.
#[track_caller]
fn refused(folder: &Folder, words: &[&str], parts: &[&str]) {
    let mut process = folder.serve("refused", words);
    let status = process.wait();
    let said = folder.read("refused.err");
    assert_eq!(status.code(), Some(1), "{words:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} in {said:?}");
    }
}

#[test]
fn every_file_is_tried_at_the_start_and_by_check() {
    let folder = Folder::new("tried");
    let inside = folder.path("");
    for (key, value, part) in [
        ("state_file", "/nowhere/state", "no such file or folder"),
        // Nobody makes files there, root neither.
        ("state_file", "/sys/state", "state_file to another path"),
        ("state_file", inside.as_str(), "it is a folder"),
        ("pid_file", "/nowhere/pid", "no such file or folder"),
        ("pid_file", "/sys/pid", "pid_file to another path"),
        ("log_dir", "/nowhere", "no such file or folder"),
        ("log_dir", "/sys", "log_dir to another"),
        ("unix_socket", "/nowhere/s", "Unix socket"),
        ("unix_socket", "/sys/s", "Unix socket"),
        ("doc_root", "/nowhere", "doc_root"),
        (
            "secret_file",
            "/nowhere/secret",
            "secret_file to another path",
        ),
    ] {
        let text = format!("{key} = \"{value}\"\nlog_level = \"off\"\n");
        let config = folder.write("chloe.toml", &text);
        folder.run(&["check", &config]).bad(1, &[value, part]);
        let flags = with(&HERE, &["--config", &config]);
        folder
            .run(&flags)
            .bad(1, &[value, part.split(' ').next().unwrap()]);
    }
    let files = ["state", "pid", "s"].map(|name| folder.path(name));
    let text = format!(
        "state_file = \"{}\"\npid_file = \"{}\"\nunix_socket = \"{}\"\nlog_dir = \"{inside}\"\n",
        files[0], files[1], files[2]
    );
    let config = folder.write("chloe.toml", &text);
    folder.run(&["check", &config]).good();
    let left: Vec<_> = fs::read_dir(&inside)
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    assert_eq!(left.len(), 1, "nothing stays: {left:?}");

    // Beside a Chloe that runs with them they are good as well.
    let mut server = folder.serve("server", &with(&HERE, &["--config", &config]));
    folder.port("chloe.log");
    let log = folder.read("chloe.log");
    folder.run(&["check", &config]).good();
    assert_eq!(folder.read("chloe.log"), log);
    folder
        .run(&with(&HERE, &["--config", &config, "--unix-socket="]))
        .bad(1, &["runs already"]);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_next_process_tries_its_files_before_the_old_one_ends() {
    let folder = Folder::new("tried-next");
    let log_dir = folder.path("");
    let config = folder.write("chloe.toml", "");
    let flags = with(&HERE, &["--config", &config, "--log-dir", &log_dir]);
    folder.run(&with(&["start"], &flags)).good();
    let first = folder.read("chloe-0.pid");
    // The command does not see it: its own pid file and state file follow from log_dir.
    for (text, part) in [
        ("doc_root = \"/nowhere\"", "/nowhere"),
        ("state_file = \"/nowhere/state\"", "/nowhere/state"),
    ] {
        folder.write("chloe.toml", text);
        folder
            .run(&with(&["restart"], &flags))
            .bad(1, &["goes on", part]);
        assert_eq!(folder.read("chloe-0.pid"), first);
    }
    folder.write("chloe.toml", "");
    folder.run(&with(&["stop"], &flags)).good();
}

#[test]
fn what_was_put_in_the_way_is_not_written_to() {
    let folder = Folder::new("in-the-way");
    let victim = folder.write("victim", "precious");
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(folder.path("d")).unwrap();
    let dir = folder.path("d");
    let (pid, state) = (folder.path("d/pid"), folder.path("d/state"));
    let flags = with(
        &HERE,
        &[
            "--log-dir",
            &dir,
            "--pid-file",
            &pid,
            "--state-file",
            &state,
        ],
    );
    for name in ["pid", "pid.lock", "pid.failed", "chloe.log"] {
        let path = folder.path(&format!("d/{name}"));
        for command in [&[][..], &["start"], &["check"]] {
            // Of the start before: the log is opened first.
            let _ = fs::remove_file(&path);
            symlink(&victim, &path).unwrap();
            refused(&folder, &with(command, &flags), &[&path, "symbolic link"]);
            fs::remove_file(&path).unwrap();
            mkfifo(&path);
            refused(&folder, &with(command, &flags), &[&path, "a pipe"]);
            fs::remove_file(&path).unwrap();
            fs::hard_link(&victim, &path).unwrap();
            refused(&folder, &with(command, &flags), &[&path, "hard link"]);
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(folder.read("victim"), "precious", "{name}");
    }
    // A state file is set aside, and what it leads to stays as it is.
    for kind in ["link", "pipe"] {
        match kind {
            "link" => symlink(&victim, &state).unwrap(),
            _ => mkfifo(&state),
        }
        let mut server = folder.serve("server", &flags);
        folder.line("d/chloe.log", "event=state_unusable");
        folder.port("d/chloe.log");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
        assert!(fs::symlink_metadata(&state).unwrap().is_file());
        assert_eq!(folder.read("victim"), "precious");
        fs::remove_file(&state).unwrap();
        fs::remove_file(folder.path("d/chloe.log")).unwrap();
    }
}

#[test]
fn a_link_in_the_place_of_a_rotated_log_is_not_followed() {
    let folder = Folder::new("rotated");
    let victim = folder.write("victim", "precious");
    let (log_dir, log) = (folder.path(""), folder.path("chloe.log"));
    let mut server = folder.serve("server", &with(&HERE, &["--log-dir", &log_dir]));
    folder.port("chloe.log");
    fs::rename(&log, folder.path("old.log")).unwrap();
    symlink(&victim, &log).unwrap();
    server.signal(Signal::HUP);
    let line = folder.line("old.log", "event=log_not_reopened");
    assert!(line.contains("symbolic link"), "{line}");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    folder.line("old.log", "event=stopped");
    assert_eq!(folder.read("victim"), "precious");
}

#[test]
fn a_state_file_that_another_user_could_write_is_not_restored() {
    let folder = Folder::new("foreign");
    let state = folder.path("state");
    let flags = with(&HERE, &["--state-file", &state]);
    let mut server = folder.serve("first", &flags);
    folder.port("first.err");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let bytes = fs::read(&state).unwrap();
    let ways = match is_root() {
        true => &["mode", "owner"][..],
        // Only root can give a file away.
        false => &["mode"],
    };
    for &way in ways {
        fs::write(&state, &bytes).unwrap();
        let part = match way {
            "mode" => {
                fs::set_permissions(&state, fs::Permissions::from_mode(0o666)).unwrap();
                "mode 666"
            }
            _ => {
                fs::set_permissions(&state, fs::Permissions::from_mode(0o600)).unwrap();
                chown(&state, Some(4_321), None).unwrap();
                "uid 4321"
            }
        };
        let mut server = folder.serve(way, &flags);
        let log = format!("{way}.err");
        let line = folder.line(&log, "event=state_unusable");
        assert!(line.contains(part), "{line}");
        folder.port(&log);
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
        fs::remove_file(&state).unwrap();
    }
}

#[test]
fn every_file_has_its_mode_whatever_the_umask_is() {
    for umask in ["000", "022", "077"] {
        let folder = Folder::new(&format!("umask-{umask}"));
        let narrowed = |mode| mode & !u32::from_str_radix(umask, 8).unwrap();
        let dir = folder.path("made/chloe");
        let socket = folder.path("s");
        let flags = with(&HERE, &["--unix-socket", &socket]);
        let mut command = folder.chloe_after(&format!("umask {umask}"));
        // Of no setting: `start` makes the folder.
        command.env_remove("XDG_RUNTIME_DIR");
        command.env("XDG_STATE_HOME", folder.path("made"));
        let pid_file = format!("--pid-file={dir}/pid");
        command.arg("start").args(&flags).arg(&pid_file);
        outcome(&mut command).good();
        assert_eq!(mode(&dir), narrowed(0o755));
        assert_eq!(mode(&format!("{dir}/chloe.log")), narrowed(0o644));
        assert_eq!(mode(&format!("{dir}/pid")), narrowed(0o644));
        assert_eq!(mode(&format!("{dir}/pid.lock")), 0o600);
        // The proxy is another user; the folder says who gets to it.
        assert_eq!(mode(&socket), 0o666);
        folder
            .run(&[
                "stop",
                "--listen-addresses=",
                "--unix-socket",
                &socket,
                &pid_file,
            ])
            .good();
        assert_eq!(mode(&format!("{dir}/pid.state")), 0o600);
        assert!(!fs::exists(format!("{dir}/pid.lock")).unwrap());
    }
}

#[test]
fn a_lock_on_what_others_can_read_changes_nothing() {
    let folder = Folder::new("locked");
    let log_dir = folder.path("");
    let flags = with(&HERE, &["--log-dir", &log_dir]);
    let run = |command| folder.run(&with(&[command], &flags));
    // Any user could do this: to read a file is enough.
    let lock = || {
        let file = File::open(folder.path("chloe-0.pid")).unwrap();
        fcntl_lock(&file, FlockOperation::NonBlockingLockShared).unwrap();
        file
    };
    let pid = || folder.read("chloe-0.pid");
    folder.write("chloe-0.pid", "1\n");
    let before = lock();
    run("start").good();
    drop(before);
    let (first, during) = (pid(), lock());
    assert_eq!(mode(&folder.path("chloe-0.pid.lock")), 0o600);
    run("start").bad(1, &["runs already", first.trim()]);
    run("restart").good();
    assert_ne!(pid(), first);
    run("stop").good();
    drop(during);

    // One that others can open is no lock, and they are told how to go on.
    let lock = folder.write("chloe-0.pid.lock", "");
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o644)).unwrap();
    run("start").bad(1, &[&lock, "other users can open it", "remove it"]);
    fs::remove_file(&lock).unwrap();
    run("start").good();
    run("stop").good();
}

#[test]
fn a_configuration_that_is_a_pipe_is_not_waited_for() {
    let folder = Folder::new("pipe");
    let pipe = folder.path("chloe.toml");
    mkfifo(&pipe);
    refused(&folder, &["check", &pipe], &["nobody writes"]);
    let mut command = folder.chloe_after("exec 3<<-EOF\nport = 70000\nEOF\n");
    let outcome = outcome(command.args(["check", "/dev/fd/3"]));
    outcome.bad(2, &["port", "65535"]);
}
