//! What the kernel counts of processes, and its settings that matter here.
//!
//! Linux only: all of it is read from `/proc`. What is not there counts as
//! nothing. Used by `server`, `worker` and `report`.

use std::fs;
use std::io::{Error, Result};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Map, Value, json};

/// Processor time in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// All of it, to the nanosecond where the kernel tells.
    pub total_us: f64,
    /// The part in user space, to a hundredth of a second.
    pub user_us: f64,
}

impl Cpu {
    /// Both added up.
    pub fn plus(self, other: Cpu) -> Cpu {
        Cpu {
            total_us: self.total_us + other.total_us,
            user_us: self.user_us + other.user_us,
        }
    }

    /// What was used since `before`.
    pub fn since(self, before: Cpu) -> Cpu {
        Cpu {
            total_us: (self.total_us - before.total_us).max(0.0),
            user_us: (self.user_us - before.user_us).max(0.0),
        }
    }
}

/// Microseconds of one tick of `/proc/PID/stat`, `USER_HZ` being 100 wherever Linux
/// runs (proc_pid_stat(5)).
const TICK_US: f64 = 10_000.0;

/// The processor time of `process`, a number or `self`, all its threads together.
pub fn cpu(process: &str) -> Cpu {
    let stat = read(&format!("/proc/{process}/stat"));
    // The name in parentheses may hold blanks. Behind it, state is field 3 of
    // proc_pid_stat(5), utime 14 and stime 15.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |place: usize| {
        let field = fields.split_whitespace().nth(place - 3);
        field.and_then(|text| text.parse().ok()).unwrap_or(0.0)
    };
    let (user_us, system_us) = (ticks(14) * TICK_US, ticks(15) * TICK_US);
    // Threads that have ended are in the ticks alone, the rest is more exact here.
    let run_ns = |task: &fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    let exact_us = tasks(process).iter().filter_map(run_ns).sum::<f64>() / 1e3;
    let ended_us = user_us + system_us - exact_us;
    let total_us = match ended_us > 20.0 * TICK_US {
        true => user_us + system_us,
        false => exact_us,
    };
    Cpu { total_us, user_us }
}

/// How often `process` has gone to sleep, all its threads together.
pub fn sleeps(process: &str) -> u64 {
    let count = |task: &fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        Some(field(&status, "voluntary_ctxt_switches:"))
    };
    tasks(process).iter().filter_map(count).sum()
}

fn tasks(process: &str) -> Vec<fs::DirEntry> {
    let folder = fs::read_dir(format!("/proc/{process}/task"));
    folder.into_iter().flatten().flatten().collect()
}

/// `pids` and all that descend from them, each once.
pub fn family(pids: &[u32]) -> Vec<u32> {
    let mut all: Vec<u32> = Vec::new();
    let mut left = pids.to_vec();
    while let Some(pid) = left.pop() {
        if all.contains(&pid) {
            continue;
        }
        all.push(pid);
        for task in tasks(&pid.to_string()) {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            left.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    all
}

/// The kinds of memory that are told, by their name in a report and in
/// `smaps_rollup`. `Anonymous` is what is no file's: heap and stack.
pub const MEMORY: [(&str, &str); 4] = [
    ("resident", "Rss:"),
    ("proportional", "Pss:"),
    ("anonymous", "Anonymous:"),
    ("private_dirty", "Private_Dirty:"),
];

/// The memory of `pids` together, in bytes, in the order of [`MEMORY`].
pub fn memory(pids: &[u32]) -> [u64; 4] {
    let mut sums = [0; 4];
    for pid in pids {
        let rollup = read(&format!("/proc/{pid}/smaps_rollup"));
        for (sum, (_, name)) in sums.iter_mut().zip(MEMORY) {
            *sum += field(&rollup, name) * 1_024;
        }
    }
    sums
}

/// The settings that fan-out over loopback depends on, and the machine.
pub fn settings() -> Value {
    let mut settings = Map::new();
    for (name, path) in [
        ("tcp_congestion_control", "net/ipv4/tcp_congestion_control"),
        ("tcp_rmem", "net/ipv4/tcp_rmem"),
        ("tcp_wmem", "net/ipv4/tcp_wmem"),
        ("tcp_notsent_lowat", "net/ipv4/tcp_notsent_lowat"),
        ("tcp_autocorking", "net/ipv4/tcp_autocorking"),
        ("somaxconn", "net/core/somaxconn"),
        ("default_qdisc", "net/core/default_qdisc"),
        ("release", "kernel/osrelease"),
    ] {
        let text = read(&format!("/proc/sys/{path}"));
        let words: Vec<&str> = text.split_whitespace().collect();
        settings.insert(name.to_owned(), json!(words.join(" ")));
    }
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    settings.insert("cores".to_owned(), json!(cores));
    Value::Object(settings)
}

/// Allows this process as many open files as the system lets it have; how many.
///
/// # Errors
/// The system refuses.
pub fn raise_open_files() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(Error::from)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_counted() {
        let pid = std::process::id();
        assert!(memory(&[pid])[0] > 0);
        assert!(cpu("self").total_us > 0.0);
        assert_eq!(
            family(&[pid, pid])
                .iter()
                .filter(|other| **other == pid)
                .count(),
            1
        );
        assert!(settings()["cores"].as_u64() > Some(0));
    }

    #[test]
    fn fields_are_found_by_their_name() {
        assert_eq!(field("Rss:\t 12 kB\nPss:  7 kB\n", "Pss:"), 7);
        assert_eq!(field("Rss: 12 kB\n", "Swap:"), 0);
    }
}
