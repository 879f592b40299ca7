//! The transports whose clients ask with requests: XHR and JSONP.
//!
//! Reads a call, answers it, or holds it: a poll until there is something to
//! deliver, a message with an id until the app has answered. What the bytes
//! look like is the transport's business, what is done is `commands`'s. Called
//! by the router, and by the server when a held poll is due.

use crate::base::time::Time;
use crate::hub::{Opener, SessionKey};
use crate::transport::contract::{
    Answer, Asked, Call, Command, Ending, Poll, Polling, Problem, Reply, Unusable,
};
use crate::wire::http::{Framing, Method, Request, Response, Waiting, encode_chunk};

use crate::server::commands::messages::{self, Said};
use crate::server::commands::sessions::{self, Positions};
use crate::server::connection::conn::{ConnKey, Held, Phase, RequestContext, Role};
use crate::server::connection::peer::Peer;
use crate::server::core::Core;
use crate::server::core::admission;
use crate::server::delivery::batches;
use crate::server::limits::origins::Foreign;
use crate::server::limits::visitors;
use crate::server::session::acks::Waiter;

/// Answers or holds a request of `polling`.
pub fn handle(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    peer: Peer,
    polling: &'static Polling,
    request: &Request<'_>,
    framing: Framing,
) {
    let (allowed, context) = context_of(core, polling, request, framing);
    let barred = let_in(core, key, peer, polling, request, allowed).err();
    match request.method {
        Method::Get | Method::Head | Method::Post => {}
        _ if barred.is_some() => {}
        Method::Options => return preflight(core, now, key, &context),
        _ => return wrong_method(core, now, key, &context),
    }
    let mut text = String::new();
    let read = (polling.read)(request, &mut text);
    let unusable = match (barred, read) {
        (None, Ok(call)) => return obey(core, now, key, context, call),
        (None, Err(unusable)) => unusable,
        (Some(problem), read) => {
            let id = match read {
                Ok(call) => call.id.map(|id| Box::from(&*id)),
                Err(unusable) => unusable.id,
            };
            Unusable { problem, id }
        }
    };
    let (code, name) = (unusable.problem.code, polling.name);
    log::debug!("event=bad_call transport={name} code={code}");
    let refused = Reply::Refused(unusable.problem);
    let said = (polling.reply)(&refused, unusable.id.as_deref());
    core.answer(now, key, &context, &said);
}

/// Whether the page may connect, by its origin, by how it calls Chloe, and by how many
/// connections its address has.
fn let_in(
    core: &mut Core,
    key: ConnKey,
    peer: Peer,
    polling: &'static Polling,
    request: &Request<'_>,
    allowed: Result<Option<&str>, Foreign<'_>>,
) -> Result<(), Problem> {
    allowed.map_err(|foreign| visitors::foreign(polling.name, foreign))?;
    visitors::check_page(&core.hosts, &core.addresses, peer, request)?;
    admission::admit(core, key, request)
}

/// The page's origin, or why its page may not connect; and what is needed to answer it.
fn context_of<'a>(
    core: &Core,
    polling: &'static Polling,
    request: &Request<'a>,
    framing: Framing,
) -> (Result<Option<&'a str>, Foreign<'a>>, RequestContext) {
    let allowed = match polling.cors {
        true => core.origins.check(request),
        false => core.origins.check_script(request),
    };
    let context = RequestContext {
        polling,
        framing,
        origin: allowed.ok().flatten().map(Box::from),
    };
    (allowed, context)
}

/// Answers a request that its head alone refuses, before its body comes; true if it did.
pub fn refuse_head(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    peer: Peer,
    polling: &'static Polling,
    request: &Request<'_>,
    framing: Framing,
) -> bool {
    let (allowed, context) = context_of(core, polling, request, framing);
    // The same, in the same order, as when it is whole.
    match let_in(core, key, peer, polling, request, allowed) {
        Err(problem) => {
            let said = (polling.reply)(&Reply::Refused(problem), None);
            core.answer(now, key, &context, &said);
        }
        Ok(()) => match request.method {
            Method::Get | Method::Head | Method::Post | Method::Options => return false,
            _ => wrong_method(core, now, key, &context),
        },
    }
    true
}

fn obey(core: &mut Core, now: Time, key: ConnKey, context: RequestContext, call: Call<'_>) {
    let id = call.id.as_deref();
    if core.is_draining() {
        return stopping(core, now, key, &context, &call);
    }
    let opener = core.openers.of(context.origin.as_deref());
    let found = sessions::find(core, call.session, opener);
    let address = core.conns.get(key).and_then(|conn| conn.address);
    // The answer to a current client's connect is as long as its channels' names.
    if let Command::Connect {
        positions: Some(_), ..
    } = call.command
        && let Err(problem) = core
            .paces
            .may_answer(now, found.as_ref().ok().copied(), address)
    {
        let refused = (context.polling.reply)(&Reply::Refused(problem), id);
        return core.answer(now, key, &context, &refused);
    }
    // Connecting and polling is how a client listens; the rest is what it says.
    let says = !matches!(call.command, Command::Connect { .. } | Command::Poll(_));
    if let Ok(session) = found
        && says
        && let Err(problem) = core.paces.spend(now, session, address)
    {
        let refused = (context.polling.reply)(&Reply::Refused(problem), id);
        return core.answer(now, key, &context, &refused);
    }
    let found_session = found.as_ref().ok().copied();
    let reply = match (call.command, found) {
        (Command::Connect { positions, .. }, found) => {
            connect(core, now, key, opener, found.ok(), positions.as_ref())
        }
        (Command::Poll(asked), Ok(session)) => {
            let poll = Poll {
                id: id.map(Box::from),
                modern: asked.is_modern(),
            };
            return hold(core, now, key, context, session, poll, asked);
        }
        (Command::Poll(asked), Err(problem)) => {
            let modern = asked.is_modern();
            let refused = (context.polling.refuse_poll)(problem, id, modern);
            return core.answer(now, key, &context, &refused);
        }
        (_, Err(problem)) => Some(Reply::Refused(problem)),
        (Command::Subscribe { channel, since }, Ok(session)) => {
            let reply = sessions::subscribe(core, session, &channel, since);
            if let Some(since) = since {
                // The answer to a poll may overtake this one.
                core.hub.owe_gap(session, &channel, since);
            }
            batches::deliver(core, now, session);
            Some(reply)
        }
        (Command::Unsubscribe { channel }, Ok(session)) => {
            Some(sessions::unsubscribe(core, session, &channel))
        }
        (Command::Message { data }, Ok(session)) => {
            return ask(core, now, key, context, session, &data, id);
        }
    };
    if let Some(reply) = reply {
        let said = (context.polling.reply)(&reply, id);
        if let Some(session) = session_of(core, &reply, found_session) {
            let bytes = said.body.len() + sessions::cost_bytes(&reply);
            core.paces.charge(now, session, address, bytes);
        }
        core.answer(now, key, &context, &said);
    }
}

/// The session that a reply is said to.
fn session_of(core: &Core, reply: &Reply, found: Option<SessionKey>) -> Option<SessionKey> {
    match reply {
        Reply::Connected { session, .. } => core.hub.find(*session),
        _ => found,
    }
}

/// A call that comes while the server stops. A poll ends as one does that was held.
fn stopping(core: &mut Core, now: Time, key: ConnKey, context: &RequestContext, call: &Call<'_>) {
    let id = call.id.as_deref();
    let answer = match &call.command {
        Command::Poll(asked) => {
            let poll = Poll {
                id: id.map(Box::from),
                modern: asked.is_modern(),
            };
            (context.polling.end)(&poll, &Ending::Stopping)
        }
        _ => {
            let stopping = Reply::Refused(crate::transport::xhr::stopping());
            Some((context.polling.reply)(&stopping, id))
        }
    };
    match answer {
        Some(answer) => core.answer(now, key, context, &answer),
        None => core.close(now, key),
    }
}

/// A `connect`; one that names no positions is of the old kind, and always opens a session.
fn connect(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    opener: Option<Opener>,
    found: Option<SessionKey>,
    positions: Option<&Positions<'_>>,
) -> Option<Reply> {
    let Some(positions) = positions else {
        return Some(match sessions::open(core, now, key, opener, None) {
            Ok(session) => Reply::Opened {
                session: core.hub.session(session)?.id,
            },
            Err(problem) => Reply::Refused(problem),
        });
    };
    let session = match found {
        Some(session) => {
            // The newest transport wins: what is written to the one before is lost.
            if let Some(before) = core.hub.session(session)?.stream() {
                core.hub.detach(now, session, before);
                core.superseded.push(Core::conn_of(before));
            }
            // It has just been told that it goes on: its first poll may be slow.
            core.hub.renew(now, session);
            sessions::came_over(core, session, key);
            session
        }
        None => match sessions::open(core, now, key, opener, None) {
            Ok(session) => session,
            Err(problem) => return Some(Reply::Refused(problem)),
        },
    };
    Some(sessions::connect(core, session, found.is_some(), positions))
}

/// A message for the app. With an id the request is answered when the app has answered.
fn ask(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    context: RequestContext,
    session: SessionKey,
    data: &str,
    id: Option<&str>,
) {
    let asked = id.map(|id| (id, Waiter::Request(key, context.clone())));
    // A client of the new kind is told to come again; one of the old kind cannot be.
    let modern = core.hub.session(session).is_some_and(|known| known.modern);
    let place = (!modern).then_some(key);
    match messages::message(core, now, session, data, asked, place) {
        Said::Now(reply) => {
            let said = (context.polling.reply)(&reply, id);
            core.answer(now, key, &context, &said);
        }
        Said::Waits => {
            core.behind.begin(key, data.len());
            let phase = match id {
                Some(_) => Phase::Asking,
                None => Phase::AwaitingRoom(Box::new(context)),
            };
            core.set_phase(now, key, phase);
        }
        Said::Later => core.set_phase(now, key, Phase::Asking),
    }
}

/// The webhook has queued the message that a request waited with.
pub fn message_queued(core: &mut Core, now: Time, key: ConnKey) {
    core.behind.remove(key);
    core.settle(key);
    let Some(Role::Http(http)) = core.conns.get_mut(key).map(|conn| &mut conn.role) else {
        return;
    };
    let between = Phase::Reading(Waiting::NothingYet);
    match std::mem::replace(&mut http.phase, between) {
        Phase::AwaitingRoom(context) => {
            http.since_ms = now.ms;
            let said = (context.polling.reply)(&Reply::Accepted { answer: None }, None);
            core.answer(now, key, &context, &said);
        }
        other => http.phase = other,
    }
}

/// Holds a poll, or answers it at once if something is pending.
fn hold(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    context: RequestContext,
    session: SessionKey,
    poll: Poll,
    asked: Asked<'_>,
) {
    let left = core.conns.get(key).is_some_and(|conn| match &conn.role {
        Role::Http(http) => http.finished,
        _ => true,
    });
    if left {
        // As in `router::finished`: what is pending is for its next poll.
        return core.close(now, key);
    }
    sessions::came_over(core, session, key);
    if let Some(before) = core.hub.attach(session, key.to_u64()) {
        core.superseded.push(Core::conn_of(before));
    }
    if poll.modern {
        core.hub.set_modern(session);
    }
    let wait_ms = catch_up(core, now, key, session, &asked);
    let most_ms = core.config.poll_hold_ms;
    let held = Held {
        session,
        // An answer without a body cannot be begun with a blank.
        endless: context.polling.blanks && !poll.modern && !context.framing.head_only,
        due_ms: now.after(asked.wait_ms.unwrap_or(most_ms).min(most_ms)),
        not_before_ms: if wait_ms > 0 { now.after(wait_ms) } else { 0 },
        poll,
        context,
        numbered: asked.batch.is_some(),
        begun: false,
        chunked: false,
    };
    core.stats.polls += 1;
    core.set_phase(now, key, Phase::Polling(Box::new(held)));
    batches::deliver(core, now, session);
}

/// Sets the session's cursors to what the poll says of what its client has got. How long the
/// answer has to wait, in milliseconds, because too much was asked for that was delivered
/// already; 0 nearly always.
fn catch_up(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    session: SessionKey,
    asked: &Asked<'_>,
) -> u64 {
    let positions = asked.positions.as_ref().map(sessions::seen);
    let again_bytes = core
        .hub
        .catch_up(session, asked.batch, positions.as_deref());
    let address = core.conns.get(key).and_then(|conn| conn.address);
    core.pace_again(now, session, address, again_bytes)
}

/// Answers a held poll that has nothing to deliver.
pub fn end(core: &mut Core, now: Time, key: ConnKey, held: Held, ending: Ending) {
    core.hub.detach(now, held.session, key.to_u64());
    let said = match (held.context.polling.end)(&held.poll, &ending) {
        // Blanks are out already: an empty body is none any more, and the
        // status cannot be changed.
        Some(answer) if held.begun && answer.body.is_empty() => {
            Some(Answer::ok(br#"{"messages":[]}"#.to_vec()))
        }
        Some(answer) if held.begun && answer.status != 200 => None,
        said => said,
    };
    match said {
        Some(answer) => batches::answer_held(core, now, key, &held, &answer),
        None => core.close(now, key),
    }
}

/// A held poll is due: it is answered empty, or, if it is held without limit, kept alive. Or
/// it may be answered now with what it was given before.
pub fn due(core: &mut Core, now: Time, key: ConnKey) {
    let Some(mut held) = batches::take_held(core, now, key) else {
        return;
    };
    if now.ms < held.due_ms {
        // It has waited for what it is given again.
        let session = held.session;
        held.not_before_ms = 0;
        core.stats.polls += 1;
        core.set_phase(now, key, Phase::Polling(Box::new(held)));
        return batches::deliver(core, now, session);
    }
    if !held.endless {
        return end(core, now, key, held, Ending::Held);
    }
    // Protocol A.19: blanks ahead of the JSON are harmless, and keep proxies
    // from cutting a silent connection.
    let begun = std::mem::replace(&mut held.begun, true);
    let mut bytes = Vec::new();
    if !begun {
        let response = Response::new(200);
        let context = &held.context;
        let response = core.polling_fields(response, context.polling, context.origin.as_deref());
        held.chunked = response.encode_chunked_head(&mut bytes, &context.framing);
        // HTTP/1.0 knows no chunks: the end of the connection ends the answer.
        held.context.framing.keep_alive &= held.chunked;
    }
    if held.chunked {
        encode_chunk(&mut bytes, b" ");
    } else {
        bytes.push(b' ');
    }
    held.due_ms = now.after(core.config.poll_hold_ms);
    if let Some(conn) = core.conns.get_mut(key) {
        conn.outbox.push(&bytes);
    }
    core.stats.polls += 1;
    core.set_phase(now, key, Phase::Polling(Box::new(held)));
    core.queue_flush(key);
    core.arm(key);
}

fn preflight(core: &mut Core, now: Time, key: ConnKey, context: &RequestContext) {
    let response = Response::new(204);
    let response = core
        .polling_fields(response, context.polling, context.origin.as_deref())
        .header("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
        .header("Access-Control-Allow-Headers", "Content-Type")
        .header("Access-Control-Max-Age", "86400")
        .header("Allow", ALLOWED);
    core.respond(now, key, &response, &context.framing);
}

const ALLOWED: &str = "GET, HEAD, POST, OPTIONS";

fn wrong_method(core: &mut Core, now: Time, key: ConnKey, context: &RequestContext) {
    let sentence = b"This is a transport: use GET or POST.".to_vec();
    let response = Response::new(405).body(sentence);
    let response = core
        .polling_fields(response, context.polling, context.origin.as_deref())
        .header("Allow", ALLOWED);
    core.respond(now, key, &response, &context.framing);
}
