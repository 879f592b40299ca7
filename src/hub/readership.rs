//! Whether one address alone reads a channel.
//!
//! Anybody can read any name, and each name that is read is a channel that has to be
//! kept. So a channel that only one address reads counts against the share of that
//! address. It says whose a channel is; counting is done by the tables. Called by the
//! hub alone.

use crate::base::address::AddressKey;

/// With more readers than this a channel is not looked through for their addresses:
/// so many subscriptions have shares of their own.
pub const LOOKED_THROUGH: usize = 16;

/// Whose readers a channel has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readership {
    #[default]
    Nobody,
    /// Only sessions of this address read it.
    Alone(AddressKey),
    /// Sessions of several addresses read it, or one that counts for nobody.
    Several,
}

impl Readership {
    /// With a reader more, whose session counts for `address`.
    pub fn with(self, address: Option<AddressKey>) -> Readership {
        match (self, address) {
            (Readership::Nobody, Some(address)) => Readership::Alone(address),
            (Readership::Alone(before), Some(address)) if before == address => self,
            _ => Readership::Several,
        }
    }

    /// Of readers whose sessions count for these.
    pub fn of(addresses: impl Iterator<Item = Option<AddressKey>>) -> Readership {
        addresses.fold(Readership::Nobody, Readership::with)
    }

    /// The one address that reads it.
    pub fn alone(self) -> Option<AddressKey> {
        match self {
            Readership::Alone(address) => Some(address),
            Readership::Nobody | Readership::Several => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_alone_until_another_comes() {
        let key = |last| AddressKey::of([192, 0, 2, last].into());
        let of = |addresses: &[Option<AddressKey>]| Readership::of(addresses.iter().copied());
        let (one, other) = (key(1), key(2));
        assert_eq!(of(&[]), Readership::Nobody);
        assert_eq!(of(&[one, one]).alone(), one);
        for several in [&[one, other][..], &[one, None], &[None], &[None, one]] {
            assert_eq!(of(several), Readership::Several);
        }
    }
}
