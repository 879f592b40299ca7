//! A visitor by XHR or JSONP, as `chloe.js` is one.
//!
//! A poll is always open. Commands go over connections of their own while it
//! is. Connections break in both: then the answer is lost on its way.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::link::{Http, Outcome, PATIENCE};
use super::visit::{Left, Visit};

/// How long a poll asks to be held.
const WAIT_MS: u64 = 25_000;

/// The two ways to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Xhr,
    Jsonp,
}

/// Connects, goes on where the visit was, and stays until it breaks or is over.
pub fn stay(visit: &mut Visit<'_>, way: Way) -> Outcome<Left> {
    let mut http = Http::connect(visit.house.server)?;
    enter(visit, way, &mut http)?;
    for poll in 1.. {
        let message = json!({
            "type": "poll", "version": 1, "id": poll, "wait": WAIT_MS,
            "sessionId": visit.session, "positions": visit.positions.to_json(),
        });
        way.ask(&mut http, &message)?;
        let numbers = visit.speak();
        say(visit, way, &numbers)?;
        match visit.breaks() {
            Some(true) => {
                // The answer may be on its way.
                std::thread::sleep(Duration::from_millis(visit.random.below(300)));
                return Ok(Left::ForNow);
            }
            Some(false) => visit.doze(),
            None => {}
        }
        let answer = way.answer(&mut http, PATIENCE + Duration::from_millis(WAIT_MS))?;
        let messages = answer
            .as_ref()
            .and_then(|answer| answer["messages"].as_array());
        let Some(messages) = messages else {
            return Err(format!("a poll was answered {answer:?}"));
        };
        for message in messages {
            visit.hear(message)?;
        }
        if visit.is_over()? {
            break;
        }
    }
    Ok(Left::ForGood)
}

fn enter(visit: &mut Visit<'_>, way: Way, http: &mut Http) -> Outcome<()> {
    way.ask(http, &visit.connect())?;
    let answer = way.answer(http, PATIENCE)?;
    let answer = answer.ok_or_else(|| "connect was not answered".to_owned())?;
    if visit.connected(&answer)? {
        for channel in [visit.channel.clone(), visit.own_channel()] {
            let subscribe = json!({
                "type": "channel-subscribe", "version": 1, "channel": channel, "id": channel,
                "sessionId": visit.session,
            });
            way.ask(http, &subscribe)?;
            let answer = way.answer(http, PATIENCE)?;
            visit.hear(&answer.unwrap_or(Value::Null))?;
        }
    }
    let unanswered = visit.unanswered.clone();
    say(visit, way, &unanswered)
}

/// Sends messages one after the other. One in four connections breaks before
/// the answer comes; then the message is sent again.
fn say(visit: &mut Visit<'_>, way: Way, numbers: &[u32]) -> Outcome<()> {
    if numbers.is_empty() {
        return Ok(());
    }
    let mut http = Http::connect(visit.house.server)?;
    for &number in numbers {
        let message = visit.message(number);
        if visit.random.below(4) == 0 {
            way.ask(&mut http, &message)?;
            std::thread::sleep(Duration::from_millis(visit.random.below(4)));
            visit.house.findings.broken.add(1);
            http = Http::connect(visit.house.server)?;
        }
        way.ask(&mut http, &message)?;
        let answer = way.answer(&mut http, PATIENCE)?;
        visit.hear(&answer.unwrap_or(Value::Null))?;
    }
    Ok(())
}

impl Way {
    /// Sends `message`.
    pub fn ask(self, http: &mut Http, message: &Value) -> Outcome<()> {
        let text = message.to_string();
        let data = utf8_percent_encode(&text, NON_ALPHANUMERIC);
        match self {
            Way::Jsonp => http.ask("GET", &format!("/chloe/jsonp.js?data={data}"), &[], ""),
            Way::Xhr => {
                let kind = ("Content-Type", "application/x-www-form-urlencoded");
                http.ask("POST", "/chloe/xhr", &[kind], &format!("data={data}"))
            }
        }
    }

    /// What it is answered; `None` if with nothing.
    pub fn answer(self, http: &mut Http, patience: Duration) -> Outcome<Option<Value>> {
        let (status, body) = http.answer(patience)?;
        if status != 200 {
            return Err(format!("answered {status}: {body}"));
        }
        let json = match self {
            Way::Xhr => body.as_str(),
            Way::Jsonp => script(&body)?,
        };
        if json.is_empty() {
            return Ok(None);
        }
        let parsed = serde_json::from_str(json);
        parsed.map_err(|error| format!("no JSON: {error}: {body}"))
    }
}

/// The JSON in the script that is an answer.
fn script(body: &str) -> Outcome<&str> {
    if body.is_empty() {
        return Ok(body);
    }
    let inner = body.strip_prefix("Chloe.JsonpTransport.response(");
    let inner = inner.and_then(|rest| rest.strip_suffix(");"));
    inner.ok_or_else(|| format!("not the script of an answer: {body}"))
}
