//! A browser's message on its way to the app, and what becomes of it on its way back.
//!
//! It queues messages in the webhook, and keeps by `session::acks` who waits to know. It
//! neither carries replies (`browser`) nor sends anything (the webhook). Called by `browser`,
//! by what the webhook has to report, and by `state` for what the next process goes on with.

use crate::base::time::Time;
use crate::hub::SessionKey;
use crate::transport::contract::{Problem, Reply};

use crate::server::connection::conn::{ConnKey, Phase, Role};
use crate::server::core::Core;
use crate::server::session::acks::{Finished, Known, Token, Waiter};
use crate::server::webhook::{Answer, GivenUp, Message, Refused};

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
pub fn completed(core: &mut Core, tag: u64, result: Result<Answer, GivenUp>) -> Option<Finished> {
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
