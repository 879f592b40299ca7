//! Acknowledged messages over real sockets: each reaches the app once, however
//! often and on whatever stream its sender repeats it.

mod real;

use real::{App, Chloe, Client, WebSocket, escape, session_of, xhr_post};
use serde_json::Value;

const JSON: &str = "200 OK\r\nContent-Type: application/json";

/// The message with this id, as a client repeats it.
fn message(session: &str, id: u32, data: &str) -> String {
    format!(
        r#"{{"type":"message","version":1,"id":"{id}","data":"{data}","sessionId":"{session}"}}"#
    )
}

/// Connects the new way and returns the session.
fn connect(page: &mut WebSocket, session: &str) -> String {
    let session = match session {
        "" => String::new(),
        id => format!(r#""sessionId":"{id}","#),
    };
    page.text(&format!(
        r#"{{"type":"connect","version":1,{session}"positions":{{}}}}"#
    ));
    page.json()["sessionId"].as_str().unwrap().to_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// By JSONP, whose answers are scripts.
fn jsonp(client: &mut Client, message: &str) -> Value {
    let script = client
        .get(&format!("/chloe/jsonp.js?data={}", escape(message)))
        .text();
    let call = script.strip_prefix("Chloe.JsonpTransport.response(");
    json(call.unwrap().strip_suffix(");").unwrap())
}

#[test]
fn a_repeated_message_gets_the_same_answer_on_every_transport_and_is_not_sent_to_the_app_again() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting()]);
    let mut page = chloe.websocket();
    let session = connect(&mut page, "");
    page.text(&message(&session, 1, "once"));
    app.next().answer(&app, JSON, r#"{"taken":1}"#);
    let expected = json(r#"{"type":"accepted","version":1,"id":"1","answer":{"taken":1}}"#);
    assert_eq!(page.json(), expected);
    page.text(&message(&session, 1, "once"));
    assert_eq!(page.json(), expected);
    let mut client = chloe.connect();
    let by_xhr = xhr_post(&mut client, &message(&session, 1, "once"));
    assert_eq!(json(&by_xhr.text()), expected);
    assert_eq!(jsonp(&mut client, &message(&session, 1, "once")), expected);
    page.text(&message(&session, 2, "refused"));
    app.next().answer(&app, "403 Forbidden", "");
    let refused = page.json();
    assert_eq!(refused["code"], "app_rejected");
    let again = xhr_post(&mut client, &message(&session, 2, "refused"));
    assert_eq!((again.status, json(&again.text())), (502, refused));
    // The same id of another session is another message.
    let mut other = chloe.websocket();
    let theirs = connect(&mut other, "");
    other.text(&message(&theirs, 1, "another"));
    let asked = app.next();
    assert_eq!(asked.body, "another", "and nothing came twice before it");
    asked.ok(&app);
    assert_eq!(other.json()["type"], "accepted");
}

#[test]
fn whoever_repeats_a_message_that_is_under_way_waits_for_the_same_outcome() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting()]);
    let mut page = chloe.websocket();
    let session = connect(&mut page, "");
    page.text(&message(&session, 1, "slow"));
    let asked = app.next();
    drop(page);
    let mut page = chloe.websocket();
    assert_eq!(connect(&mut page, &session), session);
    page.text(&message(&session, 1, "slow"));
    page.text(&message(&session, 1, "slow"));
    let mut client = chloe.connect();
    let post = format!("data={}", escape(&message(&session, 1, "slow")));
    client.write(
        format!(
            "POST /chloe/xhr HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{post}",
            post.len()
        )
        .as_bytes(),
    );
    // The three have been read when what is said behind them is answered.
    page.text(r#"{"type":"channel-subscribe","version":1,"id":"s","channel":"news"}"#);
    assert_eq!(page.json()["type"], "subscribed");
    asked.answer(&app, JSON, "[1,2]");
    let answer = page.json();
    assert_eq!(
        (&answer["id"], &answer["answer"]),
        (&"1".into(), &json("[1,2]"))
    );
    assert_eq!(json(&client.read_answer().text()), answer);
    page.text(&message(&session, 2, "next"));
    let next = app.next();
    assert_eq!(next.body, "next");
    next.ok(&app);
    assert_eq!(page.json()["id"], "2", "the stream was told once");
}

#[test]
fn an_outcome_that_finds_no_stream_is_kept_for_the_one_that_asks() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting()]);
    let mut page = chloe.websocket();
    let session = connect(&mut page, "");
    page.text(&message(&session, 1, "cut"));
    let asked = app.next();
    drop(page);
    asked.answer(&app, JSON, "\"kept\"");
    // While a poll is held there is no stream to say it on either.
    let mut poller = chloe.connect();
    let poll = format!(r#"{{"type":"poll","version":1,"sessionId":"{session}","wait":20000}}"#);
    poller.write(
        format!(
            "GET /chloe/xhr/1?data={} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            escape(&poll)
        )
        .as_bytes(),
    );
    let mut client = chloe.connect();
    let answer = xhr_post(&mut client, &message(&session, 1, "cut")).text();
    assert_eq!(json(&answer)["answer"], "kept");
    chloe.send("data=the+poll+is+held");
    assert!(poller.read_answer().text().contains("the poll is held"));
}

#[test]
fn what_the_webhook_did_not_take_may_be_repeated() {
    // An app that is not there, and room for one message.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let setting = format!("application_server_url=http://{address}/updates");
    let chloe = Chloe::start(&[
        &setting,
        "webhook_queue_messages=1",
        "webhook_retry_max_ms=200",
    ]);
    let mut client = chloe.connect();
    let connected = xhr_post(
        &mut client,
        r#"{"type":"connect","version":1,"positions":{}}"#,
    );
    let session = session_of(&connected.text());
    let mut other = chloe.connect();
    let first = xhr_post(
        &mut other,
        &format!(r#"{{"type":"message","version":1,"data":"1","sessionId":"{session}"}}"#),
    );
    assert_eq!(first.status, 200);
    let refused = xhr_post(&mut client, &message(&session, 2, "2"));
    assert_eq!(refused.status, 429);
    assert_eq!(json(&refused.text())["code"], "app_busy");
    let app = App::on(std::net::TcpListener::bind(address).unwrap());
    app.next().ok(&app);
    let post = std::thread::spawn(move || {
        loop {
            let answer = xhr_post(&mut client, &message(&session, 2, "2"));
            if answer.status != 429 {
                return answer.status;
            }
        }
    });
    let asked = app.next();
    assert_eq!(asked.body, "2");
    asked.ok(&app);
    assert_eq!(post.join().unwrap(), 200);
}

#[test]
fn only_the_last_answers_of_a_session_are_remembered() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting(), "acks_per_session_max=2"]);
    let mut page = chloe.websocket();
    let session = connect(&mut page, "");
    for id in 1..=3 {
        page.text(&message(&session, id, "x"));
        app.next().ok(&app);
        assert_eq!(page.json()["type"], "accepted");
    }
    for id in [3, 2] {
        page.text(&message(&session, id, "x"));
        assert_eq!(page.json()["type"], "accepted");
    }
    page.text(&message(&session, 1, "sent again"));
    let asked = app.next();
    assert_eq!(asked.body, "sent again");
    asked.ok(&app);
    assert_eq!(page.json()["type"], "accepted");
}
