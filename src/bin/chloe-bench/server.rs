//! The server under measurement: given, or started in a process of its own.
//!
//! A script of `benches/peers`, and `chloe-bench limit-server`, print where they
//! listen and who counts; a Chloe says it in its log. Used by the runs.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::kernel::{self, Cpu};
use crate::options::Options;

/// One server.
pub struct Server {
    /// It was started here, and ends with this value.
    child: Option<Child>,
    pids: Vec<u32>,
    /// Pairs of a name, such as `ws` or `publish`, and a URL.
    urls: Vec<(String, String)>,
    pub version: String,
    /// From the start of the process to its first answer; of a Chloe that was started here.
    pub start_ms: Option<f64>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else {
            return;
        };
        // A script that is told to end takes its server with it.
        let pid = rustix::process::Pid::from_child(child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = child.wait();
    }
}

impl Server {
    /// As the command line says: what is there, or what a script starts, or a Chloe.
    ///
    /// # Errors
    /// It does not start.
    pub fn find(options: &Options) -> Result<Server> {
        if let Some(script) = &options.start {
            return Server::start_script(Command::new(script));
        }
        if let Some(url) = &options.url {
            return Ok(Server {
                child: None,
                pids: options.server_pids.clone(),
                urls: vec![("ws".to_owned(), url.clone())],
                version: String::new(),
                start_ms: None,
            });
        }
        match options.peer.as_str() {
            "chloe" | "chloe-upgrade" => Server::start_chloe(),
            "limit" => Server::start_limit(options),
            _ => Err(Error::other(
                "where is the server? --url or --start says it",
            )),
        }
    }

    /// Starts `chloe-bench limit-server`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_limit(options: &Options) -> Result<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["limit-server", "--mode", options.mode.name()]);
        command.args(["--overhead", &options.overhead.to_string()]);
        Server::start_script(command)
    }

    /// Starts what prints lines `pid PID`, `url NAME URL`, `version TEXT`, and `ready`.
    fn start_script(mut command: Command) -> Result<Server> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Error::other(format!("{name}: {error}")))?;
        let lines = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let mut server = Server {
            child: Some(child),
            pids: Vec::new(),
            urls: Vec::new(),
            version: String::new(),
            start_ms: None,
        };
        for line in lines.lines() {
            let line = line?;
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match word {
                "pid" => server.pids.extend(rest.parse::<u32>()),
                "url" => {
                    if let Some((name, url)) = rest.split_once(' ') {
                        server.urls.push((name.to_owned(), url.to_owned()));
                    }
                }
                "version" => rest.clone_into(&mut server.version),
                "ready" => return Ok(server),
                _ => {}
            }
        }
        Err(Error::other(format!("{name} does not start")))
    }

    /// Starts the `chloe` beside this program, with its defaults but for the address.
    fn start_chloe() -> Result<Server> {
        let own = std::env::current_exe()?;
        let program = own.parent().unwrap_or(Path::new(".")).join("chloe");
        let mut command = Command::new(&program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHLOE_") {
                command.env_remove(name);
            }
        }
        let begun = Instant::now();
        let mut child = command
            .args(["--port", "0", "--listen-addresses", "127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Error::other(format!("{}: {error}", program.display())))?;
        let pid = child.id();
        let mut log = BufReader::new(child.stderr.take().expect("its log is a pipe"));
        let mut server = Server {
            child: Some(child),
            pids: vec![pid],
            urls: Vec::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            start_ms: None,
        };
        let address = listening_address(&mut log);
        // Whoever writes to a full pipe waits: the log is read to its end.
        std::thread::spawn(move || show_warnings(log));
        let address = address.ok_or_else(|| Error::other("chloe does not start"))?;
        ping(&address)?;
        server.start_ms = Some(begun.elapsed().as_secs_f64() * 1e3);
        server
            .urls
            .push(("ws".to_owned(), format!("http://{address}")));
        Ok(server)
    }

    /// Where readers of the transport named connect.
    pub fn readers_url(&self, transport: &str) -> Option<&str> {
        self.url(transport).or_else(|| self.url("ws"))
    }

    /// Where publishers connect: the same, unless it is told.
    pub fn publish_url(&self) -> Option<&str> {
        self.url("publish").or_else(|| self.url("ws"))
    }

    fn url(&self, wanted: &str) -> Option<&str> {
        let found = self.urls.iter().find(|(name, _)| name == wanted);
        found.map(|(_, url)| url.as_str())
    }

    /// Whether what it uses is known.
    pub fn is_counted(&self) -> bool {
        !self.pids.is_empty()
    }

    fn family(&self) -> Vec<u32> {
        kernel::family(&self.pids)
    }

    /// The processor time that it has used.
    pub fn cpu(&self) -> Cpu {
        let family = self.family();
        let each = family.iter().map(|pid| kernel::cpu(&pid.to_string()));
        each.fold(Cpu::default(), Cpu::plus)
    }

    /// The memory that it uses, in the order of `kernel::MEMORY`.
    pub fn memory(&self) -> [u64; 4] {
        kernel::memory(&self.family())
    }

    /// How often it has gone to sleep.
    pub fn sleeps(&self) -> u64 {
        let family = self.family();
        family
            .iter()
            .map(|pid| kernel::sleeps(&pid.to_string()))
            .sum()
    }
}

fn listening_address(log: &mut impl BufRead) -> Option<String> {
    let mut address = None;
    let mut line = String::new();
    while log.read_line(&mut line).ok()? > 0 {
        if let Some((_, text)) = line.split_once("event=listening address=") {
            address = Some(text.trim().to_owned());
        } else if line.contains("event=started") {
            return address;
        } else if !line.contains("INFO") {
            eprint!("chloe: {line}");
        }
        line.clear();
    }
    None
}

/// Waits for the first answer.
fn ping(address: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /chloe/ping HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    match answer.ends_with(b"pong") {
        true => Ok(()),
        false => Err(Error::other("chloe does not answer")),
    }
}

fn show_warnings(log: impl Read) {
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        if !line.contains("INFO") {
            eprintln!("chloe: {line}");
        }
    }
}
