//! The webhook to a real app that is slow, down, wrong, or gone.

mod real;

use std::net::TcpListener;

use real::{App, Chloe, WebSocket};

fn say(page: &mut WebSocket, data: &str) {
    page.text(&format!(
        r#"{{"type":"message","data":"{data}","version":1}}"#
    ));
}

fn ask(page: &mut WebSocket, id: u32, data: &str) {
    page.text(&format!(
        r#"{{"type":"message","id":{id},"data":"{data}","version":1}}"#
    ));
}

#[test]
fn a_slow_app_gets_the_messages_of_a_session_one_after_the_other() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting()]);
    let (mut slow, mut other) = (chloe.websocket(), chloe.websocket());
    for number in 0..20 {
        say(&mut slow, &format!("s{number}"));
    }
    let first = app.next();
    assert_eq!(first.body, "s0");
    say(&mut other, "o");
    let bystander = app.next();
    assert_eq!(bystander.body, "o", "another session does not wait");
    bystander.ok(&app);
    first.ok(&app);
    for number in 1..20 {
        let asked = app.next();
        assert_eq!(asked.body, format!("s{number}"));
        asked.ok(&app);
    }
}

#[test]
fn an_app_that_is_down_gets_everything_when_it_comes_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("application_server_url=http://{address}/updates");
    let chloe = Chloe::start(&[&url, "webhook_retry_min_ms=20", "webhook_retry_max_ms=100"]);
    let mut page = chloe.websocket();
    for number in 0..10u32 {
        ask(&mut page, number, &format!("m{number}"));
    }
    let app = App::on(TcpListener::bind(address).unwrap());
    for number in 0..10u32 {
        let asked = app.next();
        assert_eq!(asked.body, format!("m{number}"));
        asked.ok(&app);
        let answer = page.json();
        assert_eq!(
            (answer["type"].as_str(), answer["id"].as_u64()),
            (Some("accepted"), Some(u64::from(number)))
        );
    }
}

#[test]
fn an_app_that_errs_is_asked_again_and_one_that_says_no_is_not() {
    let app = App::start();
    let chloe = Chloe::start(&[
        &app.setting(),
        "webhook_retry_min_ms=20",
        "webhook_retry_max_ms=100",
    ]);
    let mut page = chloe.websocket();
    ask(&mut page, 1, "one");
    ask(&mut page, 2, "two");
    let asked = app.next();
    let id = asked.field("webhook-id").unwrap().to_owned();
    asked.answer(&app, "500 Oops", "");
    let again = app.next();
    assert_eq!(
        (again.body.as_str(), again.field("webhook-id")),
        ("one", Some(id.as_str()))
    );
    again.answer(&app, "422 No", "");
    let answer = page.json();
    assert_eq!(
        (answer["type"].as_str(), answer["code"].as_str()),
        (Some("error"), Some("app_rejected"))
    );
    let next = app.next();
    assert_eq!(
        next.body, "two",
        "a message that is refused holds up nobody"
    );
    next.answer(
        &app,
        "200 OK\r\nContent-Type: application/json",
        r#"{"saved":7}"#,
    );
    assert_eq!(page.json()["answer"]["saved"], 7);
}

#[test]
fn an_app_that_closes_early_gets_the_message_again() {
    let app = App::start();
    let chloe = Chloe::start(&[
        &app.setting(),
        "webhook_retry_min_ms=20",
        "webhook_retry_max_ms=100",
    ]);
    let mut page = chloe.websocket();
    ask(&mut page, 1, "persistent");
    for _ in 0..3 {
        drop(app.next());
    }
    let asked = app.next();
    assert_eq!(asked.body, "persistent");
    asked.ok(&app);
    assert_eq!(page.json()["type"], "accepted");
}

#[test]
fn an_app_that_never_answers_is_given_up_in_time_and_the_sender_told() {
    let app = App::start();
    let chloe = Chloe::start(&[
        &app.setting(),
        "webhook_timeout_ms=200",
        "webhook_retry_min_ms=20",
        "webhook_retry_max_ms=100",
        "webhook_give_up_ms=1000",
    ]);
    let mut page = chloe.websocket();
    ask(&mut page, 9, "hello?");
    let answer = page.json();
    assert_eq!(
        (
            answer["code"].as_str(),
            answer["temporary"].as_bool(),
            answer["id"].as_u64()
        ),
        (Some("app_unavailable"), Some(true), Some(9))
    );
    assert!(app.next().body == "hello?");
}

#[test]
fn with_a_secret_the_app_can_verify_what_it_gets() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting(), "secret=swordfish", "allow_md5=true"]);
    let mut page = chloe.websocket();
    say(&mut page, "trotter");
    let asked = app.next();
    let secret = chloe::wire::signature::Secret::new("swordfish").unwrap();
    assert_eq!(
        asked.field("x-chloe-signature"),
        Some(secret.md5_hex(b"trotter").as_str())
    );
    let (id, time) = (
        asked.field("webhook-id").unwrap(),
        asked.field("webhook-timestamp").unwrap(),
    );
    // As the libraries of Standard Webhooks read it: what they do not know is skipped.
    let signature = secret.sign_v1(id, time.parse().unwrap(), b"trotter");
    let all = asked.field("webhook-signature").unwrap();
    assert!(all.split(' ').any(|one| one == signature), "{all}");
    asked.ok(&app);
}

#[test]
fn a_full_webhook_queue_slows_its_senders_down_and_loses_nothing() {
    let app = App::start();
    let chloe = Chloe::start(&[&app.setting(), "webhook_queue_messages=8"]);
    let mut page = chloe.websocket();
    let mut writer = page.client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let mut frames = Vec::new();
        for number in 0..500 {
            let text = format!(r#"{{"type":"message","data":"{number}","version":1}}"#);
            chloe::wire::websocket::encode_masked_frame(
                &mut frames,
                chloe::wire::websocket::Opcode::Text,
                text.as_bytes(),
                [1, 2, 3, 4],
            );
        }
        std::io::Write::write_all(&mut writer, &frames).unwrap();
    });
    for number in 0..500 {
        let asked = app.next();
        assert_eq!(asked.body, number.to_string());
        asked.ok(&app);
    }
    sender.join().unwrap();
    chloe.send("data=done");
    assert_eq!(page.data(), "done", "nobody was told of an error");
}
