//! Who may come, and how much each may have: by address, by name, by origin, by second.
//!
//! Each file counts or compares one thing and gives an answer; none closes a connection,
//! writes a response or knows the rest of the server. Connections are refused by
//! `core::admission`, requests by `routing` and `browser`; connections are closed by
//! `upkeep::shed` when memory is short. Sessions, channels and subscriptions have their
//! limits in the hub, messages for the app in the webhook, and what connections keep in
//! memory is counted in `connection::memory`.
//!
//! Owned by `core`, asked by everything that takes something from a peer.

pub mod addresses;
pub mod proxies;
pub mod hosts;
pub mod origins;
pub mod visitors;
pub mod turn;
pub mod address_pace;
pub mod pace;
