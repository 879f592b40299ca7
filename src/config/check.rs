//! What a setting's value must be beyond its type.
//!
//! Each check returns the rest of a sentence that begins with the setting's
//! name and tells what to write instead. Which setting has which check stands
//! in `keys.rs`, the only caller. Nothing is opened, resolved or bound here.

use std::net::{IpAddr, Ipv6Addr};

use super::value::quote;

/// Well, or the rest of the sentence that says what is wrong.
pub(super) type Checked = Result<(), String>;

/// Any value will do.
pub(super) fn any<T>(_: &T) -> Checked {
    Ok(())
}

/// A number between the two bounds, both included.
pub(super) fn range(number: u64, min: u64, max: u64) -> Checked {
    match number {
        n if n < min => Err(format!("is {n}, and the least is {min}")),
        n if n > max => Err(format!("is {n}, and the most is {max}")),
        _ => Ok(()),
    }
}

/// IP addresses, at most 16; each is a socket.
pub(super) fn addresses(list: &[String]) -> Checked {
    range(list.len() as u64, 0, 16)
        .map_err(|_| format!("has {} addresses, and the most is 16", list.len()))?;
    match list.iter().find(|item| item.parse::<IpAddr>().is_err()) {
        Some(item) => Err(format!(
            r#"must hold IP addresses without a port, such as "127.0.0.1" or "::1", and {} is none"#,
            quote(item)
        )),
        None => Ok(()),
    }
}

/// `http://host[:port]` or `https://host[:port]`, and nothing behind it.
pub(super) fn origin(text: &str) -> Checked {
    let Some(authority) = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
    else {
        return Err(format!(
            r#"must be an origin such as "http://localhost:4567", and {} does not begin with http:// or https://"#,
            quote(text)
        ));
    };
    if let Some(end) = authority.find(['/', '?', '#']) {
        let kept = text.len() - (authority.len() - end);
        return Err(format!(
            "must be an origin, which has no path: write {}",
            quote(&text[..kept])
        ));
    }
    host_and_port(text, authority)
}

/// Origins, or "*" for every origin.
pub(super) fn origins(list: &[String]) -> Checked {
    list.iter()
        .filter(|item| *item != "*")
        .try_for_each(|item| origin(item))
        .map_err(|problem| format!("has an item that {problem}"))
}

/// `http://host[:port][/path]`. TLS towards the app is not spoken yet.
pub(super) fn http_url(text: &str) -> Checked {
    if text.starts_with("https://") {
        return Err(format!(
            "is {}, and Chloe speaks no https to the app yet: use http:// and an address on the same host or network",
            quote(text)
        ));
    }
    let Some(rest) = text.strip_prefix("http://") else {
        return Err(format!(
            r#"must be an address such as "http://localhost:4567/updates", and {} does not begin with http://"#,
            quote(text)
        ));
    };
    if rest.contains('#') {
        return Err(format!(
            "is {}, and a # means nothing here: leave out what begins with it",
            quote(text)
        ));
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    host_and_port(text, &rest[..end])
}

fn host_and_port(whole: &str, authority: &str) -> Checked {
    let after_bracket = authority.find(']').map_or(0, |end| end + 1);
    let colon = authority[after_bracket..].find(':');
    let host_end = colon.map_or(authority.len(), |colon| after_bracket + colon);
    let (host, port) = (
        &authority[..host_end],
        colon.map(|_| &authority[host_end + 1..]),
    );
    let bad = |byte: u8| !byte.is_ascii_graphic() || b"\"<>@\\^`{|}".contains(&byte);
    if host.is_empty() || whole.bytes().any(bad) {
        return Err(format!("is {}, and that names no host", quote(whole)));
    }
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if host.contains('[') && bracketed.is_none_or(|h| h.parse::<Ipv6Addr>().is_err()) {
        return Err(format!(
            "is {}, and what is in brackets is no IPv6 address",
            quote(whole)
        ));
    }
    match port {
        Some(port) if !matches!(port.parse::<u16>(), Ok(1..)) => Err(format!(
            "is {}, and {} is no port: ports are 1 to 65535",
            quote(whole),
            quote(port)
        )),
        _ => Ok(()),
    }
}

/// The levels of a log, least first.
pub(super) fn log_level(text: &str) -> Checked {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    match LEVELS.contains(&text) {
        true => Ok(()),
        false => Err(format!(
            "must be one of {}, and {} is none of them",
            LEVELS.join(", "),
            quote(text)
        )),
    }
}
