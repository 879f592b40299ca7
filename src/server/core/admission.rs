//! Who is let in: so many connections in all, and so many of one address.
//!
//! A peer's connection is counted from its accept on. A proxy's is counted for
//! whom its request is passed on, from the request until the answer is out, or
//! for as long as it is a WebSocket. Called by the server and the router.

use crate::base::time::Time;
use crate::transport::contract::Problem;
use crate::wire::http::Request;

use super::parts::Core;
use crate::server::connection::conn::{Conn, ConnKey, Role};
use crate::server::connection::peer::Peer;
use crate::server::limits::addresses;

/// Takes a new connection in, unless there are too many.
pub fn accept(core: &mut Core, now: Time, peer: Peer) -> Option<ConnKey> {
    if core.is_draining() {
        return None;
    }
    let address = core.addresses.of_peer(peer);
    let full = core.conns.len() >= core.config.connections_max;
    let limit = if full {
        "connections_max"
    } else if address.is_some_and(|address| !core.addresses.enter(address)) {
        "connections_per_address_max"
    } else {
        core.stats.accepted += 1;
        let mut conn = Conn::inbound(now, peer);
        conn.address = address;
        let key = core.conns.insert(conn);
        core.arm(key);
        return Some(key);
    };
    core.stats.refused += 1;
    let refused = core.stats.refused;
    log::warn!("event=connection_refused limit={limit} peer={peer} refused_in_all={refused}");
    None
}

/// Counts a request that a proxy passes on for whom it is passed on.
///
/// # Errors
/// The refusal, when that one has too many already.
pub fn admit(core: &mut Core, key: ConnKey, request: &Request<'_>) -> Result<(), Problem> {
    let Some(conn) = core.conns.get(key) else {
        return Ok(());
    };
    match &conn.role {
        Role::Http(http) if core.addresses.is_proxy(http.peer) => {}
        _ => return Ok(()),
    }
    let wanted = core.addresses.of_proxied(request);
    if conn.address == wanted {
        return Ok(());
    }
    release(core, key);
    let Some(address) = wanted else {
        return Ok(());
    };
    if core.addresses.enter(address) {
        if let Some(conn) = core.conns.get_mut(key) {
            conn.address = Some(address);
        }
        return Ok(());
    }
    core.stats.refused += 1;
    let refused = core.stats.refused;
    log::warn!(
        "event=request_refused limit=connections_per_address_max address={address} refused_in_all={refused}"
    );
    Err(Problem::temporary(
        429,
        "connections_per_address_max",
        format!(
            "There are {} connections from your address already: close some, or raise connections_per_address_max (a quarter of connections_max at most).",
            addresses::share(&core.config)
        ),
    ))
}

/// A proxy's connection is between two requests: it is nobody's.
pub fn answered(core: &mut Core, key: ConnKey) {
    let proxy = match core.conns.get(key) {
        Some(Conn {
            role: Role::Http(http),
            address: Some(_),
            ..
        }) => core.addresses.is_proxy(http.peer),
        _ => false,
    };
    if proxy {
        release(core, key);
    }
}

fn release(core: &mut Core, key: ConnKey) {
    let conn = core.conns.get_mut(key);
    if let Some(address) = conn.and_then(|conn| conn.address.take()) {
        core.addresses.leave(address);
    }
}
