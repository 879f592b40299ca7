//! What can be measured, each from beginning to end.
//!
//! A run finds its server, opens its readers, does what it is for, and prints one
//! line. Called by `main`.

use std::io::{Error, Result};
use std::time::{Duration, Instant};

use crate::conductor::{Conductor, Pace};
use crate::fleet::Fleet;
use crate::kernel::{self, Cpu};
use crate::options::{Finished, Options};
use crate::peer::{Peer, TRANSPORTS};
use crate::peer_file;
use crate::publisher::Way;
use crate::report::Report;
use crate::server::Server;
use crate::socket::Location;
use crate::worker::Task;

/// The server may have a few things to do yet when the last reader is subscribed.
const BREATH: Duration = Duration::from_millis(300);

/// What every run begins with.
struct Run<'a> {
    options: &'a Options,
    server: Server,
    peer: Peer,
    text: String,
    transport_name: &'static str,
    readers: usize,
    report: Report,
}

impl<'a> Run<'a> {
    fn new(options: &'a Options, readers: usize) -> Result<Run<'a>> {
        let (peer, text) = peer_file::load(&options.peer).map_err(Error::other)?;
        let transport = peer.transport(options.transport.as_deref());
        let transport = transport.map_err(Error::other)?;
        let name = TRANSPORTS.iter().find(|(_, of)| *of == transport);
        let server = Server::find(options)?;
        let mut run = Run {
            options,
            server,
            peer,
            text,
            transport_name: name.map_or("", |(name, _)| *name),
            readers,
            report: Report::default(),
        };
        run.describe();
        Ok(run)
    }

    fn describe(&mut self) {
        let (options, report) = (self.options, &mut self.report);
        report.set("bench", options.command.as_str());
        let name = std::path::Path::new(&options.peer).file_stem();
        let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        report.set("peer", name);
        report.set("version", self.server.version.as_str());
        report.set("transport", self.transport_name);
        report.set("clients", self.readers);
        report.set("kernel", kernel::settings());
        if let Some(start_ms) = self.server.start_ms {
            report.set_figure("start_ms", start_ms);
        }
        if options.peer == "limit" {
            report.set("mode", options.mode.name());
        }
    }

    fn task(&self, readers: usize) -> Result<Task> {
        let url = self.server.readers_url(self.transport_name);
        Ok(Task {
            peer: self.text.clone(),
            url: url
                .ok_or_else(|| Error::other("the server has no URL"))?
                .to_owned(),
            transport: Some(self.transport_name.to_owned()),
            first: 0,
            readers,
            stalled: self.options.stalled,
            asleep: false,
            publishers: 0,
            eager: false,
        })
    }

    /// Opens the readers; tells what that took of the server.
    fn open(&mut self, publishers: usize, eager: bool) -> Result<Conductor> {
        let (before, cpu, begun) = (self.server.memory(), self.server.cpu(), Instant::now());
        let task = Task {
            publishers,
            eager,
            ..self.task(self.readers)?
        };
        let fleet = Fleet::start(&task, self.options.processes)?;
        self.report.set("reader_processes", fleet.len());
        let mut conductor = Conductor::new(fleet, self.way()?, self.options.bytes)?;
        conductor.open(self.readers)?;
        let seconds = begun.elapsed().as_secs_f64();
        self.report.set_figure("connect_seconds", seconds);
        conductor.run(BREATH, "opening")?;
        if self.server.is_counted() && self.readers > 0 {
            let used = self.server.cpu().since(cpu);
            let each = self.readers as f64;
            self.report
                .set_figure("connect_cpu_us_each", used.total_us / each);
            self.report
                .set_figure("connect_user_us_each", used.user_us / each);
            let after = self.server.memory();
            self.report
                .set_memory("memory", before, after, self.readers);
        }
        Ok(conductor)
    }

    fn way(&self) -> Result<Way> {
        let url = self.options.publish_url.as_deref();
        let url = url.or_else(|| self.server.publish_url());
        let location = Location::parse(url.unwrap_or_default()).map_err(Error::other)?;
        Ok(Way::new(self.peer.publish.clone(), location))
    }

    /// Publishes by `pace`, and tells what came of it. It begins when nothing is on its
    /// way and ends when all has come, so that what the server has used was for just
    /// these deliveries.
    fn measure(mut self, mut conductor: Conductor, pace: Pace, seconds: f64) -> Result<()> {
        let reading = self.readers - self.options.stalled;
        conductor.publish(pace)?;
        conductor.run(Duration::from_secs_f64(self.options.warm_up), "warm-up")?;
        conductor.drain(reading)?;
        conductor.begin()?;
        let (server, own) = (self.server.cpu(), kernel::cpu("self"));
        let (begun, answered) = (Instant::now(), conductor.answered);
        conductor.publish(pace)?;
        conductor.run(Duration::from_secs_f64(seconds), "measuring")?;
        let (ended, owed) = conductor.drain(reading)?;
        let elapsed = ended.saturating_duration_since(begun).as_secs_f64();
        let server = self.server.cpu().since(server);
        let answered = conductor.answered - answered;
        let totals = conductor.totals()?;
        let own = kernel::cpu("self").since(own);
        // What comes twice would come now.
        conductor.run(BREATH, "measuring")?;
        let all = conductor.totals()?;
        conductor.hide();
        let report = &mut self.report;
        report.set_figure("seconds", elapsed);
        report.set("payload_bytes", self.options.bytes);
        report.set("publications", answered);
        report.set_figure("publications_per_second", answered as f64 / elapsed);
        let server = self.server.is_counted().then_some(server);
        report.set_deliveries(&totals, elapsed, server);
        report.set_faults(&all, owed);
        report.set("unanswered", conductor.sent - conductor.answered);
        report.set("stalls", conductor.stalls);
        let generator = own.total_us + totals.cpu_us;
        report.set_figure(
            "generator_cpu_us_per_delivery",
            generator / totals.delivered as f64,
        );
        if let Some(cpu) = server {
            let each = cpu.total_us / answered as f64;
            report.set_figure("server_cpu_us_per_publication", each);
            report.set_figure("publications_per_server_cpu_second", 1e6 / each);
            report.set_figure("generator_cpu_to_server_cpu", generator / cpu.total_us);
        }
        self.report.print();
        Ok(())
    }

    /// In a closed loop.
    fn saturate(mut self, publishers: usize) -> Result<()> {
        let in_flight = self.options.in_flight;
        let finished = self.options.finished;
        let is_read = self.readers > self.options.stalled;
        let is_delivered = finished == Finished::Delivered && is_read;
        let sleepers = self.put_to_sleep()?;
        let mut conductor = self.open(publishers, is_read)?;
        conductor.open_publishers(publishers)?;
        self.report.set("in_flight", in_flight);
        self.report.set("publishers", publishers);
        self.report.set("finished", finished.name());
        self.report.set("stalled", self.options.stalled);
        let pace = match is_delivered {
            true => Pace::Delivered { in_flight },
            false => Pace::Answered { in_flight },
        };
        let seconds = self.options.seconds.unwrap_or(5.0);
        self.measure(conductor, pace, seconds)?;
        drop(sleepers);
        Ok(())
    }

    /// Sessions that were opened and left, if any are asked for.
    fn put_to_sleep(&mut self) -> Result<Option<Conductor>> {
        let sleeping = self.options.sleeping;
        if sleeping == 0 {
            return Ok(None);
        }
        if self.peer.poll.is_none() {
            return Err(Error::other("--sleeping needs a [poll] in the peer's file"));
        }
        let url = self.server.readers_url("poll").unwrap_or_default();
        let task = Task {
            url: url.to_owned(),
            transport: Some("poll".to_owned()),
            stalled: 0,
            asleep: true,
            ..self.task(sleeping)?
        };
        let (before, cpu) = (self.server.memory(), self.server.cpu());
        let fleet = Fleet::start(&task, self.options.processes)?;
        let mut conductor = Conductor::new(fleet, self.way()?, self.options.bytes)?;
        conductor.open(sleeping)?;
        self.report.set("sleeping", sleeping);
        if self.server.is_counted() {
            let used = self.server.cpu().since(cpu).total_us;
            self.report
                .set_figure("sleeping_cpu_us_each", used / sleeping as f64);
            let after = self.server.memory();
            self.report
                .set_memory("sleeping_memory", before, after, sleeping);
        }
        Ok(Some(conductor))
    }
}

/// Saturated fan-out, of a peer or of the limit.
///
/// # Errors
/// A sentence for the terminal.
pub fn fanout(options: &Options) -> Result<()> {
    let run = Run::new(options, options.clients.unwrap_or(1_000))?;
    let publishers = options.publishers.unwrap_or(options.in_flight);
    run.saturate(publishers)
}

/// Publishing to few or none.
///
/// # Errors
/// As for [`fanout`].
pub fn publish(options: &Options) -> Result<()> {
    let run = Run::new(options, options.clients.unwrap_or(0))?;
    let publishers = options.publishers.unwrap_or(options.in_flight);
    run.saturate(publishers)
}

/// So many publications a second.
///
/// # Errors
/// As for [`fanout`].
pub fn latency(options: &Options) -> Result<()> {
    let mut run = Run::new(options, options.clients.unwrap_or(1_000))?;
    let rate = options.rate.unwrap_or(20.0);
    let publishers = options.publishers.unwrap_or(1);
    let mut conductor = run.open(publishers, false)?;
    conductor.open_publishers(publishers)?;
    run.report.set_figure("rate", rate);
    let pace = Pace::Every {
        interval_us: (1e6 / rate) as u64,
        next_us: 0,
    };
    run.measure(conductor, pace, options.seconds.unwrap_or(10.0))
}

/// Many readers, and nothing for them.
///
/// # Errors
/// As for [`fanout`].
pub fn idle(options: &Options) -> Result<()> {
    let mut run = Run::new(options, options.clients.unwrap_or(10_000))?;
    let before = run.server.memory();
    let mut conductor = run.open(0, false)?;
    let (cpu, sleeps, begun) = (run.server.cpu(), run.server.sleeps(), Instant::now());
    let seconds = options.seconds.unwrap_or(30.0);
    conductor.run(Duration::from_secs_f64(seconds), "looking on")?;
    conductor.hide();
    let report = &mut run.report;
    report.set_figure("seconds", begun.elapsed().as_secs_f64());
    if run.server.is_counted() {
        let used: Cpu = run.server.cpu().since(cpu);
        report.set_figure("idle_cpu_us", used.total_us);
        report.set("idle_wake_ups", run.server.sleeps() - sleeps);
        report.set_memory("memory_later", before, run.server.memory(), run.readers);
    }
    run.report.print();
    Ok(())
}
