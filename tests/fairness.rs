//! Nobody's hunger keeps the others waiting: what a single call writes to one
//! connection is bounded, however fast its peer reads; answers and a fan-out take
//! turns; and what is published does not run ahead of its readers.

use std::fs::File;
use std::io::{self, Write};

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::{ConnKey, Peer, Server, Transmit};

/// A socket that takes everything.
#[derive(Default)]
struct Bottomless(usize);

impl Write for Bottomless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_large_file_to_a_fast_reader_is_written_over_many_turns() {
    const FILE_BYTES: usize = 32 << 20;
    let root = std::env::temp_dir().join(format!("chloe-fairness-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    let file = File::create(root.join("large.bin")).unwrap();
    file.set_len(FILE_BYTES as u64).unwrap();
    let config = Config {
        doc_root: root.clone(),
        ..Config::default()
    };
    let now = Time::default().plus(1_000);
    let mut server = Server::new(config, [1; 32], now);
    let peer = Peer::Tcp(([127, 0, 0, 1], 9).into());
    let key = server.handle_accept(now, peer).unwrap();
    let mut request = *b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";
    server.handle_received(now, key, &mut request);

    let (mut all_bytes, mut turns) = (0, 0);
    loop {
        assert_eq!(server.poll_transmit(now), Some(key));
        let mut socket = Bottomless::default();
        let done = server.transmit(now, key, &mut socket);
        assert!(socket.0 <= 2 << 20, "{} bytes in one turn", socket.0);
        all_bytes += socket.0;
        turns += 1;
        if done == Transmit::Idle {
            break;
        }
        assert_eq!(done, Transmit::More);
        assert_eq!(server.poll_transmit(now), None, "not again in this turn");
        server.handle_writable(key);
    }
    assert!(
        all_bytes > FILE_BYTES && turns > 8,
        "{all_bytes} in {turns}"
    );
    std::fs::remove_dir_all(root).unwrap();
}

const NOW: Time = Time {
    ms: 1_000,
    unix_ms: 1_700_000_000_000,
};

fn accept(server: &mut Server) -> ConnKey {
    let peer = Peer::Tcp(([127, 0, 0, 1], 9).into());
    server.handle_accept(NOW, peer).unwrap()
}

fn ask(server: &mut Server, key: ConnKey, request: &str) {
    server.handle_received(NOW, key, &mut request.as_bytes().to_vec());
}

/// A server with so many WebSockets, which have nothing to be written to them.
fn with_readers(config: Config, count: usize) -> (Server, Vec<ConnKey>) {
    let mut server = Server::new(config, [1; 32], NOW);
    let open = |server: &mut Server| {
        let key = accept(server);
        let handshake = "GET /chloe/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        ask(server, key, handshake);
        key
    };
    let readers = (0..count).map(|_| open(&mut server)).collect();
    while let Some(key) = server.poll_transmit(NOW) {
        write(&mut server, key);
    }
    (server, readers)
}

fn write(server: &mut Server, key: ConnKey) -> usize {
    let mut socket = Bottomless::default();
    assert_eq!(server.transmit(NOW, key, &mut socket), Transmit::Idle);
    socket.0
}

fn publish(server: &mut Server, key: ConnKey, channel: &str) {
    let body = format!("data={}&channel={channel}", "x".repeat(100));
    let length = body.len();
    let head =
        format!("POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    ask(server, key, &(head + &body));
}

#[test]
fn answers_and_a_fan_out_take_turns() {
    let (mut server, readers) = with_readers(Config::default(), 50);
    let publisher = accept(&mut server);
    publish(&mut server, publisher, "/all");
    let askers: Vec<_> = (0..20).map(|_| accept(&mut server)).collect();
    for &asker in &askers {
        ask(
            &mut server,
            asker,
            "GET /chloe/ping HTTP/1.1\r\nHost: localhost\r\n\r\n",
        );
    }
    let mut order = Vec::new();
    while let Some(key) = server.poll_transmit(NOW) {
        write(&mut server, key);
        order.push(readers.contains(&key));
    }
    assert_eq!(order.len(), 50 + 1 + 20);
    let beginning = &order[..42];
    let fan_out = beginning.iter().filter(|&&reader| reader).count();
    assert_eq!(fan_out, 21, "one of each: {beginning:?}");
}

#[test]
fn what_is_published_runs_ahead_of_its_readers_only_so_far() {
    let config = Config {
        fan_out_backlog_bytes: 1_024,
        ..Config::default()
    };
    let (mut server, readers) = with_readers(config, 10);
    let publisher = accept(&mut server);
    assert!(!server.is_held_back(publisher));
    // Nobody is subscribed to it, so nobody is ahead of anybody.
    for _ in 0..20 {
        publish(&mut server, publisher, "empty");
        assert!(!server.is_held_back(publisher));
    }
    let mut count = 0;
    while !server.is_held_back(publisher) {
        publish(&mut server, publisher, "/all");
        count += 1;
    }
    assert!((4..12).contains(&count), "{count} of 100 bytes each");
    // It alone is held back: who asks for something else is heard.
    let asker = accept(&mut server);
    assert!(!server.is_held_back(asker));
    ask(
        &mut server,
        asker,
        "GET /chloe/ping HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    assert!(!server.is_held_back(asker));
    assert!(!server.is_held_back(readers[0]));
    // It begins a round, and what comes during it is for the next.
    let mut met = Vec::new();
    while met.len() < readers.len() {
        let key = server.poll_transmit(NOW).unwrap();
        let written = write(&mut server, key);
        if readers.contains(&key) {
            met.push(key);
            assert!(written > 100 * count, "all of it at once");
            if met.len() == 5 {
                assert!(!server.is_held_back(publisher), "the round has begun");
                for _ in 0..count {
                    publish(&mut server, publisher, "/all");
                }
                assert!(server.is_held_back(publisher), "the next is full");
            }
        }
    }
    assert!(server.is_held_back(publisher));
    while let Some(key) = server.poll_transmit(NOW) {
        write(&mut server, key);
    }
    assert!(!server.is_held_back(publisher), "all is written");
}
