//! The names of things on the wire: sessions, offsets, epochs, positions.
//!
//! Pure values with their one spelling each. No meaning is attached here: what
//! a position is good for is the hub's business. Called by every floor.

use std::fmt;
use std::str::FromStr;

/// The channel every session is in from its creation.
pub const ALL_CHANNEL: &str = "/all";

/// How a session's own channel (messages to that one session) is spelled where
/// positions are listed. It cannot be subscribed to: a session always is.
pub const SESSION_CHANNEL: &str = "/session";

/// 128 random bits, the only credential of a session; 32 lower-case hex digits on the wire.
///
/// Aligned as a `u64` is: what holds one would else grow to a multiple of 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(Rust, packed(8))]
pub struct SessionId(pub u128);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", { self.0 })
    }
}

impl fmt::Debug for SessionId {
    /// The first eight digits: enough to follow a session in a log, too few to use it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", (self.0 >> 96) as u32)
    }
}

/// The text is not the spelling of the value asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misspelled;

impl FromStr for SessionId {
    type Err = Misspelled;

    fn from_str(text: &str) -> Result<Self, Misspelled> {
        // Half by half: the machine has no registers of 128 bits.
        let (high, low) = text.split_at_checked(16).ok_or(Misspelled)?;
        let (high, low) = (read_hex(high, 16)?, read_hex(low, 16)?);
        Ok(SessionId(u128::from(high) << 64 | u128::from(low)))
    }
}

/// The number that `digits` lower-case hex digits spell, 16 at most.
fn read_hex(text: &str, digits: usize) -> Result<u64, Misspelled> {
    if text.len() != digits {
        return Err(Misspelled);
    }
    text.bytes().try_fold(0, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return Err(Misspelled),
        };
        Ok(number << 4 | u64::from(digit))
    })
}

/// The number that decimal digits spell.
fn read_decimal(text: &str) -> Result<u64, Misspelled> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Misspelled);
    }
    text.parse().map_err(|_| Misspelled)
}

/// The place of a publication in its channel's log: 1, 2, 3, ... within an epoch.
pub type Offset = u64;

/// A number of 40 random bits; ten lower-case hex digits on the wire.
macro_rules! forty_bits {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(u64);

        impl $name {
            const MASK: u64 = (1 << 40) - 1;

            /// The low 40 bits of `random`.
            pub fn from_random(random: u64) -> $name {
                $name(random & Self::MASK)
            }

            /// The 40 bits.
            pub fn bits(self) -> u64 {
                self.0
            }

            /// Just these bits; `None` if there are more than 40.
            pub fn from_bits(bits: u64) -> Option<$name> {
                (bits <= Self::MASK).then_some($name(bits))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:010x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = Misspelled;

            fn from_str(text: &str) -> Result<Self, Misspelled> {
                read_hex(text, 10).map($name)
            }
        }
    };
}

forty_bits! {
    /// One life of a channel, drawn when the channel comes to be. Offsets of two
    /// epochs cannot be compared.
    Epoch
}

forty_bits! {
    /// One life of the server's count of publications, drawn when it begins without
    /// a state. Sequences of two lives cannot be compared.
    Life
}

/// "Seen up to and with `offset` of this epoch"; offset 0 is the start. `epoch:offset` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub epoch: Epoch,
    pub offset: Offset,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.offset)
    }
}

impl FromStr for Position {
    type Err = Misspelled;

    fn from_str(text: &str) -> Result<Self, Misspelled> {
        let (epoch, offset) = text.split_once(':').ok_or(Misspelled)?;
        Ok(Position {
            epoch: epoch.parse()?,
            offset: read_decimal(offset)?,
        })
    }
}

/// "Seen all that was published up to and with the publication of this sequence", in
/// any channel. Sequences count all publications of a life: 1, 2, 3, ...
/// `life-sequence` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub life: Life,
    pub sequence: u64,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.life, self.sequence)
    }
}

impl FromStr for Moment {
    type Err = Misspelled;

    fn from_str(text: &str) -> Result<Self, Misspelled> {
        let (life, sequence) = text.split_once('-').ok_or(Misspelled)?;
        Ok(Moment {
            life: life.parse()?,
            sequence: read_decimal(sequence)?,
        })
    }
}

/// What was seen of a channel, in either spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    Position(Position),
    Moment(Moment),
}

impl FromStr for Since {
    type Err = Misspelled;

    fn from_str(text: &str) -> Result<Self, Misspelled> {
        match text.contains(':') {
            true => text.parse().map(Since::Position),
            false => text.parse().map(Since::Moment),
        }
    }
}

impl From<Position> for Since {
    fn from(position: Position) -> Since {
        Since::Position(position)
    }
}

impl From<Moment> for Since {
    fn from(moment: Moment) -> Since {
        Since::Moment(moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let session = SessionId(0x00ff_1234_5678_9abc_def0_0000_0000_0001);
        assert_eq!(session.to_string().parse(), Ok(session));
        assert_eq!(session.to_string().len(), 32);
        let position = Position {
            epoch: Epoch::from_random(u64::MAX),
            offset: u64::MAX,
        };
        assert_eq!(position.to_string(), "ffffffffff:18446744073709551615");
        assert_eq!(position.to_string().parse(), Ok(position));
        assert_eq!(position.to_string().parse(), Ok(Since::Position(position)));
        let moment = Moment {
            life: Life::from_random(0xab),
            sequence: 7,
        };
        assert_eq!(moment.to_string(), "00000000ab-7");
        assert_eq!(moment.to_string().parse(), Ok(Since::Moment(moment)));
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "1",
            "00FF123456789abcdef0000000000001",
            "+0ff123456789abcdef00000000000001",
        ] {
            assert_eq!(text.parse::<SessionId>(), Err(Misspelled), "{text}");
        }
        for text in [
            "",
            ":",
            "ffffffffff:",
            "ffffffffff:+1",
            "fff:1",
            "ffffffffff:18446744073709551616",
        ] {
            assert_eq!(text.parse::<Position>(), Err(Misspelled), "{text}");
            assert_eq!(text.parse::<Since>(), Err(Misspelled), "{text}");
            let moment = text.replace(':', "-");
            assert_eq!(moment.parse::<Since>(), Err(Misspelled), "{moment}");
        }
    }

    #[test]
    fn a_log_line_does_not_give_the_session_away() {
        assert_eq!(format!("{:?}", SessionId(0xabcdef01 << 96)), "abcdef01");
    }
}
