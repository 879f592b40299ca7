//! By which names Chloe may be called: against DNS rebinding.
//!
//! A page of `evil.example` can have its name point at the visitor's own machine,
//! or at one in his network. To his browser what answers there is the page's own
//! site: a GET has no `Origin`, and an `Origin` is equal to `Host`. What such a page
//! cannot change is the name, which is in `Host`. So a visitor who comes from where
//! strangers cannot has to use a name that is known here. Which origins may connect
//! is decided by `origins`. Called by the router, `polls` and `authorize`.

use std::net::{IpAddr, Ipv6Addr};

use crate::config::Config;
use crate::transport::contract::Problem;
use crate::wire::http::Request;
use crate::wire::url::{HttpUrl, parse_origin};

use super::addresses::Addresses;
use crate::server::connection::peer::Peer;

/// The most bytes of a refused name that are logged.
const LOGGED_BYTES_MAX: usize = 255;

/// The names of Chloe.
pub struct Hosts {
    names: Vec<Name>,
    /// Pages of every site may connect, under their own names as well as by another.
    any_page: bool,
    /// The port that Chloe listens on; 0 if it is not known.
    port: u16,
}

/// A host's name, in lower case.
enum Name {
    Exact(String),
    /// `*.example.com`: the rest from the dot on.
    Below(String),
}

impl Hosts {
    /// The names that `config` gives: `server_names`, and the hosts of the app and
    /// of `allowed_origins`.
    pub fn new(config: &Config) -> Hosts {
        let app = parse_origin(&config.application_server).ok();
        let webhook = HttpUrl::parse(&config.application_server_url).ok();
        let pages = config.allowed_origins.iter().chain(&app);
        let pages = pages.filter_map(|origin| Some(origin.split_once("://")?.1));
        let pages = pages.map(|authority| authority.trim_end_matches('/'));
        let pages = pages.map(|authority| &authority[..split_port(authority.as_bytes()).0.len()]);
        let webhook = webhook.iter().map(|url| url.host.as_str());
        let own = config.server_names.iter().map(String::as_str);
        Hosts {
            names: own.chain(pages).chain(webhook).map(name).collect(),
            any_page: config.allowed_origins.iter().any(|origin| origin == "*"),
            port: config.port,
        }
    }

    /// Whether the request calls Chloe by an address, as localhost, or by a name
    /// that is known. One without `Host` (HTTP/1.0) comes from no browser.
    pub fn knows(&self, request: &Request<'_>) -> bool {
        let host = split_port(request.host_bytes().unwrap_or_default()).0;
        // No page can have an address, or localhost, point anywhere else.
        host.is_empty() || is_address(host) || self.has(host)
    }

    /// Whether a page may use a transport under the name by which the request
    /// calls Chloe.
    ///
    /// # Errors
    /// The name is not known, and the visitor is near.
    pub fn check_page(
        &self,
        addresses: &Addresses,
        peer: Peer,
        request: &Request<'_>,
    ) -> Result<(), Problem> {
        match self.any_page {
            true => Ok(()),
            false => self.check_visitor(addresses, peer, request),
        }
    }

    /// Whether the visitor may use the name by which the request calls Chloe.
    ///
    /// # Errors
    /// The name is not known, and the visitor is near.
    pub fn check_visitor(
        &self,
        addresses: &Addresses,
        peer: Peer,
        request: &Request<'_>,
    ) -> Result<(), Problem> {
        if self.knows(request) || !self.is_near(addresses, peer, request) {
            return Ok(());
        }
        Err(Problem::new(
            403,
            "forbidden_host",
            "Chloe is not known by the host name of this address: add the name to server_names in the configuration, or call Chloe by its IP address or as localhost.",
        ))
    }

    /// Whether the visitor is in this machine or in a private network: where a page
    /// of another site gets to only by the visitor's browser.
    fn is_near(&self, addresses: &Addresses, peer: Peer, request: &Request<'_>) -> bool {
        let Peer::Tcp(direct) = peer else {
            // The Unix socket is the proxy's, and no browser opens one.
            return addresses.client(peer, request).is_some_and(is_private);
        };
        let direct = direct.ip().to_canonical();
        // A script may set X-Forwarded-For. But a page that was rebound to this
        // machine has Chloe's own port, and a proxy here has another.
        let port = split_port(request.host_bytes().unwrap_or_default()).1;
        let port = str::from_utf8(port).ok().and_then(|port| port.parse().ok());
        let own_port = direct.is_loopback() && port == Some(self.port);
        let forwarded = match own_port {
            true => None,
            false => addresses.client(peer, request),
        };
        is_private(forwarded.unwrap_or(direct))
    }

    fn has(&self, host: &[u8]) -> bool {
        let host = host.strip_suffix(b".").unwrap_or(host);
        let ends_with = |end: &str| {
            let at = host.len().checked_sub(end.len()).filter(|&at| at > 0);
            let rest = at.and_then(|at| host.get(at..));
            rest.is_some_and(|rest| rest.eq_ignore_ascii_case(end.as_bytes()))
        };
        host.eq_ignore_ascii_case(b"localhost")
            || self.names.iter().any(|name| match name {
                Name::Exact(exact) => host.eq_ignore_ascii_case(exact.as_bytes()),
                Name::Below(end) => ends_with(end),
            })
    }
}

/// The name of a request that was refused, as the log says it.
pub fn logged<'a>(request: &Request<'a>) -> &'a str {
    let host = request.host().unwrap_or_default();
    host.get(..LOGGED_BYTES_MAX).unwrap_or(host)
}

fn name(text: &str) -> Name {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    match text.strip_prefix('*') {
        Some(rest) if !rest.is_empty() => Name::Below(rest.to_owned()),
        _ => Name::Exact(text),
    }
}

/// Host and port of `host:port`, of which the port may be missing.
fn split_port(authority: &[u8]) -> (&[u8], &[u8]) {
    // In brackets colons belong to an address.
    let at = authority
        .iter()
        .rposition(|byte| matches!(byte, b':' | b']'));
    match at {
        Some(at) if authority[at] == b':' => (&authority[..at], &authority[at + 1..]),
        _ => (authority, b""),
    }
}

/// An IPv4 address, or an IPv6 address in brackets.
///
/// Four numbers with dots are no name in any browser: each host that ends in a number
/// is read as an IPv4 address, or refused (URL Standard, 3.5, "ends in a number").
fn is_address(host: &[u8]) -> bool {
    if let Some(bare) = host.strip_prefix(b"[") {
        let bare = bare
            .strip_suffix(b"]")
            .and_then(|bare| str::from_utf8(bare).ok());
        return bare.is_some_and(|bare| bare.parse::<Ipv6Addr>().is_ok());
    }
    let mut dots = 0;
    for byte in host {
        match byte {
            b'0'..=b'9' => {}
            b'.' => dots += 1,
            _ => return false,
        }
    }
    dots == 3
}

/// Loopback, and what the world does not route: RFC 1918, RFC 6598 (addresses of
/// carriers), RFC 4193 (unique local), and the link's own (RFC 3927, RFC 4291).
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let shared = u32::from(address) >> 22 == u32::from_be_bytes([100, 64, 0, 0]) >> 22;
            address.is_loopback() || address.is_private() || address.is_link_local() || shared
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http::{Decoded, RequestDecoder};

    fn config() -> Config {
        Config {
            server_names: vec!["Box.lan".into(), "*.here.example".into()],
            allowed_origins: vec![
                "https://*.a.example".into(),
                "https://b.example:444".into(),
                "http://C.example/".into(),
            ],
            application_server: "https://app.example".into(),
            application_server_url: "http://backend:4567/updates".into(),
            ..Config::default()
        }
    }

    /// Whether `peer` may use `host`, with `fields` in its request.
    fn may(config: &Config, peer: &str, host: &str, fields: &str) -> bool {
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        let mut decoder = RequestDecoder::default();
        let decoded = decoder.decode(text.as_bytes(), &Default::default());
        let Ok(Decoded::Request { request, .. }) = decoded else {
            panic!("a request: {host}");
        };
        let peer = match peer {
            "unix" => Peer::Unix,
            address => Peer::Tcp((address.parse::<IpAddr>().unwrap(), 9).into()),
        };
        let hosts = Hosts::new(config);
        let found = hosts.check_visitor(&Addresses::new(config), peer, &request);
        assert!(found.is_ok() || !hosts.knows(&request));
        found.is_ok()
    }

    #[test]
    fn known_names_are_those_of_the_settings() {
        for (host, known) in [
            ("127.0.0.1:8901", true),
            ("192.168.1.5", true),
            ("8.8.8.8", true),
            ("[::1]:8901", true),
            ("[fe80::1]", true),
            ("", true),
            ("LocalHost:1", true),
            ("localhost.", true),
            ("box.LAN:8901", true),
            ("box.lan.", true),
            ("x.here.example", true),
            ("y.x.here.example:80", true),
            ("app.example", true),
            ("app.example:8901", true),
            ("backend:8901", true),
            ("b.example", true),
            ("c.example", true),
            ("x.a.example", true),
            ("here.example", false),
            (".here.example", false),
            ("xhere.example", false),
            ("a.example", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("0x7f.1", false),
            ("2130706433", false),
            ("1.2.3", false),
            ("1.2.3.4.5", false),
            ("[1.2.3.4]", false),
            ("box", false),
            ("box.lan.evil.example", false),
            ("foo.localhost", false),
        ] {
            // A Host that is none is refused by the decoder.
            if !host.is_empty() && !host.starts_with('.') {
                assert_eq!(may(&config(), "127.0.0.1", host, ""), known, "{host}");
            }
            let bare = split_port(host.as_bytes()).0;
            let own = bare.is_empty() || is_address(bare) || Hosts::new(&config()).has(bare);
            assert_eq!(own, known, "{host}");
        }
    }

    #[test]
    fn any_name_will_do_for_a_visitor_from_afar() {
        for (peer, near) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.1", true),
            ("172.16.0.1", true),
            ("172.31.255.255", true),
            ("192.168.0.1", true),
            ("::ffff:192.168.0.1", true),
            ("169.254.1.1", true),
            ("100.64.0.1", true),
            ("100.127.255.255", true),
            ("fc00::1", true),
            ("fdff::1", true),
            ("fe80::1", true),
            ("172.32.0.1", false),
            ("100.63.255.255", false),
            ("100.128.0.0", false),
            ("192.169.0.1", false),
            ("8.8.8.8", false),
            ("2001:db8::1", false),
            ("unix", false),
        ] {
            assert_eq!(may(&config(), peer, "evil.example", ""), !near, "{peer}");
            assert!(may(&config(), peer, "localhost", ""), "{peer}");
        }
    }

    #[test]
    fn the_visitor_of_a_proxy_is_whom_it_names() {
        let far = "X-Forwarded-For: 8.8.8.8\r\n";
        let near = "X-Forwarded-For: 192.168.1.7\r\n";
        for (peer, host, fields, passes) in [
            ("127.0.0.1", "evil.example", far, true),
            ("127.0.0.1", "evil.example:443", far, true),
            ("127.0.0.1", "evil.example", near, false),
            ("127.0.0.1", "app.example", near, true),
            (
                "127.0.0.1",
                "evil.example",
                "Forwarded: for=8.8.8.8\r\n",
                true,
            ),
            (
                "127.0.0.1",
                "evil.example",
                "X-Forwarded-For: unknown\r\n",
                false,
            ),
            (
                "127.0.0.1",
                "evil.example",
                "X-Forwarded-For: ::1\r\n",
                false,
            ),
            ("unix", "evil.example", far, true),
            ("unix", "evil.example", near, false),
            // Nobody says that this one is a proxy.
            ("192.168.1.1", "evil.example", far, false),
            // A script of a page that was rebound.
            ("127.0.0.1", "evil.example:8901", far, false),
            ("::1", "evil.example:8901", far, false),
        ] {
            assert_eq!(
                may(&config(), peer, host, fields),
                passes,
                "{peer} {host} {fields}"
            );
        }
    }

    #[test]
    fn where_every_page_may_connect_a_name_proves_nothing() {
        let open = Config {
            allowed_origins: vec!["*".into()],
            ..config()
        };
        let peer = Peer::Tcp(([127, 0, 0, 1], 9).into());
        let mut decoder = RequestDecoder::default();
        let text = b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        let Ok(Decoded::Request { request, .. }) = decoder.decode(text, &Default::default()) else {
            panic!("a request");
        };
        let page = |config: &Config| {
            Hosts::new(config)
                .check_page(&Addresses::new(config), peer, &request)
                .is_ok()
        };
        assert!(page(&open) && !page(&config()));
        assert!(
            !may(&open, "127.0.0.1", "evil.example", ""),
            "files and the app's side"
        );
    }
}
