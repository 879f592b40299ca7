//! Channels and sessions as bytes, each for itself, so that they outlive the
//! process and no two of them have to be in memory twice.
//!
//! What is read is judged at once: it is as a hub may have written it, or
//! refused. What becomes of the bytes is the server's business. Called by
//! `restore` alone.

use std::collections::HashSet;
use std::sync::Arc;

use crate::base::names::{Epoch, Offset, SessionId};
use crate::base::record::{Damaged, Record, Writer, put_bytes, put_u8, put_u64, put_u128};
use crate::base::time::Time;

use super::channel::Channel;
use super::log::{FrameHeader, Log};

/// The least that an entry, a channel, a cursor and a session take.
const ENTRY_BYTES: usize = 24;
pub const CHANNEL_BYTES: usize = 57;
const CURSOR_BYTES: usize = 16;
pub const SESSION_BYTES: usize = 25;

/// A channel and what its log holds, read back.
#[derive(Debug)]
pub struct SavedChannel {
    pub name: Arc<str>,
    pub epoch: Epoch,
    pub direct: bool,
    /// It is kept until then, in any case.
    pub promised_unix_ms: u64,
    /// How many publications had been accepted when it was last read, or asked for.
    pub touched: u64,
    pub log: Log,
}

/// A session and its cursors.
#[derive(Debug, PartialEq)]
pub struct SavedSession {
    pub id: SessionId,
    pub modern: bool,
    /// It once had a stream or a poll.
    pub had_stream: bool,
    /// The channel's place among those that were written, and the next offset to be delivered.
    pub cursors: Vec<(usize, Offset)>,
}

/// Writes a channel, its ages as times of the wall clock.
pub fn encode_channel(channel: &Channel, now: Time, out: &mut Writer<'_>) {
    let log = &channel.log;
    let promised = channel.promised_until_ms;
    let left_ms = promised.map_or(0, |until_ms| until_ms.saturating_sub(now.ms));
    let promised_unix_ms = match left_ms {
        0 => 0,
        left_ms => now.unix_ms.saturating_add(left_ms),
    };
    put_bytes(out, channel.name.as_bytes());
    put_u64(out, channel.epoch.bits());
    put_u8(out, u8::from(channel.direct));
    put_u64(out, promised_unix_ms);
    put_u64(out, channel.touched);
    put_u64(out, log.first());
    put_u64(out, log.lost());
    put_u64(out, log.next() - log.first());
    for publication in log.publications(log.first()) {
        put_u64(out, publication.sequence);
        put_u64(out, now.to_unix_ms(publication.at_ms));
        put_bytes(out, publication.json);
    }
}

impl SavedChannel {
    /// Reads a channel of a hub that accepted `sequence` publications. Its log holds
    /// frames with `frame_header`.
    ///
    /// # Errors
    /// No hub can have written it.
    pub fn decode(
        record: &mut Record<'_>,
        now: Time,
        sequence: u64,
        frame_header: FrameHeader,
    ) -> Result<Self, Damaged> {
        let name = record.text()?.into();
        let epoch = Epoch::from_bits(record.u64()?).ok_or(Damaged)?;
        let direct = flag(record)?;
        let promised_unix_ms = record.u64()?;
        let touched = record.u64()?;
        let first = record.u64()?;
        let lost = record.u64()?;
        // Offsets that can be counted on from, without an overflow in sight.
        if !(1..1 << 62).contains(&first) || lost.max(touched) > sequence {
            return Err(Damaged);
        }
        let mut log = Log::starting_at(first, lost);
        let mut before = lost;
        for _ in 0..record.count(ENTRY_BYTES)? {
            let number = record.u64()?;
            let at_ms = now.from_unix_ms(record.u64()?);
            let json = record.bytes()?;
            if json.is_empty() || number <= before || number > sequence {
                return Err(Damaged);
            }
            before = number;
            let (header, length) = frame_header(json.len());
            log.append(&header[..length], &json, number, at_ms);
        }
        Ok(SavedChannel {
            name,
            epoch,
            direct,
            promised_unix_ms,
            touched,
            log,
        })
    }
}

impl SavedSession {
    /// Writes the session.
    pub fn encode(&self, out: &mut Writer<'_>) {
        put_u128(out, self.id.0);
        put_u8(out, u8::from(self.modern) | u8::from(!self.had_stream) << 1);
        put_u64(out, self.cursors.len() as u64);
        for &(channel, cursor) in &self.cursors {
            put_u64(out, channel as u64);
            put_u64(out, cursor);
        }
    }

    /// Reads a session. `channel` gives the channel of each place; `read` says
    /// which direct ones have their one reader.
    ///
    /// # Errors
    /// No hub can have written it.
    pub fn decode<'a>(
        record: &mut Record<'_>,
        channel: impl Fn(usize) -> Option<&'a Channel>,
        read: &mut [bool],
    ) -> Result<Self, Damaged> {
        let id = SessionId(record.u128()?);
        let (modern, had_stream) = match record.u8()? {
            bits @ 0..4 => (bits & 1 == 1, bits & 2 == 0),
            _ => return Err(Damaged),
        };
        let count = record.count(CURSOR_BYTES)?;
        let mut cursors: Vec<(usize, Offset)> = Vec::with_capacity(count);
        let mut known = HashSet::with_capacity(count);
        let mut own = 0;
        for _ in 0..count {
            let number = usize::try_from(record.u64()?).map_err(|_| Damaged)?;
            let cursor = record.u64()?;
            let channel = channel(number).ok_or(Damaged)?;
            own += usize::from(channel.direct);
            let shared = channel.direct && std::mem::replace(&mut read[number], true);
            let standing = (1..=channel.log.next()).contains(&cursor);
            if shared || own > 1 || !standing || !known.insert(number) {
                return Err(Damaged);
            }
            cursors.push((number, cursor));
        }
        if id == SessionId(0) {
            return Err(Damaged);
        }
        Ok(SavedSession {
            id,
            modern,
            had_stream,
            cursors,
        })
    }
}

fn flag(record: &mut Record<'_>) -> Result<bool, Damaged> {
    match record.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Damaged),
    }
}
