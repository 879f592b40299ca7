//! What the server used, looked at every ten seconds, and whether it grew.

use std::fs::{File, write};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::link::{Http, Outcome, PATIENCE};
use super::support::figures::rounded;
use super::support::process::{Cpu, Memory, ServerProcess, own_cpu};

const EVERY: Duration = Duration::from_secs(10);
/// Until then logs and remembered names fill up to their limits: what is kept
/// longest is kept for 10 minutes.
const FULL_AFTER_S: f64 = 660.0;
/// Growth below this share of the mean, over all the time that is looked at, is none.
const FLAT_SHARE: f64 = 0.03;

/// One look at the server.
struct Sample {
    seconds: f64,
    memory: Memory,
    files: u64,
    server: Cpu,
    own: Cpu,
    /// What it says of itself.
    status: Value,
}

/// All looks at it.
pub struct Samples {
    begun: Instant,
    list: Vec<Sample>,
    table: File,
}

impl Samples {
    /// Begins. Each look is a line in the file `table` as well.
    pub fn begin(table: &Path) -> std::io::Result<Samples> {
        write(table, "")?;
        let mut table = File::create(table)?;
        writeln!(
            table,
            "seconds\tresident\tanonymous\tfiles\tserver_cpu_s\town_cpu_s\tconnections\tsessions\tchannels\tlog_bytes\toutbox_bytes\twebhook_queued"
        )?;
        let (begun, list) = (Instant::now(), Vec::new());
        Ok(Samples { begun, list, table })
    }

    /// Looks at the server every ten seconds until `is_over` says so.
    pub fn run(&mut self, server: &ServerProcess, is_over: impl Fn() -> bool) -> Outcome<()> {
        for number in 1.. {
            while Instant::now() < self.begun + EVERY * number {
                std::thread::sleep(Duration::from_millis(100));
                if is_over() {
                    return Ok(());
                }
            }
            self.look(server)?;
        }
        Ok(())
    }

    /// Looks once.
    pub fn look(&mut self, server: &ServerProcess) -> Outcome<()> {
        let mut http = Http::connect(server.address)?;
        http.ask("GET", "/chloe/status", &[], "")?;
        let (_, body) = http.answer(PATIENCE)?;
        let sample = Sample {
            seconds: self.begun.elapsed().as_secs_f64(),
            memory: server.memory(),
            files: server.open_files(),
            server: server.cpu(),
            own: own_cpu(),
            status: serde_json::from_str(&body).map_err(|error| error.to_string())?,
        };
        let of = |key: &str| sample.status[key].as_u64().unwrap_or(0);
        let written = writeln!(
            self.table,
            "{:.0}\t{}\t{}\t{}\t{:.2}\t{:.2}\t{}\t{}\t{}\t{}\t{}\t{}",
            sample.seconds,
            sample.memory.resident,
            sample.memory.anonymous,
            sample.files,
            sample.server.total().as_secs_f64(),
            sample.own.total().as_secs_f64(),
            of("connections"),
            of("sessions"),
            of("channels"),
            of("log_bytes"),
            of("outbox_bytes"),
            sample.status["webhook"]["queued"],
        );
        written.map_err(|error| error.to_string())?;
        self.list.push(sample);
        Ok(())
    }

    /// The looks nearest to each fifth minute, and the last one.
    fn marks(&self) -> Vec<Value> {
        let mut marks = Vec::new();
        for (number, sample) in self.list.iter().enumerate() {
            let is_mark = (sample.seconds / 300.0).fract() < EVERY.as_secs_f64() / 300.0
                && sample.seconds >= 300.0;
            if is_mark || number + 1 == self.list.len() {
                marks.push(json!({
                    "minute": rounded(sample.seconds / 60.0),
                    "resident": sample.memory.resident,
                    "anonymous": sample.memory.anonymous,
                    "files": sample.files,
                    "connections": sample.status["connections"],
                    "sessions": sample.status["sessions"],
                    "channels": sample.status["channels"],
                    "log_bytes": sample.status["log_bytes"],
                }));
            }
        }
        marks
    }

    /// How fast memory grew when everything was full, in bytes a minute, and
    /// whether that is nothing. `None` if it was not looked at for long enough.
    fn growth(&self) -> Option<(f64, bool)> {
        let full = self
            .list
            .iter()
            .filter(|sample| sample.seconds >= FULL_AFTER_S);
        let points: Vec<(f64, f64)> = full
            .map(|sample| (sample.seconds / 60.0, sample.memory.anonymous as f64))
            .collect();
        if points.len() < 30 {
            return None;
        }
        let (slope, mean) = slope(&points);
        let minutes = points.last()?.0 - points.first()?.0;
        Some((slope, (slope * minutes).abs() < mean * FLAT_SHARE))
    }

    pub fn to_json(&self) -> Value {
        let last = self.list.last();
        let seconds = last.map_or(0.0, |sample| sample.seconds);
        let share = |cpu: fn(&Sample) -> Cpu| {
            last.map(|sample| rounded(cpu(sample).total().as_secs_f64() / seconds))
        };
        let growth = self.growth();
        json!({
            "seconds": seconds.round(),
            "server_cpu": share(|sample| sample.server),
            "generator_cpu": share(|sample| sample.own),
            "marks": self.marks(),
            "resident_max": self.list.iter().map(|sample| sample.memory.resident).max(),
            "files_max": self.list.iter().map(|sample| sample.files).max(),
            "outbox_bytes_max": self.list.iter().map(|sample| sample.status["outbox_bytes"].as_u64()).max(),
            "growth_bytes_per_minute": growth.map(|(slope, _)| slope.round()),
            "flat": growth.map(|(_, is_flat)| is_flat),
        })
    }
}

/// The line through `points` by least squares: its slope, and the mean height.
fn slope(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let above = |&(x, y): &(f64, f64)| (x - mean_x) * (y - mean_y);
    let below = |&(x, _): &(f64, f64)| (x - mean_x) * (x - mean_x);
    let slope = points.iter().map(above).sum::<f64>() / points.iter().map(below).sum::<f64>();
    (slope, mean_y)
}
