//! A visitor by WebSocket, as `chloe.js` is one.

use std::time::Instant;

use serde_json::{Value, json};

use super::link::{Outcome, PATIENCE, Stream};
use super::visit::{Left, Visit};

/// Connects, goes on where the visit was, and stays until it breaks or is over.
pub fn stay(visit: &mut Visit<'_>, narrow: bool) -> Outcome<Left> {
    let mut stream = Stream::connect(visit.house.server, narrow)?;
    enter(visit, &mut stream)?;
    loop {
        if let Some(message) = stream.receive(visit.wakes_at())? {
            visit.hear(&message)?;
        }
        if visit.is_over()? {
            return Ok(Left::ForGood);
        }
        for number in visit.speak() {
            stream.send(&visit.message(number))?;
        }
        match visit.breaks() {
            Some(true) => return Ok(Left::ForNow),
            Some(false) => visit.doze(),
            None => {}
        }
    }
}

fn enter(visit: &mut Visit<'_>, stream: &mut Stream) -> Outcome<()> {
    stream.send(&visit.connect())?;
    let answer = connected(stream)?;
    if visit.connected(&answer)? {
        for channel in [visit.channel.clone(), visit.own_channel()] {
            let subscribe = json!({
                "type": "channel-subscribe", "version": 1, "channel": channel, "id": channel,
            });
            stream.send(&subscribe)?;
        }
    }
    for number in visit.unanswered.clone() {
        stream.send(&visit.message(number))?;
    }
    Ok(())
}

/// The answer to a connect. A delivery to everybody that comes before it belongs
/// to the session that began with the handshake: the answer's positions count.
fn connected(stream: &mut Stream) -> Outcome<Value> {
    let deadline = Instant::now() + PATIENCE;
    while let Some(message) = stream.receive(deadline)? {
        if message["channel"] != "/all" {
            return Ok(message);
        }
    }
    Err("no answer to connect in time".to_owned())
}
