//! The state file: what of the server outlives its process, as bytes.
//!
//! A head says what it is, of which version, how long, and by a checksum
//! whether it is whole; behind it stand the parts, each of which its owner
//! writes and reads. Reading and writing the file itself is `cli`'s. Called by
//! the server.

use std::collections::HashMap;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::base::names::SessionId;
use crate::base::record::{Damaged, Record, put_bytes, put_u8, put_u64, put_u128};
use crate::base::time::Time;
use crate::hub;
use crate::transport::contract::{Problem, Reply};

use super::callback::REMEMBERED;
use super::core::Core;
use super::{dispatch, idempotency, openers};

/// The first bytes of every state file.
const MAGIC: &[u8; 8] = b"chloe\0st";

/// The version of what follows the head. A change of any part's layout is a new
/// version. Files of those from [`OLDEST`] on are read.
const VERSION: u32 = 3;

/// Before it the hub's part has no life, and not what each log has lost.
const LIVES: u32 = 3;

/// It has neither openers nor keys, and of the answers only those of messages
/// that the app took.
const OLDEST: u32 = 1;

/// The length of the head: magic, version, length of the body, checksum of both and the body.
pub const HEAD_BYTES: usize = 8 + 4 + 8 + 32;

/// Why a state file is not read. Its Display completes "the state file ".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateError {
    /// Something else stands in the file.
    Foreign,
    /// Another version of Chloe wrote it.
    Version(u32),
    /// It is cut, or changed.
    Damaged,
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateError::Foreign => f.write_str("was not written by Chloe"),
            StateError::Version(version) => write!(
                f,
                "was written by another version of Chloe (it has layout {version}, this one reads {OLDEST} to {VERSION})"
            ),
            StateError::Damaged => f.write_str("is damaged"),
        }
    }
}

impl From<Damaged> for StateError {
    fn from(Damaged: Damaged) -> StateError {
        StateError::Damaged
    }
}

/// What was taken over from the process before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    pub sessions: usize,
    /// Publications of all channels.
    pub publications: u64,
    /// Messages that wait for the app.
    pub messages: usize,
}

/// Everything that outlives the process.
pub fn save(core: &mut Core, now: Time) -> Vec<u8> {
    let mut out = vec![0; HEAD_BYTES];
    let mut part = Vec::new();
    core.hub.save(now, &mut part);
    put_bytes(&mut out, &part);
    part.clear();
    core.callbacks.save(now, &mut part);
    put_bytes(&mut out, &part);
    part.clear();
    save_acks(core, &mut part);
    put_bytes(&mut out, &part);
    part.clear();
    core.openers.save(&core.hub, &mut part);
    put_bytes(&mut out, &part);
    part.clear();
    core.idempotency.save(now, &mut part);
    put_bytes(&mut out, &part);
    seal(&mut out);
    out
}

/// Takes over what [`save`] wrote.
///
/// # Errors
/// It cannot be used. Nothing is taken over then.
pub fn restore(core: &mut Core, now: Time, bytes: &[u8]) -> Result<Restored, StateError> {
    let (version, body) = open(bytes)?;
    let mut body = Record::new(body);
    let (hub, relay, acks) = (body.bytes()?, body.bytes()?, body.bytes()?);
    let (openers, keys) = match version {
        OLDEST => (None, None),
        _ => (Some(body.bytes()?), Some(body.bytes()?)),
    };
    if !body.is_empty() {
        return Err(StateError::Damaged);
    }
    // Each fails before it changes anything; and what the hub refuses is not relayed.
    super::callback::check(relay)?;
    let acks = SavedAcks::decode(acks, version)?;
    let openers = openers.map(openers::Saved::decode).transpose()?;
    let keys = keys.map(idempotency::Saved::decode).transpose()?;
    let hub::Restored {
        sessions,
        publications,
    } = core.hub.restore(now, hub, version >= LIVES)?;
    if let Some(openers) = openers {
        core.openers.restore(&mut core.hub, &openers);
    }
    if let Some(keys) = keys {
        core.idempotency.restore(now, keys);
    }
    let tags = restore_acks(core, &acks);
    let tag = |before: u64| tags.get(&before).copied().unwrap_or(0);
    let messages = core.callbacks.restore(now, relay, tag)?;
    Ok(Restored {
        sessions,
        publications,
        messages,
    })
}

/// Which messages were under way, and what became of others: a message that is
/// repeated to the next process reaches the app no second time.
struct SavedAcks<'a> {
    /// Tag, session, id.
    under_way: Vec<(u64, SessionId, &'a str)>,
    /// Session, id, outcome.
    done: Vec<(SessionId, &'a str, Reply)>,
}

fn save_acks(core: &Core, out: &mut Vec<u8>) {
    let id_of = |session| core.hub.session(session).map_or(0, |known| known.id.0);
    put_u64(out, core.acks.under_way().count() as u64);
    for (token, session, id) in core.acks.under_way() {
        put_u64(out, dispatch::tag_of(token));
        put_u128(out, id_of(session));
        put_bytes(out, id.as_bytes());
    }
    put_u64(out, core.acks.done().count() as u64);
    for (session, id, outcome) in core.acks.done() {
        put_u128(out, id_of(session));
        put_bytes(out, id.as_bytes());
        put_outcome(out, outcome);
    }
}

/// An answer, empty if there is none; then the code of a refusal, empty if it is
/// none, with the rest of the refusal.
fn put_outcome(out: &mut Vec<u8>, outcome: Result<Option<&str>, &Problem>) {
    let answer = outcome.ok().flatten().unwrap_or_default();
    put_bytes(out, answer.as_bytes());
    let Err(problem) = outcome else {
        return put_bytes(out, b"");
    };
    put_bytes(out, problem.code.as_bytes());
    put_u64(out, problem.status.into());
    put_u8(out, problem.temporary.into());
    put_bytes(out, problem.message.as_bytes());
}

fn outcome(record: &mut Record<'_>, version: u32) -> Result<Reply, Damaged> {
    let answer = record.text()?;
    let code = if version == OLDEST {
        ""
    } else {
        record.text()?
    };
    if code.is_empty() {
        let answer = Some(answer).filter(|answer| !answer.is_empty());
        return Ok(Reply::Accepted {
            answer: answer.map(str::to_owned),
        });
    }
    let known = REMEMBERED.into_iter().find(|known| *known == code);
    let status = u16::try_from(record.u64()?).ok();
    Ok(Reply::Refused(Problem {
        code: known.ok_or(Damaged)?,
        status: status
            .filter(|status| (400..600).contains(status))
            .ok_or(Damaged)?,
        temporary: record.u8()? != 0,
        message: record.text()?.to_owned().into(),
    }))
}

impl<'a> SavedAcks<'a> {
    fn decode(bytes: &'a [u8], version: u32) -> Result<SavedAcks<'a>, Damaged> {
        let mut record = Record::new(bytes);
        let under_way = (0..record.count(32)?)
            .map(|_| Ok((record.u64()?, SessionId(record.u128()?), record.text()?)))
            .collect::<Result<_, Damaged>>()?;
        let done = (0..record.count(32)?)
            .map(|_| {
                let (session, id) = (SessionId(record.u128()?), record.text()?);
                Ok((session, id, outcome(&mut record, version)?))
            })
            .collect::<Result<_, Damaged>>()?;
        let saved = SavedAcks { under_way, done };
        record.is_empty().then_some(saved).ok_or(Damaged)
    }
}

/// Returns the new tags of messages by those they had. Sessions that ended are left out.
fn restore_acks(core: &mut Core, saved: &SavedAcks<'_>) -> HashMap<u64, u64> {
    for (session, id, reply) in &saved.done {
        if let Some(session) = core.hub.find(*session) {
            core.acks.restore_done(session, id, reply);
        }
    }
    let mut tags = HashMap::new();
    for &(tag, session, id) in &saved.under_way {
        if let Some(session) = core.hub.find(session) {
            let token = core.acks.restore_under_way(session, id);
            tags.insert(tag, dispatch::tag_of(token));
        }
    }
    tags
}

/// The length of the whole file, as its head tells.
///
/// # Errors
/// The head is cut, or not that of a file that this version reads.
pub fn length(head: &[u8]) -> Result<u64, StateError> {
    let (magic, rest) = head.split_first_chunk().ok_or(StateError::Foreign)?;
    if magic != MAGIC {
        return Err(StateError::Foreign);
    }
    let (version, rest) = rest.split_first_chunk().ok_or(StateError::Damaged)?;
    match u32::from_le_bytes(*version) {
        OLDEST..=VERSION => {}
        version => return Err(StateError::Version(version)),
    }
    let (length, _) = rest.split_first_chunk().ok_or(StateError::Damaged)?;
    u64::from_le_bytes(*length)
        .checked_add(HEAD_BYTES as u64)
        .ok_or(StateError::Damaged)
}

/// Fills in the head in front of a body.
fn seal(out: &mut [u8]) {
    let length = (out.len() - HEAD_BYTES) as u64;
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[12..20].copy_from_slice(&length.to_le_bytes());
    let checksum = checksum(out);
    out[20..HEAD_BYTES].copy_from_slice(&checksum);
}

/// The version and the body of a file, if it is whole.
fn open(bytes: &[u8]) -> Result<(u32, &[u8]), StateError> {
    let length = length(bytes)?;
    if bytes.len() as u64 != length || bytes.len() < HEAD_BYTES {
        return Err(StateError::Damaged);
    }
    if bytes[20..HEAD_BYTES] != checksum(bytes) {
        return Err(StateError::Damaged);
    }
    let version = u32::from(bytes[8]);
    Ok((version, &bytes[HEAD_BYTES..]))
}

fn checksum(bytes: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(&bytes[..20]);
    hash.update(&bytes[HEAD_BYTES..]);
    hash.finalize().into()
}
