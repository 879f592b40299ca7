//! What a transport is, and the words that all of them share.
//!
//! A transport turns bytes of a browser into a [`Call`] and the server's
//! [`Reply`] and publications back into bytes. It holds no connection, keeps no
//! session and decides nothing. A transport whose client asks with HTTP
//! requests is a [`Polling`], a table of functions; a WebSocket is a stream and
//! has functions of its own. Called by the server.

use std::borrow::Cow;
use std::sync::Arc;

use crate::base::names::{SessionId, Since};
use crate::hub::{Gap, Standing};
use crate::wire::envelope::{self, ChannelState, Connected, Envelope, Unreadable};
use crate::wire::http::Request;

/// What a browser wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Open a session, or go on with one.
    Connect {
        session: Option<SessionId>,
        /// Given, even if empty, by clients of the new kind.
        positions: Option<Vec<(Cow<'a, str>, Since)>>,
    },
    /// Hold this request until there is something to say.
    Poll(Asked<'a>),
    /// Subscribe to a channel, from here on or from behind `since`.
    Subscribe {
        channel: Cow<'a, str>,
        since: Option<Since>,
    },
    /// End a subscription.
    Unsubscribe { channel: Cow<'a, str> },
    /// Pass `data` on to the app.
    Message { data: Cow<'a, str> },
}

/// What a poll says. Old clients say nothing of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    /// How long it may be held at most.
    pub wait_ms: Option<u64>,
    /// How far each channel was read.
    pub positions: Option<Vec<(Cow<'a, str>, Since)>>,
    /// The number of the last batch that was got; 0 before the first.
    pub batch: Option<u32>,
}

impl Asked<'_> {
    /// Whether the client takes several messages, none, and errors.
    pub fn is_modern(&self) -> bool {
        self.wait_ms.is_some() || self.positions.is_some() || self.batch.is_some()
    }
}

/// A command with what is needed to answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    pub command: Command<'a>,
    /// The id as it was sent, raw JSON; the answer bears it.
    pub id: Option<Cow<'a, str>>,
    /// Whose session it is, as far as the message says. A text that is no
    /// session id of ours is a session that we do not know.
    pub session: Option<SessionId>,
}

/// Why a call is refused, for the browser and for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status, where there is one.
    pub status: u16,
    /// For programs.
    pub code: &'static str,
    /// A sentence that says what to do.
    pub message: Cow<'static, str>,
    /// Whether the same may work later.
    pub temporary: bool,
}

impl Problem {
    /// A refusal that will stand.
    pub fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Problem {
        Problem {
            status,
            code,
            message: message.into(),
            temporary: false,
        }
    }

    /// A refusal that may pass.
    pub fn temporary(
        status: u16,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Problem {
        Problem {
            temporary: true,
            ..Problem::new(status, code, message)
        }
    }

    /// The session is not, or no longer, known.
    pub fn unknown_session() -> Problem {
        Problem::new(
            404,
            "unknown_session",
            "There is no such session, it may have ended: connect again.",
        )
    }
}

/// A browser's message that could not be used: why, and what the refusal is marked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    pub problem: Problem,
    /// The id as it was sent, raw JSON, wherever it could be read.
    pub id: Option<Box<str>>,
}

impl From<Problem> for Unusable {
    fn from(problem: Problem) -> Unusable {
        Unusable { problem, id: None }
    }
}

impl From<Unreadable<'_>> for Unusable {
    fn from(Unreadable { error, id }: Unreadable<'_>) -> Unusable {
        Unusable {
            problem: Problem::new(error.status(), error.code(), error.to_string()),
            id: id.map(|id| id.raw().into()),
        }
    }
}

/// What is said to a call that is not a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To a `connect` of the old kind.
    Opened {
        session: SessionId,
    },
    /// To a `connect` of the new kind.
    Connected {
        session: SessionId,
        resumed: bool,
        channels: Vec<(Arc<str>, Standing)>,
        heartbeat_ms: u64,
    },
    Subscribed {
        channel: Arc<str>,
        standing: Standing,
    },
    Unsubscribed {
        channel: Arc<str>,
    },
    /// The app has taken the message; what it answered, if that was JSON.
    Accepted {
        answer: Option<String>,
    },
    Refused(Problem),
}

impl Reply {
    /// Appends the JSON object that says it, bearing `id`.
    pub fn encode(&self, out: &mut Vec<u8>, id: Option<&str>) {
        match self {
            Reply::Opened { session } => envelope::encode_connect_old(out, id, *session),
            Reply::Connected {
                session,
                resumed,
                channels,
                heartbeat_ms,
            } => {
                let channels: Vec<_> = channels.iter().map(|(name, s)| state(name, s)).collect();
                let connected = Connected {
                    id,
                    session_id: *session,
                    resumed: *resumed,
                    channels: &channels,
                    heartbeat_ms: *heartbeat_ms,
                };
                envelope::encode_connect(out, &connected);
            }
            Reply::Subscribed { channel, standing } => {
                envelope::encode_subscribed(out, id, &state(channel, standing));
            }
            Reply::Unsubscribed { channel } => envelope::encode_unsubscribed(out, id, channel),
            Reply::Accepted { answer } => envelope::encode_accepted(out, id, answer.as_deref()),
            Reply::Refused(problem) => {
                envelope::encode_error(out, id, problem.code, &problem.message, problem.temporary);
            }
        }
    }
}

fn state<'a>(name: &'a Arc<str>, standing: &Standing) -> ChannelState<'a> {
    ChannelState {
        channel: name,
        position: standing.position,
        recovered: standing.recovered,
    }
}

/// A poll that is being answered: for whom, and with how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The id as it was sent, raw JSON.
    pub id: Option<Box<str>>,
    /// The client takes several messages, none, and errors.
    pub modern: bool,
}

/// Why a poll is answered though there is nothing to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A newer poll took its place.
    Superseded,
    /// It was held as long as it may be.
    Held,
    /// The server stops.
    Stopping,
}

/// What answers a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// A 200 with `body`.
    pub fn ok(body: Vec<u8>) -> Answer {
        Answer { status: 200, body }
    }
}

/// The messages of one answer, put together one by one.
#[derive(Debug, Default)]
pub struct Batch {
    /// What the transport has written so far.
    pub body: Vec<u8>,
    pub count: usize,
    /// The number by which its client acknowledges it; 0: it does not.
    pub number: u32,
}

/// A transport whose client asks with HTTP requests.
pub struct Polling {
    pub name: &'static str,
    /// What its answers are.
    pub content_type: &'static str,
    /// Whether pages of another origin are answered by CORS, so that only what
    /// is allowed may read the answer.
    pub cors: bool,
    /// Blanks may be sent ahead of the answer of a poll held without limit.
    pub blanks: bool,
    /// Reads a request; the text of its message is decoded into the string given.
    pub read: for<'a> fn(&Request<'_>, &'a mut String) -> Result<Call<'a>, Unusable>,
    /// Answers a call that is not a poll. A call without id that went well is
    /// answered with an empty body.
    pub reply: fn(&Reply, Option<&str>) -> Answer,
    /// Whether one answer may hold several messages.
    pub several: fn(&Poll) -> bool,
    /// Adds a delivery to an answer: `json` without its leading `{`.
    /// `last` is known ahead: an answer to an old client ends with it.
    pub add: fn(&mut Batch, &Poll, json: &[u8], last: bool),
    /// Adds a gap, for clients of the new kind.
    pub add_gap: fn(&mut Batch, &Gap),
    /// Ends the answer.
    pub seal: fn(Batch, &Poll) -> Vec<u8>,
    /// Answers a poll that has nothing to deliver; `None` if it is better to
    /// close the connection without a word.
    pub end: fn(&Poll, &Ending) -> Option<Answer>,
    /// Answers a poll of a session that is not known, or not the page's.
    pub refuse_poll: fn(Problem, Option<&str>, modern: bool) -> Answer,
}

impl<'a> Call<'a> {
    /// What an envelope asks for. `polls` says whether the transport knows polls:
    /// over a stream any type that is not known sends its data to the app (protocol A.14).
    ///
    /// # Errors
    /// When what the command needs is missing.
    pub fn from_envelope(envelope: Envelope<'a>, polls: bool) -> Result<Call<'a>, Unusable> {
        let id = envelope.id.map(|id| id.raw());
        let session = envelope.session_id.as_deref().map(|text| {
            // Id 0 is never given out: it stands for "not one of ours".
            text.parse().unwrap_or(SessionId(0))
        });
        let command = command(envelope, session, polls).map_err(|problem| Unusable {
            problem,
            id: id.map(Box::from),
        })?;
        Ok(Call {
            command,
            id: id.map(Cow::Borrowed),
            session,
        })
    }
}

fn command(
    envelope: Envelope<'_>,
    session: Option<SessionId>,
    polls: bool,
) -> Result<Command<'_>, Problem> {
    Ok(match envelope.kind.as_deref() {
        Some("connect") => Command::Connect {
            session,
            positions: envelope.positions.map(read_positions),
        },
        Some("poll") if polls => Command::Poll(Asked {
            wait_ms: envelope.wait_ms,
            positions: envelope.positions.map(read_positions),
            // A number that we cannot have given acknowledges nothing, as 0 does.
            batch: envelope.batch.map(|batch| batch.try_into().unwrap_or(0)),
        }),
        Some("channel-subscribe") => Command::Subscribe {
            channel: envelope.channel.ok_or_else(no_channel)?,
            since: match envelope.since {
                None => None,
                Some(text) => Some(text.parse().map_err(|_| bad_position())?),
            },
        },
        Some("channel-unsubscribe") => Command::Unsubscribe {
            channel: envelope.channel.ok_or_else(no_channel)?,
        },
        _ => Command::Message {
            data: envelope.data.ok_or_else(no_data)?,
        },
    })
}

/// Positions that are not spelled as ours say nothing; the channel counts as not seen.
fn read_positions<'a>(
    positions: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
) -> Vec<(Cow<'a, str>, Since)> {
    let spelled = positions.into_iter();
    spelled
        .filter_map(|(channel, text)| Some((channel, text.parse().ok()?)))
        .collect()
}

fn no_channel() -> Problem {
    Problem::new(
        400,
        "no_channel",
        "The message names no channel: add \"channel\".",
    )
}

fn no_data() -> Problem {
    Problem::new(
        400,
        "no_data",
        "The message has no data: add \"data\", a string.",
    )
}

fn bad_position() -> Problem {
    Problem::new(
        400,
        "bad_position",
        "\"since\" is not a position: send one as it came, epoch:offset or life-sequence.",
    )
}
