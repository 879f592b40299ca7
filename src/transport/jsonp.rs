//! JSONP: polling by script tags (protocol A.23 to A.28).
//!
//! How old pages really arrive, so it is first class. Every answer is a 200
//! with a script in it, errors too: the old client polls again at once after a
//! script that failed, and a restart would make a storm. Called by the server.

use super::contract::{Answer, Batch, Call, Ending, Poll, Polling, Problem, Reply, Unusable};
use super::xhr;
use crate::hub::Gap;
use crate::wire::envelope;
use crate::wire::http::Request;
use crate::wire::jsonp;

/// Where its requests go.
pub const PATH: &str = "/chloe/jsonp.js";

/// The row of the table.
pub const JSONP: Polling = Polling {
    name: "jsonp",
    content_type: "application/javascript; charset=utf-8",
    cors: false,
    blanks: false,
    read,
    reply,
    several,
    add,
    add_gap,
    seal,
    end,
    refuse_poll,
};

/// Reads the message in the query's `data`.
fn read<'a>(request: &Request<'_>, text: &'a mut String) -> Result<Call<'a>, Unusable> {
    xhr::read(request, text)
}

fn reply(reply: &Reply, id: Option<&str>) -> Answer {
    let mut body = Vec::new();
    let connect = matches!(reply, Reply::Opened { .. } | Reply::Connected { .. });
    // A.25: a script of the old client is answered with an empty one.
    if connect || id.is_some() {
        let mut json = Vec::new();
        reply.encode(&mut json, id);
        jsonp::response(&mut body, &json);
    }
    Answer::ok(body)
}

/// The number by which the page finds the connection, if it is one.
fn number(poll: &Poll) -> Option<u64> {
    let digits = poll.id.as_deref()?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

fn add(batch: &mut Batch, poll: &Poll, json: &[u8], last: bool) {
    if poll.modern {
        begin(batch, poll);
        batch.body.push(b'{');
        batch.body.extend_from_slice(json);
    } else if last {
        // The one that makes the client poll again (A.25).
        let mut object = Vec::with_capacity(json.len() + 32);
        object.extend_from_slice(b"{\"type\":\"poll\",\"id\":");
        object.extend_from_slice(poll.id.as_deref().unwrap_or("null").as_bytes());
        object.push(b',');
        object.extend_from_slice(json);
        jsonp::response(&mut batch.body, &object);
    } else if let Some(id) = number(poll) {
        // A.26: all but the last of a burst go to the callback alone.
        let mut object = Vec::with_capacity(json.len() + 1);
        object.push(b'{');
        object.extend_from_slice(json);
        jsonp::onmessage(&mut batch.body, id, &object);
    }
    batch.count += 1;
}

fn add_gap(batch: &mut Batch, gap: &Gap) {
    if batch.count > 0 {
        batch.body.push(b',');
    }
    envelope::encode_gap(&mut batch.body, &gap.channel, gap.missed, gap.position);
    batch.count += 1;
}

fn begin(batch: &mut Batch, _: &Poll) {
    if batch.count > 0 {
        batch.body.push(b',');
    }
}

fn seal(batch: Batch, poll: &Poll) -> Vec<u8> {
    if !poll.modern {
        return batch.body;
    }
    let mut json = Vec::with_capacity(batch.body.len() + 64);
    json.extend_from_slice(b"{\"type\":\"poll\",\"version\":1,\"id\":");
    json.extend_from_slice(poll.id.as_deref().unwrap_or("null").as_bytes());
    json.extend_from_slice(b",\"messages\":[");
    json.extend_from_slice(&batch.body);
    json.push(b']');
    xhr::number(&mut json, batch.number);
    json.push(b'}');
    let mut body = Vec::with_capacity(json.len() + 40);
    jsonp::response(&mut body, &json);
    body
}

fn end(poll: &Poll, ending: &Ending) -> Option<Answer> {
    let body = match ending {
        Ending::Superseded if !poll.modern => Vec::new(),
        Ending::Superseded => seal(Batch::default(), poll),
        Ending::Held if poll.modern => seal(Batch::default(), poll),
        Ending::Held => {
            let mut body = Vec::new();
            // A.27: an empty script would silence the page for good.
            jsonp::repoll(&mut body, number(poll)?);
            body
        }
        // The session of an old page will not be known to the next process:
        // a script that failed would make it poll in a storm.
        Ending::Stopping if !poll.modern => Vec::new(),
        Ending::Stopping => {
            return Some(reply(&Reply::Refused(xhr::stopping()), poll.id.as_deref()));
        }
    };
    Some(Answer::ok(body))
}

fn refuse_poll(problem: Problem, id: Option<&str>, modern: bool) -> Answer {
    if modern {
        reply(&Reply::Refused(problem), id)
    } else {
        Answer::ok(Vec::new())
    }
}

/// A page whose connection has no number takes its messages one by one.
fn several(poll: &Poll) -> bool {
    poll.modern || number(poll).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(id: &str) -> Poll {
        Poll {
            id: Some(id.into()),
            modern: false,
        }
    }

    #[test]
    fn a_burst_ends_with_the_one_script_that_polls_again() {
        let poll = old("7");
        let mut batch = Batch::default();
        add(&mut batch, &poll, br#""data":"it's","version":1}"#, false);
        add(&mut batch, &poll, br#""data":"2","version":1}"#, true);
        let script = String::from_utf8(seal(batch, &poll)).unwrap();
        assert_eq!(
            script
                .matches("Chloe.JsonpTransport.connections[7].callbacks.onmessage('")
                .count(),
            1
        );
        assert!(
            script.ends_with(
                r#"Chloe.JsonpTransport.response({"type":"poll","id":7,"data":"2","version":1});"#
            ),
            "{script}"
        );
        assert!(!script.contains("it's"), "{script}");
    }

    #[test]
    fn an_id_that_is_no_number_never_gets_into_a_script_bare() {
        let poll = old("\"x];alert(1)//\"");
        assert!(!several(&poll));
        assert_eq!(end(&poll, &Ending::Held), None);
        assert_eq!(
            end(&old("7"), &Ending::Held).unwrap().body,
            b"Chloe.JsonpTransport.connections[7].listenForMessages();"
        );
    }

    #[test]
    fn a_new_client_gets_a_batch_and_errors() {
        let poll = Poll {
            id: Some("3".into()),
            modern: true,
        };
        let mut batch = Batch {
            number: 7,
            ..Batch::default()
        };
        add(&mut batch, &poll, br#""data":"1"}"#, false);
        add(&mut batch, &poll, br#""data":"2"}"#, true);
        let script = seal(batch, &poll);
        assert_eq!(script, br#"Chloe.JsonpTransport.response({"type":"poll","version":1,"id":3,"messages":[{"data":"1"},{"data":"2"}],"batch":7});"#);
        let refused = |modern| refuse_poll(Problem::unknown_session(), Some("3"), modern);
        assert!(!refused(true).body.is_empty());
        assert!(refused(false).body.is_empty(), "no storm of old pages");
    }
}
