//! The state file: what a server had is there in the next one, and a file that
//! cannot be used hinders nothing.

#[path = "cli/harness.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod harness;
mod real;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{Peer, Server, StateError};
use harness::{Folder, Process, eventually};
use proptest::prelude::*;
use real::{App, Client, Frame, WebSocket};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A running Chloe that keeps its state in the folder.
struct Running {
    process: Process,
    port: String,
}

impl Running {
    fn start(folder: &Folder, name: &str, more: &[&str]) -> Running {
        let state = folder.path("state");
        let mut flags = vec!["--port=0", "--listen-addresses=127.0.0.1"];
        flags.extend(["--state-file", &state]);
        flags.extend(more);
        let process = folder.serve(name, &flags);
        let port = folder.port(&format!("{name}.err"));
        Running { process, port }
    }

    fn client(&self) -> Client {
        let address: SocketAddr = format!("127.0.0.1:{}", self.port).parse().unwrap();
        Client::connect(address)
    }

    fn send(&self, form: &str) {
        assert_eq!(self.client().post("/send", form).text(), "success");
    }

    /// Connects the new way, and tells how that went.
    fn connect(&self, session: &Value, positions: &Value) -> (WebSocket, Value) {
        let mut page = WebSocket::over(self.client());
        let connect = json!({
            "type": "connect", "id": 1, "version": 1, "sessionId": session, "positions": positions
        });
        page.text(&connect.to_string());
        let told = page.json();
        (page, told)
    }

    fn stop(mut self) {
        self.process.signal(Signal::TERM);
        assert_eq!(self.process.wait().code(), Some(0));
    }
}

fn position(told: &Value, channel: &str) -> Value {
    told["channels"][channel]["position"].clone()
}

#[test]
fn clients_go_on_in_the_next_process_where_they_stopped() {
    let folder = Folder::new("state-resume");
    let first = Running::start(&folder, "first", &[]);
    let (mut page, told) = first.connect(&Value::Null, &json!({}));
    let session = told["sessionId"].clone();
    page.text(r#"{"type":"channel-subscribe","id":2,"channel":"news","version":1}"#);
    let subscribed = page.json();
    first.send("channel=news&data=seen");
    assert_eq!(page.data(), "seen");
    // Nobody reads while these are published.
    page.frame(chloe::wire::websocket::Opcode::Close, &[0x03, 0xe9]);
    assert_eq!(page.read(), Frame::Close(Some(1001)));
    first.send("channel=news&data=1");
    first.send("data=2");
    first.send(&format!("session={}&data=3", session.as_str().unwrap()));
    first.send("channel=news&data=4");
    first.stop();
    let mode = fs::metadata(folder.path("state")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);

    let second = Running::start(&folder, "second", &[]);
    assert!(!fs::exists(folder.path("state")).unwrap(), "it is used up");
    second.send("channel=news&data=5");
    let news = subscribed["position"].as_str().unwrap().replace(":0", ":1");
    let positions = json!({"news": news, "/all": position(&told, "/all")});
    let (mut page, told) = second.connect(&session, &positions);
    assert_eq!(
        (&told["resumed"], &told["sessionId"]),
        (&json!(true), &session)
    );
    for channel in ["news", "/all"] {
        assert_eq!(
            told["channels"][channel]["recovered"],
            json!(true),
            "{told}"
        );
    }
    for number in 1..=5 {
        assert_eq!(page.data(), number.to_string());
    }
    second.send("channel=news&data=6");
    assert_eq!(page.data(), "6");
    drop(page);
    second.stop();
}

#[test]
fn what_the_app_has_not_taken_reaches_it_from_the_next_process() {
    let folder = Folder::new("state-webhook");
    let app = App::start();
    let url = format!("--application-server-url=http://{}/updates", app.address);
    let quick = [&*url, "--shutdown-timeout-ms=1000"];
    let first = Running::start(&folder, "first", &quick);
    let (mut page, _) = first.connect(&Value::Null, &json!({}));
    for data in ["a", "b", "c"] {
        page.text(&json!({"type": "message", "data": data, "version": 1}).to_string());
    }
    let out = app.next();
    let id = out.field("webhook-id").unwrap().to_owned();
    let session = out.field("X-Chloe-Session").unwrap().to_owned();
    // They wait behind the first one, which the app does not answer.
    eventually("all are queued", || {
        let status = first.client().get("/chloe/status").text();
        status.contains("\"queued\": 3").then_some(())
    });
    drop(page);
    first.stop();
    drop(out);
    let second = Running::start(&folder, "second", &quick);
    folder.line("second.err", "messages=3");
    for (number, body) in ["a", "b", "c"].into_iter().enumerate() {
        let asked = app.next();
        assert_eq!(asked.body, body);
        assert_eq!(asked.field("X-Chloe-Session"), Some(&*session));
        assert_eq!(asked.field("webhook-id") == Some(&id), number == 0);
        asked.ok(&app);
    }
    second.stop();
}

#[test]
fn a_message_that_is_repeated_to_the_next_process_reaches_the_app_once() {
    let folder = Folder::new("state-acks");
    let app = App::start();
    let url = format!("--application-server-url=http://{}/updates", app.address);
    let quick = [&*url, "--shutdown-timeout-ms=500"];
    let first = Running::start(&folder, "first", &quick);
    let (mut page, told) = first.connect(&Value::Null, &json!({}));
    let say = |page: &mut WebSocket, id: u64| {
        let message = json!({"type": "message", "id": id, "data": "once", "version": 1});
        page.text(&message.to_string());
    };
    say(&mut page, 7);
    let json = "200 OK\r\nContent-Type: application/json";
    app.next().answer(&app, json, r#"{"saved":7}"#);
    assert_eq!(page.json()["answer"]["saved"], 7);
    say(&mut page, 6);
    app.next().answer(&app, "403 Forbidden", "");
    let refused = page.json();
    assert_eq!(refused["code"], "app_rejected");
    say(&mut page, 8);
    let out = app.next();
    let id = out.field("webhook-id").unwrap().to_owned();
    first.stop();
    drop((page, out));

    let second = Running::start(&folder, "second", &quick);
    let (mut page, told) = second.connect(&told["sessionId"], &json!({}));
    assert_eq!(told["resumed"], json!(true));
    say(&mut page, 7);
    assert_eq!(page.json()["answer"]["saved"], 7, "the answer of before");
    say(&mut page, 6);
    assert_eq!(page.json(), refused, "and the refusal");
    say(&mut page, 8);
    let again = app.next();
    assert_eq!(again.field("webhook-id"), Some(&*id));
    again.ok(&app);
    assert_eq!(page.json()["id"], 8);
    say(&mut page, 9);
    let next = app.next();
    assert_ne!(next.field("webhook-id"), Some(&*id), "and 8 came once");
    next.ok(&app);
    drop(page);
    second.stop();
}

#[test]
fn what_is_sent_again_to_the_next_process_is_not_published_again() {
    let folder = Folder::new("state-keys");
    let send = |running: &Running, data: &str| {
        let (body, mut client) = (format!("data={data}"), running.client());
        let length = body.len();
        let head = "POST /send HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nIdempotency-Key: k";
        client.write(format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes());
        let answer = client.read_answer();
        let repeated = answer.field("Idempotency-Replayed") == Some("true");
        (answer.status, repeated, answer.text())
    };
    let first = Running::start(&folder, "first", &[]);
    let (status, repeated, said) = send(&first, "once");
    assert_eq!((status, repeated), (200, false));
    first.stop();

    let second = Running::start(&folder, "second", &[]);
    assert_eq!(send(&second, "once"), (200, true, said.clone()));
    assert_eq!(send(&second, "other").0, 422);
    second.stop();
    let third = Running::start(&folder, "third", &[]);
    assert_eq!(
        send(&third, "once"),
        (200, true, said),
        "and to the next but one"
    );
    let all = third.client().get("/channels//all").text();
    assert!(all.contains(r#""offset":1,"#), "{all}");
    third.stop();
}

#[test]
fn a_file_that_cannot_be_used_is_set_aside_with_a_word() {
    let folder = Folder::new("state-damaged");
    let first = Running::start(&folder, "first", &[]);
    first.send("data=kept");
    first.stop();
    let whole = fs::read(folder.path("state")).unwrap();
    let mut newer = whole.clone();
    newer[8] = 99;
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (name, bytes, said) in [
        (
            "foreign",
            &b"something else"[..],
            "was not written by Chloe",
        ),
        ("empty", b"", "was not written by Chloe"),
        ("newer", &newer, "by another version"),
        ("flipped", &flipped, "is damaged"),
        ("cut", &whole[..whole.len() - 1], "is damaged"),
    ] {
        fs::write(folder.path("state"), bytes).unwrap();
        let running = Running::start(&folder, name, &[]);
        let line = folder.line(&format!("{name}.err"), "event=state_unusable");
        assert!(line.contains(said), "{line}");
        let aside = line.split("kept as ").nth(1).unwrap().trim_end_matches('"');
        assert!(fs::read(aside).unwrap() == bytes, "{name}");
        fs::remove_file(aside).unwrap();
        running.send("data=works");
        running.stop();
    }
}

#[test]
fn a_file_that_cannot_be_taken_away_is_not_restored() {
    let folder = Folder::new("state-stays");
    let first = Running::start(&folder, "first", &[]);
    first.send("data=old");
    first.stop();
    fs::create_dir(folder.path("state.taken")).unwrap();
    let second = Running::start(&folder, "second", &[]);
    let line = folder.line("second.err", "event=state_file_stays");
    assert!(line.contains("write to the folder"), "{line}");
    let all = second.client().get("/channels//all").text();
    assert!(all.contains(r#"-0""#), "nobody knows of it: {all}");
    second.stop();
    fs::remove_dir(folder.path("state.taken")).unwrap();
    let third = Running::start(&folder, "third", &[]);
    folder.line("third.err", "event=state_restored");
    assert!(!fs::exists(folder.path("state")).unwrap());
    assert!(!fs::exists(folder.path("state.taken")).unwrap());
    third.stop();
}

#[test]
fn a_full_disk_is_told_and_the_end_goes_on() {
    let folder = Folder::new("state-full");
    // No file of this process may be longer than a block.
    let state = folder.path("state");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -f 1; trap '' XFSZ; exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_chloe"));
    command.args([
        "--port=0",
        "--listen-addresses=127.0.0.1",
        "--state-file",
        &state,
    ]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(reader));
    let mut next = |text: &str| {
        let mut lines = lines.by_ref().map(Result::unwrap);
        lines.find(|line| line.contains(text)).expect("a line")
    };
    let listening = next("event=listening address=");
    let address: SocketAddr = listening.rsplit_once('=').unwrap().1.parse().unwrap();
    next("event=started");
    let data = format!("data={}", "x".repeat(5_000));
    assert_eq!(
        Client::connect(address).post("/send", &data).text(),
        "success"
    );
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let line = next("event=state_lost");
    assert!(
        line.contains(&state) && line.contains("make room"),
        "{line}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!fs::exists(&state).unwrap());
    assert!(!fs::exists(format!("{state}.new")).unwrap());
}

fn kept() -> (Vec<u8>, Time) {
    let now = Time::default().plus(1_000);
    let mut server = Server::new(Config::default(), [1; 32], now);
    let peer = Peer::Tcp(([127, 0, 0, 1], 9).into());
    let key = server.handle_accept(now, peer).unwrap();
    let request = "POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\ndata=x";
    server.handle_received(now, key, &mut request.as_bytes().to_vec());
    let mut bytes = Vec::new();
    server.save(now, &mut bytes).unwrap();
    (bytes, now)
}

fn restored(mut bytes: &[u8], now: Time) -> Result<usize, StateError> {
    let mut server = Server::new(Config::default(), [2; 32], now);
    let length = bytes.len() as u64;
    let told = server.restore(now, &mut bytes, length);
    if told.is_err() {
        // Nothing of it is there.
        assert_eq!(restored_nothing(&mut server, now), 0);
    }
    let told = told?;
    Ok(told.publications as usize)
}

/// How many publications a server has that is as new.
fn restored_nothing(server: &mut Server, now: Time) -> usize {
    let mut bytes = Vec::new();
    server.save(now, &mut bytes).unwrap();
    let mut other = Server::new(Config::default(), [3; 32], now);
    let length = bytes.len() as u64;
    let told = other.restore(now, &mut &bytes[..], length).unwrap();
    told.publications as usize + told.sessions + told.messages
}

#[test]
fn a_file_of_another_version_is_not_restored() {
    let (mut bytes, now) = kept();
    for version in [1, 2, 3, 4, 6] {
        bytes[8] = version;
        let refused = restored(&bytes, now);
        assert_eq!(refused, Err(StateError::Version(version.into())));
    }
}

#[test]
fn a_file_with_more_behind_it_is_not_restored() {
    let (mut bytes, now) = kept();
    bytes.push(0);
    assert_eq!(restored(&bytes, now), Err(StateError::Damaged));
}

#[test]
fn a_file_cut_anywhere_is_not_restored() {
    let (bytes, now) = kept();
    assert_eq!(restored(&bytes, now), Ok(1));
    for cut in 0..bytes.len() {
        assert!(restored(&bytes[..cut], now).is_err(), "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn a_file_with_a_changed_byte_is_not_restored(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let (mut bytes, now) = kept();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(restored(&bytes, now).is_err());
    }
}
