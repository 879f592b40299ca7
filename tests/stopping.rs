//! The end of a server: goodbye to everyone in the words of their kind.

mod real;

use chloe::wire::websocket::Opcode;
use real::{App, Chloe, Frame, escape, session_of, xhr_post};

#[test]
fn stopping_says_goodbye_to_everyone_in_the_words_of_their_kind() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting()]);
    let mut page = chloe.websocket();
    let mut poller = chloe.connect();
    let session = session_of(&xhr_post(&mut poller, r#"{"type":"connect","version":1}"#).text());
    let poll = escape(&format!(
        r#"{{"type":"poll","version":1,"sessionId":"{session}"}}"#
    ));
    poller.write(
        format!("GET /chloe/xhr/1?data={poll} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes(),
    );
    let mut idle = chloe.connect();
    assert_eq!(idle.get("/chloe/ping").text(), "pong");
    page.text(r#"{"type":"message","data":"accepted","version":1}"#);
    let asked = app.next();
    chloe.send("data=last+words");
    chloe.shutdown();
    assert_eq!(page.data(), "last words", "what was accepted is delivered");
    assert_eq!(page.read(), Frame::Close(Some(1001)));
    page.frame(Opcode::Close, &[0x03, 0xe9]);
    assert_eq!(page.read(), Frame::End);
    let answer = poller.read_answer();
    assert!(
        answer.status == 503 || answer.text().contains("last words"),
        "{answer:?}"
    );
    assert_eq!(idle.read_to_end(), b"");
    assert_eq!(asked.body, "accepted");
    asked.ok(&app);
}

#[test]
fn a_stream_gets_the_acknowledgement_it_waits_for_before_the_close() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting()]);
    let mut page = chloe.websocket();
    page.client.stream.set_nodelay(true).unwrap();
    page.text(r#"{"type":"message","id":1,"data":"first","version":1}"#);
    page.text(r#"{"type":"message","id":2,"data":"second","version":1}"#);
    let first = app.next();
    let mut idle = chloe.websocket();
    chloe.shutdown();
    assert_eq!(
        idle.read(),
        Frame::Close(Some(1001)),
        "others do not wait for it"
    );
    first.ok(&app);
    assert_eq!(page.json()["id"], 1);
    app.next().ok(&app);
    assert_eq!(page.json()["id"], 2);
    assert_eq!(page.read(), Frame::Close(Some(1001)));
}

#[test]
fn an_app_that_does_not_answer_in_time_is_given_up_with_a_word() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting(), "shutdown_timeout_ms=1000"]);
    let mut page = chloe.websocket();
    page.text(r#"{"type":"message","id":1,"data":"never answered","version":1}"#);
    let asked = app.next();
    chloe.shutdown();
    let error = page.json();
    assert_eq!(
        (error["code"].as_str(), error["temporary"].as_bool()),
        (Some("stopping"), Some(true))
    );
    assert_eq!(page.read(), Frame::Close(Some(1001)));
    assert_eq!(page.read(), Frame::End);
    drop(asked);
}

#[test]
fn nothing_is_said_behind_a_close() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting()]);
    let mut page = chloe.websocket();
    page.text(r#"{"type":"message","id":1,"data":"answered late","version":1}"#);
    let asked = app.next();
    page.frame(Opcode::Binary, b"no text");
    assert_eq!(page.read(), Frame::Close(Some(1003)));
    asked.ok(&app);
    let mut client = chloe.connect();
    while !client.get("/chloe/status").text().contains("\"taken\": 1") {
        std::thread::yield_now();
    }
    page.frame(Opcode::Close, &[0x03, 0xeb]);
    assert_eq!(page.read(), Frame::End);
}
