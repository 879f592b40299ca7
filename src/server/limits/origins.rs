//! Which pages may connect.
//!
//! A browser tells the origin of the page that asks; anything else tells none
//! and is let in. By default a page of the app and one of Chloe's own may
//! connect; `allowed_origins` adds others. Called by the router, `polls` and
//! `authorize`.

use std::fmt;

use crate::config::Config;
use crate::transport::contract::Problem;
use crate::wire::http::Request;
use crate::wire::url::parse_origin;

/// The most that is logged of what a request says: as long as a host's name can be.
const LOGGED_BYTES_MAX: usize = 255;

/// The origins that may connect.
pub struct Origins {
    /// The app's, as browsers spell it; what CORS answers name when nobody asked.
    app: String,
    allowed: Vec<Pattern>,
}

enum Pattern {
    Any,
    Exact(String),
    /// `https://*.example.com`: scheme with `://`, and the rest from the dot on.
    Below(String, String),
}

/// A page that may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign<'a> {
    /// The one of this origin; or with this `Referer`, which names none.
    Named(&'a str),
    /// One of another site. The browser does not say which.
    Unnamed,
}

impl fmt::Display for Foreign<'_> {
    /// For the log: no more of it than shows what is meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Foreign::Named(origin) => write!(f, "{:?}", beginning(origin)),
            Foreign::Unnamed => write!(f, "unnamed"),
        }
    }
}

/// The first bytes of `text`, [`LOGGED_BYTES_MAX`] at most.
pub fn beginning(text: &str) -> &str {
    let most = text.len().min(LOGGED_BYTES_MAX);
    let end = (0..=most).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

impl Foreign<'_> {
    /// The refusal of the page.
    pub fn problem(self) -> Problem {
        let sentence = match self {
            Foreign::Named(_) => {
                "Pages of this origin may not connect: add it to allowed_origins, or set application_server to it."
            }
            Foreign::Unnamed => {
                "Pages of other sites may not connect without an Origin or a Referer that names them: let the page's Referrer-Policy be strict-origin-when-cross-origin, or set allowed_origins = [\"*\"]."
            }
        };
        Problem::new(403, "forbidden_origin", sentence)
    }
}

impl Origins {
    /// The origins that `config` allows.
    pub fn new(config: &Config) -> Origins {
        let app = parse_origin(&config.application_server)
            .unwrap_or_else(|_| config.application_server.trim_end_matches('/').to_owned());
        let allowed = config.allowed_origins.iter().map(|text| pattern(text));
        Origins {
            allowed: allowed.collect(),
            app,
        }
    }

    /// The origin that the request names, unless it is one that may not connect.
    ///
    /// # Errors
    /// The page is one that may not.
    pub fn check<'a>(&self, request: &Request<'a>) -> Result<Option<&'a str>, Foreign<'a>> {
        match self.named(request)? {
            None => self.unnamed(request).map(|()| None),
            origin => Ok(origin),
        }
    }

    /// As [`Origins::check`], for a script tag, with which browsers send no
    /// `Origin`: the page is told by `Referer`, if its site lets the browser say it.
    ///
    /// # Errors
    /// The page is one that may not.
    pub fn check_script<'a>(&self, request: &Request<'a>) -> Result<Option<&'a str>, Foreign<'a>> {
        let field = |name| request.headers.get(name);
        let origin = self.named(request)?;
        if origin.is_some() {
            return Ok(origin);
        }
        let Some(page) = field("Referer") else {
            return self.unnamed(request).map(|()| None);
        };
        // Fetch Metadata, 2.4: `none` is a person who typed the address,
        // `same-origin` a page of our own. No script can set it.
        let own = matches!(field("Sec-Fetch-Site"), Some("none" | "same-origin"));
        match origin_of(page) {
            Some(origin) if own || self.allows(origin, field("Host")) => Ok(Some(origin)),
            None if own => Ok(None),
            named => Err(Foreign::Named(named.unwrap_or(page))),
        }
    }

    /// Whether a page may publish without a secret. The name by which Chloe was
    /// called proves nothing here: any name can be pointed at this machine.
    pub fn may_publish(&self, request: &Request<'_>) -> bool {
        match request.headers.get("Origin") {
            Some(origin) => {
                let own = request.headers.get("Host").filter(|host| is_loopback(host));
                self.allows(origin, own)
            }
            // As an image that stands in a page of another site.
            None => !is_cross_site(request),
        }
    }

    /// The page's origin, if the request has `Origin` and the page may connect.
    fn named<'a>(&self, request: &Request<'a>) -> Result<Option<&'a str>, Foreign<'a>> {
        match request.headers.get("Origin") {
            None => Ok(None),
            Some(origin) if self.allows(origin, request.headers.get("Host")) => Ok(Some(origin)),
            Some(origin) => Err(Foreign::Named(origin)),
        }
    }

    /// A page that nothing names is let in, unless the browser says that it is one
    /// of another site: of that kind is one whose origin is `null`.
    fn unnamed<'a>(&self, request: &Request<'a>) -> Result<(), Foreign<'a>> {
        let any = || self.allowed.iter().any(|one| matches!(one, Pattern::Any));
        match is_cross_site(request) && !any() {
            true => Err(Foreign::Unnamed),
            false => Ok(()),
        }
    }

    /// What `Access-Control-Allow-Origin` says to a request from `origin`.
    pub fn cors<'a>(&'a self, origin: Option<&'a str>) -> &'a str {
        origin.unwrap_or(&self.app)
    }

    fn allows(&self, origin: &str, host: Option<&str>) -> bool {
        let own = origin.split_once("://").map(|(_, authority)| authority);
        if own.is_some() && own == host {
            return true;
        }
        is_same_page(origin, &self.app)
            || self.allowed.iter().any(|pattern| match pattern {
                Pattern::Any => true,
                Pattern::Exact(exact) => *exact == origin,
                Pattern::Below(scheme, rest) => origin
                    .strip_prefix(scheme.as_str())
                    .and_then(|host| host.strip_suffix(rest.as_str()))
                    .is_some_and(|name| !name.is_empty() && !name.contains('/')),
            })
    }
}

/// Whether a page of another site asks, as far as the browser says it (Fetch
/// Metadata, 2.4). No script can set the field.
fn is_cross_site(request: &Request<'_>) -> bool {
    request.headers.get_bytes("Sec-Fetch-Site") == Some(b"cross-site")
}

/// The origin of the page at `url`, as browsers write both.
fn origin_of(url: &str) -> Option<&str> {
    let host = url.find("://")? + 3;
    let length = url[host..].find(['/', '?', '#']);
    Some(length.map_or(url, |length| &url[..host + length]))
}

fn pattern(text: &str) -> Pattern {
    if text == "*" {
        return Pattern::Any;
    }
    match text.split_once("://*.") {
        Some((scheme, rest)) => Pattern::Below(format!("{scheme}://"), format!(".{rest}")),
        None => Pattern::Exact(parse_origin(text).unwrap_or_else(|_| text.to_owned())),
    }
}

/// A page of this machine is one page, whichever way the machine is called.
fn is_same_page(one: &str, other: &str) -> bool {
    let scheme_and_port = |origin| {
        let (scheme, authority) = str::split_once(origin, "://")?;
        is_loopback(authority).then(|| (scheme, split_port(authority).1))
    };
    one == other || scheme_and_port(one).is_some_and(|found| Some(found) == scheme_and_port(other))
}

/// Whether `authority`, a host with or without a port, is this machine by loopback.
fn is_loopback(authority: &str) -> bool {
    matches!(split_port(authority).0, "localhost" | "127.0.0.1" | "[::1]")
}

fn split_port(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (authority, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(app: &str, allowed: &[&str]) -> Origins {
        Origins::new(&Config {
            application_server: app.to_owned(),
            allowed_origins: allowed.iter().map(|text| (*text).to_owned()).collect(),
            ..Config::default()
        })
    }

    #[test]
    fn the_app_and_chloes_own_pages_may_connect_and_no_other() {
        let origins = origins("http://localhost:4567", &[]);
        let host = Some("chloe.example:8901");
        for origin in [
            "http://localhost:4567",
            "http://127.0.0.1:4567",
            "http://chloe.example:8901",
            "https://chloe.example:8901",
        ] {
            assert!(origins.allows(origin, host), "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://localhost:4568",
            "https://localhost:4567",
            "http://localhost",
            "http://chloe.example",
            "http://chloe.example:8901.evil.example",
            "http://evil.example",
        ] {
            assert!(!origins.allows(origin, host), "{origin}");
        }
    }

    #[test]
    fn a_name_pointed_at_this_machine_does_not_make_a_page_its_own() {
        let origins = origins("http://app.example", &[]);
        for (origin, host, may) in [
            ("http://localhost:8901", "localhost:8901", true),
            ("http://127.0.0.1:8901", "127.0.0.1:8901", true),
            ("http://app.example", "localhost:8901", true),
            ("http://evil.example:8901", "evil.example:8901", false),
            (
                "http://localhost.evil.example",
                "localhost.evil.example",
                false,
            ),
        ] {
            let text = format!("POST /send HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n\r\n");
            let mut decoder = crate::wire::http::RequestDecoder::default();
            let decoded = decoder.decode(text.as_bytes(), &Default::default());
            let Ok(crate::wire::http::Decoded::Request { request, .. }) = decoded else {
                panic!("a request");
            };
            assert_eq!(origins.may_publish(&request), may, "{origin}");
        }
    }

    #[test]
    fn a_script_tag_is_judged_by_its_page_where_that_is_told() {
        let origins = origins("http://app.example", &["https://*.b.example"]);
        for (fields, refused) in [
            ("", None),
            ("Referer: http://app.example/a?b#c\r\n", None),
            ("Referer: http://app.example\r\n", None),
            ("Referer: http://chloe.example:8901/page\r\n", None),
            ("Referer: https://x.b.example/\r\n", None),
            (
                "Referer: http://evil.example/http://app.example/\r\n",
                Some("http://evil.example"),
            ),
            (
                "Referer: http://app.example.evil.example?a\r\n",
                Some("http://app.example.evil.example"),
            ),
            ("Referer: /page\r\n", Some("/page")),
            (
                "Referer: http://evil.example/\r\nSec-Fetch-Site: cross-site\r\n",
                Some("http://evil.example"),
            ),
            (
                "Referer: http://renamed.example/\r\nSec-Fetch-Site: same-origin\r\n",
                None,
            ),
            ("Sec-Fetch-Site: cross-site\r\n", Some("unnamed")),
            ("Sec-Fetch-Site: same-site\r\n", None),
            ("Sec-Fetch-Site: same-origin\r\n", None),
            ("Sec-Fetch-Site: none\r\n", None),
            (
                "Referer: http://app.example/\r\nSec-Fetch-Site: cross-site\r\n",
                None,
            ),
            (
                "Origin: http://evil.example\r\nReferer: http://app.example/\r\n",
                Some("http://evil.example"),
            ),
            (
                "Origin: null\r\nSec-Fetch-Site: same-origin\r\n",
                Some("null"),
            ),
        ] {
            let text =
                format!("GET /chloe/jsonp.js HTTP/1.1\r\nHost: chloe.example:8901\r\n{fields}\r\n");
            let mut decoder = crate::wire::http::RequestDecoder::default();
            let decoded = decoder.decode(text.as_bytes(), &Default::default());
            let Ok(crate::wire::http::Decoded::Request { request, .. }) = decoded else {
                panic!("a request");
            };
            let found = origins
                .check_script(&request)
                .err()
                .map(|foreign| match foreign {
                    Foreign::Named(origin) => origin,
                    Foreign::Unnamed => "unnamed",
                });
            assert_eq!(found, refused, "{fields}");
            let open = super::Origins::new(&Config {
                allowed_origins: vec!["*".into()],
                ..Config::default()
            });
            let relative = fields.contains("Referer: /");
            assert_eq!(open.check_script(&request).is_ok(), !relative, "{fields}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_not_taken_for_no_page() {
        let origins = origins("http://app.example", &[]);
        for (fields, connects, publishes) in [
            ("", true, true),
            ("Sec-Fetch-Site: none\r\n", true, true),
            ("Sec-Fetch-Site: same-origin\r\n", true, true),
            ("Sec-Fetch-Site: same-site\r\n", true, true),
            ("Sec-Fetch-Site: cross-site\r\n", false, false),
            (
                "Origin: http://app.example\r\nSec-Fetch-Site: cross-site\r\n",
                true,
                true,
            ),
            ("Origin: null\r\n", false, false),
        ] {
            let text = format!("GET /x HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
            let mut decoder = crate::wire::http::RequestDecoder::default();
            let decoded = decoder.decode(text.as_bytes(), &Default::default());
            let Ok(crate::wire::http::Decoded::Request { request, .. }) = decoded else {
                panic!("a request");
            };
            assert_eq!(origins.check(&request).is_ok(), connects, "{fields}");
            assert_eq!(origins.may_publish(&request), publishes, "{fields}");
        }
    }

    #[test]
    fn a_long_origin_makes_no_long_line_in_the_log() {
        for text in ["\\".repeat(15_000), "\u{e9}".repeat(7_000)] {
            let line = Foreign::Named(&text).to_string();
            assert!((250..=1_600).contains(&line.len()), "{}", line.len());
        }
        assert_eq!(Foreign::Named("http://a").to_string(), "\"http://a\"");
    }

    #[test]
    fn more_can_be_allowed() {
        let some = origins(
            "http://a.example",
            &["https://b.example", "https://*.c.example"],
        );
        for origin in [
            "http://a.example",
            "https://b.example",
            "https://x.c.example",
            "https://y.x.c.example",
        ] {
            assert!(some.allows(origin, None), "{origin}");
        }
        for origin in [
            "https://c.example",
            "http://x.c.example",
            "https://.c.example",
            "https://evil/x.c.example",
            "http://b.example",
        ] {
            assert!(!some.allows(origin, None), "{origin}");
        }
        assert!(origins("http://a.example", &["*"]).allows("https://any.example", None));
    }

    #[test]
    fn cors_names_the_asking_origin_or_the_app() {
        let origins = origins("http://a.example/", &[]);
        assert_eq!(origins.cors(None), "http://a.example");
        assert_eq!(origins.cors(Some("http://b.example")), "http://b.example");
    }
}
