//! The loop with real sockets on the loopback, seen from a plain blocking client.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;

const REQUEST: &[u8] = b"GET /nothing-is-here HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// Against a hang, not for timing: no test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A loop on a free loopback port, in a thread of its own.
struct Running {
    address: SocketAddr,
    handle: Handle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

fn quiet_config() -> Config {
    Config {
        port: 0,
        listen_addresses: vec!["127.0.0.1".to_owned()],
        ..Config::default()
    }
}

fn start(config: Config) -> Running {
    let event_loop = EventLoop::bind(&config).unwrap();
    let addresses = event_loop.addresses();
    let handle = event_loop.handle();
    let thread = std::thread::spawn(move || {
        let mut server = Server::new(config, [1; 32], event_loop.now());
        event_loop.run(&mut server)
    });
    Running {
        address: addresses[0],
        handle,
        thread: Some(thread),
    }
}

impl Running {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Waits for the loop to end.
    fn join(mut self) {
        let ended = self.thread.take().unwrap().join();
        ended.expect("no panic").expect("no error");
    }

    fn stop(self) {
        self.handle.shutdown();
        self.join();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown();
        self.handle.shutdown();
    }
}

/// Reads one answer with a Content-Length; returns its status.
fn read_answer(stream: &mut impl Read) -> u16 {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "an answer, not an end");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |value| value.trim().parse().unwrap());
    stream.read_exact(&mut vec![0; length]).unwrap();
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A path for a Unix socket that no other test has.
fn socket_path() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("chloe-net-{}-{count}.sock", std::process::id()))
}

#[test]
fn both_families_share_a_port_and_a_connection_is_kept() {
    let mut config = quiet_config();
    config.listen_addresses = vec!["0.0.0.0".to_owned(), "::".to_owned()];
    let event_loop = EventLoop::bind(&config).unwrap();
    let addresses = event_loop.addresses();
    drop(event_loop);
    assert!(!addresses.is_empty() && addresses[0].port() != 0);

    config.listen_addresses = vec!["127.0.0.1".to_owned()];
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        assert_eq!(addresses.len(), 2, "IPv6 beside IPv4");
        config.listen_addresses.push("::1".to_owned());
    }
    let hosts: Vec<IpAddr> = config
        .listen_addresses
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let event_loop = EventLoop::bind(&config).unwrap();
    let addresses = event_loop.addresses();
    assert_eq!(
        addresses.iter().map(SocketAddr::ip).collect::<Vec<_>>(),
        hosts
    );
    let handle = event_loop.handle();
    let mut server = Server::new(config, [1; 32], event_loop.now());
    let thread = std::thread::spawn(move || event_loop.run(&mut server));
    for address in addresses {
        let mut stream = TcpStream::connect(address).unwrap();
        for _ in 0..3 {
            stream.write_all(REQUEST).unwrap();
            assert_eq!(read_answer(&mut stream), 404, "{address}");
        }
    }
    handle.shutdown();
    thread.join().unwrap().unwrap();
}

#[test]
fn the_unix_socket_serves_and_goes_with_the_loop() {
    let path = socket_path();
    let mut config = quiet_config();
    config.unix_socket = path.clone();
    // What a Chloe that died leaves behind.
    drop(UnixListener::bind(&path).unwrap());
    let running = start(config.clone());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "the proxy's user may connect");
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(REQUEST).unwrap();
    assert_eq!(read_answer(&mut stream), 404);

    let second = EventLoop::bind(&config).err().expect("it is in use");
    assert!(matches!(second, BindError::UnixInUse(_)), "{second}");
    assert!(path.exists(), "the running one keeps its socket");
    running.stop();
    assert!(!path.exists(), "the file is removed");
}

#[test]
fn a_socket_that_accepts_nobody_is_in_use_and_not_waited_for() {
    let path = socket_path();
    let unix = || socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    let address = socket2::SockAddr::unix(&path).unwrap();
    let stuck = unix();
    stuck.bind(&address).unwrap();
    stuck.listen(0).unwrap();
    // Until its backlog is full: from there on, connecting would block.
    let waiting: Vec<_> = std::iter::repeat_with(|| {
        let socket = unix();
        socket.set_nonblocking(true).unwrap();
        socket.connect(&address).map(|()| socket)
    })
    .map_while(Result::ok)
    .collect();
    assert!(!waiting.is_empty());
    let mut config = quiet_config();
    config.unix_socket = path.clone();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(EventLoop::bind(&config).err()));
    let error = receiver.recv_timeout(PATIENCE).expect("it does not wait");
    assert!(matches!(error, Some(BindError::UnixInUse(_))), "{error:?}");
    assert!(path.exists(), "it is another's");
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let path = socket_path();
    fs::write(&path, "precious").unwrap();
    let mut config = quiet_config();
    config.unix_socket = path.clone();
    let error = EventLoop::bind(&config).err().expect("something is there");
    assert!(matches!(error, BindError::NotASocket(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
}

#[test]
fn what_cannot_be_bound_is_told_with_what_to_do() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let tcp = |address: &str, port| Config {
        port,
        listen_addresses: vec![address.to_owned()],
        ..Config::default()
    };
    let unix = |path: &Path| Config {
        unix_socket: path.to_owned(),
        ..quiet_config()
    };
    let nowhere = Config {
        listen_addresses: Vec::new(),
        ..Config::default()
    };
    let cases = [
        (tcp("127.0.0.1", port), "is in use by another program"),
        (tcp("203.0.113.1", 0), "take it out of listen_addresses"),
        (tcp("localhost", 0), "is not an IP address"),
        (nowhere, "no address to listen on"),
        (unix(Path::new("/nowhere/at/all.sock")), "make it first"),
        (unix(Path::new(&"x".repeat(200))), "too long"),
    ];
    for (config, expected) in cases {
        let sentence = EventLoop::bind(&config).err().map(|e| e.to_string());
        let sentence = sentence.unwrap_or_else(|| panic!("bound, not: {expected}"));
        assert!(sentence.contains(expected), "{sentence}");
    }
}

#[test]
fn the_last_answer_survives_bytes_that_nobody_reads() {
    let running = start(quiet_config());
    let mut stream = running.connect();
    // White space before the colon: refused and closed, whatever comes behind.
    let mut request = b"POST / HTTP/1.1\r\nHost : x\r\nContent-Length: 500000\r\n\r\n".to_vec();
    request.resize(500_000, b'x');
    // The write itself may be cut off; what counts is what can be read.
    let _ = stream.write_all(&request);
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("an end, not a reset");
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "the answer is whole");
    running.stop();
}

#[test]
fn pipelined_requests_wait_for_a_client_that_does_not_read() {
    const COUNT: usize = 20_000;
    let running = start(quiet_config());
    let mut stream = running.connect();
    let mut writer = stream.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        for _ in 0..COUNT {
            writer.write_all(REQUEST).unwrap();
        }
    });
    let mut reader = std::io::BufReader::new(&mut stream);
    for number in 0..COUNT {
        assert_eq!(read_answer(&mut reader), 404, "answer {number}");
    }
    flood.join().unwrap();
    running.stop();
}

#[test]
fn a_peer_that_vanishes_harms_nobody() {
    let running = start(quiet_config());
    let mut witness = running.connect();
    for round in 0..50 {
        let stream = running.connect();
        let socket = socket2::SockRef::from(&stream);
        // Closing now resets the connection.
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        if round % 2 == 0 {
            (&stream).write_all(REQUEST).unwrap();
        }
        drop(stream);
        witness.write_all(REQUEST).unwrap();
        assert_eq!(read_answer(&mut witness), 404, "round {round}");
    }
    running.stop();
}

#[test]
fn a_half_closed_peer_still_gets_its_answer() {
    let running = start(quiet_config());
    let mut stream = running.connect();
    stream.write_all(REQUEST).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 404 "), "the answer came");
    running.stop();
}

#[test]
fn shutting_down_closes_what_is_open_and_takes_nothing_new() {
    let running = start(quiet_config());
    let mut idle = running.connect();
    idle.write_all(REQUEST).unwrap();
    assert_eq!(read_answer(&mut idle), 404);
    let address = running.address;
    running.handle.shutdown();
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0, "an idle one is closed");
    drop(idle);
    running.join();
    let error = TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_second_call_ends_the_loop_at_once() {
    let running = start(quiet_config());
    let open = running.connect();
    running.handle.shutdown();
    running.handle.shutdown();
    running.handle.shutdown();
    running.join();
    drop(open);
}

#[test]
fn more_than_the_most_connections_are_turned_away() {
    let mut config = quiet_config();
    config.connections_max = 1;
    let running = start(config);
    let mut first = running.connect();
    first.write_all(REQUEST).unwrap();
    assert_eq!(read_answer(&mut first), 404);
    let mut second = running.connect();
    let mut answer = Vec::new();
    // Refused with a sentence or without, but not kept.
    second.read_to_end(&mut answer).unwrap();
    first.write_all(REQUEST).unwrap();
    assert_eq!(read_answer(&mut first), 404, "the first is not harmed");
    running.stop();
}

#[test]
fn accepted_sockets_do_not_wait_to_fill_packets() {
    let listener = bind::tcp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = loop {
        match listener.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            other => break other.unwrap().0,
        }
    };
    assert!(accepted.nodelay().unwrap());
    drop(client);
}
