//! Running out of open files: clients wait, nobody is harmed, nothing spins.
//!
//! Alone in its file, since the limit is the whole process's.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use chloe::config::Config;
use chloe::net::EventLoop;
use chloe::server::Server;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many are served before the files run out, and how many come in all.
const ROOM: usize = 5;
const CLIENTS: usize = 20;

fn ask(stream: &mut TcpStream) {
    stream
        .write_all(b"GET /nothing-is-here HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
}

/// Waits for the head of an answer, and takes what came with it.
fn assert_answered(stream: &mut TcpStream) {
    let mut bytes = [0; 4_096];
    let count = stream.read(&mut bytes).unwrap();
    assert!(bytes[..count].starts_with(b"HTTP/1.1 404 "), "an answer");
}

fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    ask(&mut stream);
    stream
}

fn set_limit(current: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: Some(current),
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// The processor time of this process, to a hundredth of a second.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn clients_wait_for_a_file_and_nobody_is_harmed() {
    let config = Config {
        port: 0,
        listen_addresses: vec!["127.0.0.1".to_owned()],
        ..Config::default()
    };
    let event_loop = EventLoop::bind(&config).unwrap();
    let address = event_loop.addresses()[0];
    let handle = event_loop.handle();
    let mut server = Server::new(config, [1; 32], event_loop.now());
    let enough = getrlimit(Resource::Nofile).current.unwrap_or(4_096);

    // The kernel completes these connections; the loop does not run yet.
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(address)).collect();
    let used = fs::read_dir("/proc/self/fd").unwrap().count() - 1;
    set_limit((used + ROOM) as u64);
    let thread = std::thread::spawn(move || event_loop.run(&mut server));

    for client in &mut clients[..ROOM] {
        assert_answered(client);
    }
    // Those who are in are served on.
    for _ in 0..100 {
        ask(&mut clients[0]);
        assert_answered(&mut clients[0]);
    }
    // Who leaves makes room, at both ends of the connection here.
    drop(clients.remove(1));
    assert_answered(&mut clients[ROOM - 1]);
    assert_answered(&mut clients[ROOM]);

    // With files again, the others are let in after the pause, which is no spin.
    set_limit(enough);
    let (began, cpu_before) = (Instant::now(), cpu_time());
    for client in &mut clients[ROOM + 1..] {
        assert_answered(client);
    }
    let cpu = cpu_time() - cpu_before;
    assert!(
        cpu < began.elapsed() / 2 + Duration::from_millis(100),
        "the pause took {cpu:?} of the processor"
    );
    handle.shutdown();
    handle.shutdown();
    thread.join().unwrap().unwrap();
}
