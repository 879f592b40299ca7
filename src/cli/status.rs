//! `chloe status`: what a running Chloe counts, as a table or as JSON.

use std::fmt::Write;

use serde_json::Value;

use super::client::Client;
use super::failure::{Failure, say};
use super::running;
use crate::config::Config;

/// Where each row finds its value, and how it is called. What a newer Chloe
/// counts beside these is in `--json`.
const ROWS: &[(&str, &str)] = &[
    ("/version", "version"),
    ("/uptime_ms", "runs for"),
    ("/connections", "connections, open"),
    ("/websockets", "  of them WebSockets"),
    ("/polls", "  of them polls"),
    ("/sessions", "sessions"),
    ("/channels", "channels"),
    ("/log_bytes", "history, bytes"),
    ("/accepted", "connections, so far"),
    ("/refused", "  refused"),
    ("/requests", "requests"),
    ("/publications", "published"),
    ("/deliveries", "delivered"),
    ("/missed", "missed by slow readers"),
    ("/messages", "messages from browsers"),
    ("/webhook/queued", "  waiting for the app"),
    ("/webhook/taken", "  taken by the app"),
    ("/webhook/retried", "  tried again"),
    ("/webhook/given_up", "  given up"),
    ("/webhook/refused", "  refused, queue full"),
];

/// Asks and prints.
///
/// # Errors
/// [`Failure::NotRunning`] if nobody listens; Chloe does not tell this user.
pub fn run(config: &Config, json: bool) -> Result<(), Failure> {
    let client = Client::connect(config);
    let body = client
        .map_err(|failure| running::explain(failure, config))?
        .request("/chloe/status", b"")?
        .good()?;
    if json {
        return say(&body);
    }
    match serde_json::from_str(&body) {
        Ok(status) => say(&table(&status)),
        Err(_) => Err(Failure::Failed(
            "what answers is not Chloe: check port and listen_addresses".to_owned(),
        )),
    }
}

fn table(status: &Value) -> String {
    let mut text = String::new();
    for (pointer, name) in ROWS {
        let value = match (*pointer, status.pointer(pointer)) {
            (_, None) => continue,
            ("/uptime_ms", Some(value)) => span(value.as_u64().unwrap_or(0) / 1000),
            (_, Some(Value::String(text))) => text.clone(),
            (_, Some(value)) => value.to_string(),
        };
        let _ = writeln!(text, "{name:<24} {value}");
    }
    if status.pointer("/draining") == Some(&Value::Bool(true)) {
        text.push_str("It is stopping.\n");
    }
    text
}

/// The two largest units of a time.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_what_is_there() {
        let status = serde_json::json!({
            "version": "1.2.3", "uptime_ms": 61_500, "draining": true, "webhook": {"queued": 7},
        });
        assert_eq!(
            table(&status),
            "version                  1.2.3\n\
             runs for                 1 min 1 s\n\
             \x20 waiting for the app    7\n\
             It is stopping.\n"
        );
        for (seconds, said) in [(0, "0 s"), (3_599, "59 min 59 s"), (90_000, "1 d 1 h")] {
            assert_eq!(span(seconds), said);
        }
        assert_eq!(span(7_260), "2 h 1 min");
    }
}
