//! What is late is ended, whatever else it was in the middle of; what came in
//! time is answered.

mod driven;

use chloe::server::Action;
use driven::{Driven, Stuck};

#[test]
fn a_request_cut_short_does_not_save_a_peer_that_reads_nothing() {
    let mut driven = Driven::new();
    let key = driven.receive("GET /chloe.js HTTP/1.1\r\nHost: a\r\n\r\nGET / HT");
    driven.flush(&mut Stuck);
    let passed_ms = driven.time_until_closed_ms(key);
    assert!(passed_ms <= 31_000, "closed after {passed_ms} ms");
}

#[test]
fn a_request_that_was_on_its_way_when_the_server_stopped_is_answered() {
    let mut driven = Driven::new();
    let request = "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\ndata=x";
    let (first, rest) = request.split_at(request.len() - 2);
    let key = driven.receive(first);
    driven.server.handle_shutdown(driven.now);
    let mut rest = rest.as_bytes().to_vec();
    driven.server.handle_received(driven.now, key, &mut rest);
    let mut answer = Vec::new();
    driven.flush(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    assert!(answer.contains("Connection: close"), "{answer:?}");
    assert_eq!(driven.server.poll_action(), Some(Action::Close { key }));
    assert!(driven.server.is_drained());
}

#[test]
fn a_poll_of_an_old_page_that_comes_while_the_server_stops_gets_an_empty_script() {
    let mut driven = Driven::new();
    let request = "GET /chloe/jsonp.js?data=%7B%22type%22:%22poll%22,%22id%22:1%7D HTTP/1.1\r\nHost: a\r\n\r\n";
    let (first, rest) = request.split_at(request.len() - 2);
    let key = driven.receive(first);
    driven.server.handle_shutdown(driven.now);
    let mut rest = rest.as_bytes().to_vec();
    driven.server.handle_received(driven.now, key, &mut rest);
    let mut answer = Vec::new();
    driven.flush(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    assert!(answer.ends_with("\r\n\r\n"), "it would throw: {answer:?}");
}

#[test]
fn a_socket_that_was_idle_has_the_whole_time_to_take_what_comes() {
    let mut driven = Driven::new();
    let key = driven.receive(
        "GET /chloe/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    driven.flush(&mut Vec::new());
    // The ping finds the socket full, of deliveries that it has taken before.
    driven.skip(26_000);
    driven.flush(&mut Stuck);
    let passed_ms = driven.time_until_closed_ms(key);
    assert!(passed_ms >= 15_000, "closed after {passed_ms} ms");
}

#[test]
fn who_took_an_answer_slowly_may_be_idle_from_its_end_on() {
    let mut driven = Driven::with(|config| {
        config.idle_timeout_ms = 1_000;
        config.write_timeout_ms = 10_000;
    });
    let key = driven.receive("GET /chloe/ping HTTP/1.1\r\nHost: a\r\n\r\n");
    driven.flush(&mut Stuck);
    driven.skip(5_000);
    driven.server.handle_writable(key);
    driven.flush(&mut Vec::new());
    let closed_after_ms = driven.time_until_closed_ms(key);
    assert!(
        (1_000..1_100).contains(&closed_after_ms),
        "{closed_after_ms}"
    );
}
