//! What the hub holds of others, as numbers for tests.
//!
//! Whatever grows with sessions, subscriptions or publications has a row; when everybody
//! is gone and all times have passed each is zero. It decides nothing. Called by the hub.

use crate::base::timers::Timers;

use super::archive::Archive;
use super::session::SessionKey;
use super::tables::Tables;

/// Each thing by name, and how much of it is held.
pub fn counts(
    tables: &Tables,
    archive: &Archive,
    ends: &Timers<SessionKey>,
) -> Vec<(&'static str, usize)> {
    let [sessions, subscriptions, channels] = tables.holdings.entries();
    vec![
        ("sessions", tables.sessions.len()),
        ("session_ids", tables.ids.len()),
        ("session_ends", ends.len()),
        ("session_shares", sessions),
        ("newcomers", tables.newcomers.len()),
        ("channels", tables.channels.len()),
        ("channel_names", tables.names.len()),
        ("channels_read", tables.read),
        ("channels_unread", archive.resting()),
        ("channels_timed", archive.timed()),
        ("channel_shares", channels),
        ("subscription_shares", subscriptions),
        ("log_bytes", archive.bytes()),
        ("fan_out_bytes", archive.pass.backlog_bytes()),
        ("spared_bytes", archive.spared_bytes()),
    ]
}
