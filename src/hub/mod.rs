//! FLOOR 2: who hears what.
//!
//! A channel is a log, a session's subscription is a cursor into it. The hub
//! knows channels, sessions and offsets; it knows neither HTTP nor sockets nor
//! a clock. Publishing costs the same for one reader and for 100,000: append,
//! and mark the channel. Who is owed what is asked afterwards, reader by reader
//! ([`Hub::next_reader`], [`Hub::pending`], [`Hub::advance`]).
//!
//! The promise: every session is given what it subscribed to in the order in
//! which the hub accepted it, across channels, each once, or the gap is
//! returned by [`Hub::take_gap`]. Called by the server.
//!
//! Where to look: what a channel keeps, `segment` to `unread`; who reads what, `tables`;
//! both together, `archive` and `state`. What can be done with the hub stands in one file
//! for each purpose: `sessions`, `subscriptions` (with `positions`), `publishing`,
//! `reading` (with `again`), `saving`. An answer that may be lost is `batches`; what is
//! kept for readers that keep up is `sparing`; what one address may hold is `shares`.

mod segment;
mod log;
mod readership;
mod channel;
mod batches;
mod session;
mod pending;
mod pass;
mod retention;
mod sparing;
mod promises;
mod values;
mod holdings;
mod newcomers;
mod unread;
mod tables;
mod shares;
mod snapshot;
mod restore;
mod archive;
mod counts;
mod state;
mod sessions;
mod reading;
mod positions;
mod again;
mod subscriptions;
mod publishing;
mod saving;
#[cfg(test)]
mod restore_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod promise_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod share_tests;
#[cfg(test)]
mod sparing_tests;

pub use log::{FrameHeader, Publication};
pub use pending::Run;
pub use restore::Restored;
pub use retention::{Keep, LOG_FLOOR, Retention};
pub use session::{Opener, Session, SessionKey, Stream};
pub use state::Hub;
pub use values::{Asking, Gap, Head, HubError, HubLimits, Published, Seen, Standing, Whereabouts};
