//! What is said about a visitor who is not let in, to him and in the log.
//!
//! `origins` and `hosts` decide; how many may come is decided by `admission`.
//! Called by the router and by `polls`.

use crate::transport::contract::Problem;
use crate::wire::http::Request;

use super::addresses::Addresses;
use super::hosts::{Hosts, logged};
use super::origins::Foreign;
use super::proxies::Unbelieved;
use crate::server::connection::peer::Peer;

/// Whether a page may connect under the name by which it calls Chloe.
///
/// # Errors
/// The refusal.
pub fn check_page(
    hosts: &Hosts,
    addresses: &Addresses,
    peer: Peer,
    request: &Request<'_>,
) -> Result<(), Problem> {
    let found = hosts.check_page(addresses, peer, request);
    found.inspect_err(|_| log_host(peer, request))
}

/// Whether a visitor may have the files of `doc_root` under that name.
///
/// # Errors
/// The refusal.
pub fn check_visitor(
    hosts: &Hosts,
    addresses: &Addresses,
    peer: Peer,
    request: &Request<'_>,
) -> Result<(), Problem> {
    let found = hosts.check_visitor(addresses, peer, request);
    found.inspect_err(|_| log_host(peer, request))
}

/// The refusal of a page that may not connect.
pub fn foreign(transport: &str, foreign: Foreign<'_>) -> Problem {
    log::info!("event=origin_refused transport={transport} origin={foreign}");
    foreign.problem()
}

/// Tells the operator, once of each, of a proxy that is not believed.
pub fn note_proxy(
    unbelieved: &mut Unbelieved,
    addresses: &Addresses,
    peer: Peer,
    request: &Request<'_>,
) {
    if unbelieved.is_new(addresses, peer, request) {
        log::warn!(
            "event=proxy_not_trusted peer={peer} effect=\"all its visitors count as one\" \
             hint=\"if it is your proxy, add it to trusted_proxies\""
        );
    }
}

fn log_host(peer: Peer, request: &Request<'_>) {
    let host = logged(request);
    log::info!("event=host_refused peer={peer} host={host:?} hint=server_names");
}
