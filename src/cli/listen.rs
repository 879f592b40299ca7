//! `chloe listen`: prints what is published to a channel, a line a message.
//!
//! A WebSocket client over a blocking stream, as a browser of the new kind
//! would be. It does not come back when the connection ends: who wants that
//! starts it again. Called by `cli::main`.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::failure::{Failure, say};
use super::reach::{Place, Stream, connect};
use crate::base::random::Random;
use crate::config::Config;
use crate::net::random_seed;
use crate::wire::websocket::handshake::{decode_server_response, encode_client_request};
use crate::wire::websocket::{
    Event, MessageDecoder, Opcode, Role, WebSocketLimits, encode_masked_frame,
};

const PATH: &str = "/chloe/websocket";
/// How long the first answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Chloe's own limits bound its messages; this one is for what is not Chloe.
const LIMITS: WebSocketLimits = WebSocketLimits {
    message_bytes: 1 << 30,
    fragments: 1 << 20,
};

/// Listens until it is interrupted, or nobody reads what it prints.
///
/// # Errors
/// [`Failure::NotRunning`] if nobody listens; Chloe refuses, or ends.
pub fn run(config: &Config, words: &[String]) -> Result<(), Failure> {
    let [channel] = words else {
        return Err(Failure::Usage(
            "chloe listen needs a channel, such as: chloe listen pumpkin; /all is what is sent \
             to everyone"
                .to_owned(),
        ));
    };
    let mut listener = Listener::open(config, channel)?;
    loop {
        listener.read_on()?;
    }
}

struct Listener<'a> {
    channel: &'a str,
    place: Place,
    stream: Stream,
    random: Random,
    /// What was received and not used yet.
    input: Vec<u8>,
    decoder: MessageDecoder,
}

/// What a message from Chloe asks for.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// A line for standard output.
    Print(String),
    /// A line for standard error.
    Note(String),
    /// Something is heard at least this often.
    Heartbeat(Duration),
    Refused(String),
    Nothing,
}

impl<'a> Listener<'a> {
    fn open(config: &Config, channel: &'a str) -> Result<Listener<'a>, Failure> {
        let seed = random_seed()
            .map_err(|e| Failure::Failed(format!("the system gives no random numbers: {e}")))?;
        let (place, stream) = connect(config)?;
        let mut listener = Listener {
            channel,
            place,
            stream,
            random: Random::new(seed),
            input: Vec::new(),
            decoder: MessageDecoder::new(Role::Client),
        };
        listener.set_patience(ANSWER_TIMEOUT)?;
        listener.shake_hands()?;
        listener.send(&json!({"type": "connect", "version": 1, "id": 1, "positions": {}}))?;
        listener.send(&json!({
            "type": "channel-subscribe", "version": 1, "id": 2, "channel": channel,
        }))?;
        Ok(listener)
    }

    fn shake_hands(&mut self) -> Result<(), Failure> {
        let nonce = self.random.bits_128().to_be_bytes();
        let mut request = Vec::new();
        encode_client_request(&mut request, &self.place.authority(), PATH, nonce);
        self.write(&request)?;
        loop {
            self.receive()?;
            let answered = decode_server_response(&self.input, nonce);
            let answered = answered.map_err(|e| Failure::Failed(format!("{}: {e}", self.place)))?;
            if let Some(width) = answered {
                self.input.drain(..width);
                return Ok(());
            }
        }
    }

    /// Does what the messages that are there ask for, then waits for more.
    fn read_on(&mut self) -> Result<(), Failure> {
        let mut input = std::mem::take(&mut self.input);
        let mut used = 0;
        loop {
            let decoded = self.decoder.decode(&mut input[used..], &LIMITS);
            let (width, event) = decoded.map_err(|error| {
                Failure::Failed(format!("{} broke the protocol: {error}", self.place))
            })?;
            used += width;
            match event {
                Some(Event::Text(text)) => self.hear(&text)?,
                Some(Event::Ping(payload)) => {
                    let payload = payload.to_vec();
                    self.write_frame(Opcode::Pong, &payload)?;
                }
                Some(Event::Close { code, reason }) => return Err(closed(code, reason)),
                Some(Event::Binary(_) | Event::Pong(_)) => {}
                None if width == 0 => break,
                None => {}
            }
        }
        input.drain(..used);
        self.input = input;
        self.receive()
    }

    fn hear(&mut self, text: &str) -> Result<(), Failure> {
        match understand(text, self.channel) {
            Said::Print(line) => say(&format!("{line}\n")),
            Said::Note(line) => {
                // For people: whether they see it changes nothing.
                let _ = writeln!(io::stderr(), "chloe: {line}");
                Ok(())
            }
            Said::Heartbeat(interval) => self.set_patience(interval * 2 + ANSWER_TIMEOUT),
            Said::Refused(reason) => Err(Failure::Failed(format!("Chloe refused: {reason}"))),
            Said::Nothing => Ok(()),
        }
    }

    fn send(&mut self, message: &Value) -> Result<(), Failure> {
        self.write_frame(Opcode::Text, message.to_string().as_bytes())
    }

    fn write_frame(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Failure> {
        let mask = (self.random.bits() as u32).to_be_bytes();
        let mut frame = Vec::with_capacity(payload.len() + 14);
        encode_masked_frame(&mut frame, opcode, payload, mask);
        self.write(&frame)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.stream.write_all(bytes);
        written.map_err(|error| self.broken(&error))
    }

    fn receive(&mut self) -> Result<(), Failure> {
        let mut buffer = [0; 16_384];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(closed(None, "")),
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    fn set_patience(&mut self, patience: Duration) -> Result<(), Failure> {
        let set = self.stream.set_read_timeout(Some(patience));
        set.map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &io::Error) -> Failure {
        let place = &self.place;
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Failure::Failed(format!("nothing is heard from {place} any more"))
            }
            _ => Failure::Failed(format!("the connection to {place} broke: {error}")),
        }
    }
}

fn closed(code: Option<u16>, reason: &str) -> Failure {
    Failure::Failed(match (code, reason) {
        (Some(1001), _) => "Chloe stops, and has closed the connection".to_owned(),
        (Some(code), "") => format!("Chloe has closed the connection with code {code}"),
        (Some(code), reason) => {
            format!("Chloe has closed the connection with code {code}: {reason}")
        }
        (None, _) => "Chloe has closed the connection".to_owned(),
    })
}

fn understand(text: &str, channel: &str) -> Said {
    let Ok(message) = serde_json::from_str::<Value>(text) else {
        return Said::Note("a message came that is not JSON".to_owned());
    };
    let field = |name| message.get(name).and_then(Value::as_str);
    match field("type") {
        Some("connect") => {
            let heartbeat_ms = message.get("heartbeat").and_then(Value::as_u64);
            heartbeat_ms.map_or(Said::Nothing, |ms| {
                Said::Heartbeat(Duration::from_millis(ms))
            })
        }
        Some("subscribed") => Said::Note(format!("listening to {channel}")),
        Some("error") => Said::Refused(field("message").unwrap_or("no reason given").to_owned()),
        Some("gap") if field("channel") == Some(channel) => {
            let missed = message.get("missed").and_then(Value::as_u64).unwrap_or(0);
            Said::Note(format!(
                "{missed} messages were missed: this reader is too slow"
            ))
        }
        // Every session is in /all as well; that is not what was asked for.
        None if field("channel") == Some(channel) => match message.get("data") {
            Some(Value::String(data)) => Said::Print(data.clone()),
            Some(other) => Said::Print(other.to_string()),
            None => Said::Nothing,
        },
        _ => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_printed_and_the_rest_is_not() {
        let print = |text: &str| Said::Print(text.to_owned());
        let note = |text: &str| Said::Note(text.to_owned());
        for (text, said) in [
            (
                r#"{"data":"a\nb","version":1,"channel":"x","offset":1}"#,
                print("a\nb"),
            ),
            (
                r#"{"data":{"a":1},"version":1,"channel":"x"}"#,
                print(r#"{"a":1}"#),
            ),
            (
                r#"{"data":"a","version":1,"channel":"/all"}"#,
                Said::Nothing,
            ),
            (r#"{"type":"heartbeat","version":1}"#, Said::Nothing),
            (
                r#"{"type":"connect","heartbeat":25000}"#,
                Said::Heartbeat(Duration::from_secs(25)),
            ),
            (
                r#"{"type":"subscribed","channel":"x"}"#,
                note("listening to x"),
            ),
            (
                r#"{"type":"gap","channel":"x","missed":3}"#,
                note("3 messages were missed: this reader is too slow"),
            ),
            (
                r#"{"type":"error","code":"a","message":"No."}"#,
                Said::Refused("No.".to_owned()),
            ),
            ("{", note("a message came that is not JSON")),
        ] {
            assert_eq!(understand(text, "x"), said, "{text}");
        }
    }
}
