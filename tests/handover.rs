//! `chloe restart` beside the worst peers: what a request waits while one
//! process hands over to the next, and that nothing is lost by it.

#[path = "cli/harness.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod harness;
mod real;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::{Folder, eventually};
use real::{App, Client, WebSocket, escape, session_of, xhr_post};
use serde_json::{Value, json};

/// Four times what was measured without optimisation, with all of these tests
/// side by side: the longest wait of a request was 322 ms, for a state of 12 MB.
/// Alone, for hardly any state, it is 40 ms.
const WAIT_MAX: Duration = Duration::from_millis(1_300);

/// A Chloe that `chloe start` has started in the folder.
struct Started<'a> {
    folder: &'a Folder,
    flags: Vec<String>,
    address: SocketAddr,
}

impl Started<'_> {
    fn with<'a>(folder: &'a Folder, more: &[&str]) -> Started<'a> {
        let mut flags = vec![
            "--port=0".to_owned(),
            "--listen-addresses=127.0.0.1".to_owned(),
            format!("--log-dir={}", folder.path("")),
        ];
        flags.extend(more.iter().map(|&flag| flag.to_owned()));
        let mut started = Started {
            folder,
            flags,
            address: ([127, 0, 0, 1], 0).into(),
        };
        started.run("start");
        let port = folder.port("chloe.log").parse().unwrap();
        started.address.set_port(port);
        started
    }

    fn run(&self, command: &str) -> String {
        let flags = self.flags.iter().map(String::as_str);
        let words: Vec<&str> = std::iter::once(command).chain(flags).collect();
        self.folder.run(&words).good()
    }

    fn client(&self) -> Client {
        Client::connect(self.address)
    }

    fn send(&self, form: &str) {
        assert_eq!(self.client().post("/send", form).text(), "success");
    }

    /// Connects a page of the new kind, and tells how that went.
    fn page(&self, session: &Value, positions: &Value) -> (WebSocket, Value) {
        let mut page = WebSocket::over(self.client());
        let connect = json!({
            "type": "connect", "id": 1, "version": 1, "sessionId": session, "positions": positions
        });
        page.text(&connect.to_string());
        let told = page.json();
        (page, told)
    }

    /// Restarts it while `ask` is called all the time. Returns the longest that it took.
    fn restart(&self, ask: impl Fn() + Sync) -> Duration {
        let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut longest = Duration::ZERO;
                while !over.load(Ordering::SeqCst) {
                    let begun = Instant::now();
                    ask();
                    longest = longest.max(begun.elapsed());
                    answered.fetch_add(1, Ordering::SeqCst);
                }
                longest
            });
            let said = self.run("restart");
            assert!(said.starts_with("Chloe has restarted: process "), "{said}");
            self.folder.line("chloe.log", "event=state_restored");
            // The one that is under way may be the old process's; the next one is not.
            let before = answered.load(Ordering::SeqCst);
            eventually("two more answers", || {
                (answered.load(Ordering::SeqCst) >= before + 2).then_some(())
            });
            over.store(true, Ordering::SeqCst);
            asking.join().unwrap()
        })
    }

    fn ping(&self) {
        assert_eq!(self.client().get("/chloe/ping").text(), "pong");
    }
}

/// A page that subscribed to `news` and reads nothing more; its session and position.
fn stuck_reader(chloe: &Started<'_>) -> (WebSocket, Value, Value) {
    let (mut page, told) = chloe.page(&Value::Null, &json!({}));
    page.text(r#"{"type":"channel-subscribe","id":2,"channel":"news","version":1}"#);
    let position = page.json()["position"].clone();
    (page, told["sessionId"].clone(), position)
}

#[test]
fn no_request_waits_for_a_silent_page_or_a_stuck_reader() {
    const PUBLISHED: usize = 300;
    let folder = Folder::new("handover-stuck");
    let chloe = Started::with(&folder, &[]);
    // It is there, as a laptop that sleeps, and answers no Close.
    let (silent, _) = chloe.page(&Value::Null, &json!({}));
    let (stuck, session, position) = stuck_reader(&chloe);
    let filler = "x".repeat(40_000);
    for number in 0..PUBLISHED {
        chloe.send(&format!("channel=news&data={number}-{filler}"));
    }
    let longest = chloe.restart(|| chloe.ping());
    eprintln!("the longest wait: {longest:?}");
    assert!(longest < WAIT_MAX, "{longest:?}");
    // What it had not read, it gets from the next process.
    let (mut page, told) = chloe.page(&session, &json!({"news": position}));
    assert_eq!(told["resumed"], json!(true), "{told}");
    assert_eq!(told["channels"]["news"]["recovered"], json!(true), "{told}");
    for number in 0..PUBLISHED {
        let data = page.data();
        assert_eq!(data.split('-').next(), Some(&*number.to_string()));
    }
    drop((silent, stuck));
    chloe.run("stop");
}

#[test]
fn no_request_waits_for_one_that_does_not_come_to_its_end() {
    let folder = Folder::new("handover-half");
    let chloe = Started::with(&folder, &[]);
    let mut half = chloe.client();
    half.write(b"POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n\r\ndata=");
    let mut idle = chloe.client();
    assert_eq!(idle.get("/chloe/ping").text(), "pong");
    let longest = chloe.restart(|| chloe.ping());
    eprintln!("the longest wait: {longest:?}");
    assert!(longest < WAIT_MAX, "{longest:?}");
    // It was not accepted, and its sender is told so.
    let answer = half.read_answer();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.field("Connection"), Some("close"));
    assert_eq!(answer.field("Retry-After"), Some("1"));
    assert_eq!(idle.read_to_end(), b"");
    chloe.run("stop");
}

#[test]
fn what_is_acknowledged_meanwhile_is_there_afterwards() {
    let folder = Folder::new("handover-kept");
    let chloe = Started::with(&folder, &[]);
    let (_silent, _) = chloe.page(&Value::Null, &json!({}));
    let (stuck, session, position) = stuck_reader(&chloe);
    let count = std::sync::atomic::AtomicUsize::new(0);
    let longest = chloe.restart(|| {
        chloe.send(&format!(
            "channel=news&data={}",
            count.fetch_add(1, Ordering::SeqCst)
        ));
    });
    eprintln!("the longest wait: {longest:?}");
    assert!(longest < WAIT_MAX, "{longest:?}");
    let (mut page, told) = chloe.page(&session, &json!({"news": position}));
    assert_eq!(told["channels"]["news"]["recovered"], json!(true), "{told}");
    for number in 0..count.load(Ordering::SeqCst) {
        assert_eq!(page.data(), number.to_string());
    }
    drop(stuck);
    chloe.run("stop");
}

#[test]
fn a_held_poll_is_asked_to_come_again_and_a_message_reaches_the_app_once() {
    let folder = Folder::new("handover-polls");
    let app = App::start();
    let url = format!("--application-server-url=http://{}/updates", app.address);
    let chloe = Started::with(&folder, &[&url]);
    let mut poller = chloe.client();
    let session = session_of(&xhr_post(&mut poller, r#"{"type":"connect","version":1}"#).text());
    let poll = escape(&format!(
        r#"{{"type":"poll","version":1,"sessionId":"{session}","wait":20000}}"#
    ));
    let ask = format!("GET /chloe/xhr/1?data={poll} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    poller.write(ask.as_bytes());
    // One message is at the app, which takes its time, and another waits behind it.
    let (mut page, told) = chloe.page(&Value::Null, &json!({}));
    let say = |page: &mut WebSocket, id: u64| {
        let data = json!({"type": "message", "id": id, "data": id.to_string(), "version": 1});
        page.text(&data.to_string());
    };
    say(&mut page, 7);
    say(&mut page, 8);
    let first = app.next();
    assert_eq!(first.body, "7");
    let longest = std::thread::scope(|scope| {
        let restarting = scope.spawn(|| chloe.restart(|| chloe.ping()));
        folder.line("chloe.log", "event=handing_over");
        first.ok(&app);
        restarting.join().unwrap()
    });
    eprintln!("the longest wait: {longest:?}");
    assert!(longest < WAIT_MAX, "{longest:?}");
    let second = app.next();
    assert_eq!(second.body, "8", "7 was taken, and is not sent again");
    second.ok(&app);
    assert_eq!(page.json()["id"], 7, "its answer came in time to be told");
    let (mut page, told) = chloe.page(&told["sessionId"], &json!({}));
    assert_eq!(told["resumed"], json!(true), "{told}");
    say(&mut page, 7);
    say(&mut page, 8);
    let ids = [page.json()["id"].clone(), page.json()["id"].clone()];
    assert_eq!(ids, [json!(7), json!(8)]);
    let answer = poller.read_answer();
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut again = chloe.client();
    again.write(ask.as_bytes());
    chloe.send("data=after");
    assert!(again.read_answer().text().contains("after"));
    chloe.run("stop");
}

#[test]
fn no_request_waits_for_an_app_that_hangs() {
    let folder = Folder::new("handover-app");
    let app = App::start();
    let url = format!("--application-server-url=http://{}/updates", app.address);
    let chloe = Started::with(&folder, &[&url]);
    let (mut page, _) = chloe.page(&Value::Null, &json!({}));
    page.text(r#"{"type":"message","id":1,"data":"hangs","version":1}"#);
    let hanging = app.next();
    let id = hanging.field("webhook-id").unwrap().to_owned();
    let longest = chloe.restart(|| chloe.ping());
    eprintln!("the longest wait: {longest:?}");
    assert!(longest < WAIT_MAX, "{longest:?}");
    let again = app.next();
    assert_eq!(again.body, "hangs");
    assert_eq!(again.field("webhook-id"), Some(&*id), "its second attempt");
    again.ok(&app);
    drop(hanging);
    chloe.run("stop");
}
