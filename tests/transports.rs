//! Each transport over real sockets: connect, send, hear, subscribe, leave.

mod real;

use chloe::wire::websocket::Opcode;
use real::{App, Chloe, Frame, escape, session_of, xhr_post};

#[test]
fn an_old_page_by_websocket() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting()]);
    let mut page = chloe.websocket();
    page.text(r#"{"type":"channel-subscribe","channel":"pumpkin","version":1}"#);
    page.text(r#"{"type":"message","data":"hello app","version":1}"#);
    let asked = app.next();
    assert_eq!(asked.body, "hello app");
    let content_type = asked.field("content-type");
    assert_eq!(content_type, Some("text/plain; charset=utf-8"));
    assert_eq!(asked.field("x-chloe-signature"), Some(""));
    let session = asked.field("x-chloe-session").unwrap().to_owned();
    // The app may publish from inside its handler (protocol A.12).
    chloe.send("data=to+all");
    chloe.send("channel=pumpkin&data=Trotter");
    chloe.send("channel=other&data=not+for+us");
    chloe.send(&format!("session={session}&data=for+you"));
    asked.ok(&app);
    let message = page.json();
    assert_eq!(
        (&message["data"], &message["version"], &message["channel"]),
        (&"to all".into(), &1.into(), &"/all".into())
    );
    assert_eq!(page.data(), "Trotter");
    assert_eq!(page.data(), "for you");
    page.frame(Opcode::Ping, b"still there?");
    assert_eq!(
        page.read(),
        Frame::Pong(b"still there?".to_vec()),
        "and nothing unasked before it"
    );
    page.frame(Opcode::Close, &[0x03, 0xe8]);
    assert_eq!(page.read(), Frame::Close(Some(1000)));
    assert_eq!(page.read(), Frame::End);
}

#[test]
fn a_bad_message_leaves_the_socket_open_and_hearing() {
    let chloe = Chloe::start(&[]);
    let mut page = chloe.websocket();
    for (bad, code) in [
        ("no json", "not_an_object"),
        ("{\"type\":", "bad_json"),
        ("[1]", "not_an_object"),
        (
            r#"{"type":"message","data":{"a":1},"id":7}"#,
            "data_not_a_string",
        ),
        (r#"{"type":"channel-subscribe"}"#, "no_channel"),
        (
            r#"{"type":"channel-subscribe","channel":""}"#,
            "channel_name",
        ),
    ] {
        page.text(bad);
        let error = page.json();
        assert_eq!(
            (error["type"].as_str(), error["code"].as_str()),
            (Some("error"), Some(code)),
            "{bad}"
        );
        assert_eq!(error["version"], 1);
    }
    chloe.send("data=still");
    assert_eq!(page.data(), "still");
    page.frame(Opcode::Binary, b"bytes");
    assert_eq!(page.read(), Frame::Close(Some(1003)));
}

#[test]
fn a_new_client_goes_on_with_its_session_on_another_stream() {
    let chloe = Chloe::start(&[]);
    let mut first = chloe.websocket();
    first.text(r#"{"type":"connect","version":1,"positions":{}}"#);
    let connected = first.json();
    assert_eq!(connected["resumed"], false);
    let session = connected["sessionId"].as_str().unwrap().to_owned();
    let all = connected["channels"]["/all"]["position"]
        .as_str()
        .unwrap()
        .to_owned();
    first.text(r#"{"type":"channel-subscribe","version":1,"id":1,"channel":"news"}"#);
    let news = first.json()["position"].as_str().unwrap().to_owned();
    drop(first);
    chloe.send("channel=news&data=missed");
    let mut second = chloe.websocket();
    second.text(&format!(
        r#"{{"type":"connect","version":1,"sessionId":"{session}","positions":{{"/all":"{all}","news":"{news}"}}}}"#
    ));
    let connected = second.json();
    assert_eq!(
        (
            &connected["resumed"],
            &connected["channels"]["news"]["recovered"]
        ),
        (&true.into(), &true.into())
    );
    assert_eq!(second.data(), "missed");
    // The newest stream wins; the one before is told.
    let mut third = chloe.websocket();
    third.text(&format!(
        r#"{{"type":"connect","version":1,"sessionId":"{session}","positions":{{}}}}"#
    ));
    assert_eq!(third.json()["resumed"], true);
    assert_eq!(second.read(), Frame::Close(Some(1000)));
    chloe.send("channel=news&data=next");
    assert_eq!(third.data(), "next");
}

#[test]
fn an_old_page_by_xhr_gets_one_message_a_poll_in_order() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting(), "application_server=http://app.example"]);
    let mut client = chloe.connect();
    let connected = xhr_post(&mut client, r#"{"type":"connect","version":1}"#);
    assert_eq!(
        connected.field("Access-Control-Allow-Origin"),
        Some("http://app.example")
    );
    assert_eq!(connected.field("Cache-Control"), Some("no-store"));
    let session = session_of(&connected.text());
    let subscribe = format!(
        r#"{{"type":"channel-subscribe","channel":"é/1+1","version":1,"sessionId":"{session}"}}"#
    );
    let subscribed = xhr_post(&mut client, &subscribe);
    assert_eq!((subscribed.status, subscribed.body.len()), (200, 0));
    for number in 0..5 {
        chloe.send(&format!("data={number}"));
    }
    chloe.send("channel=%C3%A9/1%2B1&data=x");
    let poll = escape(&format!(
        r#"{{"type":"poll","version":1,"sessionId":"{session}"}}"#
    ));
    for expected in ["0", "1", "2", "3", "4", "x"] {
        let answer = client.get(&format!("/chloe/xhr/1322489?data={poll}"));
        let json: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
        let messages = json["messages"].as_array().unwrap();
        assert_eq!(
            (messages.len(), messages[0]["data"].as_str()),
            (1, Some(expected))
        );
    }
    let message = format!(
        r#"{{"type":"message","data":"1+1 = 2 & ü 😀 %","version":1,"sessionId":"{session}"}}"#
    );
    let sent = xhr_post(&mut client, &message);
    assert_eq!((sent.status, sent.body.len()), (200, 0));
    let asked = app.next();
    assert_eq!(asked.body, "1+1 = 2 & ü 😀 %");
    asked.ok(&app);
    let unknown = client.get(&format!(
        "/chloe/xhr/1?data={}",
        escape(r#"{"type":"poll","version":1,"sessionId":"1"}"#)
    ));
    assert_eq!(
        unknown.status, 404,
        "any status but 200 makes the page call onclose"
    );
    assert_eq!(
        unknown.field("Access-Control-Allow-Origin"),
        Some("http://app.example")
    );
}

#[test]
fn a_newer_poll_takes_the_place_of_an_older_one_and_a_lost_one_swallows_nothing() {
    let chloe = Chloe::start(&[]);
    let mut client = chloe.connect();
    let session = session_of(&xhr_post(&mut client, r#"{"type":"connect","version":1}"#).text());
    let poll = format!(
        "GET /chloe/xhr/1?data={} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        escape(&format!(
            r#"{{"type":"poll","version":1,"sessionId":"{session}"}}"#
        ))
    );
    let (mut older, mut newer) = (chloe.connect(), chloe.connect());
    older.write(poll.as_bytes());
    newer.write(poll.as_bytes());
    // Whichever of the two came first is answered with nothing.
    let mut held = if older.is_silent() {
        (older, newer)
    } else {
        (newer, older)
    };
    loop {
        let (first, second) = &mut held;
        let silent = (first.is_silent(), second.is_silent());
        match silent {
            (false, true) => break,
            (true, false) => held = (held.1, held.0),
            (true, true) => std::thread::yield_now(),
            (false, false) => panic!("both polls are answered"),
        }
    }
    let (mut superseded, gone) = held;
    let answer = superseded.read_answer();
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    drop(gone);
    chloe.send("data=kept");
    superseded.write(poll.as_bytes());
    assert!(superseded.read_answer().text().contains("kept"));
}

#[test]
fn a_poll_without_limit_is_kept_alive_by_blanks() {
    let chloe = Chloe::start(&["poll_hold_ms=1000"]);
    let mut client = chloe.connect();
    let session = session_of(&xhr_post(&mut client, r#"{"type":"connect","version":1}"#).text());
    let poll = escape(&format!(
        r#"{{"type":"poll","version":1,"sessionId":"{session}"}}"#
    ));
    client.write(
        format!("GET /chloe/xhr/1?data={poll} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes(),
    );
    let head = client.read_head();
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    chloe.send("data=late");
    let rest = String::from_utf8(client.read_to_last_chunk()).unwrap();
    let body: String = rest.split("\r\n").skip(1).step_by(2).collect();
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(json["messages"][0]["data"], "late");
    assert_eq!(
        client.get("/chloe/ping").text(),
        "pong",
        "the connection goes on"
    );
}

#[test]
fn an_old_page_by_jsonp() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting(), "poll_hold_ms=1000"]);
    let mut client = chloe.connect();
    // Without the `&` before ts, as the old client wrote it (protocol A.23).
    let url = |json: &str| format!("/chloe/jsonp.js?data={}ts=1322489", escape(json));
    let connected = client.get(&url(r#"{"type":"connect","version":1,"id":1322}"#));
    assert_eq!(
        connected.field("Content-Type").unwrap().split(';').next(),
        Some("application/javascript")
    );
    let script = connected.text();
    let json = script
        .strip_prefix("Chloe.JsonpTransport.response(")
        .unwrap()
        .strip_suffix(");")
        .unwrap();
    let session = session_of(json);
    assert!(
        json.contains(r#""type":"connect""#) && json.contains(r#""id":1322"#),
        "{json}"
    );
    let say = |kind: &str, more: &str| {
        format!(r#"{{"type":"{kind}","version":1,"id":1322,"sessionId":"{session}"{more}}}"#)
    };
    let held = client.get(&url(&say("poll", "")));
    assert_eq!(
        held.text(),
        "Chloe.JsonpTransport.connections[1322].listenForMessages();"
    );
    chloe.send("data=it%27s+1");
    chloe.send("data=%3C/script%3E");
    let burst = client.get(&url(&say("poll", ""))).text();
    assert!(
        burst.starts_with("Chloe.JsonpTransport.connections[1322].callbacks.onmessage('"),
        "{burst}"
    );
    assert_eq!(
        burst
            .matches("Chloe.JsonpTransport.response({\"type\":\"poll\",\"id\":1322,")
            .count(),
        1,
        "{burst}"
    );
    assert!(!burst.contains("</script"), "{burst}");
    // Without an id as the old client sends its messages.
    let sent = client.get(&url(&format!(
        r#"{{"type":"message","version":1,"data":"hi","sessionId":"{session}"}}"#
    )));
    assert_eq!((sent.status, sent.body.len()), (200, 0));
    let asked = app.next();
    assert_eq!(
        (asked.body.as_str(), asked.field("x-chloe-session")),
        ("hi", Some(session.as_str()))
    );
    asked.ok(&app);
    let unknown = client.get(&url(
        r#"{"type":"poll","version":1,"id":1,"sessionId":"7"}"#,
    ));
    assert_eq!(
        (unknown.status, unknown.body.len()),
        (200, 0),
        "an error would make old pages poll in a storm"
    );
}

#[test]
fn a_new_client_by_polls_is_sent_again_what_it_did_not_acknowledge() {
    let chloe = Chloe::start(&[]);
    let mut client = chloe.connect();
    let connected = xhr_post(
        &mut client,
        r#"{"type":"connect","version":1,"positions":{}}"#,
    )
    .text();
    let session = session_of(&connected);
    let json: serde_json::Value = serde_json::from_str(&connected).unwrap();
    let all = json["channels"]["/all"]["position"]
        .as_str()
        .unwrap()
        .to_owned();
    chloe.send("data=1");
    chloe.send("data=2");
    let poll = |position: &str| {
        let json = format!(
            r#"{{"type":"poll","version":1,"sessionId":"{session}","wait":50,"positions":{{"/all":"{position}"}}}}"#
        );
        format!("/chloe/xhr/1?data={}", escape(&json))
    };
    for _ in 0..2 {
        let text = client.get(&poll(&all)).text();
        assert!(
            text.contains(r#""data":"1""#) && text.contains(r#""data":"2""#),
            "{text}"
        );
    }
    let epoch = all.split(':').next().unwrap();
    assert_eq!(
        client.get(&poll(&format!("{epoch}:2"))).text(),
        r#"{"messages":[]}"#
    );
}

#[test]
fn a_poll_without_limit_is_kept_alive_for_proxies_of_http_1_0_too() {
    let chloe = Chloe::start(&["poll_hold_ms=1000"]);
    let mut client = chloe.connect();
    let session = session_of(&xhr_post(&mut client, r#"{"type":"connect","version":1}"#).text());
    let poll = escape(&format!(
        r#"{{"type":"poll","version":1,"sessionId":"{session}"}}"#
    ));
    let request =
        format!("GET /chloe/xhr/1?data={poll} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client.write(request.as_bytes());
    let head = client.read_head();
    assert!(
        head.starts_with("HTTP/1.1 200 ") && !head.contains("chunked"),
        "{head}"
    );
    chloe.send("data=late");
    let body = String::from_utf8(client.read_to_end()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(
        body.starts_with(' ') && json["messages"][0]["data"] == "late",
        "{body}"
    );
}
