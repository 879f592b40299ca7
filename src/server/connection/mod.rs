//! A connection: who is at its other end, what it is in the middle of, and what it keeps.
//!
//! State only, for each protocol that a connection can speak. Nothing here reads, writes or
//! decides: requests are understood by `routing`, messages by `browser`, what is written
//! comes from `delivery`, and what is over its time is closed by `upkeep`. Connections are
//! kept by `core`, which accepts and forgets them. Whose they count as, and how many each
//! may have, is in `limits`. A new protocol is one more variant of [`conn::Role`].
//!
//! Called by all of the server below.

pub mod peer;
pub mod conn;
pub mod memory;
