//! The state file: what of the server outlives its process, as bytes.
//!
//! A head says what it is, of which version, how long, and by a checksum
//! whether it is whole; behind it stand the parts, each of which its owner
//! writes and reads. Reading and writing the file itself is `cli`'s. Called by
//! the server.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::base::record::{Damaged, Record, put_bytes};
use crate::base::time::Time;
use crate::hub;

use super::core::Core;

/// The first bytes of every state file.
const MAGIC: &[u8; 8] = b"chloe\0st";

/// The version of what follows the head. A change of any part's layout is a new version.
const VERSION: u32 = 1;

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

/// Everything that outlives the process.
pub fn save(core: &mut Core, now: Time) -> Vec<u8> {
    let mut out = vec![0; HEAD_BYTES];
    let mut part = Vec::new();
    core.hub.save(now, &mut part);
    put_bytes(&mut out, &part);
    part.clear();
    core.callbacks.save(now, &mut part);
    put_bytes(&mut out, &part);
    seal(&mut out);
    out
}

/// Takes over what [`save`] wrote.
///
/// # Errors
/// It cannot be used. Nothing is taken over then.
pub fn restore(core: &mut Core, now: Time, bytes: &[u8]) -> Result<Restored, StateError> {
    let mut body = Record::new(open(bytes)?);
    let (hub, relay) = (body.bytes()?, body.bytes()?);
    if !body.is_empty() {
        return Err(StateError::Damaged);
    }
    // Either fails before it changes anything; and what the hub refuses is not relayed.
    super::callback::check(relay)?;
    let hub::Restored {
        sessions,
        publications,
    } = core.hub.restore(now, hub)?;
    let messages = core.callbacks.restore(now, relay)?;
    Ok(Restored {
        sessions,
        publications,
        messages,
    })
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
        VERSION => {}
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

/// The body of a file, if it is whole.
fn open(bytes: &[u8]) -> Result<&[u8], StateError> {
    let length = length(bytes)?;
    if bytes.len() as u64 != length || bytes.len() < HEAD_BYTES {
        return Err(StateError::Damaged);
    }
    match bytes[20..HEAD_BYTES] == checksum(bytes) {
        true => Ok(&bytes[HEAD_BYTES..]),
        false => Err(StateError::Damaged),
    }
}

fn checksum(bytes: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(&bytes[..20]);
    hash.update(&bytes[HEAD_BYTES..]);
    hash.finalize().into()
}
