//! XHR: long polling by XMLHttpRequest (protocol A.17 to A.22).
//!
//! Reads requests, writes bodies; holds nothing. An old client's poll is
//! answered with exactly one message, because it polls once more for each; one
//! of the new kind takes a batch, or none. Called by the server.

use std::io::Write;

use super::contract::{Answer, Batch, Call, Ending, Poll, Polling, Problem, Reply, Unusable};
use crate::hub::Gap;
use crate::wire::envelope;
use crate::wire::http::{Method, Request};
use crate::wire::urlencoded::browser_data;

/// Where its requests go; any path below is the same.
pub const PATH: &str = "/chloe/xhr";

/// The row of the table.
pub const XHR: Polling = Polling {
    name: "xhr",
    content_type: "application/json; charset=utf-8",
    cors: true,
    blanks: true,
    read,
    reply,
    several,
    add,
    add_gap,
    seal,
    end,
    refuse_poll,
};

/// Reads the message in `data`, from the body of a POST or the query of a GET.
pub fn read<'a>(request: &Request<'_>, text: &'a mut String) -> Result<Call<'a>, Unusable> {
    let encoded = match request.method {
        Method::Post => &*request.body,
        _ => request.query().unwrap_or_default().as_bytes(),
    };
    *text = browser_data(encoded).ok_or_else(|| {
        Problem::new(
            400,
            "no_data",
            "The request carries no message: send it as data=..., in the query or in a form.",
        )
    })?;
    Call::from_envelope(envelope::decode(text)?, true)
}

fn reply(reply: &Reply, id: Option<&str>) -> Answer {
    let mut body = Vec::new();
    let status = match reply {
        Reply::Refused(problem) => problem.status,
        _ => 200,
    };
    // A.18: message and channel-subscribe are answered with nothing, unless
    // their client asked for an answer by giving an id.
    let connect = matches!(reply, Reply::Opened { .. } | Reply::Connected { .. });
    if connect || id.is_some() || status != 200 {
        reply.encode(&mut body, id);
    }
    Answer { status, body }
}

/// A.20: an old client polls once more for each message in an answer.
fn several(poll: &Poll) -> bool {
    poll.modern
}

fn add(batch: &mut Batch, _: &Poll, json: &[u8], _: bool) {
    /// Room for what stands around a message, and for the end of the batch.
    const AROUND_BYTES: usize = 48;
    batch.body.reserve(json.len() + AROUND_BYTES);
    begin(batch);
    batch.body.push(b'{');
    batch.body.extend_from_slice(json);
}

fn add_gap(batch: &mut Batch, gap: &Gap) {
    begin(batch);
    envelope::encode_gap(&mut batch.body, &gap.channel, gap.missed, gap.position);
}

fn begin(batch: &mut Batch) {
    let opening: &[u8] = if batch.count == 0 {
        b"{\"messages\":["
    } else {
        b","
    };
    batch.body.extend_from_slice(opening);
    batch.count += 1;
}

fn seal(mut batch: Batch, _: &Poll) -> Vec<u8> {
    if batch.count == 0 {
        batch.body.extend_from_slice(b"{\"messages\":[");
    }
    batch.body.push(b']');
    number(&mut batch.body, batch.number);
    batch.body.push(b'}');
    batch.body
}

/// Writes the number of a batch that its client acknowledges, as the last key of an object.
pub fn number(out: &mut Vec<u8>, number: u32) {
    if number > 0 {
        let told = write!(out, ",\"batch\":{number}");
        debug_assert!(told.is_ok(), "a vector takes everything");
    }
}

fn end(poll: &Poll, ending: &Ending) -> Option<Answer> {
    match ending {
        // A.21: the old client drops an empty 200 quietly.
        Ending::Superseded if !poll.modern => Some(Answer::ok(Vec::new())),
        Ending::Superseded | Ending::Held => Some(Answer::ok(seal(Batch::default(), poll))),
        // A.18: any status but 200 makes the client call onclose, which is the truth.
        Ending::Stopping => Some(reply(&Reply::Refused(stopping()), poll.id.as_deref())),
    }
}

fn refuse_poll(problem: Problem, id: Option<&str>, _: bool) -> Answer {
    reply(&Reply::Refused(problem), id)
}

/// The refusal of a server that stops.
pub fn stopping() -> Problem {
    Problem::temporary(
        503,
        "stopping",
        "The server is stopping: connect again in a moment.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_one_object_whatever_it_holds() {
        let poll = Poll {
            id: None,
            modern: true,
        };
        assert_eq!(seal(Batch::default(), &poll), br#"{"messages":[]}"#);
        for (number, told) in [(0, ""), (7, r#","batch":7"#)] {
            let mut batch = Batch {
                number,
                ..Batch::default()
            };
            add(&mut batch, &poll, br#""data":"1"}"#, false);
            add(&mut batch, &poll, br#""data":"2"}"#, true);
            let body = format!(r#"{{"messages":[{{"data":"1"}},{{"data":"2"}}]{told}}}"#);
            assert_eq!(seal(batch, &poll), body.as_bytes());
        }
    }

    #[test]
    fn what_needs_no_answer_gets_an_empty_one() {
        let accepted = Reply::Accepted { answer: None };
        assert_eq!(reply(&accepted, None), Answer::ok(Vec::new()));
        assert!(!reply(&accepted, Some("1")).body.is_empty());
        let refused = reply(&Reply::Refused(Problem::unknown_session()), None);
        assert_eq!(refused.status, 404);
    }

    #[test]
    fn the_end_of_a_poll_is_one_that_its_client_survives() {
        let old = Poll {
            id: None,
            modern: false,
        };
        assert_eq!(end(&old, &Ending::Superseded).unwrap().body, b"");
        assert_eq!(end(&old, &Ending::Stopping).unwrap().status, 503);
        let new = Poll {
            id: None,
            modern: true,
        };
        assert_eq!(
            end(&new, &Ending::Held).unwrap().body,
            br#"{"messages":[]}"#
        );
    }
}
