//! The app's side over real sockets: JSON, batches, keys, signatures, positions.

mod real;

use std::time::SystemTime;

use chloe::wire::signature::Secret;
use real::{Answer, Chloe, Client, escape};
use serde_json::{Value, json};

const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

fn post(client: &mut Client, fields: &str, body: &str) -> Answer {
    let length = body.len();
    client.write(
        format!(
            "POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
        )
        .as_bytes(),
    );
    client.read_answer()
}

fn get(client: &mut Client, target: &str, fields: &str) -> Answer {
    client.write(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").as_bytes());
    client.read_answer()
}

fn parsed(answer: &Answer) -> Value {
    assert_eq!(answer.field("Content-Type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

/// Publishes JSON that is taken, and returns the answer.
fn sent(client: &mut Client, value: &Value) -> Value {
    let answer = post(client, JSON, &value.to_string());
    assert_eq!(answer.status, 200, "{value}: {}", answer.text());
    let parsed = parsed(&answer);
    assert_eq!(parsed["ok"], true);
    parsed
}

fn refused(answer: &Answer, status: u16, code: &str) -> String {
    let parsed = parsed(answer);
    assert_eq!(
        (answer.status, parsed["error"]["code"].as_str()),
        (status, Some(code)),
        "{parsed}"
    );
    assert_eq!(parsed["ok"], false);
    parsed["error"]["message"].as_str().unwrap().to_owned()
}

fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// The fields of a request that is signed by Standard Webhooks.
fn signed(secret: &str, id: &str, at_s: u64, body: &str) -> String {
    let secret = Secret::new(secret).unwrap();
    let signature = secret.sign_v1(id, at_s, body.as_bytes());
    format!("webhook-id: {id}\r\nwebhook-timestamp: {at_s}\r\nwebhook-signature: {signature}\r\n")
}

#[test]
fn data_of_any_kind_is_delivered_as_it_is() {
    let chloe = Chloe::start(&[]);
    let (mut app, mut page) = (chloe.connect(), chloe.websocket());
    let deep = format!("{}{}", "[".repeat(127), "]".repeat(127));
    for data in [
        "\"text <b>\"",
        "\"\"",
        "null",
        "true",
        "-1.50e3",
        "[1,{\"a\":\"</script>\"}]",
    ] {
        let body = format!(r#"{{"data":{data}}}"#);
        let answer = post(
            &mut app,
            "Content-Type: application/json; charset=utf-8\r\n",
            &body,
        );
        let answer = parsed(&answer);
        assert_eq!(answer["channels"]["/all"]["subscribers"], 1);
        let delivered = page.json();
        assert_eq!(
            delivered["data"],
            serde_json::from_str::<Value>(data).unwrap()
        );
        assert_eq!(delivered["offset"], answer["channels"]["/all"]["offset"]);
    }
    let answer = post(&mut app, JSON, &format!(r#"{{"data":{deep}}}"#));
    assert_eq!(answer.status, 200, "deep nesting costs nothing");
    match page.read() {
        real::Frame::Text(text) => assert!(text.contains(&deep)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_object_goes_to_channels_or_to_one_session() {
    let chloe = Chloe::start(&[]);
    let (mut app, mut page, mut other) = (chloe.connect(), chloe.websocket(), chloe.websocket());
    page.text(r#"{"type":"connect","version":1,"positions":{}}"#);
    let session = page.json()["sessionId"].clone();
    page.text(r#"{"type":"channel-subscribe","channel":"a","id":1}"#);
    page.json();
    let answer = sent(&mut app, &json!({"channels": ["a", "b", "a"], "data": 1}));
    let channels = answer["channels"].as_object().unwrap();
    assert_eq!(channels.len(), 2);
    assert_eq!(
        (&channels["a"]["subscribers"], &channels["b"]["subscribers"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        channels["a"]["offset"], 1,
        "a channel named twice hears it once"
    );
    let answer = sent(
        &mut app,
        &json!({"channel": "for you", "session": session, "data": {"x": 1}}),
    );
    assert_eq!(answer["channels"]["for you"]["subscribers"], 1);
    assert_eq!(page.json()["channel"], "a");
    let direct = page.json();
    assert_eq!(
        (&direct["channel"], &direct["direct"], &direct["data"]["x"]),
        (&json!("for you"), &json!(true), &json!(1))
    );
    sent(&mut app, &json!({"data": "all"}));
    assert_eq!(other.data(), "all", "and nothing before it");
    let answer = post(&mut app, JSON, r#"{"session":"1","data":1}"#);
    refused(&answer, 404, "unknown_session");
}

#[test]
fn a_batch_is_published_in_order_or_not_at_all() {
    let chloe = Chloe::start(&["send_publications_max=4", "channels_max=4"]);
    let (mut app, mut page) = (chloe.connect(), chloe.websocket());
    let batch = json!([{"data": "1"}, {"data": "2", "channel": "a"}, {"data": "3"}]);
    let answer = sent(&mut app, &batch);
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    assert_eq!(results[0]["channels"]["/all"]["offset"], 1);
    assert_eq!(results[1]["channels"]["a"]["offset"], 1);
    assert_eq!(results[2]["channels"]["/all"]["offset"], 2);
    assert_eq!((page.data(), page.data()), ("1".to_owned(), "3".to_owned()));
    assert_eq!(sent(&mut app, &json!([]))["results"], json!([]));
    // With /all there are as many as there may be, each with a reader.
    let mut reader = chloe.websocket();
    for channel in ["a", "b", "c"] {
        reader.text(&json!({"type": "channel-subscribe", "channel": channel, "id": 1}).to_string());
        assert_eq!(reader.json()["type"], "subscribed");
    }
    for (bad, status, code, said) in [
        (
            json!([{"data": "x"}, {"chanel": "a", "data": 1}]),
            400,
            "unknown_key",
            "Number 2",
        ),
        (
            json!([{"data": "x"}, {"channel": "", "data": 1}]),
            400,
            "channel_name",
            "Number 2",
        ),
        (
            json!([{"data": "x"}, {"session": "s", "data": 1}]),
            404,
            "unknown_session",
            "Number 2",
        ),
        (
            json!([{"data": "x"}, {"channels": ["b", "c", "d"], "data": 1}]),
            503,
            "channels_max",
            "4 channels",
        ),
        (
            json!([{"data": "x"}, {"channels": ["a", "b", "c", "d"], "data": 1}]),
            413,
            "too_many_publications",
            "more than 4",
        ),
        (
            json!([{"data": "x", "id": 1}, {"data": "y", "id": 1}]),
            422,
            "key_reused",
            "Number 2",
        ),
    ] {
        let answer = post(&mut app, JSON, &bad.to_string());
        let message = refused(&answer, status, code);
        assert!(message.contains(said), "{bad}: {message}");
    }
    let answer = post(&mut app, JSON, "[{\"data\":\"x\"},");
    assert!(refused(&answer, 400, "bad_json").contains("(line 1, column 14)"));
    let many = format!(
        "channel={}&data=x",
        ["a", "b", "c", "d", "e"].join("&channel=")
    );
    let answer = post(&mut app, FORM, &many);
    assert_eq!(answer.status, 413, "a form has the same limit");
    chloe.send("data=after");
    assert_eq!(page.data(), "after", "nothing of any of them was published");
}

#[test]
fn a_repeated_key_is_answered_as_before_and_published_once() {
    let chloe = Chloe::start(&[]);
    let (mut app, mut page) = (chloe.connect(), chloe.websocket());
    let keyed = format!("{JSON}Idempotency-Key: \"k-1\"\r\n");
    let first = post(&mut app, &keyed, r#"[{"data":"1"},{"data":"2"}]"#);
    assert_eq!(
        (first.status, first.field("Idempotency-Replayed")),
        (200, None)
    );
    let again = post(
        &mut chloe.connect(),
        &keyed,
        r#"[{"data":"1"},{"data":"2"}]"#,
    );
    assert_eq!(
        (again.status, again.field("Idempotency-Replayed")),
        (200, Some("true"))
    );
    assert_eq!(again.body, first.body);
    let other = post(&mut app, &keyed, r#"[{"data":"1"}]"#);
    assert!(refused(&other, 422, "key_reused").contains("Idempotency-Key"));
    // A form has a key as well; what was refused is not remembered.
    let keyed = format!("{FORM}Idempotency-Key: k-2\r\n");
    assert_eq!(post(&mut app, &keyed, "channel=").status, 400);
    for _ in 0..2 {
        let answer = post(&mut app, &keyed, "data=3");
        assert_eq!((answer.status, answer.text().as_str()), (200, "success"));
    }
    // The id of an object, alone, in a batch, and twice in one.
    let four = json!({"data": "4", "id": "m"});
    let alone = sent(&mut app, &four);
    let batch = sent(
        &mut app,
        &json!([{"data": "5"}, four, {"data": "6", "id": 6}, {"data": "6", "id": 6}]),
    );
    assert_eq!(batch["results"][1]["channels"], alone["channels"]);
    assert_eq!(batch["results"][2], batch["results"][3]);
    let other = post(&mut app, JSON, r#"{"data":"4","id":"m","channel":"a"}"#);
    refused(&other, 422, "key_reused");
    let long = format!("{JSON}Idempotency-Key: {}\r\n", "k".repeat(256));
    refused(&post(&mut app, &long, r#"{"data":1}"#), 400, "bad_key");
    chloe.send("data=7");
    let heard: String = (0..7).map(|_| page.data()).collect();
    assert_eq!(heard, "1234567");
}

#[test]
fn keys_are_forgotten_beyond_their_number() {
    let chloe = Chloe::start(&["idempotency_keys_max=2"]);
    let (mut app, mut page) = (chloe.connect(), chloe.websocket());
    for id in ["a", "b", "c", "a", "c"] {
        sent(&mut app, &json!({"data": id, "id": id}));
    }
    sent(&mut app, &json!({"data": "end"}));
    let heard: Vec<String> = (0..5).map(|_| page.data()).collect();
    assert_eq!(heard, ["a", "b", "c", "a", "end"]);
}

#[test]
fn json_is_signed_by_bearer_or_webhook_and_a_replay_is_not_sent_twice() {
    let chloe = Chloe::start(&["secret=open sesame", "idempotency_keys_max=3"]);
    let (mut app, mut page) = (chloe.connect(), chloe.websocket());
    let body = r#"{"data":"1"}"#;
    refused(&post(&mut app, JSON, body), 401, "unauthenticated");
    for (token, status) in [("open sesame", 200), ("open", 401)] {
        let fields = format!("{JSON}Authorization: Bearer {token}\r\n");
        assert_eq!(post(&mut app, &fields, body).status, status);
    }
    let now_s = now_s();
    let fields = signed("open sesame", "msg_1", now_s, body);
    let first = post(&mut app, &format!("{JSON}{fields}"), body);
    assert_eq!(first.status, 200, "{}", first.text());
    // Neither alone nor under a key that the signature does not cover.
    for extra in ["", "Idempotency-Key: mallory\r\n"] {
        let again = post(&mut app, &format!("{JSON}{fields}{extra}"), body);
        assert_eq!((again.status, &again.body), (200, &first.body));
        assert_eq!(again.field("Idempotency-Replayed"), Some("true"));
    }
    // A retry that signs again is the same, too.
    let fields = signed("open sesame", "msg_1", now_s - 1, body);
    let again = post(&mut app, &format!("{JSON}{fields}"), body);
    assert_eq!(again.body, first.body);
    for (fields, what) in [
        (
            signed("open sesame", "msg_2", now_s - 400, body),
            "300 seconds",
        ),
        (signed("other", "msg_2", now_s, body), "No signature"),
        (signed("open sesame", "msg_2", now_s, "{}"), "No signature"),
    ] {
        let answer = post(&mut app, &format!("{JSON}{fields}"), body);
        assert!(refused(&answer, 401, "signature").contains(what), "{what}");
    }
    let other = r#"{"data":"x"}"#;
    let fields = signed("open sesame", "msg_1", now_s, other);
    refused(
        &post(&mut app, &format!("{JSON}{fields}"), other),
        422,
        "key_reused",
    );
    // Forms are signed the same way; a crowd of them makes the first forgotten,
    // and then its replay is refused.
    for number in 2..6 {
        let body = format!("data={number}");
        let fields = signed("open sesame", &format!("msg_{number}"), now_s + 1, &body);
        assert_eq!(
            post(&mut app, &format!("{FORM}{fields}"), &body).status,
            200
        );
    }
    let fields = signed("open sesame", "msg_1", now_s, body);
    let replay = post(&mut app, &format!("{JSON}{fields}"), body);
    assert!(refused(&replay, 401, "signature").contains("replay"));
    let heard: String = (0..6).map(|_| page.data()).collect();
    assert_eq!(heard, "112345");
}

#[test]
fn the_signature_of_old_is_taken_unless_it_is_switched_off() {
    for (setting, status, said) in [
        ("allow_md5=true", 200, "success"),
        ("allow_md5=false", 401, "allow_md5 = true"),
    ] {
        let chloe = Chloe::start(&["secret=trotter", setting]);
        let mut app = chloe.connect();
        let body = "data=hello&sig=d64b83e0575bcaac782ba21faf087d60";
        let answer = post(&mut app, FORM, body);
        assert_eq!(answer.status, status);
        assert!(answer.text().contains(said), "{}", answer.text());
        let forged = post(
            &mut app,
            FORM,
            "data=hullo&sig=d64b83e0575bcaac782ba21faf087d60",
        );
        assert_eq!(forged.status, 401);
        // Another way to sign is taken beside it.
        let fields = format!("{FORM}Authorization: Bearer trotter\r\n");
        assert_eq!(post(&mut app, &fields, body).status, 200);
    }
}

#[test]
fn a_position_is_told_from_which_nothing_is_missed() {
    let chloe = Chloe::start(&["channels_max=3"]);
    let mut app = chloe.connect();
    let answer = get(&mut app, "/channels/new%2Fs%20%C3%A9", "");
    assert_eq!(answer.field("Cache-Control"), Some("no-store"));
    // Nobody knows it: the position is the server's own, and the question makes no channel.
    let before = parsed(&answer);
    let position = before["position"].as_str().unwrap();
    let told = json!({"channel": "new/s é", "position": position});
    assert_eq!(before, told);
    let (life, sequence) = position.split_once('-').unwrap();
    assert_eq!((life.len(), sequence), (10, "0"));
    assert!(
        get(&mut app, "/chloe/status", "")
            .text()
            .contains("\"channels\": 0")
    );
    sent(&mut app, &json!({"channel": "new/s é", "data": "between"}));
    // The page was rendered with the position, and comes now.
    let mut page = chloe.websocket();
    page.text(
        &json!({"type": "channel-subscribe", "channel": "new/s é", "since": position, "id": 1})
            .to_string(),
    );
    let messages = [page.json(), page.json()];
    let standing = messages
        .iter()
        .find(|message| message["type"] == "subscribed")
        .unwrap();
    assert_eq!(standing["recovered"], true);
    assert!(messages.iter().any(|message| message["data"] == "between"));
    let after = parsed(&get(&mut app, "/channels/new/s%20%C3%A9?x", ""));
    assert_eq!(
        (&after["offset"], &after["subscribers"]),
        (&json!(1), &json!(1))
    );
    // The name is the whole rest of the path.
    assert_eq!(
        parsed(&get(&mut app, "/channels//all", ""))["channel"],
        "/all"
    );
    // A position is good for the other channels as well, in either spelling.
    let epoch = after["epoch"].as_str().unwrap();
    for (since, channel, recovered) in [
        (format!("{life}-1"), "other", true),
        (format!("{life}-0"), "new/s é", true),
        (format!("{epoch}:1"), "new/s é", true),
        (format!("{life}-2"), "other", false),
        ("0123456789-0".to_owned(), "other", false),
    ] {
        let message =
            json!({"type": "channel-subscribe", "channel": channel, "since": since, "id": 2});
        page.text(&message.to_string());
        let told = std::iter::repeat_with(|| page.json()).find(|told| told["type"] == "subscribed");
        assert_eq!(told.unwrap()["recovered"], recovered, "{since}");
    }
    page.text(r#"{"type":"channel-subscribe","channel":"other","since":"12-3","id":3}"#);
    let told = std::iter::repeat_with(|| page.json()).find(|told| told["type"] == "error");
    assert_eq!(told.unwrap()["code"], "bad_position");
    for name in ["", "%", "%ff", "/session", &"x".repeat(256)] {
        let answer = get(
            &mut app,
            &format!("/channels/{name}"),
            "Accept: application/json\r\n",
        );
        refused(&answer, 400, "channel_name");
    }
    let answer = app.post("/channels/a", "data=1");
    assert_eq!(
        (answer.status, answer.field("Allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

#[test]
fn a_position_is_told_to_those_who_may_publish() {
    let chloe = Chloe::start(&["secret=s"]);
    let mut app = chloe.connect();
    assert_eq!(get(&mut app, "/channels/a", "").status, 401);
    assert_eq!(
        get(&mut app, "/channels/a", "Authorization: Bearer s\r\n").status,
        200
    );
    let fields = signed("s", "get_1", now_s(), "");
    let v1 = get(&mut app, "/channels/a", &fields);
    assert_eq!(v1.status, 401, "v1 covers no target");
    let open = Chloe::start(&[]);
    let foreign = get(
        &mut open.connect(),
        "/channels/a",
        "Origin: http://evil.example\r\n",
    );
    assert_eq!(foreign.status, 403);
}

#[test]
fn json_reaches_pages_of_old_by_every_way() {
    let chloe = Chloe::start(&[]);
    let (mut app, mut page) = (chloe.connect(), chloe.connect());
    let connect = escape(r#"{"type":"connect","version":1}"#);
    let opened = page.post("/chloe/xhr", &format!("data={connect}")).text();
    let opened: Value = serde_json::from_str(&opened).unwrap();
    sent(&mut app, &json!({"data": {"a": "</script>\u{2028}"}}));
    let poll = json!({"type": "poll", "version": 1, "sessionId": opened["sessionId"]});
    let target = format!("/chloe/xhr/1?data={}", escape(&poll.to_string()));
    let text = page.get(&target).text();
    assert!(!text.contains('<') && !text.contains('\u{2028}'), "{text}");
    let polled: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(polled["messages"][0]["data"]["a"], "</script>\u{2028}");
}
