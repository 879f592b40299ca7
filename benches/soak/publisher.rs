//! Publishes all the time, at an even pace, and ends with a last word to all.
//!
//! Every publication bears the number that its offset must be. Half of them
//! go out as forms with an `Idempotency-Key`, half as lists of JSON.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chloe::base::random::Random;
use serde_json::{Value, json};

use super::findings::Findings;
use super::link::{Http, Outcome, PATIENCE};
use super::seen::END;

/// Channels of news; each visitor reads one.
pub const CHANNELS: u64 = 40;
/// The channel of large publications, for slow visitors.
pub const WIDE: &str = "wide";

const TICK: Duration = Duration::from_millis(50);
const NEWS_A_TICK: usize = 3;
const NEWS_BYTES: usize = 128;
/// A large publication each 5th tick, one to everybody each 100th.
const WIDE_EVERY: u64 = 5;
/// So large that what a slow visitor does not read outgrows what the kernel
/// keeps for it; the history of the channel then holds some 40 seconds.
const WIDE_BYTES: usize = 98_304;
const ALL_EVERY: u64 = 100;

/// The name of a channel of news.
pub fn news(number: u64) -> String {
    format!("news-{number}")
}

/// The channel at this place of the counts.
fn name(place: usize) -> String {
    match (place as u64).checked_sub(CHANNELS) {
        None => news(place as u64),
        Some(0) => WIDE.to_owned(),
        Some(_) => "/all".to_owned(),
    }
}

/// What has been published, by channel.
pub struct Publisher<'a> {
    http: Http,
    random: Random,
    findings: &'a Findings,
    /// Of the channels of news, of the wide one, of all.
    counts: Vec<u64>,
    keys: u64,
}

impl Publisher<'_> {
    pub fn connect(server: SocketAddr, findings: &Findings) -> Outcome<Publisher<'_>> {
        Ok(Publisher {
            http: Http::connect(server)?,
            random: Random::new([99; 32]),
            findings,
            counts: vec![0; CHANNELS as usize + 2],
            keys: 0,
        })
    }

    /// Publishes until `until`.
    pub fn run(&mut self, until: Instant) -> Outcome<()> {
        let begun = Instant::now();
        for tick in 1.. {
            let due = begun + TICK * tick;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if Instant::now() >= until {
                break;
            }
            self.tick(u64::from(tick))?;
        }
        Ok(())
    }

    /// The last word. Whoever hears it has heard everything that was published
    /// before. Returns how many publications each channel has had.
    pub fn end(&mut self) -> Outcome<Vec<(String, u64)>> {
        let all = self.counts.len() - 1;
        self.counts[all] += 1;
        let last = (0..self.counts.len()).map(|channel| (name(channel), self.counts[channel]));
        let last = last.collect();
        self.form("/all", END)?;
        Ok(last)
    }

    fn tick(&mut self, tick: u64) -> Outcome<()> {
        let news: Vec<(String, u64, String)> = (0..NEWS_A_TICK)
            .map(|_| {
                let channel = self.random.below(CHANNELS) as usize;
                self.next(channel, NEWS_BYTES)
            })
            .collect();
        if tick.is_multiple_of(2) {
            self.list(&news)?;
        } else {
            for (channel, _, data) in news {
                self.form(&channel, &data)?;
            }
        }
        let wide = CHANNELS as usize;
        for (every, channel, bytes) in [
            (WIDE_EVERY, wide, WIDE_BYTES),
            (ALL_EVERY, wide + 1, NEWS_BYTES),
        ] {
            if tick.is_multiple_of(every) {
                let (channel, _, data) = self.next(channel, bytes);
                self.form(&channel, &data)?;
            }
        }
        Ok(())
    }

    /// The next publication of a channel: its name, its number and its data.
    fn next(&mut self, channel: usize, bytes: usize) -> (String, u64, String) {
        self.counts[channel] += 1;
        let number = self.counts[channel];
        let name = name(channel);
        let data = format!("{name} {number} ");
        let filling = "x".repeat(bytes - data.len());
        (name, number, data + &filling)
    }

    fn form(&mut self, channel: &str, data: &str) -> Outcome<()> {
        self.keys += 1;
        let key = format!("publication {}", self.keys);
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Idempotency-Key", &key),
        ];
        let data = data.replace(' ', "+");
        let form = format!("channel={channel}&data={data}");
        let answer = self.post(&headers, &form)?;
        self.findings.published.add(1);
        match answer == "success" {
            true => Ok(()),
            false => Err(format!("/send answered {answer}")),
        }
    }

    fn list(&mut self, news: &[(String, u64, String)]) -> Outcome<()> {
        let list: Vec<Value> = news
            .iter()
            .map(|(channel, _, data)| json!({ "channel": channel, "data": data }))
            .collect();
        let headers = [("Content-Type", "application/json")];
        let answer = self.post(&headers, &json!(list).to_string())?;
        let parsed: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        for (place, (channel, number, _)) in news.iter().enumerate() {
            self.findings.published.add(1);
            if parsed["results"][place]["channels"][channel]["offset"] != *number {
                return Err(format!("{channel} should be at {number}: {answer}"));
            }
        }
        Ok(())
    }

    fn post(&mut self, headers: &[(&str, &str)], body: &str) -> Outcome<String> {
        self.http.ask("POST", "/send", headers, body)?;
        match self.http.answer(PATIENCE)? {
            (200, text) => Ok(text),
            (status, text) => Err(format!("/send answered {status} {text}")),
        }
    }
}
