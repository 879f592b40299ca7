//! Visitors as those of 2011: no positions, no ids, no resuming.
//!
//! Their session ends with them, so nothing of theirs is broken on purpose.
//! They tell by a message that comes to them alone that the app took theirs.

use std::time::Duration;

use serde_json::{Value, json};

use super::link::{Http, Outcome, PATIENCE, Stream};
use super::polling::Way;
use super::visit::{Left, Visit};

/// A poll of old has no time limit. Something is published at least so often.
const HELD: Duration = Duration::from_secs(60);
/// The number by which a page of old finds its connection.
const CONNECTION: u64 = 7;

/// By WebSocket: no connect, no answers.
pub fn stay_by_stream(visit: &mut Visit<'_>) -> Outcome<Left> {
    let mut stream = Stream::connect(visit.house.server, false)?;
    stream.send(&subscribe(visit))?;
    loop {
        if let Some(message) = stream.receive(visit.wakes_at())? {
            visit.hear_old(&message)?;
        }
        if visit.is_over()? {
            return Ok(Left::ForGood);
        }
        if let Some(message) = visit.speak_old() {
            stream.send(&message)?;
        }
    }
}

/// By polls: of XHR each brings one message, of JSONP a script that may bring several.
pub fn stay_by_polls(visit: &mut Visit<'_>, way: Way) -> Outcome<Left> {
    let (mut polls, mut commands) = (
        Http::connect(visit.house.server)?,
        Http::connect(visit.house.server)?,
    );
    let connect = json!({ "type": "connect", "version": 1, "id": CONNECTION });
    way.ask(&mut polls, &connect)?;
    let answer = way.answer(&mut polls, PATIENCE)?;
    let session = answer
        .as_ref()
        .and_then(|answer| answer["sessionId"].as_str());
    visit.session = session.map(str::to_owned);
    command(&mut commands, way, &subscribe(visit))?;
    loop {
        let poll = json!({
            "type": "poll", "version": 1, "id": CONNECTION, "sessionId": visit.session,
        });
        way.ask(&mut polls, &poll)?;
        if let Some(message) = visit.speak_old() {
            commands = Http::connect(visit.house.server)?;
            command(&mut commands, way, &message)?;
        }
        for message in &answers(&mut polls, way)? {
            visit.hear_old(message)?;
        }
        if visit.is_over()? {
            return Ok(Left::ForGood);
        }
    }
}

fn subscribe(visit: &Visit<'_>) -> Value {
    json!({
        "type": "channel-subscribe", "version": 1, "channel": visit.channel,
        "sessionId": visit.session,
    })
}

fn command(http: &mut Http, way: Way, message: &Value) -> Outcome<()> {
    way.ask(http, message)?;
    match way.answer(http, PATIENCE)? {
        None => Ok(()),
        Some(answer) => Err(format!("nobody asked that: {answer}")),
    }
}

/// The messages that a poll brought.
fn answers(http: &mut Http, way: Way) -> Outcome<Vec<Value>> {
    if way == Way::Xhr {
        let answer = way.answer(http, HELD)?.unwrap_or(Value::Null);
        return match answer["messages"].as_array() {
            Some(messages) if messages.len() == 1 => Ok(messages.clone()),
            _ => Err(format!("not one message: {answer}")),
        };
    }
    let (status, body) = http.answer(HELD)?;
    if status != 200 || body.is_empty() {
        return Err(format!("a poll was answered {status} {body:?}"));
    }
    // No data of the soak holds a semicolon or a quote.
    let mut messages = Vec::new();
    for call in body.split_terminator(");") {
        let (name, argument) = call.split_once('(').unwrap_or((call, ""));
        let json = argument.trim_matches('\'');
        if name.ends_with(".listenForMessages") {
            continue;
        }
        let parsed = serde_json::from_str(json);
        messages.push(parsed.map_err(|error| format!("no JSON: {error}: {body}"))?);
    }
    Ok(messages)
}
