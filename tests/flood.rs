//! A flood of publications: it is held back at those who send it, and no reader
//! that keeps up loses any of it, however short the history is.

mod real;

use std::io::Write;
use std::thread;

use real::Chloe;

const PUBLISHERS: usize = 8;
const EACH: usize = 500;
const READERS: usize = 40;

/// What the settings leave between the two is the point: a fan-out that writes to one
/// reader a turn lets a megabyte in meanwhile, and the history is 64 KiB.
const SETTINGS: [&str; 4] = [
    "turn_writes=1",
    "turn_read_bytes=4096",
    "history_bytes=65536",
    "fan_out_backlog_bytes=8192",
];

fn requests(publisher: usize) -> Vec<u8> {
    let mut requests = Vec::new();
    for number in 0..EACH {
        let body = format!("data={publisher}:{number}:{}", "x".repeat(100));
        let length = body.len();
        write!(
            requests,
            "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
    }
    requests
}

#[test]
fn readers_that_keep_up_lose_nothing_of_a_flood() {
    let chloe = Chloe::start(&SETTINGS);
    let readers: Vec<_> = (0..READERS).map(|_| chloe.websocket()).collect();
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let mut client = chloe.connect();
            scope.spawn(move || {
                let mut stream = client.stream.try_clone().unwrap();
                let writer = thread::spawn(move || stream.write_all(&requests(publisher)));
                for _ in 0..EACH {
                    assert_eq!(client.read_answer().text(), "success");
                }
                writer.join().unwrap().unwrap();
            });
        }
        for mut reader in readers {
            scope.spawn(move || {
                let mut next = [0; PUBLISHERS];
                for _ in 0..PUBLISHERS * EACH {
                    let data = reader.data();
                    let mut parts = data.split(':').map(|part| part.parse().ok());
                    let publisher: usize = parts.next().flatten().unwrap();
                    assert_eq!(parts.next().flatten(), Some(next[publisher]), "{data}");
                    next[publisher] += 1;
                }
            });
        }
    });
}
