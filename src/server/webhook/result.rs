//! What became of a message for the app, and the sentence that says so.
//!
//! Pure values: no queue, no retry. Which of them follows from an answer is
//! decided in `verdict`. Read by the server, which passes them on to the browser.

use std::fmt;
use std::io;

/// The app has taken the message: it answered with a status of the 200s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 299.
    pub status: u16,
    /// The body, if it is valid JSON and called `application/json`.
    pub json: Option<String>,
}

/// Why one attempt came to nothing. The message is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The host name of `application_server_url` has no address now.
    Unresolved,
    /// No address took the connection; this is the last one's error.
    Unreachable(io::ErrorKind),
    /// No address took the connection in `webhook_connect_timeout_ms`.
    ConnectTimeout,
    /// The connection stood, but no whole answer came in `webhook_timeout_ms`.
    AnswerTimeout,
    /// The connection was closed or reset before an answer.
    Closed,
    /// What came back is not HTTP.
    Garbled,
    /// An answer that asks for another try: a status of the 500s, 408 or 429.
    Status(u16),
}

impl Failure {
    /// Whether the app was not reached at all, so that the message never left.
    pub fn is_unreachable(self) -> bool {
        matches!(
            self,
            Failure::Unresolved | Failure::Unreachable(_) | Failure::ConnectTimeout
        )
    }
}

impl fmt::Display for Failure {
    /// Completes "The app did not take it: ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unresolved => f.write_str("its host name has no address"),
            Failure::Unreachable(io::ErrorKind::ConnectionRefused) => {
                f.write_str("it refuses connections, so it seems not to run")
            }
            Failure::Unreachable(kind) => write!(f, "it cannot be reached ({kind})"),
            Failure::ConnectTimeout => f.write_str("it does not accept connections in time"),
            Failure::AnswerTimeout => f.write_str("it does not answer in time"),
            Failure::Closed => f.write_str("it closes the connection without an answer"),
            Failure::Garbled => f.write_str("what it answers is not HTTP"),
            Failure::Status(status) => write!(f, "it answers with status {status}"),
        }
    }
}

/// Why a message was given up. It will not be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// The app said no, with a status of the 400s. It would say so again.
    Rejected { status: u16 },
    /// The app pointed elsewhere, with a status of the 300s.
    Redirected { status: u16 },
    /// Older than `webhook_give_up_ms`; `last` tells of the last attempt, if there was one.
    TooOld { last: Option<Failure> },
    /// Chloe stops, and the time for finishing is over.
    Stopped,
}

/// The codes of the refusals that a repeated message gets again. One that was
/// given up because Chloe stops is a new message.
pub const REMEMBERED: [&str; 3] = ["app_rejected", "app_redirected", "app_unavailable"];

impl GivenUp {
    /// The code of the error message that the browser gets.
    pub fn code(self) -> &'static str {
        match self {
            GivenUp::Rejected { .. } => "app_rejected",
            GivenUp::Redirected { .. } => "app_redirected",
            GivenUp::TooOld { .. } => "app_unavailable",
            GivenUp::Stopped => "stopping",
        }
    }

    /// Whether the same message may be taken when it is sent again later.
    pub fn temporary(self) -> bool {
        matches!(self, GivenUp::TooOld { .. } | GivenUp::Stopped)
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GivenUp::Rejected { status } => write!(
                f,
                "The app rejected the message with status {status}. Look into the app's log for the reason."
            ),
            GivenUp::Redirected { status } => write!(
                f,
                "The app redirected the message with status {status}, which is not followed. \
                 Set application_server_url to the final address."
            ),
            GivenUp::TooOld { last: Some(last) } => write!(
                f,
                "The app did not take the message for too long: {last}. Send it again when the app is well."
            ),
            GivenUp::TooOld { last: None } => f.write_str(
                "The message waited for too long behind others. Send it again when the app is less busy.",
            ),
            GivenUp::Stopped => f.write_str(
                "The server stopped before the app took the message. Connect and send it again.",
            ),
        }
    }
}

/// Why a message was not even queued. Always temporary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The session has `webhook_queue_per_session_max` queued, its address a tenth of
    /// the queue, or the queue is at `webhook_queue_messages` or `webhook_queue_bytes`.
    Full,
    /// Chloe stops.
    Stopping,
}

impl Refused {
    /// The code of the error message that the browser gets.
    pub fn code(self) -> &'static str {
        match self {
            Refused::Full => "app_busy",
            Refused::Stopping => "stopping",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::Full => {
                "Too many messages wait for the app already. Send it again in a few seconds."
            }
            Refused::Stopping => "The server is stopping. Connect and send it again.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_remembered_but_that_of_a_chloe_that_stops() {
        for given_up in [
            GivenUp::Rejected { status: 400 },
            GivenUp::Redirected { status: 300 },
            GivenUp::TooOld { last: None },
            GivenUp::Stopped,
        ] {
            let remembered = REMEMBERED.contains(&given_up.code());
            assert_eq!(remembered, given_up != GivenUp::Stopped, "{given_up}");
        }
    }
}
