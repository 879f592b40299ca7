//! `chloe ping`: whether a Chloe answers. For people, and for health checks.

use super::client::Client;
use super::failure::{Failure, say};
use super::running;
use crate::config::Config;

/// Asks, and says who answers.
///
/// # Errors
/// [`Failure::NotRunning`] if nobody listens; something else answers, or nothing.
pub fn run(config: &Config) -> Result<(), Failure> {
    let client = Client::connect(config);
    let mut client = client.map_err(|failure| running::explain(failure, config))?;
    let body = client.request("/chloe/ping", b"")?.good()?;
    let place = client.place();
    match body.as_str() {
        "pong" => say(&format!("Chloe answers at {place}.\n")),
        _ => Err(Failure::Failed(format!(
            "what answers at {place} is not Chloe: check port and listen_addresses"
        ))),
    }
}
