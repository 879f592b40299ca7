//! One life of a visitor: a session, from its first connection to its end.
//!
//! What it has seen and said, and when it does what next; by which transport is
//! the business of `stream`, `polling` and `old`, which call this.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use chloe::base::random::Random;
use serde_json::{Value, json};

use super::findings::Findings;
use super::link::{Outcome, PATIENCE};
use super::publisher::{CHANNELS, WIDE, news};
use super::seen::Positions;

/// Ranges in milliseconds: how long a life is, and what comes how often in it.
const LIFE_MS: (u64, u64) = (30_000, 270_000);
const BREAK_EVERY_MS: (u64, u64) = (20_000, 100_000);
const SPEAK_EVERY_MS: (u64, u64) = (40_000, 140_000);
/// How long a visitor does not read. The server pings every 25 s, and waits 20 s.
const DOZE_MS: (u64, u64) = (8_000, 18_000);
/// Breaks: most are short, a few last; all are shorter than a session lives without a connection.
const BREAKS_MS: [(u64, u64); 10] = {
    const SHORT: (u64, u64) = (0, 500);
    const MIDDLE: (u64, u64) = (500, 5_000);
    const LONG: (u64, u64) = (5_000, 60_000);
    [
        SHORT, SHORT, SHORT, SHORT, MIDDLE, MIDDLE, MIDDLE, MIDDLE, MIDDLE, LONG,
    ]
};
/// The longest break of a slow visitor, for whom less history is kept.
const SLOW_BREAK_MAX_MS: u64 = 10_000;
/// Messages that are said at once.
const SAID_AT_ONCE: u32 = 3;

/// How far the soak is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// No life begins, nothing is broken any more; publishing goes on.
    Closing,
    /// The last word was published.
    Ended(Instant),
}

/// What all visitors share.
pub struct House<'a> {
    pub server: std::net::SocketAddr,
    pub findings: &'a Findings,
    pub phase: Mutex<Phase>,
    /// How many publications each channel had in the end.
    pub last: OnceLock<Vec<(String, u64)>>,
    pub lives: AtomicU64,
}

impl House<'_> {
    pub fn phase(&self) -> Phase {
        *self.phase.lock().expect("nobody panicked")
    }

    /// Waits, but not on into the end.
    pub fn pause(&self, mut left_ms: u64) {
        while left_ms > 0 && self.phase() == Phase::Running {
            let step = left_ms.min(500);
            std::thread::sleep(Duration::from_millis(step));
            left_ms -= step;
        }
    }
}

/// How a stay at one connection ended.
pub enum Left {
    /// The life is over.
    ForGood,
    /// It goes on over another connection.
    ForNow,
}

/// The life.
pub struct Visit<'a> {
    pub house: &'a House<'a>,
    pub random: &'a mut Random,
    pub life: u64,
    pub channel: String,
    pub session: Option<String>,
    pub positions: Positions,
    /// Numbers of messages to the app that are not answered, in order.
    pub unanswered: Vec<u32>,
    said: u32,
    /// What the app has published upon what was said: to this session, to its own channel.
    direct: u64,
    own: u64,
    ends_at: Instant,
    breaks_at: Instant,
    speaks_at: Instant,
}

fn within(random: &mut Random, (from, to): (u64, u64)) -> u64 {
    from + random.below(to - from)
}

fn later(random: &mut Random, range: (u64, u64)) -> Instant {
    Instant::now() + Duration::from_millis(within(random, range))
}

impl<'a> Visit<'a> {
    /// A new one, of a visitor that is slow or not.
    pub fn new(house: &'a House<'a>, random: &'a mut Random, slow: bool) -> Visit<'a> {
        house.findings.lives.add(1);
        let channel = match slow {
            true => WIDE.to_owned(),
            false => news(random.below(CHANNELS)),
        };
        Visit {
            house,
            life: house.lives.fetch_add(1, Ordering::Relaxed),
            channel,
            session: None,
            positions: Positions::default(),
            unanswered: Vec::new(),
            said: 0,
            direct: 0,
            own: 0,
            ends_at: later(random, LIFE_MS),
            breaks_at: later(random, BREAK_EVERY_MS),
            speaks_at: later(random, SPEAK_EVERY_MS),
            random,
        }
    }

    /// The channel that nobody else reads.
    pub fn own_channel(&self) -> String {
        format!("own-{}", self.life)
    }

    /// What opens the session, or goes on with it.
    pub fn connect(&self) -> Value {
        json!({
            "type": "connect", "version": 1, "id": 1,
            "sessionId": self.session, "positions": self.positions.to_json(),
        })
    }

    /// The answer to that. True if the session is a new one.
    pub fn connected(&mut self, answer: &Value) -> Outcome<bool> {
        let session = answer["sessionId"].as_str().map(str::to_owned);
        if session.is_none() || answer["type"] != "connect" {
            return Err(format!("not connected: {answer}"));
        }
        let is_new = self.session.is_none();
        if !is_new {
            if answer["resumed"] != true {
                return Err(format!("not resumed: {answer}"));
            }
            self.house.findings.resumed.add(1);
        }
        self.session = session;
        self.positions.connected(self.house.findings, answer)?;
        Ok(is_new)
    }

    /// Takes whatever message came.
    pub fn hear(&mut self, message: &Value) -> Outcome<()> {
        if self.positions.take(self.house.findings, message)? {
            return Ok(());
        }
        let kind = message["type"].as_str().unwrap_or("");
        match kind {
            "heartbeat" => Ok(()),
            "subscribed" => {
                let channel = message["channel"].as_str().unwrap_or("");
                let position = message["position"].as_str().unwrap_or("");
                self.positions.begin(channel, position)
            }
            "accepted" => self.accepted(message),
            _ => Err(format!("not expected: {message}")),
        }
    }

    fn accepted(&mut self, message: &Value) -> Outcome<()> {
        let number = message["answer"]["number"].as_u64().unwrap_or(0);
        let place = self
            .unanswered
            .iter()
            .position(|&one| u64::from(one) == number);
        let Some(place) = place else {
            // Repeated while its answer was on the way, it is answered twice.
            return match number <= u64::from(self.said) {
                true => Ok(()),
                false => Err(format!("nobody asked that: {message}")),
            };
        };
        self.unanswered.remove(place);
        self.house.findings.accepted.add(1);
        match number % 4 {
            0 => self.direct += 1,
            2 => self.own += 1,
            _ => {}
        }
        Ok(())
    }

    /// The text of message `number`, as the app understands it.
    pub fn text(&self, number: u32) -> String {
        let place = match number % 4 {
            0 => "direct",
            2 => "own",
            _ => "nowhere",
        };
        format!("{} {number} {place}", self.life)
    }

    /// Message `number` with an id, as it is sent the first time and again.
    pub fn message(&self, number: u32) -> Value {
        json!({
            "type": "message", "version": 1, "id": format!("m{number}"),
            "sessionId": self.session, "data": self.text(number),
        })
    }

    /// What is to be said now: the numbers, noted as unanswered. Now and then
    /// the connection breaks behind it.
    pub fn speak(&mut self) -> Vec<u32> {
        let is_due = Instant::now() >= self.speaks_at && self.house.phase() == Phase::Running;
        if !is_due {
            return Vec::new();
        }
        self.speaks_at = later(self.random, SPEAK_EVERY_MS);
        if self.random.below(4) == 0 {
            self.breaks_at = Instant::now();
        }
        let numbers: Vec<u32> = (self.said + 1..=self.said + SAID_AT_ONCE).collect();
        self.said += SAID_AT_ONCE;
        self.unanswered.extend(&numbers);
        numbers
    }

    /// Whether the connection breaks now, or (`Some(false)`) is not read for a while.
    pub fn breaks(&mut self) -> Option<bool> {
        if Instant::now() < self.breaks_at || self.house.phase() != Phase::Running {
            return None;
        }
        self.breaks_at = later(self.random, BREAK_EVERY_MS);
        let breaks = !self.unanswered.is_empty() || self.random.below(2) == 0;
        if breaks {
            self.house.findings.broken.add(1);
        }
        Some(breaks)
    }

    /// Does not read for some seconds.
    pub fn doze(&mut self) {
        self.house.findings.dozed.add(1);
        let doze_ms = within(self.random, DOZE_MS);
        self.house.pause(doze_ms);
    }

    /// Is away, as long as networks are.
    pub fn stay_away(&mut self) {
        let range = BREAKS_MS[self.random.below(BREAKS_MS.len() as u64) as usize];
        let mut break_ms = within(self.random, range);
        if self.channel == WIDE {
            break_ms = break_ms.min(SLOW_BREAK_MAX_MS);
        }
        self.house.pause(break_ms);
    }

    /// When something is to be done next, if nothing comes before.
    pub fn wakes_at(&self) -> Instant {
        let soon = Instant::now() + Duration::from_secs(5);
        let next = self.breaks_at.min(self.speaks_at).min(soon);
        next.max(Instant::now() + Duration::from_millis(20))
    }

    /// Whether all that was said has had its effects.
    fn is_settled(&self) -> bool {
        let own = self.positions.offset(&self.own_channel()).unwrap_or(0);
        self.unanswered.is_empty()
            && self.positions.direct() == self.direct
            && (own == self.own || self.is_old())
    }

    /// Whether the client is of 2011; then it knows no answers.
    fn is_old(&self) -> bool {
        self.positions.offset(&self.own_channel()).is_none()
    }

    /// Whether the life ends here: in its time, or because all has come.
    ///
    /// # Errors
    /// The last word has come, and something before it has not.
    pub fn is_over(&mut self) -> Outcome<bool> {
        match self.house.phase() {
            Phase::Running if Instant::now() < self.ends_at => return Ok(false),
            Phase::Running => {}
            Phase::Closing => return Ok(false),
            Phase::Ended(since) if !(self.positions.is_ended && self.is_settled()) => {
                if since.elapsed() > PATIENCE * 2 {
                    let sentence = match self.positions.is_ended {
                        true => "what was said had no effect",
                        false => "the last word never came",
                    };
                    return Err(format!("life {}: {sentence}", self.life));
                }
                return Ok(false);
            }
            Phase::Ended(_) => self.compare()?,
        }
        if !self.is_settled() {
            return Ok(false);
        }
        self.house.findings.sent(self.life, self.said);
        Ok(true)
    }

    /// The last word was published behind everything, so everything has come.
    fn compare(&self) -> Outcome<()> {
        let Some(last) = self.house.last.get() else {
            return Ok(());
        };
        for (channel, count) in last {
            let Some(offset) = self.positions.offset(channel) else {
                continue;
            };
            if offset < *count {
                self.house.findings.lost.add(count - offset);
                let life = self.life;
                return Err(format!(
                    "life {life}: {channel} ended at {offset} of {count}"
                ));
            }
        }
        Ok(())
    }

    /// A client of old tells by what came to it alone that its message was taken.
    pub fn hear_old(&mut self, message: &Value) -> Outcome<()> {
        let before = self.positions.direct();
        if !self.positions.take(self.house.findings, message)? {
            return Err(format!("not expected: {message}"));
        }
        if self.positions.direct() > before {
            self.unanswered.clear();
        }
        Ok(())
    }

    /// As `speak`, for a client of old: one message, that the app answers to it alone.
    pub fn speak_old(&mut self) -> Option<Value> {
        let is_due = Instant::now() >= self.speaks_at && self.house.phase() == Phase::Running;
        if !is_due || !self.unanswered.is_empty() {
            return None;
        }
        self.speaks_at = later(self.random, SPEAK_EVERY_MS);
        self.said += 1;
        self.direct += 1;
        self.unanswered.push(self.said);
        Some(json!({
            "type": "message", "version": 1, "sessionId": self.session,
            "data": format!("{} {} direct", self.life, self.said),
        }))
    }
}
