//! Reads a peer's file: what `benches/peers/README.md` describes.
//!
//! Opens nothing but the file. Called by `main`, and by each worker.

use toml::{Table, Value};

use crate::peer::{Answer, Dialogue, Peer, Polling, Publishing, Request, Take};
use crate::section::Section;

/// Chloe itself, and the bare server of `limit`.
const BUILT_IN: [(&str, &str); 3] = [
    ("chloe", include_str!("../../../benches/peers/chloe.toml")),
    (
        "chloe-upgrade",
        include_str!("../../../benches/peers/chloe-upgrade.toml"),
    ),
    ("limit", include_str!("../../../benches/peers/limit.toml")),
];

/// The peer that is built in under `name`, or the one of the file there;
/// and the text itself, for the workers.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn load(name: &str) -> Result<(Peer, String), String> {
    let built_in = BUILT_IN.iter().find(|(built_in, _)| *built_in == name);
    let text = match built_in {
        Some((_, text)) => (*text).to_owned(),
        None => std::fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?,
    };
    let peer = parse(&text).map_err(|error| format!("{name}: {error}"))?;
    Ok((peer, text))
}

/// Reads a peer's file.
///
/// # Errors
/// A sentence that says what is wrong, and in which table.
pub fn parse(text: &str) -> Result<Peer, String> {
    let mut table: Table = text.parse().map_err(|error| format!("{error}"))?;
    let mut section = |name: &str| Section::sub(&mut table, name);
    let dialogue = |section: Option<Section>| section.map(dialogue).transpose();
    let peer = Peer {
        websocket: dialogue(section("ws")?)?,
        sse: dialogue(section("sse")?)?,
        tcp: dialogue(section("tcp")?)?,
        poll: section("poll")?.map(polling).transpose()?,
        publish: publishing(section("publish")?.ok_or("there is no [publish]")?)?,
    };
    if let Some(name) = table.keys().next() {
        return Err(format!("'{name}' is no table of a peer's file"));
    }
    Ok(peer)
}

fn take_dialogue(section: &mut Section) -> Result<Dialogue, String> {
    let mut answers = Vec::new();
    for mut answer in section.sections("answers")? {
        let (to, send) = (answer.bytes("to")?, answer.template("send")?);
        answers.push(Answer {
            to: answer.needed("to", to)?,
            send: answer.needed("send", send)?,
        });
        answer.end()?;
    }
    Ok(Dialogue {
        path: section.text("path")?.unwrap_or_else(|| "/".to_owned()),
        protocol: section.text("protocol")?,
        binary: section.flag("binary")?,
        headers: section.templates("headers")?,
        send: section.templates("send")?,
        ready: section.bytes("ready")?,
        answers,
    })
}

fn dialogue(mut section: Section) -> Result<Dialogue, String> {
    let dialogue = take_dialogue(&mut section)?;
    section.end()?;
    Ok(dialogue)
}

/// Reads a request. What it takes is known by `names` from now on.
fn request(section: &mut Section, names: &mut Vec<String>) -> Result<Request, String> {
    names.clone_into(&mut section.names);
    let path = section.template("path")?;
    let (method, body) = (section.text("method")?, section.template("body")?);
    let usual = if body.is_some() { "POST" } else { "GET" };
    let mut made = Request {
        path: section.needed("path", path)?,
        method: method.unwrap_or_else(|| usual.to_owned()),
        headers: section.templates("headers")?,
        body: body.unwrap_or_default(),
        takes: Vec::new(),
    };
    for mut take in section.sections("take")? {
        let name = take.text("name")?;
        let name = take.needed("name", name)?;
        names.clone_into(&mut take.names);
        let (after, until) = (take.template("after")?, take.bytes("until")?);
        let number = names.iter().position(|known| *known == name);
        made.takes.push(Take {
            number: number.unwrap_or(names.len()),
            after: take.needed("after", after)?,
            until: take.needed("until", until)?,
        });
        if number.is_none() {
            names.push(name);
        }
        take.end()?;
    }
    Ok(made)
}

fn polling(mut section: Section) -> Result<Polling, String> {
    let mut names = Vec::new();
    let mut open = Vec::new();
    for mut step in section.sections("open")? {
        open.push(request(&mut step, &mut names)?);
        step.end()?;
    }
    let Some(Value::Table(table)) = section.table.remove("request") else {
        return Err(section.fault("request", "is needed"));
    };
    let mut repeated = section.below("request", table);
    // It may use what its own answers bring.
    for name in own_names(&repeated.table) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let polling = Polling {
        open,
        request: request(&mut repeated, &mut names)?,
    };
    repeated.end()?;
    section.end()?;
    Ok(polling)
}

fn own_names(table: &Table) -> Vec<String> {
    let takes = table.get("take").and_then(Value::as_array);
    let takes = takes.into_iter().flatten();
    takes
        .filter_map(|take| take.get("name")?.as_str().map(str::to_owned))
        .collect()
}

fn publishing(mut section: Section) -> Result<Publishing, String> {
    let over = section.text("over")?;
    let over = section.needed("over", over)?;
    let publishing = match over.as_str() {
        "http" => {
            let mut made = request(&mut section, &mut Vec::new())?;
            if !made.takes.is_empty() {
                return Err(section.fault("take", "nothing is taken from a publisher's answers"));
            }
            if made.method == "GET" {
                made.method = "POST".to_owned();
            }
            Publishing::Http { request: made }
        }
        "ws" | "tcp" => {
            let dialogue = take_dialogue(&mut section)?;
            let (message, answer) = (section.template("message")?, section.bytes("answer")?);
            Publishing::Connection {
                websocket: over == "ws",
                dialogue,
                message: section.needed("message", message)?,
                answer: section.needed("answer", answer)?,
            }
        }
        _ => return Err(section.fault("over", "'http', 'ws' or 'tcp' is needed")),
    };
    section.end()?;
    Ok(publishing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Transport;
    use crate::template::{Taken, Values};

    const PUBLISH: &str = "[publish]\nover = 'tcp'\nmessage = '${data}'\nanswer = 'OK'\n";

    #[test]
    fn every_file_in_the_repository_is_understood() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");
        let mut read = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let peer = parse(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
                assert!(peer.transport(None).is_ok(), "{path:?}");
                read += 1;
            }
        }
        assert!(read >= BUILT_IN.len());
    }

    #[test]
    fn chloe_is_polled_behind_what_was_seen() {
        let (peer, _) = load("chloe").unwrap();
        assert_eq!(peer.transport(None), Ok(Transport::WebSocket));
        let polling = peer.poll.unwrap();
        let mut taken = Taken::default();
        polling.open[0].takes[0].look(br#"{"sessionId":"0a"}"#, &mut taken);
        for take in &polling.open[1].takes {
            take.look(br#"{"type":"subscribed","position":"9f0c:42"}"#, &mut taken);
        }
        let answer = br#"{"messages":[{"channel":"bench","offset":43},{"offset":44,"x":1}]}"#;
        polling.request.takes[0].look(answer, &mut taken);
        let values = Values {
            taken: Some(&taken),
            ..Values::default()
        };
        let path = polling.request.path.filled(&values);
        assert_eq!(path, b"/chloe/xhr", "no URL names the session");
        let body = polling.request.body.filled(&values);
        let body = String::from_utf8(body).unwrap();
        assert!(
            body.ends_with(r#""positions":{"bench":"9f0c:44"}}"#),
            "{body}"
        );
        assert!(body.contains(r#""sessionId":"0a""#), "{body}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let rows = [
            ("", "there is no [publish]"),
            ("[ws]\npaht = '/'\n", "[ws] paht: is no key of this table"),
            ("[wss]\n", "'wss' is no table"),
            ("[ws]\nsend = 'a'\n", "[ws] send: a list"),
            ("[ws]\nsend = [1]\n", "[ws] send: a list of texts"),
            ("[tcp]\nready = '\\q'\n", "[tcp] ready: "),
            (
                "[sse]\nanswers = [{ to = 'a' }]\n",
                "[sse.answers] send: is needed",
            ),
            ("[poll]\nopen = []\n", "[poll] request: is needed"),
            (
                "[poll.request]\npath = '/${x}'\n",
                "[poll.request] path: no 'take' sets",
            ),
        ];
        for (text, expected) in rows {
            let whole = if text.is_empty() {
                String::new()
            } else {
                format!("{text}{PUBLISH}")
            };
            let error = parse(&whole).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
