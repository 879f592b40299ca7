//! What the hub is given and what it answers: limits, refusals, standings.
//!
//! Plain values. Called by the hub, and by those who read its answers.

use std::fmt;
use std::sync::Arc;

use crate::base::names::{Moment, Position, SESSION_CHANNEL, Since};

use super::retention::Retention;

/// The part of all channels that one address may be alone in: a tenth.
const CHANNELS_SHARE: usize = 10;

/// What the hub holds at most, and for how long.
#[derive(Clone, Debug)]
pub struct HubLimits {
    pub sessions: usize,
    pub sessions_per_address: usize,
    /// How long a session without a stream lives, in milliseconds.
    pub session_ttl_ms: u64,
    pub channels: usize,
    pub channels_per_session: usize,
    /// Of the sessions of one address together, without those to `/all`.
    pub subscriptions_per_address: usize,
    pub channel_name_bytes: usize,
    /// How much may be published ahead of readers that keep up.
    pub backlog_bytes: usize,
    pub retention: Retention,
}

impl HubLimits {
    /// How many channels one address may be alone in.
    pub fn channels_per_address(&self) -> usize {
        (self.channels / CHANNELS_SHARE).max(1)
    }

    /// Whether `name` may be a channel's.
    ///
    /// # Errors
    /// When it is empty, too long, kept for Chloe itself, or has control
    /// characters, which no log and no terminal shows as they are.
    pub fn check_name(&self, name: &str) -> Result<(), HubError> {
        if name.is_empty() {
            Err(HubError::EmptyName)
        } else if name.len() > self.channel_name_bytes {
            Err(HubError::LongName(self.channel_name_bytes))
        } else if name == SESSION_CHANNEL {
            Err(HubError::ReservedName)
        } else if name.chars().any(char::is_control) {
            Err(HubError::ControlInName)
        } else {
            Ok(())
        }
    }
}

/// Why the hub refused. Each knows its code on the wire and says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubError {
    /// The name is empty, too long (the limit in bytes is given), kept for Chloe
    /// itself, or has control characters.
    EmptyName,
    LongName(usize),
    ReservedName,
    ControlInName,
    TooManyChannels(usize),
    /// The address alone reads as many channels as it may.
    TooManyAlone(usize),
    /// There is little room, and the address has opened more channels than there is room for.
    TooManyOpened(usize),
    TooManyOfSession(usize),
    TooManySubscriptions(usize),
    TooManySessions(usize),
    TooManySessionsOfAddress(usize),
    SessionEnded,
}

impl HubError {
    /// The `code` of the error on the wire.
    pub fn code(self) -> &'static str {
        match self {
            HubError::EmptyName
            | HubError::LongName(_)
            | HubError::ReservedName
            | HubError::ControlInName => "channel_name",
            HubError::TooManyChannels(_)
            | HubError::TooManyAlone(_)
            | HubError::TooManyOpened(_) => "channels_max",
            HubError::TooManyOfSession(_) => "channels_per_session_max",
            HubError::TooManySubscriptions(_) => "subscriptions_per_address_max",
            HubError::TooManySessions(_) => "sessions_max",
            HubError::TooManySessionsOfAddress(_) => "sessions_per_address_max",
            HubError::SessionEnded => "unknown_session",
        }
    }

    /// Whether the same may work later.
    pub fn temporary(self) -> bool {
        self.is_of_address()
            || matches!(
                self,
                HubError::TooManyChannels(_) | HubError::TooManySessions(_)
            )
    }

    /// Whether it is the share of one address that is used up, and nobody else's.
    pub fn is_of_address(self) -> bool {
        matches!(
            self,
            HubError::TooManyAlone(_)
                | HubError::TooManyOpened(_)
                | HubError::TooManySubscriptions(_)
                | HubError::TooManySessionsOfAddress(_)
        )
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HubError::EmptyName => write!(f, "the channel has no name: give it one"),
            HubError::LongName(most) => {
                write!(
                    f,
                    "the channel's name is longer than {most} bytes: shorten it, or raise channel_name_bytes_max"
                )
            }
            HubError::ReservedName => {
                write!(
                    f,
                    "the channel {SESSION_CHANNEL} is each session's own: send to it by its session"
                )
            }
            HubError::ControlInName => {
                write!(
                    f,
                    "the channel's name has control characters (U+0000 to U+001F, U+007F to U+009F): leave them out"
                )
            }
            HubError::TooManyChannels(most) => {
                write!(
                    f,
                    "there are {most} channels that somebody reads: try later, or raise channels_max"
                )
            }
            HubError::TooManyAlone(most) => {
                write!(
                    f,
                    "your address alone reads {most} channels, a tenth of channels_max: leave some, or raise channels_max"
                )
            }
            HubError::TooManyOpened(opened) => {
                write!(
                    f,
                    "there is little room for more channels, and your address opened {opened} of those that are read: leave some, or raise channels_max"
                )
            }
            HubError::TooManySubscriptions(most) => {
                write!(
                    f,
                    "your address has {most} subscriptions already: leave some, or raise subscriptions_per_address_max"
                )
            }
            HubError::TooManyOfSession(most) => {
                write!(
                    f,
                    "the session is in {most} channels already: leave one first, or raise channels_per_session_max"
                )
            }
            HubError::SessionEnded => write!(f, "the session has ended: connect again"),
            HubError::TooManySessions(most) => {
                write!(
                    f,
                    "there are {most} sessions already: try later, or raise sessions_max"
                )
            }
            HubError::TooManySessionsOfAddress(most) => {
                write!(
                    f,
                    "your address has {most} sessions already: try later, or raise sessions_per_address_max"
                )
            }
        }
    }
}

/// What became of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    pub position: Position,
    /// How many sessions are subscribed to its channel, asleep or awake.
    pub readers: usize,
}

/// Where a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Behind its newest publication.
    pub position: Position,
    /// How many sessions are subscribed to it, asleep or awake.
    pub readers: usize,
}

/// What is known of a channel that somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// It is there.
    Known(Head),
    /// It is not, and was not made: the server's own moment, from which nothing is missed.
    Unknown(Moment),
}

/// Who names positions, and so how a loss is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// A `connect` that opened the session: it had missed nothing.
    Fresh,
    /// A `connect` that goes on with the session.
    Again,
    /// A poll, which is not told how it stands: [`Gap`]s tell what is lost.
    Poll,
}

/// What a poll says of how far each channel was read; nothing where its client names batches.
pub type Seen<'a> = Option<&'a [(&'a str, Since)]>;

/// Where a subscription stands after it was made or resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Deliveries go on behind this position.
    pub position: Position,
    /// Nothing between the position asked for and this one is missing.
    pub recovered: bool,
    /// Bytes of publications that are kept behind this one, where a position was asked for:
    /// they are delivered, perhaps once more. 0 where none was.
    pub again_bytes: usize,
}

/// Publications that left the log before a session read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The channel's name on the wire.
    pub channel: Arc<str>,
    pub missed: u64,
    /// Deliveries go on behind this position.
    pub position: Position,
}
