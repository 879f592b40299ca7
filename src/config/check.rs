//! What a setting's value must be beyond its type.
//!
//! Each check returns the rest of a sentence that begins with the setting's
//! name and tells what to write instead. Which setting has which check stands
//! in `keys.rs`, the only caller. Nothing is opened, resolved or bound here.

use std::net::IpAddr;

use super::value::quote;
use crate::wire::forwarded::Network;
use crate::wire::url::{HttpUrl, UrlError, parse_origin};

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

/// A limit of memory in bytes, of a mebibyte at least, or 0 for one that is found out.
pub(super) fn total(number: u64) -> Checked {
    match number {
        0 => Ok(()),
        number => range(number, 1 << 20, 1 << 40).map_err(|problem| {
            format!("{problem}; 0 is for a quarter of the memory, and at most 1 GiB")
        }),
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

/// IP addresses and networks, at most 1000.
pub(super) fn networks(list: &[String]) -> Checked {
    range(list.len() as u64, 0, 1000)
        .map_err(|_| format!("has {} networks, and the most is 1000", list.len()))?;
    match list.iter().find(|item| Network::parse(item).is_none()) {
        Some(item) => Err(format!(
            r#"must hold IP addresses or networks, such as "127.0.0.1" or "10.0.0.0/8", and {} is none"#,
            quote(item)
        )),
        None => Ok(()),
    }
}

/// `http://host[:port]` or `https://host[:port]`.
pub(super) fn origin(text: &str) -> Checked {
    parse_origin(text).map_err(|error| is_refused(text, error))?;
    Ok(())
}

/// Origins; `https://*.example.com` for all below a domain, `*` for every origin.
pub(super) fn origins(list: &[String]) -> Checked {
    list.iter()
        .filter(|item| *item != "*")
        .try_for_each(|item| match item.split_once("://*.") {
            Some((scheme, domain)) => below(item, scheme, domain),
            None => origin(item),
        })
        .map_err(|problem| format!("has an item that {problem}"))
}

/// What stands behind the star is compared with the end of what browsers send,
/// so it must be written as they write it.
fn below(item: &str, scheme: &str, domain: &str) -> Checked {
    let sent = parse_origin(&format!("{scheme}://{domain}"));
    let sent = sent.map_err(|error| is_refused(item, error))?;
    let meant = sent.replacen("://", "://*.", 1);
    match item == meant {
        true => Ok(()),
        false => Err(format!("is {}: write {}", quote(item), quote(&meant))),
    }
}

/// Names of hosts, at most 1000; `*.example.com` for all below a domain.
pub(super) fn server_names(list: &[String]) -> Checked {
    range(list.len() as u64, 0, 1000)
        .map_err(|_| format!("has {} names, and the most is 1000", list.len()))?;
    let is_name = |item: &&String| {
        let name = item.strip_prefix("*.").unwrap_or(item);
        // A port is none of a name, and an address needs not be listed.
        !name.contains([':', '/', '[']) && parse_origin(&format!("http://{name}")).is_ok()
    };
    match list.iter().find(|item| !is_name(item)) {
        Some(item) => Err(format!(
            r#"must hold host names without scheme and port, such as "chloe.lan" or "*.example.com", and {} is none"#,
            quote(item)
        )),
        None => Ok(()),
    }
}

/// `http://host[:port][/path]`. TLS towards the app is not spoken yet.
pub(super) fn http_url(text: &str) -> Checked {
    // The parser that the server uses: what passes here cannot fail there.
    HttpUrl::parse(text).map_err(|error| is_refused(text, error))?;
    Ok(())
}

fn is_refused(text: &str, error: UrlError) -> String {
    format!("is {}. {error}", quote(&without_password(text)))
}

/// `url` without user name and password, to be shown: what stands before the
/// last `@`, wherever that is, as a mistyped password may hold anything.
fn without_password(url: &str) -> String {
    let Some((before, host)) = url.rsplit_once('@') else {
        return url.to_owned();
    };
    let scheme = before.find("://").map_or("", |end| &before[..end + 3]);
    format!("{scheme}(hidden)@{host}")
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
