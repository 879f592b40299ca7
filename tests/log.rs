//! The log of a real process whose reader does his worst.

#[path = "cli/harness.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod harness;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use harness::{Folder, eventually};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};

/// A pipe that has no room left.
fn full_pipe() -> (io::PipeReader, io::PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    let blocking = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, blocking | OFlags::NONBLOCK).unwrap();
    let filled = loop {
        if let Err(error) = writer.write_all(b"\n") {
            break error;
        }
    };
    assert_eq!(filled.kind(), io::ErrorKind::WouldBlock);
    fcntl_setfl(&writer, blocking).unwrap();
    (reader, writer)
}

/// Ends the process with the test.
struct Server(Child);

impl Server {
    fn start(mut command: Command) -> Server {
        Server(command.spawn().unwrap())
    }

    fn stop(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        let status = eventually("the process ends", || self.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection for requests, one after another.
struct Visitor(BufReader<UnixStream>);

impl Visitor {
    fn connect(socket: &str) -> Visitor {
        let stream = eventually("it listens", || UnixStream::connect(socket).ok());
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).unwrap();
        Visitor(BufReader::new(stream))
    }

    /// Asks for what is not there, `count` times, each time with the answer read.
    fn ask(&mut self, path: &str, count: usize) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        for _ in 0..count {
            self.0.get_mut().write_all(request.as_bytes()).unwrap();
            self.answer();
        }
    }

    /// Reads one answer; returns its first line.
    fn answer(&mut self) -> String {
        let (mut first, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "it was closed");
            if first.is_empty() {
                first.clone_from(&line);
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        io::Read::read_exact(&mut self.0, &mut vec![0; length]).unwrap();
        first
    }
}

/// What is answered at once, and with a line in the log of level `debug`.
const BAD_CALL: &str = "/chloe/xhr";

/// Enough lines of a request each to fill the queue and the pipes many times over.
const REQUESTS: usize = 5_000;

/// A server at `socket` whose standard error is a full pipe, and the end to read it from.
fn unread(folder: &Folder, socket: &str) -> (io::PipeReader, Server) {
    let flags = [
        "--listen-addresses=",
        "--unix-socket",
        socket,
        "--log-level=debug",
    ];
    let (reader, writer) = full_pipe();
    let mut command = folder.chloe(&flags);
    // The end for writing goes with the command: else no end of the file would come.
    command.stderr(writer);
    (reader, Server::start(command))
}

#[test]
fn a_standard_error_that_nobody_reads_stops_nothing() {
    let folder = Folder::new("full-pipe");
    let socket = folder.path("s");
    let (reader, mut server) = unread(&folder, &socket);
    Visitor::connect(&socket).ask(BAD_CALL, REQUESTS);
    let begun = Instant::now();
    server.stop();
    // It waits two seconds for a reader.
    assert!(begun.elapsed() < Duration::from_secs(8));
    drop(reader);
}

#[test]
fn who_reads_again_is_told_how_many_lines_were_lost() {
    let folder = Folder::new("late-reader");
    let socket = folder.path("s");
    let (reader, mut server) = unread(&folder, &socket);
    let mut visitor = Visitor::connect(&socket);
    visitor.ask(BAD_CALL, REQUESTS);
    let reading = std::thread::spawn(move || io::read_to_string(reader).unwrap());
    // What is logged meanwhile finds room at some time.
    let mut last = Visitor::connect(&socket);
    last.ask(BAD_CALL, 1);
    drop((visitor, last));
    server.stop();
    let text = reading.join().unwrap();
    let text = text.trim_start_matches('\n');
    let lost: usize = text
        .lines()
        .filter_map(|line| line.split_once("event=lines_lost count="))
        .map(|(_, count)| count.parse::<usize>().unwrap())
        .sum();
    let answered = text.matches("event=bad_call").count();
    assert!(lost > 0, "the queue is bounded");
    assert!(answered > 0, "what was in the queue is written");
    assert!(answered + lost > REQUESTS, "{answered} and {lost}");
    assert!(text.contains("event=started"), "the oldest lines are kept");
    assert!(
        text.contains("event=stopped"),
        "and what comes when there is room"
    );
}

#[test]
fn a_flood_of_one_kind_hides_no_other_kind() {
    let folder = Folder::new("flood");
    let socket = folder.path("s");
    let flags = ["--listen-addresses=", "--unix-socket", &socket];
    let log = folder.path("err");
    let mut command = folder.chloe(&flags);
    command.args(["--connections-max=8", "--write-timeout-ms=1000"]);
    command.stderr(File::create(&log).unwrap());
    let mut server = Server::start(command);
    let mut stranger = Visitor::connect(&socket);
    for _ in 0..2_000 {
        let request = "GET /chloe/websocket HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\
            Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stranger.0.get_mut().write_all(request.as_bytes()).unwrap();
        let answer = stranger.answer();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
    // One too many: its line comes within the flood's second.
    let others: Vec<_> = (0..9).map(|_| UnixStream::connect(&socket)).collect();
    folder.line("err", "event=connection_refused");
    drop((stranger, others));
    server.stop();
    let text = folder.read("err");
    let kind = "event=origin_refused";
    let lines = text.lines().filter(|line| line.contains(kind));
    let (mut written, mut left_out) = (0, 0);
    for line in lines {
        written += 1;
        if let Some((_, count)) = line.split_once("left_out=") {
            left_out += count.parse::<usize>().unwrap();
        }
    }
    let told = "event=lines_left_out kind=origin_refused count=";
    if let Some((_, rest)) = text.split_once(told) {
        left_out += rest.lines().next().unwrap().parse::<usize>().unwrap();
    }
    assert_eq!(written + left_out, 2_000, "{text}");
    assert!(left_out > 1_000, "{text}");
}
