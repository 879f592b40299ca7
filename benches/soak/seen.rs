//! What one session has seen of each of its channels, and whether it is whole.
//!
//! Offsets must grow by one in each channel. What is published to a channel
//! of news bears its number there too, so that an offset cannot lie. Used by
//! the visitors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::findings::Findings;

/// The name under which a session's own channel stands among positions.
pub const SESSION: &str = "/session";
/// The data of the last publication of all, in `/all`.
pub const END: &str = "end";

struct Seen {
    /// Not known of a channel of which no answer told and nothing came.
    epoch: Option<String>,
    offset: u64,
}

/// Positions, by channel.
#[derive(Default)]
pub struct Positions {
    channels: BTreeMap<String, Seen>,
    /// The last publication of all has come.
    pub is_ended: bool,
}

impl Positions {
    /// An answer tells where `channel` stands, for the first time.
    pub fn begin(&mut self, channel: &str, position: &str) -> Result<(), String> {
        let (epoch, offset) = parsed(position)?;
        let seen = Seen {
            epoch: Some(epoch),
            offset,
        };
        self.channels.entry(channel.to_owned()).or_insert(seen);
        Ok(())
    }

    /// The answer to a connect: what it says of each channel. With `again`, of
    /// channels that were known.
    pub fn connected(&mut self, findings: &Findings, answer: &Value) -> Result<(), String> {
        let Some(channels) = answer["channels"].as_object() else {
            return Err(format!("no channels: {answer}"));
        };
        for (channel, standing) in channels {
            let position = standing["position"].as_str().unwrap_or("");
            let is_known = self.channels.contains_key(channel);
            if is_known && standing["recovered"] != true {
                findings.told_lost.add(1);
                findings.surprise(format!("{channel} is not recovered: {answer}"));
                self.channels.remove(channel);
            }
            // Its first publication comes yet: nothing of it was seen.
            if channel != SESSION || is_known {
                self.begin(channel, position)?;
            }
        }
        Ok(())
    }

    /// Where every channel stands, as a client tells it.
    pub fn to_json(&self) -> Value {
        let mut positions = Map::new();
        for (channel, seen) in &self.channels {
            if let Some(epoch) = &seen.epoch {
                let position = format!("{epoch}:{}", seen.offset);
                positions.insert(channel.clone(), json!(position));
            }
        }
        Value::Object(positions)
    }

    /// How far the session's own channel has come.
    pub fn direct(&self) -> u64 {
        self.channels.get(SESSION).map_or(0, |seen| seen.offset)
    }

    /// How far `channel` has come; `None` if nothing of it was ever heard.
    pub fn offset(&self, channel: &str) -> Option<u64> {
        self.channels.get(channel).map(|seen| seen.offset)
    }

    /// Takes what Chloe sent without being asked: a delivery or a gap. False if
    /// it is something else.
    pub fn take(&mut self, findings: &Findings, message: &Value) -> Result<bool, String> {
        if message["type"] == "gap" {
            return self.take_gap(findings, message).map(|()| true);
        }
        let Some(offset) = message["offset"].as_u64() else {
            return Ok(false);
        };
        let named = message["channel"].as_str().unwrap_or("");
        let is_direct = message["direct"] == true;
        let channel = if is_direct { SESSION } else { named };
        if !self.channels.contains_key(channel) {
            // Of the old clients nobody tells where they begin; of the
            // session's own channel all is theirs.
            let offset = if is_direct { 0 } else { offset - 1 };
            let seen = Seen {
                epoch: None,
                offset,
            };
            self.channels.insert(channel.to_owned(), seen);
        }
        let seen = self.channels.get_mut(channel).expect("it was put there");
        if let Some(epoch) = message["epoch"].as_str() {
            if seen.epoch.as_deref().is_some_and(|known| known != epoch) {
                return Err(format!("another life of {channel}: {message}"));
            }
            seen.epoch = Some(epoch.to_owned());
        }
        findings.delivered.add(1);
        if offset <= seen.offset {
            findings.doubled.add(1);
            return Err(format!("again, after {}: {message}", seen.offset));
        }
        let skipped = offset - seen.offset - 1;
        if skipped > 0 {
            findings.lost.add(skipped);
            findings.surprise(format!("{skipped} lost after {}: {message}", seen.offset));
        }
        seen.offset = offset;
        self.check_data(channel, offset, message)
    }

    /// The data of news are their channel, their number, and filling.
    fn check_data(&mut self, channel: &str, offset: u64, message: &Value) -> Result<bool, String> {
        let data = message["data"].as_str().unwrap_or("");
        if channel == "/all" && data == END {
            self.is_ended = true;
        } else if channel != SESSION && !channel.starts_with("own-") {
            let mut words = data.split(' ');
            let is_so = words.next() == Some(channel)
                && words.next().and_then(|number| number.parse().ok()) == Some(offset);
            if !is_so {
                return Err(format!("offset and data differ: {message}"));
            }
        }
        Ok(true)
    }

    fn take_gap(&mut self, findings: &Findings, gap: &Value) -> Result<(), String> {
        findings.told_lost.add(gap["missed"].as_u64().unwrap_or(1));
        findings.surprise(format!("a gap: {gap}"));
        let channel = gap["channel"].as_str().unwrap_or("");
        self.channels.remove(channel);
        self.begin(channel, gap["position"].as_str().unwrap_or(""))
    }
}

fn parsed(position: &str) -> Result<(String, u64), String> {
    let parts = position.split_once(':');
    let number = parts.and_then(|(epoch, offset)| Some((epoch.to_owned(), offset.parse().ok()?)));
    number.ok_or_else(|| format!("no position: {position:?}"))
}
