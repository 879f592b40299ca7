//! The load: many WebSockets that read one channel, and publishers that fill it.
//!
//! One thread, one poll. It counts what comes and decides nothing about when to
//! measure. Used by `fanout` and `footprint`.

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::latency::Latencies;
use super::payload;
use super::publisher::Publisher;
use super::reader::{Reader, Stage};
use super::tally::Tally;

/// The channel that every reader subscribes to, beside `/all`.
pub const CHANNEL: &str = "bench";
/// The most publishers at a time.
pub const PUBLISHERS_MAX: usize = 64;

/// Connections that are being made at the same time.
const OPENING_MAX: usize = 256;
/// The longest that opening, or the last deliveries, may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// One buffer for all sockets; a frame with its publication is far shorter.
const SCRATCH_BYTES: usize = 256 * 1024;

/// What has happened since the load was opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Publications that the server answered.
    pub published: u64,
    /// Publications that reached a reader, once for each reader.
    pub delivered: u64,
    /// Reads that brought something: deliveries a read tell how many came together.
    pub reads: u64,
}

impl Progress {
    /// What has happened since `before`.
    pub fn since(self, before: Progress) -> Progress {
        Progress {
            published: self.published - before.published,
            delivered: self.delivered - before.delivered,
            reads: self.reads - before.reads,
        }
    }
}

/// Readers and publishers.
pub struct Load {
    poll: Poll,
    events: Events,
    server: SocketAddr,
    readers: Vec<Reader>,
    publishers: Vec<Publisher>,
    /// How many each number has published before, by number.
    before: Vec<u32>,
    /// Whether what is answered is followed by another.
    publishing: bool,
    scratch: Box<[u8]>,
    start: Instant,
    opened: usize,
    published: u64,
    reads: u64,
    pub tally: Tally,
    pub latencies: Latencies,
}

impl Load {
    /// Connects `readers` WebSockets and waits until all are subscribed.
    ///
    /// # Errors
    /// One of them fails, or it takes too long.
    pub fn open(server: SocketAddr, readers: usize) -> Result<Load> {
        let mut load = Load {
            poll: Poll::new()?,
            events: Events::with_capacity(1_024),
            server,
            readers: Vec::with_capacity(readers),
            publishers: Vec::new(),
            before: vec![0; PUBLISHERS_MAX],
            publishing: false,
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            start: Instant::now(),
            opened: 0,
            published: 0,
            reads: 0,
            tally: Tally::new(readers, PUBLISHERS_MAX),
            latencies: Latencies::default(),
        };
        let deadline = Instant::now() + PATIENCE;
        while load.opened < readers {
            while load.readers.len() < readers && load.readers.len() - load.opened < OPENING_MAX {
                load.connect()?;
            }
            load.turn(Duration::from_millis(100))?;
            if Instant::now() > deadline {
                return Err(Error::other("the WebSockets do not open"));
            }
        }
        Ok(load)
    }

    fn connect(&mut self) -> Result<()> {
        let number = self.readers.len();
        let mut reader = Reader::connect(number, self.server)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        registry.register(&mut reader.stream, Token(number), both)?;
        self.readers.push(reader);
        Ok(())
    }

    /// Publishes from now on over `connections`, each with `depth` publications in flight.
    ///
    /// # Errors
    /// A connection fails.
    pub fn publish(&mut self, connections: usize, depth: usize) -> Result<()> {
        self.publishing = true;
        for number in 0..connections {
            let next = self.before[number];
            let mut publisher = Publisher::connect(number, next, depth, self.server)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            let token = Token(self.readers.len() + number);
            let registry = self.poll.registry();
            registry.register(&mut publisher.stream, token, both)?;
            publisher.send(CHANNEL, self.now_us())?;
            self.publishers.push(publisher);
        }
        Ok(())
    }

    /// Ends publishing, and waits until everything has come or patience is over.
    /// Returns how many deliveries are owed since the load was opened, which
    /// the tally's `delivered` is equal to if nothing is lost.
    ///
    /// # Errors
    /// A connection fails.
    pub fn settle(&mut self) -> Result<u64> {
        self.publishing = false;
        let deadline = Instant::now() + PATIENCE;
        while !self.publishers.iter().all(Publisher::is_idle) && Instant::now() < deadline {
            self.turn(Duration::from_millis(10))?;
        }
        for (number, publisher) in self.publishers.drain(..).enumerate() {
            self.before[number] = publisher.sent();
        }
        let sent: u64 = self.before.iter().map(|sent| u64::from(*sent)).sum();
        let owed = sent * self.readers.len() as u64;
        while self.tally.delivered < owed && Instant::now() < deadline {
            self.turn(Duration::from_millis(10))?;
        }
        // What comes twice would come now.
        self.run(Duration::from_millis(50))?;
        Ok(owed)
    }

    /// Goes on for `duration`.
    ///
    /// # Errors
    /// A connection fails.
    pub fn run(&mut self, duration: Duration) -> Result<()> {
        let deadline = Instant::now() + duration;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left)?;
        }
    }

    /// What has happened so far.
    pub fn progress(&self) -> Progress {
        Progress {
            published: self.published,
            delivered: self.tally.delivered,
            reads: self.reads,
        }
    }

    fn now_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    fn turn(&mut self, wait: Duration) -> Result<()> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        // Rounded up, or the last part of a millisecond would be spent spinning.
        match self
            .poll
            .poll(&mut events, Some(wait + Duration::from_micros(999)))
        {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => events.clear(),
            result => result?,
        }
        for event in &events {
            let Token(number) = event.token();
            match number.checked_sub(self.readers.len()) {
                None => self.turn_of_reader(number)?,
                Some(number) => self.turn_of_publisher(number)?,
            }
        }
        self.events = events;
        Ok(())
    }

    fn turn_of_reader(&mut self, number: usize) -> Result<()> {
        let now_us = self.start.elapsed().as_micros() as u64;
        let reader = &mut self.readers[number];
        if reader.stage == Stage::Connecting {
            reader.finish_connect(self.server)?;
        }
        let was_open = reader.stage == Stage::Open;
        let (tally, latencies) = (&mut self.tally, &mut self.latencies);
        self.reads += reader.read(&mut self.scratch, CHANNEL, |message| {
            if let Some(stamp) = payload::read(message) {
                tally.note(number, stamp);
                latencies.record(now_us.saturating_sub(stamp.sent_us));
            }
        })?;
        self.opened += usize::from(reader.stage == Stage::Open && !was_open);
        Ok(())
    }

    fn turn_of_publisher(&mut self, number: usize) -> Result<()> {
        let now_us = self.now_us();
        let Some(publisher) = self.publishers.get_mut(number) else {
            return Ok(());
        };
        publisher.flush()?;
        self.published += publisher.read(&mut self.scratch)?;
        if self.publishing {
            publisher.send(CHANNEL, now_us)?;
        }
        Ok(())
    }
}
