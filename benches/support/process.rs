//! The server under measurement, in a process of its own, and what the kernel
//! says that it uses.
//!
//! The server is the program `chloe` itself, built as the benchmark is, with
//! its defaults but for the address. Linux only, for `/proc`. Used by every
//! benchmark that has sockets.

use std::fs;
use std::io::{BufRead, BufReader, Error, Result};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A running Chloe. It ends with this value.
pub struct ServerProcess {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Processor time used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub user: Duration,
    pub system: Duration,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// All that is in memory: `VmRSS`.
    pub resident: u64,
    /// Of that, what is no file's: heap and stack.
    pub anonymous: u64,
    /// Of that, what is written to and nobody else's.
    pub private_dirty: u64,
}

impl ServerProcess {
    /// Starts one on a port that the system chooses.
    ///
    /// # Errors
    /// It does not start; what it said is on standard error.
    pub fn start() -> Result<ServerProcess> {
        ServerProcess::start_with(&[])
    }

    /// The same, with further `flags`.
    ///
    /// # Errors
    /// As of [`ServerProcess::start`].
    pub fn start_with(flags: &[&str]) -> Result<ServerProcess> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chloe"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHLOE_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["--port", "0", "--listen-addresses", "127.0.0.1"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = BufReader::new(child.stderr.take().expect("its log is a pipe"));
        let address = listening_address(&mut log);
        // Whoever writes to a full pipe waits: the log is read to its end.
        std::thread::spawn(move || show_warnings(log));
        match address {
            Some(address) => Ok(ServerProcess { child, address }),
            None => {
                let _ = child.kill();
                child.wait()?;
                Err(Error::other("the server did not start"))
            }
        }
    }

    /// The processor time that it has used.
    pub fn cpu(&self) -> Cpu {
        cpu_of(&self.child.id().to_string())
    }

    /// The memory that it uses.
    pub fn memory(&self) -> Memory {
        let pid = self.child.id();
        let status = read(&format!("/proc/{pid}/status"));
        let rollup = read(&format!("/proc/{pid}/smaps_rollup"));
        Memory {
            resident: kibibytes(&status, "VmRSS:"),
            anonymous: kibibytes(&status, "RssAnon:"),
            private_dirty: kibibytes(&rollup, "Private_Dirty:"),
        }
    }

    /// How many files it has open, sockets among them.
    pub fn open_files(&self) -> u64 {
        let folder = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(folder).into_iter().flatten().count() as u64
    }

    /// How often it has gone to sleep, over all of its threads.
    pub fn sleeps(&self) -> u64 {
        let folder = format!("/proc/{}/task", self.child.id());
        let tasks = fs::read_dir(folder).into_iter().flatten().flatten();
        tasks
            .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
            .map(|status| field(&status, "voluntary_ctxt_switches:"))
            .sum()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listening_address(log: &mut BufReader<ChildStderr>) -> Option<SocketAddr> {
    let mut address = None;
    let mut line = String::new();
    while log.read_line(&mut line).ok()? > 0 {
        if let Some((_, text)) = line.split_once("event=listening address=") {
            address = text.trim().parse().ok();
        } else if line.contains("event=started") {
            return address;
        } else if !line.contains("INFO") {
            eprint!("server: {line}");
        }
        line.clear();
    }
    None
}

fn show_warnings(log: BufReader<ChildStderr>) {
    for line in log.lines().map_while(Result::ok) {
        if !line.contains("INFO") {
            eprintln!("server: {line}");
        }
    }
}

/// The processor time of this process.
pub fn own_cpu() -> Cpu {
    cpu_of("self")
}

/// The processor time of this thread to a few milliseconds, what it spent
/// waiting left out.
pub fn own_thread_cpu() -> Duration {
    let text = read("/proc/thread-self/schedstat");
    let nanos = text.split_whitespace().next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.expect("the kernel counts run time"))
}

impl Cpu {
    /// Both together.
    pub fn total(self) -> Duration {
        self.user + self.system
    }

    /// What was used since `before`.
    pub fn since(self, before: Cpu) -> Cpu {
        Cpu {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }
}

/// `USER_HZ`: ticks a second in `/proc/PID/stat`, on every system Chloe runs on (proc_pid_stat(5)).
const TICKS_PER_SECOND: u64 = 100;

fn cpu_of(process: &str) -> Cpu {
    let stat = read(&format!("/proc/{process}/stat"));
    // The name in parentheses may hold blanks. Behind it, state is field 3 of
    // proc_pid_stat(5), utime 14 and stime 15.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |place: usize| {
        let field = fields.split_whitespace().nth(place - 3);
        let ticks: u64 = field.and_then(|text| text.parse().ok()).unwrap_or(0);
        Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
    };
    Cpu {
        user: ticks(14),
        system: ticks(15),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn kibibytes(text: &str, name: &str) -> u64 {
    field(text, name) * 1_024
}

/// Raises the limit of open files of this process.
///
/// # Errors
/// The system does not allow `files` of them.
pub fn raise_open_files(files: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    if most < files {
        let advice = format!(
            "{files} open files are needed, {most} allowed: raise ulimit -Hn, or ask for fewer connections"
        );
        return Err(Error::other(advice));
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(Error::from)
}
