//! What follows from the end of an attempt: taken, given up, or another try.
//!
//! The table of the webhook's policy, all of it in one place. It decides and does
//! nothing. Called by `Webhook`.

use super::backoff::retry_after_ms;
use super::result::{Answer, Failure, GivenUp};
use crate::base::time::Time;

/// An answer of the app, as far as the webhook cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// The header `Retry-After`, as it came.
    pub retry_after: Option<String>,
    /// The body, if it is valid JSON and called so.
    pub json: Option<String>,
}

/// What a failure says of whom. Its session waits in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Of this message alone: the app is up.
    Message,
    /// Of the app: it cannot be reached, so the message has not left.
    App,
    /// Of the message, its sender, or the app. Others have to show which.
    Unclear,
}

/// What to do with the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Taken(Answer),
    GivenUp(GivenUp),
    Retry {
        failure: Failure,
        blame: Blame,
        /// The wait the app asked for.
        asked_ms: Option<u64>,
    },
}

/// The verdict on an attempt that ended without an answer.
pub fn on_failure(failure: Failure) -> Verdict {
    let blame = match failure {
        // The message never left.
        Failure::Unresolved | Failure::Unreachable(_) | Failure::ConnectTimeout => Blame::App,
        // The app is down behind a proxy that accepts, or this message kills its handler.
        _ => Blame::Unclear,
    };
    Verdict::Retry {
        failure,
        blame,
        asked_ms: None,
    }
}

/// The verdict on an answer. A message that is answered has been decided upon
/// unless the status says that it was not (RFC 9110, section 15).
pub fn on_reply(now: Time, reply: Reply) -> Verdict {
    let status = reply.status;
    let blame = match status {
        200..=299 => {
            let json = reply.json;
            return Verdict::Taken(Answer { status, json });
        }
        300..=399 => return Verdict::GivenUp(GivenUp::Redirected { status }),
        // 408 Request Timeout: it invites to repeat the request on a new connection.
        // 429 Too Many Requests: of Chloe, or of this session's.
        408 | 429 => Blame::Unclear,
        400..=499 => return Verdict::GivenUp(GivenUp::Rejected { status }),
        // A proxy that does not reach the app, or an app that is not up yet.
        502..=504 => Blame::Unclear,
        _ => Blame::Message,
    };
    Verdict::Retry {
        failure: Failure::Status(status),
        blame,
        asked_ms: reply
            .retry_after
            .and_then(|value| retry_after_ms(now, &value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, retry_after: Option<&str>) -> Verdict {
        let reply = Reply {
            status,
            retry_after: retry_after.map(str::to_owned),
            json: Some("1".into()),
        };
        on_reply(Time::default(), reply)
    }

    #[test]
    fn every_class_of_status_has_its_verdict() {
        for status in [200, 201, 204, 299] {
            let json = Some("1".into());
            assert_eq!(
                verdict(status, None),
                Verdict::Taken(Answer { status, json })
            );
        }
        for status in [300, 301, 308] {
            let expected = Verdict::GivenUp(GivenUp::Redirected { status });
            assert_eq!(verdict(status, None), expected);
        }
        for status in [400, 401, 404, 413, 422, 499] {
            let expected = Verdict::GivenUp(GivenUp::Rejected { status });
            assert_eq!(verdict(status, Some("1")), expected);
        }
        for (status, blame) in [
            (101, Blame::Message),
            (408, Blame::Unclear),
            (429, Blame::Unclear),
            (500, Blame::Message),
            (501, Blame::Message),
            (502, Blame::Unclear),
            (503, Blame::Unclear),
            (504, Blame::Unclear),
            (599, Blame::Message),
            (999, Blame::Message),
        ] {
            let expected = Verdict::Retry {
                failure: Failure::Status(status),
                blame,
                asked_ms: Some(7_000),
            };
            assert_eq!(verdict(status, Some("7")), expected);
        }
    }
}
