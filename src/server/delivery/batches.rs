//! What a held poll is answered: one batch of everything that its session is behind in.
//!
//! How a batch looks is the transport's business, what it takes from the session the hub's.
//! A batch whose answer does not arrive is given again (`Core::forget`). Called by
//! `browser::polls`, by `transmit` when an answer is out, and by the server for each reader.

use crate::base::time::Time;
use crate::hub::SessionKey;
use crate::transport::contract::{Answer, Batch};
use crate::wire::http::{encode_chunk, encode_last_chunk};

use crate::server::connection::conn::{Conn, ConnKey, Held, Phase, Role, Sending};
use crate::server::core::Core;

/// Answers the held poll of `key` with what is pending for its session, unless the
/// answer to a poll before it is still being written, or it has to wait.
pub fn seal(core: &mut Core, now: Time, key: ConnKey) {
    if core.leaving.is_handed_over() {
        // The next process delivers it.
        return;
    }
    let held = core.conns.get(key).and_then(Conn::held);
    if held.is_none_or(|held| now.ms < held.not_before_ms || core.hub.is_batch_out(held.session)) {
        return;
    }
    let Some(held) = take_held(core, now, key) else {
        return;
    };
    let session = held.session;
    let mut batch = Batch {
        number: core.hub.begin_batch(session, key.to_u64(), held.numbered),
        ..Batch::default()
    };
    while let Some(gap) = core.hub.take_gap(session) {
        core.note_gap(held.context.polling.name, &gap);
        if held.poll.modern {
            (held.context.polling.add_gap)(&mut batch, &gap);
        }
    }
    if batch.count == 0 && !core.hub.is_behind(session) {
        // All that an old page was owed is gone. It is not told of that, and an
        // empty answer would end its polling (protocol A.19): it waits on.
        core.hub.batch_written(session, key.to_u64());
        core.stats.polls += 1;
        return core.set_phase(now, key, Phase::Polling(Box::new(held)));
    }
    let taken = fill(core, &held, &mut batch);
    let mut rest = Vec::new();
    core.hub.advance(session, taken, &mut rest);
    debug_assert!(rest.is_empty(), "a batch ends between two frames");
    core.hub.answered(now, session, key.to_u64());
    let body = (held.context.polling.seal)(batch, &held.poll);
    core.set_phase(now, key, Phase::Sending(Sending::Deliveries(session)));
    answer_held(core, now, key, &held, &Answer::ok(body));
}

/// Writes what is pending for a session, if a stream or a poll is attached to it.
pub fn deliver(core: &mut Core, now: Time, session: SessionKey) {
    let stream = core
        .hub
        .session(session)
        .and_then(|session| session.stream());
    let Some(stream) = stream.filter(|_| core.hub.is_behind(session)) else {
        return;
    };
    let key = Core::conn_of(stream);
    match core.conns.get(key).map(|conn| &conn.role) {
        Some(Role::Http(_)) => seal(core, now, key),
        _ => core.queue_flush(key),
    }
}

/// Adds what is pending to a batch, as much as it may hold; the number of bytes taken from the
/// logs.
fn fill(core: &mut Core, held: &Held, batch: &mut Batch) -> usize {
    let (most, most_bytes) = if (held.context.polling.several)(&held.poll) {
        (
            core.config.poll_batch_messages,
            core.config.poll_batch_bytes,
        )
    } else {
        (1, usize::MAX)
    };
    let mut taken = 0;
    let mut publications = core
        .hub
        .pending(held.session)
        .flat_map(|run| run.publications())
        .peekable();
    let mut count = 0;
    while let Some(publication) = publications.next() {
        taken += publication.frame.len();
        count += 1;
        let next = publications
            .peek()
            .map_or(usize::MAX, |next| next.frame.len());
        let last = count >= most || taken.saturating_add(next) > most_bytes;
        (held.context.polling.add)(batch, &held.poll, &publication.json[1..], last);
        if last {
            break;
        }
    }
    core.stats.deliveries += count as u64;
    taken
}

/// Takes the held poll out of its connection, which is left between phases.
pub fn take_held(core: &mut Core, now: Time, key: ConnKey) -> Option<Held> {
    let conn = core.conns.get_mut(key)?;
    let Role::Http(http) = &mut conn.role else {
        return None;
    };
    match std::mem::replace(&mut http.phase, reading()) {
        Phase::Polling(held) => {
            http.since_ms = now.ms;
            core.stats.polls -= 1;
            Some(*held)
        }
        other => {
            http.phase = other;
            None
        }
    }
}

/// Writes the answer of a poll that was held, whose head may be out already.
pub fn answer_held(core: &mut Core, now: Time, key: ConnKey, held: &Held, answer: &Answer) {
    if !held.begun {
        return core.answer(now, key, &held.context, answer);
    }
    if let Some(conn) = core.conns.get_mut(key) {
        if held.chunked {
            encode_chunk(conn.outbox.tail(), &answer.body);
            encode_last_chunk(conn.outbox.tail());
        } else {
            conn.outbox.push(&answer.body);
        }
        conn.closing |= !held.context.framing.keep_alive;
    }
    core.queue_flush(key);
}

pub(super) fn reading() -> Phase {
    Phase::Reading(crate::wire::http::Waiting::NothingYet)
}
