//! The hub as bytes, so that it outlives the process.
//!
//! [`Snapshot`] is plain values: it is read whole and judged before anything is
//! made of it, so a hub is restored as it was or not touched. What becomes of
//! the bytes is the server's business. Called by the hub alone.

use std::collections::HashSet;
use std::sync::Arc;

use crate::base::names::{Epoch, Life, Offset, SessionId};
use crate::base::record::{Damaged, Record, put_bytes, put_u8, put_u64, put_u128};
use crate::base::time::Time;

use super::channel::Channel;
use super::log::Log;

/// Everything that a hub knows, but for streams.
#[derive(Debug, Default)]
pub struct Snapshot<'a> {
    /// The number of publications accepted so far.
    pub sequence: u64,
    /// In which they are counted; none in a state of before there were lives.
    pub life: Option<Life>,
    /// The greatest sequence of a publication that went with its channel.
    pub watermark: u64,
    pub channels: Vec<SavedChannel<'a>>,
    pub sessions: Vec<SavedSession>,
}

/// A channel and what its log holds.
#[derive(Debug, PartialEq)]
pub struct SavedChannel<'a> {
    pub name: Arc<str>,
    pub epoch: Epoch,
    pub direct: bool,
    /// It is kept until then, in any case.
    pub promised_unix_ms: u64,
    /// The offset of the first entry, or of the next publication.
    pub first: Offset,
    /// The greatest sequence that something may have had which is gone.
    pub lost: u64,
    pub entries: Vec<SavedEntry>,
    /// The frames of the entries, one behind the other.
    pub bytes: &'a [u8],
}

/// What the log remembers of one publication.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedEntry {
    pub length: usize,
    pub sequence: u64,
    pub unix_ms: u64,
}

/// A session and its cursors.
#[derive(Debug, PartialEq)]
pub struct SavedSession {
    pub id: SessionId,
    pub modern: bool,
    /// The channel's place in [`Snapshot::channels`], and the next offset to be delivered.
    pub cursors: Vec<(usize, Offset)>,
}

/// The least that an entry, a channel, a cursor and a session take.
const ENTRY_BYTES: usize = 24;
const CHANNEL_BYTES: usize = 49;
const CURSOR_BYTES: usize = 16;
const SESSION_BYTES: usize = 25;

impl<'a> SavedChannel<'a> {
    /// What `channel` holds, its ages as times of the wall clock.
    pub fn of(channel: &'a Channel, now: Time) -> Self {
        let log = &channel.log;
        let entries = log.entries().map(|(length, sequence, at_ms)| SavedEntry {
            length,
            sequence,
            unix_ms: now.to_unix_ms(at_ms),
        });
        let promised = channel.promised_until_ms;
        let left_ms = promised.map_or(0, |until_ms| until_ms.saturating_sub(now.ms));
        SavedChannel {
            name: Arc::clone(&channel.name),
            epoch: channel.epoch,
            direct: channel.direct,
            promised_unix_ms: match left_ms {
                0 => 0,
                left_ms => now.unix_ms.saturating_add(left_ms),
            },
            first: log.first(),
            lost: log.lost(),
            entries: entries.collect(),
            bytes: log.frames(log.first(), log.next()),
        }
    }

    /// The log that it was taken of.
    pub fn log(&self, now: Time) -> Log {
        let mut log = Log::starting_at(self.first, self.lost);
        let mut rest = self.bytes;
        for entry in &self.entries {
            let (frame, others) = rest.split_at(entry.length);
            rest = others;
            let at_ms = now.from_unix_ms(entry.unix_ms);
            log.append(at_ms, entry.sequence, |bytes, _| {
                bytes.extend_from_slice(frame);
            });
        }
        log
    }

    fn next(&self) -> Offset {
        self.first + self.entries.len() as u64
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.name.as_bytes());
        put_u64(out, self.epoch.bits());
        put_u8(out, u8::from(self.direct));
        put_u64(out, self.promised_unix_ms);
        put_u64(out, self.first);
        put_u64(out, self.lost);
        put_u64(out, self.entries.len() as u64);
        for entry in &self.entries {
            put_u64(out, entry.length as u64);
            put_u64(out, entry.sequence);
            put_u64(out, entry.unix_ms);
        }
        put_bytes(out, self.bytes);
    }

    /// Reads a channel of a hub that accepted `sequence` publications.
    fn decode(record: &mut Record<'a>, sequence: u64, lives: bool) -> Result<Self, Damaged> {
        let name = record.text()?.into();
        let epoch = Epoch::from_bits(record.u64()?).ok_or(Damaged)?;
        let direct = flag(record)?;
        let promised_unix_ms = record.u64()?;
        let first = record.u64()?;
        let lost = if lives { record.u64()? } else { 0 };
        let count = record.count(ENTRY_BYTES)?;
        let mut entries = Vec::with_capacity(count);
        let (mut before, mut length) = (lost, 0_usize);
        for _ in 0..count {
            let entry = SavedEntry {
                length: usize::try_from(record.u64()?).map_err(|_| Damaged)?,
                sequence: record.u64()?,
                unix_ms: record.u64()?,
            };
            if entry.length == 0 || entry.sequence <= before || entry.sequence > sequence {
                return Err(Damaged);
            }
            before = entry.sequence;
            length = length.checked_add(entry.length).ok_or(Damaged)?;
            entries.push(entry);
        }
        let bytes = record.bytes()?;
        // Offsets that can be counted on from, without an overflow in sight.
        if length != bytes.len() || !(1..1 << 62).contains(&first) || lost > sequence {
            return Err(Damaged);
        }
        Ok(SavedChannel {
            name,
            epoch,
            direct,
            promised_unix_ms,
            first,
            lost,
            entries,
            bytes,
        })
    }
}

impl SavedSession {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u128(out, self.id.0);
        put_u8(out, u8::from(self.modern));
        put_u64(out, self.cursors.len() as u64);
        for &(channel, cursor) in &self.cursors {
            put_u64(out, channel as u64);
            put_u64(out, cursor);
        }
    }

    /// Reads a session; `read` says which direct channels have their one reader.
    fn decode(
        record: &mut Record<'_>,
        channels: &[SavedChannel<'_>],
        read: &mut [bool],
    ) -> Result<Self, Damaged> {
        let id = SessionId(record.u128()?);
        let modern = flag(record)?;
        let count = record.count(CURSOR_BYTES)?;
        let mut cursors: Vec<(usize, Offset)> = Vec::with_capacity(count);
        let mut known = HashSet::with_capacity(count);
        let mut own = 0;
        for _ in 0..count {
            let number = usize::try_from(record.u64()?).map_err(|_| Damaged)?;
            let cursor = record.u64()?;
            let channel = channels.get(number).ok_or(Damaged)?;
            own += usize::from(channel.direct);
            let shared = channel.direct && std::mem::replace(&mut read[number], true);
            let standing = (1..=channel.next()).contains(&cursor);
            if shared || own > 1 || !standing || !known.insert(number) {
                return Err(Damaged);
            }
            cursors.push((number, cursor));
        }
        Ok(SavedSession {
            id,
            modern,
            cursors,
        })
    }
}

impl<'a> Snapshot<'a> {
    /// Appends the snapshot to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.sequence);
        put_u64(out, self.life.map_or(0, Life::bits));
        put_u64(out, self.watermark);
        put_u64(out, self.channels.len() as u64);
        for channel in &self.channels {
            channel.encode(out);
        }
        put_u64(out, self.sessions.len() as u64);
        for session in &self.sessions {
            session.encode(out);
        }
    }

    /// Reads a snapshot. What is returned can be restored as it is. `lives` is
    /// false for one of before there were lives.
    ///
    /// # Errors
    /// No hub can have written it.
    pub fn decode(bytes: &'a [u8], lives: bool) -> Result<Snapshot<'a>, Damaged> {
        let mut record = Record::new(bytes);
        let sequence = record.u64()?;
        let (mut life, mut watermark) = (None, 0);
        if lives {
            life = Some(Life::from_bits(record.u64()?).ok_or(Damaged)?);
            watermark = record.u64()?;
        }
        let count = record.count(CHANNEL_BYTES)?;
        let mut channels: Vec<SavedChannel<'a>> = Vec::with_capacity(count);
        let mut names = HashSet::with_capacity(count);
        for _ in 0..count {
            let channel = SavedChannel::decode(&mut record, sequence, lives)?;
            if !channel.direct && !names.insert(Arc::clone(&channel.name)) {
                return Err(Damaged);
            }
            channels.push(channel);
        }
        let mut read = vec![false; channels.len()];
        let count = record.count(SESSION_BYTES)?;
        let mut sessions = Vec::with_capacity(count);
        let mut ids = HashSet::with_capacity(count);
        for _ in 0..count {
            let session = SavedSession::decode(&mut record, &channels, &mut read)?;
            if session.id == SessionId(0) || !ids.insert(session.id) {
                return Err(Damaged);
            }
            sessions.push(session);
        }
        if !record.is_empty() || sequence >= 1 << 62 || watermark > sequence {
            return Err(Damaged);
        }
        Ok(Snapshot {
            sequence,
            life,
            watermark,
            channels,
            sessions,
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
