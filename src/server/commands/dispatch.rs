//! From what a browser wants to what is done: hub, webhook, reply.
//!
//! It knows commands and replies, not how they were spelled or carried; holding
//! and answering requests is `polls`, frames are `stream`. Called by both.

use std::borrow::Cow;

use crate::base::names::{SessionId, Since};
use crate::base::time::Time;
use crate::hub::{Asking, HubError, Opener, SessionKey, Stream};
use crate::transport::contract::{Problem, Reply};

use crate::server::connection::conn::{ConnKey, Phase, Role};
use crate::server::core::Core;
use crate::server::limits::pace::AGAIN_PART;
use crate::server::session::acks::{Finished, Known, Token, Waiter};
use crate::server::session::openers::agree;
use crate::server::webhook::{Answer, GivenUp, Message, Refused};

impl std::convert::From<HubError> for Problem {
    fn from(error: HubError) -> Problem {
        let status = match error.temporary() {
            true if error.is_of_address() => 429,
            true => 503,
            false => 400,
        };
        let problem = Problem::new(status, error.code(), error.to_string());
        Problem {
            temporary: error.temporary(),
            ..problem
        }
    }
}

impl std::convert::From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        let status = match refused {
            // RFC 6585, section 4: the client sends too much, by its session or address.
            Refused::Full => 429,
            Refused::Stopping => 503,
        };
        Problem::temporary(status, refused.code(), refused.to_string())
    }
}

/// Opens a session for a page of `opener`, whose request came over `conn`: with
/// `stream` attached, or for requests to come.
///
/// # Errors
/// When there are too many.
pub fn open(
    core: &mut Core,
    now: Time,
    conn: ConnKey,
    opener: Option<Opener>,
    stream: Option<Stream>,
) -> Result<SessionKey, Problem> {
    let address = core.conns.get(conn).and_then(|conn| conn.address);
    let session = match stream {
        Some(stream) => core.hub.open_stream(address, stream)?,
        None => core.hub.open(now, address)?,
    };
    core.hub.set_opener(session, opener);
    Ok(session)
}

/// The session's client came over `conn`: the session counts for whoever that is of.
pub fn came_over(core: &mut Core, session: SessionKey, conn: ConnKey) {
    let address = core.conns.get(conn).and_then(|conn| conn.address);
    core.hub.set_address(session, address);
}

/// The session with this id, for a page of `opener`.
///
/// # Errors
/// When there is none, or a page of another origin opened it.
pub fn find(
    core: &mut Core,
    id: Option<SessionId>,
    opener: Option<Opener>,
) -> Result<SessionKey, Problem> {
    let found = id.and_then(|id| core.hub.find(id));
    let session = found.ok_or_else(Problem::unknown_session)?;
    let of = core.hub.session(session).and_then(|known| known.opener);
    if agree(of, opener) {
        return Ok(session);
    }
    log::info!("event=session_refused reason=\"a page of another origin named it\"");
    Err(Problem::new(
        403,
        "foreign_session",
        "A page of another origin opened this session: connect to open one of your own.",
    ))
}

/// Where each channel was seen last.
pub type Positions<'a> = Vec<(Cow<'a, str>, Since)>;

/// Answers a `connect` of the new kind: `found` is the session of before, if
/// it still lives, else a fresh one.
pub fn connect(
    core: &mut Core,
    session: SessionKey,
    resumed: bool,
    positions: &Positions<'_>,
) -> Reply {
    core.hub.set_modern(session);
    let asking = match resumed {
        true => Asking::Again,
        false => Asking::Fresh,
    };
    let channels = resume(core, session, positions, asking);
    match core.hub.session(session) {
        Some(known) => Reply::Connected {
            session: known.id,
            resumed,
            channels,
            heartbeat_ms: core.config.ping_interval_ms,
        },
        None => Reply::Refused(Problem::unknown_session()),
    }
}

/// Sets a session's cursors to what its client has seen.
pub fn resume(
    core: &mut Core,
    session: SessionKey,
    positions: &Positions<'_>,
    asking: Asking,
) -> Vec<(std::sync::Arc<str>, crate::hub::Standing)> {
    core.hub.resume(session, &seen(positions), asking)
}

/// Positions as the hub takes them.
pub fn seen<'a>(positions: &'a Positions<'_>) -> Vec<(&'a str, Since)> {
    let positions = positions.iter();
    positions
        .map(|(channel, since)| (&**channel, *since))
        .collect()
}

/// Subscribes a session to a channel.
pub fn subscribe(
    core: &mut Core,
    session: SessionKey,
    channel: &str,
    since: Option<Since>,
) -> Reply {
    match core.hub.subscribe(session, channel, since) {
        Ok(standing) => Reply::Subscribed {
            channel: channel.into(),
            standing,
        },
        Err(error) => Reply::Refused(error.into()),
    }
}

/// What a reply costs beside its own bytes: what is read from the history for it.
pub fn cost_bytes(reply: &Reply) -> usize {
    let again_bytes = match reply {
        Reply::Subscribed { standing, .. } => standing.again_bytes,
        Reply::Connected { channels, .. } => {
            let standings = channels.iter().map(|(_, standing)| standing.again_bytes);
            standings.sum()
        }
        _ => 0,
    };
    again_bytes / AGAIN_PART
}

/// Ends a subscription; one that is not there is ended already.
pub fn unsubscribe(core: &mut Core, session: SessionKey, channel: &str) -> Reply {
    core.hub.unsubscribe(session, channel);
    Reply::Unsubscribed {
        channel: channel.into(),
    }
}

/// What is said to a message, and when.
pub enum Said {
    /// This, now.
    Now(Reply),
    /// What the app says, when it has taken the message or that is given up.
    Later,
    /// The webhook has no room. When it has queued the message it tells the place.
    Waits,
}

/// Passes a message on to the app. With an id, the app's answer is waited for, or
/// it is the answer that the message had before; without one it is enough that the
/// message is queued. Where there is no room, it waits in the name of `place`; if
/// there is none it is refused.
pub fn message(
    core: &mut Core,
    now: Time,
    session: SessionKey,
    data: &str,
    asked: Option<(&str, Waiter)>,
    place: Option<ConnKey>,
) -> Said {
    let Some(known) = core.hub.session(session) else {
        return Said::Now(Reply::Refused(Problem::unknown_session()));
    };
    if data.len() > core.config.message_bytes_max {
        return Said::Now(Reply::Refused(too_long(core.config.message_bytes_max)));
    }
    let (session_id, address) = (known.id, known.address);
    let mut token = None;
    if let Some((id, waiter)) = asked {
        let conns = &core.conns;
        let asks = |conn| {
            let role = conns.get(conn).map(|conn| &conn.role);
            matches!(role, Some(Role::Http(http)) if matches!(http.phase, Phase::Asking))
        };
        match core.acks.begin(session, address, id, waiter, asks) {
            Known::New(new) => token = Some(new),
            Known::UnderWay => return Said::Later,
            Known::Answered(reply) => return Said::Now(reply),
        }
    }
    // Tag 0 is nobody: a slot's key is told from it by one bit.
    let tag = token.map_or(0, tag_of);
    core.stats.messages += 1;
    let message = Message {
        session: session_id,
        address,
        body: data.into(),
        tag,
    };
    let queued = match place {
        Some(place) => core.webhook.enqueue_or_wait(now, message, place.to_u64()),
        None => core.webhook.enqueue(now, message).map(|()| true),
    };
    match queued {
        Ok(false) => Said::Waits,
        Ok(true) if token.is_some() => Said::Later,
        Ok(true) => Said::Now(Reply::Accepted { answer: None }),
        Err(refused) => {
            if let Some(token) = token {
                core.acks.cancel(token);
            }
            Said::Now(Reply::Refused(refused.into()))
        }
    }
}

/// The bit that tells a message's tag from 0. Generations do not reach it in a server's life.
const TAG: u64 = 1 << 63;

/// The tag of a message under way.
pub fn tag_of(token: Token) -> u64 {
    token.to_u64() | TAG
}

/// The outcome with this tag: who waited for it, and what is said to them.
pub fn outcome(core: &mut Core, tag: u64, result: Result<Answer, GivenUp>) -> Option<Finished> {
    if tag == 0 {
        return None;
    }
    let reply = match result {
        Ok(answer) => Reply::Accepted {
            answer: answer.json,
        },
        Err(given_up) => Reply::Refused(Problem {
            temporary: given_up.temporary(),
            ..Problem::new(502, given_up.code(), given_up.to_string())
        }),
    };
    let finished = core.acks.finish(Token::from_u64(tag & !TAG), reply)?;
    if core.hub.session(finished.session).is_none() {
        // Nobody can ask for it any more.
        core.acks.forget(finished.session);
    }
    Some(finished)
}

/// The message with this tag was not queued, since its connection is gone: who else
/// waited for it, and what is said to them.
pub fn dropped(core: &mut Core, tag: u64) -> Option<Finished> {
    if tag == 0 {
        return None;
    }
    let reply = Reply::Refused(Refused::Full.into());
    core.acks.drop_unqueued(Token::from_u64(tag & !TAG), reply)
}

fn too_long(most: usize) -> Problem {
    Problem::new(
        413,
        "message_too_large",
        format!("The message is longer than {most} bytes: send less, or raise message_bytes_max."),
    )
}
