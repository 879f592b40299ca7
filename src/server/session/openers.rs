//! Whose a session is: the origin of the page that opened it, in 32 bits.
//!
//! A session's id is its only credential. Should one get out, a page of another
//! site cannot use it even so: the browser says where a page stands. The origin
//! itself may be long and a session is to be small, so a number is kept that is
//! made of it with a key that nobody knows; origins cannot be sought that have
//! the same. Who says no origin is no browser, or a page that has its browser
//! keep it: then nothing can be compared. Called by `commands` and `state`.

use sha2::{Digest, Sha256};

use crate::base::names::SessionId;
use crate::base::random::Random;
use crate::base::record::{Damaged, Record, Writer, put_u64, put_u128};
use crate::hub::{Hub, Opener};

/// The key by which openers are told apart. It outlives the process, as sessions do.
pub struct Openers {
    key: u128,
}

impl Openers {
    /// With a key of `random`.
    pub fn new(random: &mut Random) -> Openers {
        Openers {
            key: random.bits_128(),
        }
    }

    /// The number of the page's `origin`, if that was said.
    pub fn of(&self, origin: Option<&str>) -> Option<Opener> {
        let mut hash = Sha256::new();
        hash.update(self.key.to_le_bytes());
        hash.update(origin?.as_bytes());
        let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
        // One in 4 billion shares the number of another.
        Opener::new(u32::from_le_bytes([a, b, c, d])).or(Some(Opener::MAX))
    }

    /// Writes the key, and the openers of the sessions of `hub`.
    pub fn save(&self, hub: &Hub, out: &mut Writer<'_>) {
        put_u128(out, self.key);
        let known = |(id, opener): (SessionId, Option<Opener>)| Some((id, opener?));
        put_u64(out, hub.openers().filter_map(known).count() as u64);
        for (id, opener) in hub.openers().filter_map(known) {
            put_u128(out, id.0);
            put_u64(out, opener.get().into());
        }
    }

    /// Takes over what was saved, for the sessions that `hub` was restored with.
    pub fn restore(&mut self, hub: &mut Hub, saved: &Saved) {
        self.key = saved.key;
        for &(id, opener) in &saved.openers {
            if let Some(session) = hub.find(id) {
                hub.set_opener(session, Some(opener));
            }
        }
    }
}

/// Whether a session that `one` opened may be used by `other`: if both are
/// known, they have to be the same.
pub fn agree(one: Option<Opener>, other: Option<Opener>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// What [`Openers::save`] wrote.
pub struct Saved {
    key: u128,
    openers: Vec<(SessionId, Opener)>,
}

impl Saved {
    /// # Errors
    /// No server can have written it.
    pub fn decode(record: &mut Record<'_>) -> Result<Saved, Damaged> {
        let key = record.u128()?;
        let openers = (0..record.count(24)?)
            .map(|_| {
                let id = SessionId(record.u128()?);
                let opener = u32::try_from(record.u64()?).ok().and_then(Opener::new);
                Ok((id, opener.ok_or(Damaged)?))
            })
            .collect::<Result<_, Damaged>>()?;
        Ok(Saved { key, openers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_one_number_under_one_key() {
        let mut random = Random::new([1; 32]);
        let (one, other) = (Openers::new(&mut random), Openers::new(&mut random));
        let page = Some("https://app.example");
        assert_eq!(one.of(page), one.of(page));
        assert_ne!(one.of(page), one.of(Some("https://app.example.evil")));
        assert_ne!(one.of(page), other.of(page));
        assert_eq!(one.of(None), None);
    }

    #[test]
    fn what_is_not_known_hinders_nobody() {
        let (one, other) = (Opener::new(1), Opener::new(2));
        for (a, b, agreed) in [
            (one, one, true),
            (one, other, false),
            (one, None, true),
            (None, other, true),
            (None, None, true),
        ] {
            assert_eq!(agree(a, b), agreed, "{a:?} {b:?}");
        }
    }
}
