//! A page of another site, by the browser of a visitor who can reach Chloe: it may
//! have its own name point here, and may put anything into an image or a script tag.
//! On real sockets; Chromium does the same in `tests/browser/rebinding.test.mjs`.

mod real;

use real::{Answer, Chloe, escape};

const CONNECT: &str = r#"{"type":"connect","version":1,"id":1}"#;

/// What a page may try.
const TRIES: [&str; 7] = [
    "websocket",
    "xhr",
    "xhr, simple",
    "jsonp",
    "status",
    "channel",
    "send",
];

/// What comes of a try at `host`, with `fields` in the request.
fn attempt(chloe: &Chloe, what: &str, host: &str, fields: &str) -> Answer {
    let body = match what {
        "xhr" => format!("data={CONNECT}"),
        "send" => "data=x".to_owned(),
        _ => String::new(),
    };
    let (line, more) = match what {
        "websocket" => (
            "GET /chloe/websocket",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ),
        "xhr" => ("POST /chloe/xhr", ""),
        "xhr, simple" => (&*format!("GET /chloe/xhr?data={}", escape(CONNECT)), ""),
        "jsonp" => (
            &*format!("GET /chloe/jsonp.js?data={}", escape(CONNECT)),
            "",
        ),
        "status" => ("GET /chloe/status", ""),
        "channel" => ("GET /channels/x", ""),
        "send" => ("POST /send", ""),
        path => (path, ""),
    };
    let length = body.len();
    let mut client = chloe.connect();
    client.write(
        format!("{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{more}{fields}\r\n{body}")
            .as_bytes(),
    );
    client.read_answer()
}

/// Whether a session was opened, or the answer given.
fn succeeds(answer: &Answer) -> bool {
    match answer.status {
        101 => true,
        // JSONP refuses with a script.
        200 => !answer.text().contains(r#""type":"error""#),
        _ => false,
    }
}

#[test]
fn a_page_that_has_its_name_point_here_gets_nothing() {
    let chloe = Chloe::start(&["server_names="]);
    let own = |host: &str| format!("Origin: http://{host}\r\n");
    for host in [
        "evil.example",
        "evil.example:8901",
        "127.0.0.1.evil.example",
        "chloe",
    ] {
        for what in TRIES {
            // A GET of a page's own site has no Origin, all else has this one.
            for fields in [String::new(), own(host)] {
                let answer = attempt(&chloe, what, host, &fields);
                assert!(!succeeds(&answer), "{what} {host} {fields}: {answer:?}");
                let text = answer.text();
                let expected = if what == "jsonp" { 200 } else { 403 };
                assert_eq!(answer.status, expected, "{what} {host}: {text}");
                assert!(text.contains("server_names"), "{what} {host}: {text}");
            }
        }
    }
    // What a page gets by its address or as localhost, it gets.
    for host in ["127.0.0.1:8901", "localhost", "[::1]:1"] {
        for what in TRIES {
            let answer = attempt(&chloe, what, host, &own(host));
            assert!(succeeds(&answer), "{what} {host}: {answer:?}");
        }
    }
}

#[test]
fn a_name_is_known_by_the_settings() {
    let chloe = Chloe::start(&[
        "server_names=box.lan",
        "application_server=http://app.example",
        "allowed_origins=https://*.more.example",
    ]);
    for host in [
        "box.lan:8901",
        "app.example",
        "localhost:4567",
        "x.more.example",
    ] {
        for what in TRIES {
            let answer = attempt(&chloe, what, host, "");
            assert!(succeeds(&answer), "{what} {host}: {answer:?}");
        }
    }
    // With a secret it is the signature that counts, whatever the name.
    let signed = Chloe::start(&["server_names=", "secret=trotter"]);
    let bearer = "Authorization: Bearer trotter\r\n";
    for what in ["status", "channel", "send"] {
        let answer = attempt(&signed, what, "chloe.default.svc", bearer);
        assert!(succeeds(&answer), "{what}: {answer:?}");
        assert_eq!(attempt(&signed, what, "evil.example", "").status, 401);
    }
}

#[test]
fn a_visitor_from_afar_uses_any_name_and_one_in_the_network_does_not() {
    let chloe = Chloe::start(&["server_names="]);
    let transports = &TRIES[..4];
    for (fields, passes) in [
        ("X-Forwarded-For: 203.0.113.9\r\n", true),
        ("X-Forwarded-For: 2001:db8::9\r\n", true),
        ("Forwarded: for=203.0.113.9\r\n", true),
        ("X-Forwarded-For: 192.168.1.9\r\n", false),
        ("X-Forwarded-For: 203.0.113.9, 192.168.1.9\r\n", false),
        ("X-Forwarded-For: fd00::9\r\n", false),
        ("X-Forwarded-For: nonsense\r\n", false),
        ("X-Real-IP: 203.0.113.9\r\n", false),
    ] {
        for what in transports {
            let answer = attempt(&chloe, what, "site.example", fields);
            assert_eq!(succeeds(&answer), passes, "{what} {fields}: {answer:?}");
        }
        // The app's side asks it of everyone, and takes nothing from a proxy.
        for what in &TRIES[4..] {
            assert_eq!(attempt(&chloe, what, "site.example", fields).status, 403);
        }
    }
}

#[test]
fn a_script_that_says_it_comes_from_afar_is_not_believed_on_chloes_own_port() {
    let chloe = Chloe::start(&["server_names="]);
    let port = chloe.address.port();
    let afar = "X-Forwarded-For: 203.0.113.9\r\n";
    for what in ["xhr", "xhr, simple"] {
        let rebound = attempt(&chloe, what, &format!("evil.example:{port}"), afar);
        assert_eq!(rebound.status, 403, "{what}");
        assert!(
            succeeds(&attempt(&chloe, what, "site.example", afar)),
            "{what}"
        );
    }
}

#[test]
fn files_are_kept_from_it_and_what_is_no_secret_is_not() {
    let folder = std::env::temp_dir().join(format!("chloe-rebinding-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("plan.txt"), "inside").unwrap();
    let chloe = Chloe::start(&["server_names=", &format!("doc_root={}", folder.display())]);
    let refused = attempt(&chloe, "GET /plan.txt", "evil.example", "");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("server_names"));
    assert_eq!(
        attempt(&chloe, "GET /plan.txt", "localhost", "").text(),
        "inside"
    );
    // The client tells a page why it is refused, and a probe calls by any name.
    for path in ["GET /chloe.js", "GET /chloe/ping"] {
        assert_eq!(
            attempt(&chloe, path, "evil.example", "").status,
            200,
            "{path}"
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_image_or_a_script_tag_of_another_site_gets_nothing() {
    let chloe = Chloe::start(&["server_names="]);
    let (image, typed) = ("Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: none\r\n");
    for what in TRIES {
        let answer = attempt(&chloe, what, "localhost", image);
        assert!(!succeeds(&answer), "{what}: {answer:?}");
        assert!(
            succeeds(&attempt(&chloe, what, "localhost", typed)),
            "{what}"
        );
    }
    // The app's own page, on another site than Chloe.
    let named = "Referer: http://localhost:4567/\r\nSec-Fetch-Site: cross-site\r\n";
    assert!(succeeds(&attempt(&chloe, "jsonp", "localhost", named)));
    // No channel was made of it.
    let status = attempt(&chloe, "status", "localhost", "").text();
    assert!(
        status.contains("\"channels\": 1"),
        "/all alone, as nobody makes a channel by asking: {status}"
    );
    // A page without an origin is refused by each transport alike.
    for what in &TRIES[..4] {
        let null = attempt(&chloe, what, "localhost", "Origin: null\r\n");
        assert!(!succeeds(&null), "{what}: {null:?}");
    }
    let open = Chloe::start(&["allowed_origins=*", "server_names="]);
    for what in &TRIES[..4] {
        for fields in [image, "Origin: null\r\n", "Origin: https://any.example\r\n"] {
            let answer = attempt(&open, what, "evil.example", fields);
            assert!(succeeds(&answer), "{what} {fields}: {answer:?}");
        }
    }
}
