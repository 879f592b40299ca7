//! The state file: what of the server outlives its process, as bytes.
//!
//! A head says what it is and of which version; behind it stand the parts, each
//! of which its owner writes and reads, and at the end a checksum that tells
//! whether it is whole. It is written and read piece by piece, since the history
//! may be most of the memory that there is. Opening the file is `cli`'s. Called
//! by the server.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufReader, BufWriter, Read, Write};

use sha2::{Digest, Sha256};

use crate::base::names::SessionId;
use crate::base::record::{Damaged, Record, Writer, put_bytes, put_u8, put_u64, put_u128};
use crate::base::time::Time;
use crate::hub;
use crate::transport::contract::{Problem, Reply};

use crate::server::commands::messages;
use crate::server::core::Core;
use crate::server::session::{idempotency, openers};
use crate::server::webhook::{self, REMEMBERED};

/// The first bytes of every state file.
const MAGIC: &[u8; 8] = b"chloe\0st";

/// The version of what follows the head. A change of any part's layout is a new
/// version; files of another are not read.
const VERSION: u32 = 5;

/// The length of the head: magic and version.
pub const HEAD_BYTES: usize = 8 + 4;

/// The length of the checksum, of all that stands before it.
pub const CHECKSUM_BYTES: usize = 32;

/// How much is written and read at once.
const PIECE_BYTES: usize = 64 * 1024;

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
                "was written by another version of Chloe (it has layout {version}, this one reads {VERSION})"
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

/// Passes on what is written or read, and makes the checksum of it.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Hashing<T> {
        Hashing {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.note(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.note(&bytes[..count]);
        Ok(count)
    }
}

/// Writes everything that outlives the process to `out`; returns how many bytes that is.
///
/// # Errors
/// Those of `out`. What was written is of no use then.
pub fn save(core: &mut Core, now: Time, out: &mut dyn Write) -> io::Result<u64> {
    let mut hashing = Hashing::new(out);
    hashing.write_all(MAGIC)?;
    hashing.write_all(&VERSION.to_le_bytes())?;
    let mut buffered = BufWriter::with_capacity(PIECE_BYTES, &mut hashing);
    let mut out = Writer::new(&mut buffered);
    core.webhook.save(now, &mut out);
    save_acks(core, &mut out);
    core.openers.save(&core.hub, &mut out);
    core.idempotency.save(now, &mut out);
    // The last part, and nearly all of it: what stands before it is judged by then.
    core.hub.save(now, &mut out);
    out.finish()?;
    drop(buffered);
    let Hashing { inner, hash, bytes } = hashing;
    inner.write_all(&hash.finalize())?;
    inner.flush()?;
    Ok(bytes + CHECKSUM_BYTES as u64)
}

/// Takes over what [`save`] wrote: the next `length` bytes of `input`.
///
/// # Errors
/// It cannot be used. Nothing is taken over then.
pub fn restore(
    core: &mut Core,
    now: Time,
    input: &mut dyn Read,
    length: u64,
) -> Result<Restored, StateError> {
    let (parts, restored) = match read(core, now, input, length) {
        Ok(read) => read,
        Err(error) => {
            core.hub.clear();
            return Err(error);
        }
    };
    core.openers.restore(&mut core.hub, &parts.openers);
    core.idempotency.restore(now, parts.keys);
    let tags = restore_acks(core, &parts.acks);
    let tag = |before: u64| tags.get(&before).copied().unwrap_or(0);
    let messages = parts.webhook.len();
    core.webhook.restore(now, parts.webhook, tag);
    Ok(Restored {
        sessions: restored.sessions,
        publications: restored.publications,
        messages,
    })
}

/// What stands before the hub's part.
struct Parts {
    webhook: Vec<webhook::SavedMessage>,
    acks: SavedAcks,
    openers: openers::Saved,
    keys: idempotency::Saved,
}

/// Reads the file; the hub is restored as it is read. After an error it is to be cleared.
fn read(
    core: &mut Core,
    now: Time,
    input: &mut dyn Read,
    length: u64,
) -> Result<(Parts, hub::Restored), StateError> {
    let body_length = length.checked_sub(CHECKSUM_BYTES as u64);
    let mut hashing = Hashing::new(&mut *input);
    read_head(&mut hashing)?;
    let body_length = body_length
        .and_then(|length| length.checked_sub(HEAD_BYTES as u64))
        .ok_or(StateError::Damaged)?;
    let mut body = BufReader::with_capacity(PIECE_BYTES, (&mut hashing).take(body_length));
    let mut record = Record::new(&mut body, body_length);
    let parts = Parts {
        webhook: webhook::decode_saved(&mut record)?,
        acks: SavedAcks::decode(&mut record)?,
        openers: openers::Saved::decode(&mut record)?,
        keys: idempotency::Saved::decode(&mut record)?,
    };
    let restored = core.hub.restore(now, &mut record)?;
    drop(body);
    let Hashing { inner, hash, .. } = hashing;
    let mut checksum = [0; CHECKSUM_BYTES];
    inner
        .read_exact(&mut checksum)
        .map_err(|_| StateError::Damaged)?;
    if checksum != *hash.finalize() {
        return Err(StateError::Damaged);
    }
    Ok((parts, restored))
}

fn read_head(input: &mut impl Read) -> Result<(), StateError> {
    let mut magic = [0; MAGIC.len()];
    let read = input.read_exact(&mut magic);
    if read.is_err() || magic != *MAGIC {
        return Err(StateError::Foreign);
    }
    let mut version = [0; 4];
    input
        .read_exact(&mut version)
        .map_err(|_| StateError::Damaged)?;
    match u32::from_le_bytes(version) {
        VERSION => Ok(()),
        version => Err(StateError::Version(version)),
    }
}

/// Which messages were under way, and what became of others: a message that is
/// repeated to the next process reaches the app no second time.
struct SavedAcks {
    /// Tag, session, id.
    under_way: Vec<(u64, SessionId, String)>,
    /// Session, id, outcome.
    done: Vec<(SessionId, String, Reply)>,
}

fn save_acks(core: &Core, out: &mut Writer<'_>) {
    let id_of = |session| core.hub.session(session).map_or(0, |known| known.id.0);
    put_u64(out, core.acks.under_way().count() as u64);
    for (token, session, id) in core.acks.under_way() {
        put_u64(out, messages::tag_of(token));
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
fn put_outcome(out: &mut Writer<'_>, outcome: Result<Option<&str>, &Problem>) {
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

fn outcome(record: &mut Record<'_>) -> Result<Reply, Damaged> {
    let answer = record.text()?;
    let code = record.text()?;
    if code.is_empty() {
        let answer = Some(answer).filter(|answer| !answer.is_empty());
        return Ok(Reply::Accepted { answer });
    }
    let known = REMEMBERED.into_iter().find(|known| *known == code);
    let status = u16::try_from(record.u64()?).ok();
    Ok(Reply::Refused(Problem {
        code: known.ok_or(Damaged)?,
        status: status
            .filter(|status| (400..600).contains(status))
            .ok_or(Damaged)?,
        temporary: record.u8()? != 0,
        message: record.text()?.into(),
    }))
}

impl SavedAcks {
    fn decode(record: &mut Record<'_>) -> Result<SavedAcks, Damaged> {
        let under_way = (0..record.count(32)?)
            .map(|_| Ok((record.u64()?, SessionId(record.u128()?), record.text()?)))
            .collect::<Result<_, Damaged>>()?;
        let done = (0..record.count(32)?)
            .map(|_| {
                let (session, id) = (SessionId(record.u128()?), record.text()?);
                Ok((session, id, outcome(record)?))
            })
            .collect::<Result<_, Damaged>>()?;
        Ok(SavedAcks { under_way, done })
    }
}

/// Returns the new tags of messages by those they had. Sessions that ended are left out.
fn restore_acks(core: &mut Core, saved: &SavedAcks) -> HashMap<u64, u64> {
    for (session, id, reply) in &saved.done {
        if let Some(session) = core.hub.find(*session) {
            core.acks.restore_done(session, id, reply);
        }
    }
    let mut tags = HashMap::new();
    for (tag, session, id) in &saved.under_way {
        if let Some(session) = core.hub.find(*session) {
            let token = core.acks.restore_under_way(session, id);
            tags.insert(*tag, messages::tag_of(token));
        }
    }
    tags
}
