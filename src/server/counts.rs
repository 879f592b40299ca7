//! What the server holds of others, as numbers for tests.
//!
//! A leak of any kind shows here: every limited thing has a row. Called by the server
//! for tests, which assert that all is zero when everybody is gone.

use super::core::Core;

/// Each limited thing by name, and how much of it is held.
pub fn counts(core: &Core) -> Vec<(&'static str, usize)> {
    vec![
        ("connections", core.conns.len()),
        ("websockets", core.stats.websockets as usize),
        ("polls", core.stats.polls as usize),
        ("sessions", core.hub.session_count()),
        ("channels", core.hub.channel_count()),
        ("log_bytes", core.hub.log_bytes()),
        ("relay_queued", core.callbacks.queued()),
        ("connection_shares", core.addresses.count()),
    ]
}
