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

/// What readers of `/all` got, in which order whatever the publishers.
fn read_numbers(reader: &mut real::WebSocket, count: usize) -> Vec<usize> {
    (0..count).map(|_| reader.data().parse().unwrap()).collect()
}

#[test]
fn a_long_list_reaches_everybody_without_any_history() {
    const COUNT: usize = 1_000;
    let chloe = Chloe::start(&["history_size=1"]);
    let mut readers: Vec<_> = (0..10).map(|_| chloe.websocket()).collect();
    let list: Vec<_> = (0..COUNT)
        .map(|n| format!("{{\"data\":\"{n}\"}}"))
        .collect();
    let body = format!("[{}]", list.join(","));
    let mut client = chloe.connect();
    let head = "POST /send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json";
    let length = body.len();
    client.write(format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes());
    assert_eq!(client.read_answer().status, 200);
    for reader in &mut readers {
        assert!(read_numbers(reader, COUNT).into_iter().eq(0..COUNT));
    }
}

/// As scripts publish: a connection for each publication, and many at a time.
#[test]
fn publishers_on_new_connections_wait_for_the_readers_as_well() {
    const EACH: usize = 250;
    let chloe = Chloe::start(&[
        "turn_writes=1",
        "history_size=1",
        "fan_out_backlog_bytes=2048",
    ]);
    let mut readers: Vec<_> = (0..20).map(|_| chloe.websocket()).collect();
    thread::scope(|scope| {
        for _ in 0..PUBLISHERS {
            scope.spawn(|| {
                for number in 0..EACH {
                    let mut client = chloe.connect();
                    let filler = "x".repeat(400);
                    let body = format!("data={number}-{filler}");
                    let head = "POST /send HTTP/1.1\r\nHost: localhost\r\nConnection: close";
                    let length = body.len();
                    let request = format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}");
                    client.write(request.as_bytes());
                    assert_eq!(client.read_answer().text(), "success");
                }
            });
        }
        for reader in &mut readers {
            scope.spawn(move || {
                let mut seen = [0; EACH];
                for _ in 0..PUBLISHERS * EACH {
                    let data = reader.data();
                    let number: usize = data.split('-').next().unwrap().parse().unwrap();
                    seen[number] += 1;
                }
                assert_eq!(seen, [PUBLISHERS; EACH], "each of them, once");
            });
        }
    });
}

/// The history of the example in etc/chloe.toml, and a flood of five times as much.
#[test]
fn publishers_in_a_row_outrun_no_reader() {
    const COUNT: usize = 5_000;
    let chloe = Chloe::start(&["history_size=1000"]);
    let mut readers: Vec<_> = (0..20).map(|_| chloe.websocket()).collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            let mut client = chloe.connect();
            scope.spawn(move || {
                let mut stream = client.stream.try_clone().unwrap();
                let writer = thread::spawn(move || {
                    let mut requests = Vec::new();
                    for number in 0..COUNT {
                        let body = format!("data={number}");
                        let length = body.len();
                        let head = "POST /send HTTP/1.1\r\nHost: a\r\nContent-Length";
                        write!(requests, "{head}: {length}\r\n\r\n{body}").unwrap();
                    }
                    stream.write_all(&requests)
                });
                for _ in 0..COUNT {
                    assert_eq!(client.read_answer().text(), "success");
                }
                writer.join().unwrap().unwrap();
            });
        }
        for reader in &mut readers {
            scope.spawn(move || {
                let mut seen = vec![0; COUNT];
                read_numbers(reader, 4 * COUNT)
                    .into_iter()
                    .for_each(|number| seen[number] += 1);
                assert!(seen.iter().all(|&times| times == 4));
            });
        }
    });
}
