//! What a command does to a session: it is opened, found, resumed, subscribed.
//!
//! It knows commands and replies, and not how they were spelled or carried; what goes to
//! the app is in `messages`. Called by `browser` and by `routing`.

use std::borrow::Cow;

use crate::base::names::{SessionId, Since};
use crate::base::time::Time;
use crate::hub::{Asking, HubError, Opener, SessionKey, Stream};
use crate::transport::contract::{Problem, Reply};

use crate::server::connection::conn::ConnKey;
use crate::server::core::Core;
use crate::server::limits::pace::AGAIN_PART;
use crate::server::session::openers::agree;

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
