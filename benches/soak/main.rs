//! A long time with many visitors: whether anything is lost, doubled or out of
//! order, and whether the server grows.
//!
//! 2,000 visitors by WebSocket, XHR and JSONP, some as those of 2011, come, go,
//! lose their connection and come back, also by another way; some do not read
//! for a while. News are published all the time, and an app answers what
//! visitors say. Each visitor is a thread that blocks, so that it reads as
//! what it does; it checks all that comes to it. Run by
//! `cargo bench --bench soak -- --minutes 30`, with `--visitors` for another
//! number; `docs/benchmarks.md` explains the figures.

#[path = "../support/mod.rs"]
mod support;

mod findings;

mod link;
mod seen;

mod app;
mod publisher;

mod visit;

mod polling;
mod stream;

mod old;
mod samples;

use std::io::{Error, Result};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use chloe::base::random::Random;
use serde_json::json;

use app::App;
use findings::Findings;
use link::Outcome;
use polling::Way;
use publisher::Publisher;
use samples::Samples;
use support::figures::{arguments, print_json};
use support::process::{ServerProcess, raise_open_files};
use visit::{House, Left, Phase, Visit};

const VISITORS: u64 = 2_000;
const MINUTES: f64 = 30.0;
/// The load generator's files: two or three for each visitor, and some.
const FILES_A_VISITOR: u64 = 4;
/// What a visitor's thread may use of its stack, in bytes.
const STACK_BYTES: usize = 256 * 1_024;
/// The visitors come one after the other over this time.
const ARRIVAL: Duration = Duration::from_secs(15);
/// How long publishing goes on when nothing is broken any more.
const CLOSING: Duration = Duration::from_secs(10);
/// The pause between two lives of a visitor, at most, in milliseconds.
const BETWEEN_LIVES_MS: u64 = 3_000;

/// By what a visitor comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stream,
    /// One that is slow: little room, large publications.
    SlowStream,
    Polls(Way),
    OldStream,
    OldPolls(Way),
}

/// The kinds of twenty visitors; all others are as these.
const KINDS: [Kind; 20] = [
    Kind::Stream,
    Kind::Stream,
    Kind::Polls(Way::Xhr),
    Kind::Stream,
    Kind::Polls(Way::Jsonp),
    Kind::Stream,
    Kind::Polls(Way::Xhr),
    Kind::Stream,
    Kind::OldStream,
    Kind::Stream,
    Kind::Polls(Way::Jsonp),
    Kind::SlowStream,
    Kind::Polls(Way::Xhr),
    Kind::Stream,
    Kind::OldPolls(Way::Xhr),
    Kind::Polls(Way::Jsonp),
    Kind::Stream,
    Kind::Polls(Way::Xhr),
    Kind::Stream,
    Kind::OldPolls(Way::Jsonp),
];

/// What was asked for.
struct Asked {
    minutes: f64,
    visitors: u64,
}

fn main() -> Result<()> {
    let asked = asked()?;
    raise_open_files(asked.visitors * FILES_A_VISITOR + 128)?;
    let findings = Arc::new(Findings::default());
    let app = App::bind()?;
    let url = format!("http://{}/updates", app.address);
    let server = ServerProcess::start_with(&["--application-server-url", &url])?;
    app.run(server.address, Arc::clone(&findings));
    let table = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("soak.tsv");
    eprintln!("soak: a line every ten seconds in {}", table.display());
    let mut samples = Samples::begin(&table)?;
    if let Err(sentence) = soak(&asked, &server, &findings, &mut samples) {
        findings.surprise(sentence);
    }
    findings.settle();
    print_json(
        "soak",
        json!({
            "visitors": asked.visitors, "minutes": asked.minutes,
            "clean": findings.is_clean(), "found": findings.to_json(), "server": samples.to_json(),
        }),
    );
    match findings.is_clean() {
        true => Ok(()),
        false => Err(Error::other("the soak found something, see above")),
    }
}

fn asked() -> Result<Asked> {
    let mut asked = Asked {
        minutes: MINUTES,
        visitors: VISITORS,
    };
    let arguments = arguments();
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--minutes" => {
                asked.minutes = value.parse().map_err(Error::other)?;
            }
            [name, value] if name == "--visitors" => {
                asked.visitors = value.parse().map_err(Error::other)?;
            }
            _ => return Err(Error::other("soak takes --minutes N and --visitors N")),
        }
    }
    Ok(asked)
}

/// The whole run. Every visitor has come to its end when it returns.
fn soak(
    asked: &Asked,
    server: &ServerProcess,
    findings: &Findings,
    samples: &mut Samples,
) -> Outcome<()> {
    let house = House {
        server: server.address,
        findings,
        phase: Mutex::new(Phase::Running),
        last: OnceLock::new(),
        lives: AtomicU64::new(0),
    };
    let left = AtomicU64::new(asked.visitors);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let looked = samples.run(server, || is_over.load(Ordering::SeqCst));
            if let Err(sentence) = looked.and_then(|()| samples.look(server)) {
                findings.surprise(sentence);
            }
        });
        for number in 0..asked.visitors {
            let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
            let (house, left) = (&house, &left);
            let spawned = builder.spawn_scoped(scope, move || {
                come_and_go(
                    house,
                    number,
                    ARRIVAL * number as u32 / asked.visitors as u32,
                );
                left.fetch_sub(1, Ordering::SeqCst);
            });
            spawned.expect("the system has room for threads");
        }
        let outcome = publish(&house, Duration::from_secs_f64(asked.minutes * 60.0));
        *house.phase.lock().expect("nobody panicked") = Phase::Ended(Instant::now());
        while left.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(100));
        }
        is_over.store(true, Ordering::SeqCst);
        outcome
    })
}

/// Publishes for `duration`, then while nothing is broken any more, then the last word.
fn publish(house: &House<'_>, duration: Duration) -> Outcome<()> {
    let mut publisher = Publisher::connect(house.server, house.findings)?;
    publisher.run(Instant::now() + duration)?;
    *house.phase.lock().expect("nobody panicked") = Phase::Closing;
    publisher.run(Instant::now() + CLOSING)?;
    let last = publisher.end()?;
    house.last.get_or_init(|| last);
    Ok(())
}

/// A visitor: one life after the other.
fn come_and_go(house: &House<'_>, number: u64, arrival: Duration) {
    let kind = KINDS[(number % KINDS.len() as u64) as usize];
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let mut random = Random::new(seed);
    house.pause(arrival.as_millis() as u64);
    while house.phase() == Phase::Running {
        let visit = Visit::new(house, &mut random, kind == Kind::SlowStream);
        if let Err(sentence) = live(visit, kind) {
            house.findings.surprise(format!("{kind:?}: {sentence}"));
        }
        house.pause(random.below(BETWEEN_LIVES_MS));
    }
}

/// One life, over as many connections as it takes.
fn live(mut visit: Visit<'_>, kind: Kind) -> Outcome<()> {
    let mut by = kind;
    loop {
        let left = match by {
            Kind::Stream => stream::stay(&mut visit, false),
            Kind::SlowStream => stream::stay(&mut visit, true),
            Kind::Polls(way) => polling::stay(&mut visit, way),
            Kind::OldStream => old::stay_by_stream(&mut visit),
            Kind::OldPolls(way) => old::stay_by_polls(&mut visit, way),
        };
        if let Left::ForGood = left? {
            return Ok(());
        }
        visit.stay_away();
        // One in five comes back by another way, as where WebSockets fail.
        by = match visit.random.below(15) {
            0 => Kind::Stream,
            1 => Kind::Polls(Way::Xhr),
            2 => Kind::Polls(Way::Jsonp),
            _ => kind,
        };
    }
}
