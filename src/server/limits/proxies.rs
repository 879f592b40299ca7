//! By what a proxy is known, and which proxies are not believed.
//!
//! It reads no addresses out of the fields: `addresses` does. Called by the router,
//! and by `authorize`, to which a proxy speaks for anybody.

use std::net::IpAddr;

use crate::wire::http::Request;

use super::addresses::Addresses;
use crate::server::connection::peer::Peer;

/// What proxies add to requests that they pass on.
const SIGNS: [&str; 9] = [
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
    "X-Client-IP",
    "CF-Connecting-IP",
    "True-Client-IP",
    "Via",
];

/// Proxies of which the log tells; enough for those of one site.
const TOLD_MAX: usize = 8;

/// The lengths of these names, a bit for each: most fields have another.
const SIGN_LENGTHS: u64 = {
    let (mut lengths, mut at) = (0, 0);
    while at < SIGNS.len() {
        lengths |= 1 << SIGNS[at].len();
        at += 1;
    }
    lengths
};

/// Whether the request came through a proxy, as far as it says so.
pub fn passed_on(request: &Request<'_>) -> bool {
    request.headers.names().any(|name| {
        let length = name.len().min(63);
        SIGN_LENGTHS >> length & 1 == 1 && SIGNS.iter().any(|sign| name.eq_ignore_ascii_case(sign))
    })
}

/// The peers that say whose requests they pass on, and are not believed.
#[derive(Default)]
pub struct Unbelieved {
    told: Vec<IpAddr>,
}

impl Unbelieved {
    /// Whether the request comes from such a peer, and the log has not told of it yet.
    pub fn is_new(&mut self, addresses: &Addresses, peer: Peer, request: &Request<'_>) -> bool {
        let Peer::Tcp(address) = peer else {
            return false;
        };
        // What `addresses` would read, if the peer were trusted.
        let names = ["X-Forwarded-For", "Forwarded"];
        if !names.iter().any(|name| request.headers.has(name)) || addresses.is_proxy(peer) {
            return false;
        }
        let address = address.ip().to_canonical();
        let new = self.told.len() < TOLD_MAX && !self.told.contains(&address);
        if new {
            self.told.push(address);
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::wire::http::{Decoded, RequestDecoder};

    fn with<R>(field: &str, ask: impl FnOnce(&Request<'_>) -> R) -> R {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n");
        let mut decoder = RequestDecoder::default();
        let decoded = decoder.decode(text.as_bytes(), &Default::default());
        let Ok(Decoded::Request { request, .. }) = decoded else {
            panic!("a request: {field}");
        };
        ask(&request)
    }

    #[test]
    fn every_field_that_a_proxy_adds_is_a_sign_of_one() {
        for name in SIGNS {
            let field = format!("{}: 1.2.3.4\r\n", name.to_ascii_lowercase());
            assert!(with(&field, passed_on), "{name}");
        }
        assert!(!with("User-Agent: curl\r\nAccept: */*\r\n", passed_on));
    }

    #[test]
    fn each_proxy_is_told_of_once_and_not_more_than_some() {
        let addresses = Addresses::new(&Config::default());
        let mut unbelieved = Unbelieved::default();
        let mut new = |peer: [u8; 4], field: &str| {
            let peer = Peer::Tcp((peer, 9).into());
            with(field, |request| {
                unbelieved.is_new(&addresses, peer, request)
            })
        };
        let forwarded = "X-Forwarded-For: 8.8.8.8\r\n";
        assert!(!new([10, 0, 0, 1], ""));
        assert!(!new([127, 0, 0, 1], forwarded), "it is trusted");
        assert!(new([10, 0, 0, 1], forwarded));
        assert!(!new([10, 0, 0, 1], forwarded));
        assert!(new([10, 0, 0, 2], "Forwarded: for=8.8.8.8\r\n"));
        let crowd = (0..100).filter(|&last| new([192, 0, 2, last], forwarded));
        assert_eq!(crowd.count(), TOLD_MAX - 2);
        assert!(!with(forwarded, |request| unbelieved.is_new(
            &addresses,
            Peer::Unix,
            request
        )));
    }
}
