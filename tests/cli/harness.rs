//! The program as a user has it: processes, their output, a folder to run in.
//!
//! Every wait is for something that can be seen, with a deadline; ports are
//! chosen by the system and read from the log. Used by `tests/cli.rs`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chloe::wire::websocket::handshake::{decode_server_response, encode_client_request};
use chloe::wire::websocket::{Opcode, encode_masked_frame};
use rustix::process::{Pid, Signal, kill_process};

/// Long enough for a loaded machine; nothing waits that long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again until there is something; fails when patience is over.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A folder of one test, removed in the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let unique = format!("{name}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.0.join(name), text).unwrap();
        self.path(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    /// The command line `words`, with nothing in the environment that configures Chloe.
    pub fn chloe(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chloe"));
        command.args(words).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHLOE_") {
                command.env_remove(name);
            }
        }
        command.env("XDG_STATE_HOME", &self.0);
        command.env("XDG_RUNTIME_DIR", &self.0);
        command
    }

    /// Another program, in the same environment.
    pub fn another(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, value) in self.chloe(&[]).get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null());
        command
    }

    /// Chloe, called by a shell after it did what `script` says.
    pub fn chloe_after(&self, script: &str) -> Command {
        let mut command = self.another("sh");
        command.args(["-c", &format!("{script}\nexec \"$0\" \"$@\"")]);
        command.arg(env!("CARGO_BIN_EXE_chloe"));
        command
    }

    /// Runs the command line to its end.
    pub fn run(&self, words: &[&str]) -> Outcome {
        outcome(&mut self.chloe(words))
    }

    /// Runs it with `input` on standard input.
    pub fn run_with_input(&self, words: &[&str], input: &[u8]) -> Outcome {
        let mut command = self.chloe(words);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Outcome::of(child.wait_with_output().unwrap())
    }

    /// Runs it until the test ends it; both outputs go to the files `name`.out and `name`.err.
    pub fn serve(&self, name: &str, words: &[&str]) -> Process {
        self.serve_command(name, self.chloe(words))
    }

    /// As [`Folder::serve`], with the command made by the test.
    pub fn serve_command(&self, name: &str, mut command: Command) -> Process {
        let file = |kind| fs::File::create(self.0.join(format!("{name}.{kind}"))).unwrap();
        let child = command.stdout(file("out")).stderr(file("err")).spawn();
        Process(child.unwrap())
    }

    /// Waits until a line of `file` holds `text`; returns the line.
    #[track_caller]
    pub fn line(&self, file: &str, text: &str) -> String {
        eventually(&format!("{text} in {file}: {}", self.read(file)), || {
            let log = self.read(file);
            // Without its end it may be half a line.
            let whole = log
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            whole
                .map(str::trim_end)
                .find(|line| line.contains(text))
                .map(str::to_owned)
        })
    }

    /// The port that the log in `file` tells, the last one if it tells several.
    #[track_caller]
    pub fn port(&self, file: &str) -> String {
        self.line(file, "event=started");
        let log = self.read(file);
        let line = log
            .lines()
            .rfind(|line| line.contains("event=listening address="));
        line.and_then(|line| line.rsplit_once(':'))
            .unwrap()
            .1
            .to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Outcome {
    fn of(output: std::process::Output) -> Outcome {
        Outcome {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Checks that it went well and said nothing on standard error; returns what it said.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        self.out
    }

    /// Checks that it ended with `code` and one line that holds all of `parts`.
    #[track_caller]
    pub fn bad(self, code: i32, parts: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "one line: {self:?}");
        assert!(self.err.starts_with("chloe: "), "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} in {self:?}");
        }
    }
}

pub fn outcome(command: &mut Command) -> Outcome {
    Outcome::of(command.output().unwrap())
}

/// A process that is ended with the test.
pub struct Process(Child);

impl Process {
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the process ends", || self.0.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A WebSocket that answers nothing by itself.
pub struct Socket(TcpStream);

impl Socket {
    pub fn open(port: &str) -> Socket {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = Vec::new();
        encode_client_request(&mut request, "localhost", "/chloe/websocket", [7; 16]);
        stream.write_all(&request).unwrap();
        let mut head = Vec::new();
        while decode_server_response(&head, [7; 16]).unwrap().is_none() {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        Socket(stream)
    }

    pub fn send(&mut self, json: &str) {
        let mut frame = Vec::new();
        encode_masked_frame(&mut frame, Opcode::Text, json.as_bytes(), [1, 2, 3, 4]);
        self.0.write_all(&frame).unwrap();
    }

    /// The next short frame: its first byte and its payload.
    pub fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 2];
        self.0.read_exact(&mut header).unwrap();
        assert!(header[1] < 126, "frames are short here");
        let mut payload = vec![0; header[1].into()];
        self.0.read_exact(&mut payload).unwrap();
        (header[0], payload)
    }
}

/// What a GET of `path` is answered, head and body.
pub fn get(port: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
