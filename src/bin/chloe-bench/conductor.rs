//! Readers and publishers of one run, and when the next publication goes out.
//!
//! One thread, one poll, beside the processes of readers. It is told how long to
//! go on, and what for is not known here. Used by the runs.

use std::io::{Error, ErrorKind, IsTerminal, Result, Write};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::clock::now_us;
use crate::fleet::{Fleet, Totals};
use crate::interrupt;
use crate::publisher::{Publisher, Way};

/// The longest that anything may take that ought to happen at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that open in a second at the least.
const OPENED_A_SECOND: usize = 500;
/// Answers are short.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Readers may be behind by so many times the publications in flight.
const BEHIND_TIMES: usize = 8;
/// Behind the readers' tokens, which are below.
const PUBLISHERS: usize = 1 << 32;

/// When the next publication goes out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Not at all.
    Still,
    /// When fewer than that are sent and not answered. Readers may be behind, but no
    /// more than [`BEHIND_TIMES`], so that it does not take for ever to catch up.
    Answered { in_flight: usize },
    /// When fewer than that are sent and not answered, or not with all readers.
    Delivered { in_flight: usize },
    /// So many microseconds after the one before; the first one at once.
    Every { interval_us: u64, next_us: u64 },
}

/// Readers and publishers.
pub struct Conductor {
    poll: Poll,
    fleet: Fleet,
    way: Way,
    publishers: Vec<Publisher>,
    pace: Pace,
    /// Bytes of data in a publication.
    bytes: usize,
    pub sent: u64,
    pub answered: u64,
    /// Publications given up since readers did not get them, so as to go on.
    given_up: u64,
    /// How often it had to go on without.
    pub stalls: u64,
    /// The last time that something came, and what had come by then.
    moved: (Instant, u64),
    next_publisher: usize,
    scratch: Box<[u8]>,
    shown: Instant,
    bar: bool,
}

impl Conductor {
    /// With the readers of `fleet`, which are on their way, and no publisher yet.
    ///
    /// # Errors
    /// The system gives no poll.
    pub fn new(mut fleet: Fleet, way: Way, bytes: usize) -> Result<Conductor> {
        let poll = Poll::new()?;
        for (number, control) in fleet.controls().enumerate() {
            poll.registry()
                .register(control, Token(number), Interest::READABLE)?;
        }
        Ok(Conductor {
            poll,
            fleet,
            way,
            publishers: Vec::new(),
            pace: Pace::Still,
            bytes,
            sent: 0,
            answered: 0,
            given_up: 0,
            stalls: 0,
            moved: (Instant::now(), 0),
            next_publisher: 0,
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            shown: Instant::now(),
            bar: std::io::stderr().is_terminal(),
        })
    }

    /// Waits until `readers` are subscribed.
    ///
    /// # Errors
    /// One of them fails, or it takes too long.
    pub fn open(&mut self, readers: usize) -> Result<()> {
        let seconds = (readers / OPENED_A_SECOND) as u64;
        let deadline = Instant::now() + PATIENCE + Duration::from_secs(seconds);
        while self.fleet.opened() < readers {
            self.turn(Duration::from_millis(100))?;
            let opened = self.fleet.opened();
            self.show("opening", opened as f64 / readers as f64);
            if Instant::now() > deadline {
                let what = format!("{opened} of {readers} readers were subscribed, then no more");
                return Err(Error::other(what));
            }
        }
        Ok(())
    }

    /// Opens `publishers` connections that publish nothing yet.
    ///
    /// # Errors
    /// One of them fails, or it takes too long.
    pub fn open_publishers(&mut self, publishers: usize) -> Result<()> {
        for number in 0..publishers {
            let mut publisher = Publisher::connect(&self.way, number)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            let token = Token(PUBLISHERS + number);
            self.poll
                .registry()
                .register(publisher.tcp(), token, both)?;
            self.publishers.push(publisher);
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.publishers.iter().all(Publisher::is_open) {
            self.turn(Duration::from_millis(100))?;
            if Instant::now() > deadline {
                return Err(Error::other("the publishers do not get ready"));
            }
        }
        Ok(())
    }

    /// Publishes by `pace` from now on.
    ///
    /// # Errors
    /// A connection fails.
    pub fn publish(&mut self, pace: Pace) -> Result<()> {
        self.pace = match pace {
            Pace::Every { interval_us, .. } => Pace::Every {
                interval_us,
                next_us: now_us(),
            },
            pace => pace,
        };
        self.moved.0 = Instant::now();
        self.give_up()?;
        self.send()
    }

    /// Goes on for `duration`.
    ///
    /// # Errors
    /// A connection fails.
    pub fn run(&mut self, duration: Duration, what: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let elapsed = begun.elapsed();
            if elapsed >= duration {
                return Ok(());
            }
            self.turn((duration - elapsed).min(Duration::from_millis(100)))?;
            self.show(what, elapsed.as_secs_f64() / duration.as_secs_f64());
        }
    }

    /// What readers report counts from now on.
    ///
    /// # Errors
    /// A process is gone.
    pub fn begin(&mut self) -> Result<()> {
        self.fleet.tell("begin")
    }

    /// What the readers counted since they began.
    ///
    /// # Errors
    /// A process is gone, or does not answer.
    pub fn totals(&mut self) -> Result<Totals> {
        self.fleet.tell("report")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(totals) = self.fleet.totals() {
                return Ok(totals);
            }
            self.turn(Duration::from_millis(100))?;
            if Instant::now() > deadline {
                return Err(Error::other("a process of readers does not report"));
            }
        }
    }

    /// Ends publishing, and waits until all is answered and delivered to `readers`, or
    /// patience is over. When the last of it came, and how many deliveries are owed in all.
    ///
    /// # Errors
    /// A connection fails.
    pub fn drain(&mut self, readers: usize) -> Result<(Instant, u64)> {
        self.pace = Pace::Still;
        self.note_movement();
        let owed = self.sent * readers as u64;
        let begun = Instant::now();
        while self.answered < self.sent || self.fleet.delivered() < owed {
            self.turn(Duration::from_millis(10))?;
            if self.moved.0.max(begun).elapsed() > PATIENCE {
                break;
            }
        }
        Ok((self.moved.0, owed))
    }

    fn turn(&mut self, wait: Duration) -> Result<()> {
        interrupt::check()?;
        let mut events = Events::with_capacity(128);
        let wait = match self.pace {
            Pace::Every { next_us, .. } => {
                let left = next_us.saturating_sub(now_us());
                wait.min(Duration::from_micros(left))
            }
            _ => wait,
        };
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in &events {
            let Token(number) = event.token();
            let Some(number) = number.checked_sub(PUBLISHERS) else {
                self.fleet.hear(number)?;
                continue;
            };
            let publisher = &mut self.publishers[number];
            publisher.flush()?;
            self.answered += publisher.read(&self.way, &mut self.scratch)?;
        }
        self.note_movement();
        self.go_on_without()?;
        self.send()
    }

    fn note_movement(&mut self) {
        let moved = self.answered + self.fleet.delivered();
        if moved != self.moved.1 {
            self.moved = (Instant::now(), moved);
        }
    }

    /// A closed loop in which something was lost would stand still for ever.
    fn go_on_without(&mut self) -> Result<()> {
        let is_still = self.moved.0.elapsed() > PATIENCE / 2;
        match self.pace {
            Pace::Answered { .. } | Pace::Delivered { .. } if is_still => {
                if self.answered < self.sent {
                    return Err(Error::other("the server answers no publication any more"));
                }
                self.stalls += 1;
                self.moved.0 = Instant::now();
                self.give_up()
            }
            _ => Ok(()),
        }
    }

    /// What is on its way counts as lost.
    fn give_up(&mut self) -> Result<()> {
        let given_up = self.sent.saturating_sub(self.fleet.completed());
        if given_up != self.given_up {
            self.given_up = given_up;
            self.fleet.tell("forget")?;
        }
        Ok(())
    }

    /// Sends what may be sent.
    fn send(&mut self) -> Result<()> {
        match self.pace {
            Pace::Still => return Ok(()),
            Pace::Answered { in_flight } => {
                let behind_max = match self.fleet.len() {
                    0 => u64::MAX,
                    _ => self.fleet.completed() + self.given_up + (in_flight * BEHIND_TIMES) as u64,
                };
                while self.sent - self.answered < in_flight as u64 && self.sent < behind_max {
                    self.push();
                }
            }
            Pace::Delivered { in_flight } => {
                let completed = self.fleet.completed() + self.given_up;
                let finished = completed.min(self.answered);
                while self.sent.saturating_sub(finished) < in_flight as u64 {
                    self.push();
                }
            }
            Pace::Every {
                interval_us,
                mut next_us,
            } => {
                while next_us <= now_us() {
                    self.push();
                    next_us += interval_us;
                }
                self.pace = Pace::Every {
                    interval_us,
                    next_us,
                };
            }
        }
        for publisher in &mut self.publishers {
            publisher.flush()?;
        }
        Ok(())
    }

    /// One publication, by the publisher that has the fewest unanswered; in turn, if
    /// several have.
    fn push(&mut self) {
        let count = self.publishers.len();
        let in_turn = (0..count).map(|step| (self.next_publisher + step) % count);
        let number = in_turn.min_by_key(|number| self.publishers[*number].unanswered());
        let number = number.expect("publishers are opened before they publish");
        self.publishers[number].push(&self.way, self.bytes, self.sent, now_us());
        self.next_publisher = (number + 1) % count;
        self.sent += 1;
    }

    /// The bar, on a terminal, some times a second.
    fn show(&mut self, what: &str, share: f64) {
        if !self.bar || self.shown.elapsed() < Duration::from_millis(100) {
            return;
        }
        self.shown = Instant::now();
        let width = 30;
        let full = (share.clamp(0.0, 1.0) * f64::from(width)) as usize;
        let bar: String = (0..width as usize)
            .map(|place| if place < full { '#' } else { '.' })
            .collect();
        let delivered = self.fleet.delivered();
        eprint!("\r{what:<9} [{bar}] {delivered:>14} deliveries");
        let _ = std::io::stderr().flush();
    }

    /// Takes the bar away.
    pub fn hide(&self) {
        if self.bar {
            eprint!("\r{:70}\r", "");
        }
    }
}
