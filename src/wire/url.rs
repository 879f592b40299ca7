//! URLs of the configuration and paths of requests, taken apart strictly.
//!
//! No general URL library: only `http` addresses to call, origins to compare,
//! and paths to look up. Called by the configuration, the webhook and the static
//! files.

use std::fmt;
use std::net::Ipv6Addr;

/// The port of `http` when none is named.
const HTTP_PORT: u16 = 80;

/// Where to send requests: `http://host[:port]/path?query`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    /// A name in lower case, an IPv4 address, or an IPv6 address without brackets: what a resolver takes.
    pub host: String,
    /// The port, 80 if none was named.
    pub port: u16,
    /// The request's target: path and query, at least `/`.
    pub target: String,
}

/// What is wrong with a URL of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// Not `http://`; for an origin, not `https://` either.
    Scheme,
    /// `https://` where Chloe itself would have to speak TLS.
    Tls,
    /// A user name or password.
    Credentials,
    /// No host, or one that cannot be.
    Host,
    /// No number from 1 to 65535.
    Port,
    /// White space, control characters or characters beyond ASCII.
    Characters,
    /// More than scheme, host and port in an origin.
    NotOrigin,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlError::Scheme => "The address must begin with http://, as in http://localhost:4567/updates.",
            UrlError::Tls => {
                "Chloe does not call https addresses yet: give the app's http:// address, or a local proxy's."
            }
            UrlError::Credentials => "Leave the user name and password out of the address.",
            UrlError::Host => {
                "The address needs a host: letters, digits, dots and hyphens, or an IP address; IPv6 in brackets; other names as xn--..."
            }
            UrlError::Port => "The port must be a number from 1 to 65535.",
            UrlError::Characters => {
                "The address holds a blank, a control character or a character beyond ASCII: write it as %XX."
            }
            UrlError::NotOrigin => {
                "An origin is scheme, host and port only, as in https://example.com: leave out the path."
            }
        })
    }
}

impl std::error::Error for UrlError {}

impl HttpUrl {
    /// Takes `url` apart. A fragment is dropped.
    ///
    /// # Errors
    /// [`UrlError`], whose sentence says what to write instead.
    pub fn parse(url: &str) -> Result<HttpUrl, UrlError> {
        let (scheme, rest) = split_scheme(url)?;
        match scheme {
            Scheme::Http => {}
            Scheme::Https => return Err(UrlError::Tls),
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = split_authority(authority)?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(HttpUrl {
            host,
            port: port.unwrap_or(HTTP_PORT),
            target: format!("{slash}{target}"),
        })
    }

    /// The value of the `Host` header: port 80 is left out, IPv6 is in brackets.
    pub fn authority(&self) -> String {
        authority(&self.host, self.port, HTTP_PORT)
    }

    /// The origin as browsers write it in the `Origin` header.
    pub fn origin(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// Scheme, host, port and path, for a log: a query may hold a token.
    pub fn without_query(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        format!("{}{path}", self.origin())
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.target)
    }
}

/// `text`, an `http` or `https` origin, as browsers write it in the `Origin`
/// header: lower case, the default port left out, one `/` at the end forgiven.
///
/// # Errors
/// [`UrlError`], whose sentence says what to write instead.
pub fn parse_origin(text: &str) -> Result<String, UrlError> {
    let (scheme, rest) = split_scheme(text)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err(UrlError::NotOrigin);
    }
    let (host, port) = split_authority(rest)?;
    let (name, default) = match scheme {
        Scheme::Http => ("http", HTTP_PORT),
        Scheme::Https => ("https", 443),
    };
    let authority = authority(&host, port.unwrap_or(default), default);
    Ok(format!("{name}://{authority}"))
}

enum Scheme {
    Http,
    Https,
}

fn split_scheme(url: &str) -> Result<(Scheme, &str), UrlError> {
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UrlError::Characters);
    }
    let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
    match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => Ok((Scheme::Http, rest)),
        _ if scheme.eq_ignore_ascii_case("https") => Ok((Scheme::Https, rest)),
        _ => Err(UrlError::Scheme),
    }
}

/// Host and port of `host`, `host:port`, `[ipv6]` or `[ipv6]:port` (RFC 3986, section 3.2).
fn split_authority(authority: &str) -> Result<(String, Option<u16>), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::Credentials);
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(UrlError::Host)?;
        let address: Ipv6Addr = host.parse().map_err(|_| UrlError::Host)?;
        (address.to_string(), port)
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        let (host, port) = authority.split_at(end);
        if !is_host_name(host) {
            return Err(UrlError::Host);
        }
        (host.to_ascii_lowercase(), port)
    };
    Ok((host, parse_port(port)?))
}

/// The port in `:port`; none in an empty text or a bare colon.
fn parse_port(text: &str) -> Result<Option<u16>, UrlError> {
    let digits = match text.strip_prefix(':') {
        None if text.is_empty() => return Ok(None),
        None => return Err(UrlError::Host),
        Some("") => return Ok(None),
        Some(digits) => digits,
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UrlError::Port);
    }
    match digits.parse() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(UrlError::Port),
    }
}

/// RFC 1123, section 2.1, with the underscore that names in containers bear.
fn is_host_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(letters)
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn authority(host: &str, port: u16, default: u16) -> String {
    let (open, close) = if host.contains(':') {
        ("[", "]")
    } else {
        ("", "")
    };
    if port == default {
        format!("{open}{host}{close}")
    } else {
        format!("{open}{host}{close}:{port}")
    }
}

/// A request's path with `%XX` undone, safe to be looked up below a folder:
/// it begins with `/`, no segment but a last one is empty, none is `.` or `..`.
///
/// `None` for what no honest link holds: a bad `%XX`, bytes that are not UTF-8,
/// control characters, a backslash, an encoded slash, a segment that climbs.
/// Empty segments in between are dropped, as other servers do.
pub fn decode_path(path: &str) -> Option<String> {
    let path = path.strip_prefix('/')?;
    let mut decoded = String::with_capacity(path.len() + 1);
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if !segment.is_empty() {
            decoded.push('/');
            decoded.push_str(&decode_segment(segment)?);
        }
        if segment.is_empty() && is_last {
            decoded.push('/');
        }
    }
    Some(decoded)
}

fn decode_segment(segment: &str) -> Option<String> {
    let text = decode_text(segment)?;
    let forbidden = |character: char| character.is_control() || matches!(character, '/' | '\\');
    if text.contains(forbidden) || text == "." || text == ".." {
        return None;
    }
    Some(text)
}

/// `encoded` with `%XX` undone, whatever it then says; `None` for a bad `%XX`
/// and for bytes that are not UTF-8. It is no path: nothing may be looked up by it.
pub fn decode_text(encoded: &str) -> Option<String> {
    let bytes = encoded.as_bytes();
    let mut escapes = memchr::memchr_iter(b'%', bytes);
    let is_escape = |at: usize| {
        let digits = bytes.get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(is_escape) {
        return None;
    }
    let text = percent_encoding::percent_decode(bytes).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_are_taken_apart() {
        let cases = [
            (
                "http://localhost:4567/updates",
                "localhost",
                4567,
                "/updates",
                "localhost:4567",
            ),
            ("HTTP://Example.COM", "example.com", 80, "/", "example.com"),
            (
                "http://a_b-c.d.:80?x=/y#z",
                "a_b-c.d.",
                80,
                "/?x=/y",
                "a_b-c.d.",
            ),
            (
                "http://127.0.0.1:/a?b#",
                "127.0.0.1",
                80,
                "/a?b",
                "127.0.0.1",
            ),
            ("http://[::1]:65535/", "::1", 65535, "/", "[::1]:65535"),
            ("http://[0:0::FE80]", "::fe80", 80, "/", "[::fe80]"),
        ];
        for (text, host, port, target, authority) in cases {
            let url = HttpUrl::parse(text).unwrap();
            assert_eq!(
                (&*url.host, url.port, &*url.target),
                (host, port, target),
                "{text}"
            );
            assert_eq!(url.authority(), authority);
            assert_eq!(url.origin(), format!("http://{authority}"));
            assert_eq!(HttpUrl::parse(&url.to_string()), Ok(url));
        }
    }

    #[test]
    fn wrong_urls_say_what_is_wrong() {
        use UrlError::*;
        let long = format!("http://{}", "a".repeat(64));
        let cases = [
            ("", Scheme),
            ("localhost:4567", Scheme),
            ("ftp://a", Scheme),
            ("https://a/b", Tls),
            ("http://", Host),
            ("http:///a", Host),
            ("http://:80", Host),
            ("http://a..b", Host),
            ("http://a%41", Host),
            ("http://[::1", Host),
            ("http://[::1]a", Host),
            ("http://[127.0.0.1]", Host),
            ("http://::1", Host),
            (&long, Host),
            ("http://user:pass@a", Credentials),
            ("http://a:0", Port),
            ("http://a:65536", Port),
            ("http://a:+1", Port),
            ("http://a:b", Port),
            ("http://a/b c", Characters),
            ("http://a/\r\nHost: b", Characters),
            ("http://é", Characters),
        ];
        for (text, error) in cases {
            assert_eq!(HttpUrl::parse(text), Err(error), "{text}");
            assert!(error.to_string().ends_with('.'), "a sentence");
        }
    }

    #[test]
    fn origins_are_spelled_as_browsers_do() {
        let cases = [
            ("http://Localhost:4567", Ok("http://localhost:4567")),
            ("https://a:443/", Ok("https://a")),
            ("https://a:80", Ok("https://a:80")),
            ("http://[::1]:80", Ok("http://[::1]")),
            ("http://a/b", Err(UrlError::NotOrigin)),
            ("http://a//", Err(UrlError::NotOrigin)),
            ("http://a?", Err(UrlError::NotOrigin)),
            ("null", Err(UrlError::Scheme)),
        ];
        for (text, origin) in cases {
            assert_eq!(parse_origin(text), origin.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn paths_are_decoded_and_do_not_climb() {
        let cases = [
            ("/", Some("/")),
            ("/a/b.html", Some("/a/b.html")),
            ("/a/", Some("/a/")),
            ("//a///b//", Some("/a/b/")),
            ("/%41%20%C3%A9+%25", Some("/A é+%")),
            ("/...", Some("/...")),
            ("/.a", Some("/.a")),
            ("/%2541", Some("/%41")),
            ("", None),
            ("a", None),
            ("*", None),
            ("/..", None),
            ("/a/../b", None),
            ("/./a", None),
            ("/%2e%2E/a", None),
            ("/.%2e", None),
            ("/a%2fb", None),
            ("/a%5Cb", None),
            ("/a\\b", None),
            ("/a%00", None),
            ("/a%0a", None),
            ("/a%7F", None),
            ("/a%C2%85", None),
            ("/a%", None),
            ("/a%4", None),
            ("/a%zz", None),
            ("/a%+1", None),
            ("/%ff", None),
            ("/%C0%AE%C0%AE/", None),
        ];
        for (path, decoded) in cases {
            assert_eq!(decode_path(path).as_deref(), decoded, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*", near in "(http|s|://|\\[|\\]|:|@|/|[?#.1a]){0,20}") {
            for text in [text, near] {
                let _ = HttpUrl::parse(&text);
                let _ = parse_origin(&text);
            }
        }

        #[test]
        fn no_decoded_path_climbs(path in "/(/|\\.|%2e|%2f|%5c|\\\\|%00|%|a|%25){0,12}") {
            if let Some(decoded) = decode_path(&path) {
                prop_assert!(decoded.starts_with('/') && !decoded.contains("//"));
                prop_assert!(decoded.split('/').all(|segment| segment != ".." && segment != "."));
                prop_assert!(!decoded.contains(['\\', '\0']));
            }
        }
    }

    #[test]
    fn a_name_may_hold_anything_that_is_utf8() {
        for (encoded, text) in [
            ("", Some("")),
            ("a%2Fb/../%2e+%C3%A9%00", Some("a/b/../.+é\0")),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(decode_text(encoded).as_deref(), text, "{encoded}");
        }
    }
}
