//! Variables that begin like ours and are not: the addresses of services.
//!
//! Kubernetes tells each container of the services around it by variables that
//! begin with a service's name. One named `chloe`, or `chloe-demo`, gives
//! `CHLOE_PORT=tcp://10.0.0.1:8901` and half a dozen more. They are known by
//! forms that no setting of ours has. Called by `settings` and `serve`.

use std::env;
use std::ffi::{OsStr, OsString};

use crate::config::ENVIRONMENT_PREFIX;

/// Whether the variable is one of ours by its beginning, and tells of a service.
pub fn is_link(name: &OsStr, value: &OsStr) -> bool {
    let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
        return false;
    };
    if !name.starts_with(ENVIRONMENT_PREFIX) {
        return false;
    }
    // The last `_` of the prefix is the first of what stands behind a service's name.
    let link = &name[ENVIRONMENT_PREFIX.len() - 1..];
    let service = link.ends_with("_SERVICE_HOST")
        || link.ends_with("_SERVICE_PORT")
        || link.contains("_SERVICE_PORT_");
    service || is_address(link, value) || link.rsplit_once("_PORT_").is_some_and(is_port)
}

/// `..._PORT=tcp://10.0.0.1:8901`
fn is_address(link: &str, value: &str) -> bool {
    let protocol = value.split_once("://").map(|(protocol, _)| protocol);
    link.ends_with("_PORT") && matches!(protocol, Some("tcp" | "udp" | "sctp"))
}

/// `..._PORT_8901_TCP`, and the same with `_PROTO`, `_PORT` or `_ADDR` behind it.
fn is_port((_, port): (&str, &str)) -> bool {
    let mut parts = port.split('_');
    let number = parts.next().unwrap_or_default();
    let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    numbered
        && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
        && matches!(parts.next(), None | Some("PROTO" | "PORT" | "ADDR"))
        && parts.next().is_none()
}

/// Says in the log which variables of the process are taken for no settings.
pub fn log_links() {
    let links = env::vars_os().filter(|(name, value)| is_link(name, value));
    let mut names: Vec<OsString> = links.map(|(name, _)| name).collect();
    if names.is_empty() {
        return;
    }
    names.sort();
    let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
    log::info!(
        "event=environment_ignored variables={} hint=\"they tell of services, as Kubernetes sets them, and are no settings; enableServiceLinks: false leaves them out\"",
        names.join(",")
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    #[test]
    fn services_are_told_from_settings() {
        for (name, value, link) in [
            ("CHLOE_PORT", "tcp://10.0.0.1:8901", true),
            ("CHLOE_PORT", "8901", false),
            ("CHLOE_PORT", "", false),
            ("CHLOE_PORT", "http://10.0.0.1:8901", false),
            ("CHLOE_SERVICE_HOST", "10.0.0.1", true),
            ("CHLOE_SERVICE_PORT", "8901", true),
            ("CHLOE_SERVICE_PORT_HTTP", "8901", true),
            ("CHLOE_PORT_8901_TCP", "tcp://10.0.0.1:8901", true),
            ("CHLOE_PORT_8901_TCP_PROTO", "tcp", true),
            ("CHLOE_PORT_8901_TCP_PORT", "8901", true),
            ("CHLOE_PORT_8901_TCP_ADDR", "10.0.0.1", true),
            ("CHLOE_PORT_8901_TCP_HOST", "10.0.0.1", false),
            ("CHLOE_PORT_8901", "10.0.0.1", false),
            ("CHLOE_PORT_X_TCP", "10.0.0.1", false),
            ("CHLOE_DEMO_PORT", "udp://10.0.0.1:1", true),
            ("CHLOE_DEMO_SERVICE_HOST", "10.0.0.1", true),
            ("CHLOE_DEMO_PORT_1_UDP_ADDR", "10.0.0.1", true),
            ("OTHER_SERVICE_HOST", "10.0.0.1", false),
        ] {
            assert_eq!(
                is_link(name.as_ref(), value.as_ref()),
                link,
                "{name}={value}"
            );
        }
    }

    #[test]
    fn no_setting_has_the_form_of_a_service() {
        for key in KEYS {
            let name = format!("{ENVIRONMENT_PREFIX}{}", key.name.to_ascii_uppercase());
            for value in ["", "7", "a", "http://10.0.0.1:8901"] {
                assert!(!is_link(name.as_ref(), value.as_ref()), "{name}={value}");
            }
        }
    }
}
