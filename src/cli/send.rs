//! `chloe send`: publishes a message, or each line of standard input.

use std::io::{self, BufRead};

use super::client::Client;
use super::failure::Failure;
use crate::config::Config;
use crate::wire::urlencoded::encode_form;

/// The word that stands for the lines of standard input.
const LINES: &str = "-";

/// Publishes what `words` say: data, or a channel and data.
///
/// # Errors
/// [`Failure::Usage`] if the channel is empty; [`Failure::NotRunning`] if nobody
/// listens; Chloe refuses, or a line is not
/// UTF-8. The lines before it are published.
pub fn run(config: &Config, words: &[String]) -> Result<(), Failure> {
    let (channel, data) = match words {
        [] => (None, LINES),
        [data] => (None, data.as_str()),
        [channel, data, ..] => (Some(channel.as_str()), data.as_str()),
    };
    // As left out it would reach everyone: a script's variable may not have been set.
    if channel == Some("") {
        return Err(Failure::Usage(
            "the channel is empty: name one, or leave it out to publish to everyone".to_owned(),
        ));
    }
    let mut client = Client::connect(config)?;
    if data == LINES {
        lines(&mut client, channel)
    } else {
        publish(&mut client, channel, data)
    }
}

fn lines(client: &mut Client<'_>, channel: Option<&str>) -> Result<(), Failure> {
    for (number, line) in (1..).zip(io::stdin().lock().lines()) {
        let line = line.map_err(|error| {
            Failure::Failed(match error.kind() {
                io::ErrorKind::InvalidData => format!(
                    "line {number} of standard input is not UTF-8; the lines before it are published"
                ),
                _ => format!("cannot read standard input: {error}"),
            })
        })?;
        publish(client, channel, &line)?;
    }
    Ok(())
}

fn publish(client: &mut Client<'_>, channel: Option<&str>, data: &str) -> Result<(), Failure> {
    let form = match channel {
        Some(channel) => encode_form(&[("channel", channel), ("data", data)]),
        None => encode_form(&[("data", data)]),
    };
    client.request("/send", form.as_bytes())?.good().map(drop)
}
