//! The first line of a request, and the host it is meant for.
//!
//! Decides what a request line, a target and a Host may look like; what they
//! name is the router's business. Called by the request decoder.

use std::str;

use memchr::{memchr, memrchr};

use super::error::HttpError;
use super::head::is_token;
use super::message::{Method, Version};

/// Method, target and version in `line`, which comes without its line end.
///
/// # Errors
/// Anything but single blanks between the three (RFC 9112, 3), a version other
/// than 1.0 and 1.1, a target that is none.
pub(super) fn parse(line: &[u8]) -> Result<(Method, &str, Version), HttpError> {
    let (Some(first), Some(last)) = (memchr(b' ', line), memrchr(b' ', line)) else {
        return Err(HttpError::RequestLine);
    };
    if first == last {
        return Err(HttpError::RequestLine);
    }
    let name = &line[..first];
    if !is_token(name) {
        return Err(HttpError::RequestLine);
    }
    // The version first: a client of another version may not know our targets.
    let version = parse_version(&line[last + 1..])?;
    let method = Method::from_name(name);
    let target = &line[first + 1..last];
    if !is_target(target) {
        return Err(HttpError::Target);
    }
    let target = str::from_utf8(target).map_err(|_| HttpError::Target)?;
    check_form(name, target)?;
    Ok((method, target, version))
}

/// RFC 9112, 2.3: case-sensitive, one digit each.
fn parse_version(version: &[u8]) -> Result<Version, HttpError> {
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(HttpError::Version),
        _ => Err(HttpError::RequestLine),
    }
}

/// Printable ASCII without blanks, and no fragment (RFC 9112, 3.2). More than
/// RFC 3986 allows, since JSON in a query often comes half encoded; all of it
/// is looked at without a branch, which is quicker than stopping early.
fn is_target(target: &[u8]) -> bool {
    let all = target.iter().fold(true, |all, &byte| {
        all & byte.is_ascii_graphic() & (byte != b'#')
    });
    all && !target.is_empty()
}

/// RFC 9112, 3.2: origin, absolute, authority (CONNECT) and asterisk (OPTIONS) form.
fn check_form(method: &[u8], target: &str) -> Result<(), HttpError> {
    let is_good = match target.as_bytes()[0] {
        b'/' => true,
        b'*' => target == "*" && method == b"OPTIONS",
        _ if method == b"CONNECT" => is_host(target.as_bytes()),
        _ => authority(target).is_some_and(|authority| is_host(authority.as_bytes())),
    };
    if is_good {
        Ok(())
    } else {
        Err(HttpError::Target)
    }
}

/// What stands behind the scheme of an absolute target; `None` if it is not one.
fn without_scheme(target: &str) -> Option<&str> {
    ["http://", "https://"].into_iter().find_map(|scheme| {
        let start = target.get(..scheme.len())?;
        start
            .eq_ignore_ascii_case(scheme)
            .then(|| &target[scheme.len()..])
    })
}

/// The authority of an absolute target (`http://authority/path`); `None` in the other forms.
pub(super) fn authority(target: &str) -> Option<&str> {
    if target.starts_with('/') {
        return None;
    }
    let rest = without_scheme(target)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    Some(&rest[..end])
}

/// Path and query of a target: an absolute one loses scheme and authority, and
/// an empty path is `/`.
pub(super) fn path_and_query(target: &str) -> (&str, Option<&str>) {
    let local = match authority(target) {
        Some(authority) => {
            let start = target.find("://").map_or(0, |colon| colon + 3);
            &target[start + authority.len()..]
        }
        _ => target,
    };
    let (path, query) = match memchr(b'?', local.as_bytes()) {
        Some(mark) => (&local[..mark], Some(&local[mark + 1..])),
        None => (local, None),
    };
    (if path.is_empty() { "/" } else { path }, query)
}

/// Whether `host` is `uri-host [":" port]` (RFC 9110, 7.2): no user, no path, no list.
pub(super) fn is_host(host: &[u8]) -> bool {
    let (is_name, port) = match host.strip_prefix(b"[") {
        Some(rest) => {
            let end = memchr(b']', rest).unwrap_or(0);
            let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            let is_name = end > 0 && rest[..end].iter().all(is_address);
            (is_name, rest.get(end + 1..).unwrap_or_default())
        }
        None => {
            let end = memchr(b':', host).unwrap_or(host.len());
            let is_name = end > 0 && host[..end].iter().copied().all(is_host_byte);
            (is_name, &host[end..])
        }
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_name && is_port
}

/// `reg-name` of RFC 3986, 3.2.2, without the comma: two hosts in one field are one too many.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        use HttpError::{RequestLine, Target, Version as BadVersion};
        let good = |method, target| Ok((method, target, Version::Http11));
        type Parsed = Result<(Method, &'static str, Version), HttpError>;
        let cases: [(&[u8], Parsed); 35] = [
            (b"GET / HTTP/1.1", good(Method::Get, "/")),
            (
                b"POST /a?b=c{\"} HTTP/1.1",
                good(Method::Post, "/a?b=c{\"}"),
            ),
            (b"get / HTTP/1.1", good(Method::Other, "/")),
            (b"X-1 / HTTP/1.1", good(Method::Other, "/")),
            (b"HEAD / HTTP/1.0", Ok((Method::Head, "/", Version::Http10))),
            (b"OPTIONS * HTTP/1.1", good(Method::Options, "*")),
            (b"GET http://h/p HTTP/1.1", good(Method::Get, "http://h/p")),
            (
                b"GET HTTP://h:1?q HTTP/1.1",
                good(Method::Get, "HTTP://h:1?q"),
            ),
            (b"CONNECT h:1 HTTP/1.1", good(Method::Other, "h:1")),
            (b"", Err(RequestLine)),
            (b"GET /", Err(RequestLine)),
            (b"GET /\tHTTP/1.1", Err(RequestLine)),
            (b" GET / HTTP/1.1", Err(RequestLine)),
            (b"G(T / HTTP/1.1", Err(RequestLine)),
            (b"GET / HTTP/1.1 ", Err(RequestLine)),
            (b"GET / http/1.1", Err(RequestLine)),
            (b"GET / HTTP/1", Err(RequestLine)),
            (b"GET / HTTP/01.1", Err(RequestLine)),
            (b"GET / HTTP/1.10", Err(RequestLine)),
            (b"GET / HTTPS/1.1", Err(RequestLine)),
            (b"PRI * HTTP/2.0", Err(BadVersion)),
            (b"GET / HTTP/0.9", Err(BadVersion)),
            (b"GET / HTTP/1.2", Err(BadVersion)),
            (b"GET  / HTTP/1.1", Err(Target)),
            (b"GET /  HTTP/1.1", Err(Target)),
            (b"GET /a b HTTP/1.1", Err(Target)),
            (b"GET /\0 HTTP/1.1", Err(Target)),
            (b"GET /\x7f HTTP/1.1", Err(Target)),
            (b"GET /\xc3\xa9 HTTP/1.1", Err(Target)),
            (b"GET /#a HTTP/1.1", Err(Target)),
            (b"GET * HTTP/1.1", Err(Target)),
            (b"GET a HTTP/1.1", Err(Target)),
            (b"GET http:///p HTTP/1.1", Err(Target)),
            (b"GET http://u@h/p HTTP/1.1", Err(Target)),
            (b"GET ftp://h/p HTTP/1.1", Err(Target)),
        ];
        for (line, expected) in cases {
            let text = String::from_utf8_lossy(line);
            assert_eq!(parse(line), expected, "{text:?}");
        }
    }

    #[test]
    fn paths_and_queries_are_cut_out_of_every_form() {
        for (target, path, query) in [
            ("/a/b?c?d", "/a/b", Some("c?d")),
            ("/a?", "/a", Some("")),
            ("/http://h/p", "/http://h/p", None),
            ("//h/p", "//h/p", None),
            ("http://h/p?q", "/p", Some("q")),
            ("https://h:1", "/", None),
            ("http://h?q", "/", Some("q")),
            ("*", "*", None),
            ("h:1", "h:1", None),
        ] {
            assert_eq!(path_and_query(target), (path, query), "{target}");
        }
    }

    #[test]
    fn hosts_are_hosts() {
        for host in [
            "h",
            "h:",
            "h:80",
            "a-b.c_d",
            "1.2.3.4:5",
            "[::1]",
            "[::1]:80",
            "x%20",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "", ":80", "h:x", "h:123456", "a b", "a,b", "u@h", "h/p", "h?q", "[]", "[::1",
            "[::1]x", "[g]", "::1", "h:1:2", "h\\p", "\u{e9}",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
