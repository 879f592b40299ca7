//! A process full of readers: `chloe-bench worker`, which only `fleet` starts.
//!
//! One thread, one poll. It is told over its standard input, a socket, what to do,
//! a line each, and answers there: `opened N`, `got COMPLETED DELIVERED`,
//! `report JSON`, `error SENTENCE`. It decides nothing about when to measure.

use std::io::{Error, ErrorKind, Read, Result};
use std::os::fd::AsFd;
use std::time::Duration;

use chloe::base::outbox::Outbox;
use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use crate::clock::now_us;
use crate::kernel::{Cpu, cpu, raise_open_files};
use crate::latency::Latencies;
use crate::lines::Lines;
use crate::peer_file;
use crate::polling::Fate;
use crate::reader::{Plan, Reader};
use crate::socket::Location;
use crate::tally::Tally;

/// Connections that are being made at the same time.
const OPENING_MAX: usize = 128;
/// One buffer for all sockets.
const SCRATCH_BYTES: usize = 256 * 1024;
/// How often progress is told when nobody waits for it.
const TELL_US: u64 = 50_000;
const CONTROL: Token = Token(usize::MAX);

/// What a worker is told at first.
#[derive(Clone, Debug)]
pub struct Task {
    /// The text of the peer's file.
    pub peer: String,
    pub url: String,
    pub transport: Option<String>,
    /// The numbers of its readers begin with this one.
    pub first: usize,
    pub readers: usize,
    /// So many of them read nothing once they are subscribed.
    pub stalled: usize,
    pub asleep: bool,
    pub publishers: usize,
    /// Each completed publication is told at once.
    pub eager: bool,
}

impl Task {
    /// As one line.
    pub fn to_json(&self) -> Value {
        json!({
            "peer": self.peer, "url": self.url, "transport": self.transport,
            "first": self.first, "readers": self.readers, "stalled": self.stalled,
            "asleep": self.asleep, "publishers": self.publishers, "eager": self.eager,
        })
    }

    fn from_json(task: &Value) -> Task {
        let text = |key: &str| task[key].as_str().map(str::to_owned);
        let number = |key: &str| task[key].as_u64().unwrap_or(0) as usize;
        let flag = |key: &str| task[key].as_bool().unwrap_or(false);
        Task {
            peer: text("peer").unwrap_or_default(),
            url: text("url").unwrap_or_default(),
            transport: text("transport"),
            first: number("first"),
            readers: number("readers"),
            stalled: number("stalled"),
            asleep: flag("asleep"),
            publishers: number("publishers"),
            eager: flag("eager"),
        }
    }
}

/// Runs until standard input ends.
///
/// # Errors
/// Standard input is no socket, or gone. What goes wrong with readers is told over it.
pub fn run() -> Result<()> {
    let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
    let control = std::os::unix::net::UnixStream::from(stdin);
    let task = read_task(&control)?;
    control.set_nonblocking(true)?;
    let mut worker = Worker::new(&task, UnixStream::from_std(control))?;
    match worker.work() {
        Err(error) if !worker.is_over => {
            let line = format!("error {error}\n").replace("\r\n", " ");
            worker.output.push(line.as_bytes());
            worker.output.write_to(&mut worker.control).map(|_| ())
        }
        result => result,
    }
}

/// The first line, byte by byte, so that nothing behind it is lost.
fn read_task(mut control: &std::os::unix::net::UnixStream) -> Result<Task> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') {
        control.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    let task = serde_json::from_slice(&line).map_err(Error::other)?;
    Ok(Task::from_json(&task))
}

struct Worker {
    poll: Poll,
    control: UnixStream,
    lines: Lines,
    output: Outbox,
    is_over: bool,
    plan: Plan,
    task: Task,
    readers: Vec<Reader>,
    is_open: Vec<bool>,
    opened: usize,
    scratch: Box<[u8]>,
    tally: Tally,
    latencies: Latencies,
    reads: u64,
    bytes: u64,
    cpu: Cpu,
    /// What was opened and delivered when that was last told.
    told: (usize, u64),
    completed_told: u64,
    told_us: u64,
    /// Deliveries before the part that is measured.
    delivered_before: u64,
}

impl Worker {
    fn new(task: &Task, mut control: UnixStream) -> Result<Worker> {
        raise_open_files()?;
        let peer = peer_file::parse(&task.peer).map_err(Error::other)?;
        let transport = peer.transport(task.transport.as_deref());
        let location = Location::parse(&task.url).map_err(Error::other)?;
        let transport = transport.map_err(Error::other)?;
        let plan = Plan::new(peer, transport, location, task.asleep);
        let poll = Poll::new()?;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut control, CONTROL, both)?;
        let counted = task.readers - task.stalled;
        Ok(Worker {
            poll,
            control,
            lines: Lines::default(),
            output: Outbox::default(),
            is_over: false,
            plan: plan.expect("the transport is one of the peer's"),
            task: task.clone(),
            readers: Vec::with_capacity(task.readers),
            is_open: vec![false; task.readers],
            opened: 0,
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            tally: Tally::new(task.readers, counted, task.publishers, now_us()),
            latencies: Latencies::default(),
            reads: 0,
            bytes: 0,
            cpu: cpu("self"),
            told: (0, 0),
            completed_told: 0,
            told_us: 0,
            delivered_before: 0,
        })
    }

    fn work(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1_024);
        while !self.is_over {
            while self.readers.len() < self.task.readers
                && self.readers.len() - self.opened < OPENING_MAX
            {
                self.connect()?;
            }
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                match event.token() {
                    CONTROL => self.obey()?,
                    Token(number) => self.read(number)?,
                }
            }
            self.tell()?;
        }
        Ok(())
    }

    /// How long to wait: without end, unless there is something to be told later.
    fn patience(&self) -> Option<Duration> {
        let is_told = self.told == (self.opened, self.tally.delivered);
        (!is_told).then(|| Duration::from_micros(TELL_US))
    }

    fn connect(&mut self) -> Result<()> {
        let number = self.readers.len();
        let mut reader = Reader::connect(&self.plan, self.task.first + number)?;
        self.register(&mut reader, number)?;
        self.readers.push(reader);
        Ok(())
    }

    fn register(&self, reader: &mut Reader, number: usize) -> Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(reader.tcp(), Token(number), both)
    }

    fn read(&mut self, number: usize) -> Result<()> {
        let now_us = now_us();
        let reader = &mut self.readers[number];
        let (tally, latencies) = (&mut self.tally, &mut self.latencies);
        let (got, fate) = reader.read(&self.plan, &mut self.scratch, |stamp| {
            if tally.note(number, stamp) {
                latencies.record(now_us.saturating_sub(stamp.sent_us));
            }
        })?;
        self.reads += got.reads;
        self.bytes += got.bytes;
        if fate == Fate::Replaced {
            let both = Interest::READABLE | Interest::WRITABLE;
            let registry = self.poll.registry();
            registry.register(reader.tcp(), Token(number), both)?;
        }
        if !self.is_open[number] && reader.is_open(&self.plan) {
            self.is_open[number] = true;
            self.opened += 1;
            if number < self.task.stalled {
                self.poll.registry().deregister(reader.tcp())?;
            }
        }
        Ok(())
    }

    /// Tells how far it is, if that is due.
    fn tell(&mut self) -> Result<()> {
        let (opened, completed) = (self.opened, self.tally.completed);
        let now_us = now_us();
        let is_due = now_us - self.told_us >= TELL_US;
        if opened != self.told.0 && (is_due || opened == self.task.readers) {
            self.output.push(format!("opened {opened}\n").as_bytes());
            self.told.0 = opened;
            self.told_us = now_us;
        }
        let delivered = self.tally.delivered;
        let is_awaited = self.task.eager && completed != self.completed_told;
        if is_awaited || (delivered != self.told.1 && is_due) {
            let line = format!("got {completed} {delivered}\n");
            self.output.push(line.as_bytes());
            self.completed_told = completed;
            self.told.1 = delivered;
            self.told_us = now_us;
        }
        self.output.write_to(&mut self.control)?;
        Ok(())
    }

    fn obey(&mut self) -> Result<()> {
        let (lines, is_over) = self.lines.read(&mut self.control)?;
        self.is_over = is_over;
        for line in lines.iter().filter(|_| !is_over) {
            match line.as_str() {
                "begin" => self.begin(),
                "report" => self.report(),
                "forget" => self.tally.forget_incomplete(),
                _ => return Err(Error::other("a worker is told what it does not know")),
            }
        }
        Ok(())
    }

    /// What is reported counts from now on.
    fn begin(&mut self) {
        self.latencies = Latencies::default();
        self.reads = 0;
        self.bytes = 0;
        self.cpu = cpu("self");
        self.delivered_before = self.tally.delivered;
    }

    fn report(&mut self) {
        let cpu = cpu("self").since(self.cpu);
        let report = json!({
            "delivered": self.tally.delivered - self.delivered_before,
            "delivered_in_all": self.tally.delivered,
            "doubled_in_all": self.tally.doubled,
            "disordered_in_all": self.tally.disordered,
            "reads": self.reads,
            "bytes": self.bytes,
            "cpu_us": cpu.total_us,
            "latencies": self.latencies.to_pairs(),
        });
        self.output.push(format!("report {report}\n").as_bytes());
    }
}
