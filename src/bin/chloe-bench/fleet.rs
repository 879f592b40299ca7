//! All readers of a run, spread over processes, led from here.
//!
//! A process may open no more files than the system lets it, so it takes several
//! for many readers. What they count is added up here. Used by `conductor`.

use std::io::{Error, Result, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use mio::net::UnixStream;
use serde_json::Value;

use crate::kernel::raise_open_files;
use crate::latency::Latencies;
use crate::lines::Lines;
use crate::worker::Task;

/// Files of a worker that are no readers.
const SPARE_FILES: u64 = 64;

/// One process.
struct Worker {
    child: Child,
    control: UnixStream,
    lines: Lines,
    readers: usize,
    opened: usize,
    completed: u64,
    delivered: u64,
    report: Option<Value>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What all workers counted together, since they were told to begin.
#[derive(Default)]
pub struct Totals {
    pub delivered: u64,
    pub delivered_in_all: u64,
    pub doubled_in_all: u64,
    pub disordered_in_all: u64,
    pub reads: u64,
    pub bytes: u64,
    pub cpu_us: f64,
    pub latencies: Latencies,
}

/// All of them.
pub struct Fleet {
    workers: Vec<Worker>,
}

impl Fleet {
    /// Starts as many workers as it takes for the readers of `task`, `processes` at the
    /// least. They begin to connect at once.
    ///
    /// # Errors
    /// A process cannot be started.
    pub fn start(task: &Task, processes: usize) -> Result<Fleet> {
        let files = raise_open_files()?;
        let each = usize::try_from(files.saturating_sub(SPARE_FILES)).unwrap_or(usize::MAX);
        let each = each.max(1);
        let processes = task.readers.div_ceil(each).max(processes);
        let processes = processes.min(task.readers);
        let mut workers = Vec::new();
        let mut first = task.first;
        for process in 0..processes {
            // As evenly as it goes.
            let readers = (task.readers + process) / processes;
            let part = Task {
                first,
                readers,
                stalled: task.stalled * readers / task.readers,
                ..task.clone()
            };
            first += readers;
            workers.push(Worker::start(&part)?);
        }
        Ok(Fleet { workers })
    }

    /// The sockets, to be registered, in the order of the workers.
    pub fn controls(&mut self) -> impl Iterator<Item = &mut UnixStream> {
        self.workers.iter_mut().map(|worker| &mut worker.control)
    }

    /// How many workers there are.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// How many readers are subscribed.
    pub fn opened(&self) -> usize {
        self.workers.iter().map(|worker| worker.opened).sum()
    }

    /// How many publications all readers have; as far as one knows here. With no
    /// reader, none.
    pub fn completed(&self) -> u64 {
        let completed = self.workers.iter().map(|worker| worker.completed);
        completed.min().unwrap_or(0)
    }

    /// How many deliveries there were; as far as one knows here.
    pub fn delivered(&self) -> u64 {
        self.workers.iter().map(|worker| worker.delivered).sum()
    }

    /// Tells all workers `command`.
    ///
    /// # Errors
    /// One of them is gone.
    pub fn tell(&mut self, command: &str) -> Result<()> {
        for worker in &mut self.workers {
            writeln!(worker.control, "{command}")?;
            worker.report = None;
        }
        Ok(())
    }

    /// Hears what worker `number` says.
    ///
    /// # Errors
    /// It says that something is wrong, or is gone.
    pub fn hear(&mut self, number: usize) -> Result<()> {
        match self.workers.get_mut(number) {
            Some(worker) => worker.hear(),
            None => Ok(()),
        }
    }

    /// The sum of the reports, once all have come.
    pub fn totals(&self) -> Option<Totals> {
        let mut totals = Totals::default();
        for worker in &self.workers {
            let report = worker.report.as_ref()?;
            let count = |key: &str| report[key].as_u64().unwrap_or(0);
            totals.delivered += count("delivered");
            totals.delivered_in_all += count("delivered_in_all");
            totals.doubled_in_all += count("doubled_in_all");
            totals.disordered_in_all += count("disordered_in_all");
            totals.reads += count("reads");
            totals.bytes += count("bytes");
            totals.cpu_us += report["cpu_us"].as_f64().unwrap_or(0.0);
            totals.latencies.add_pairs(&report["latencies"]);
        }
        Some(totals)
    }
}

impl Worker {
    fn start(task: &Task) -> Result<Worker> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let child = Command::new(std::env::current_exe()?)
            .arg("worker")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        let worker = Worker {
            child,
            control: UnixStream::from_std(ours.try_clone()?),
            lines: Lines::default(),
            readers: task.readers,
            opened: 0,
            completed: 0,
            delivered: 0,
            report: None,
        };
        writeln!(&ours, "{}", task.to_json())?;
        ours.set_nonblocking(true)?;
        Ok(worker)
    }

    fn hear(&mut self) -> Result<()> {
        let (lines, is_gone) = self.lines.read(&mut self.control)?;
        for line in lines {
            self.understand(&line)?;
        }
        match is_gone {
            // Its last words, if it had any, were heard.
            true => Err(Error::other("a process of readers is gone")),
            false => Ok(()),
        }
    }

    fn understand(&mut self, line: &str) -> Result<()> {
        let (word, rest) = line.trim_end().split_once(' ').unwrap_or((line, ""));
        let mut numbers = rest.split(' ').map(|number| number.parse().unwrap_or(0));
        match word {
            "opened" => self.opened = numbers.next().unwrap_or(0) as usize,
            "got" => {
                self.completed = numbers.next().unwrap_or(0);
                self.delivered = numbers.next().unwrap_or(0);
            }
            "report" => self.report = serde_json::from_str(rest).ok(),
            _ => {
                let (opened, readers) = (self.opened, self.readers);
                return Err(Error::other(format!(
                    "{rest} ({opened} of {readers} readers were subscribed)"
                )));
            }
        }
        Ok(())
    }
}
