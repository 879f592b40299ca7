//! What each connection writes next.
//!
//! First its outbox, then, for a stream, what its session is owed, straight
//! from the channels' logs in vectored writes; a held poll is sealed into one
//! response. Nothing is decided here about who hears what. Called by the
//! server's `poll_transmit` and `transmit`.

use std::io::{self, IoSlice, Write};

use crate::base::outbox::Written;
use crate::base::time::Time;
use crate::config::Config;
use crate::hub::SessionKey;
use crate::transport::contract::{Answer, Batch};
use crate::transport::websocket;
use crate::wire::http::{encode_chunk, encode_last_chunk};
use crate::wire::websocket::encode_close_frame;

use crate::server::connection::conn::{Conn, ConnKey, Ending, Held, Owed, Phase, Role, Sending};
use crate::server::core::Core;

/// What a transmit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Everything is written.
    Idle,
    /// It has had its share of the turn, and there is more: the event loop
    /// tells `handle_writable` in the next turn.
    More,
    /// The socket takes no more; it will say when it does.
    Blocked,
    /// The socket is broken: the event loop tells `handle_closed` and drops it.
    Failed,
}

/// Slices a vectored write may have. Runs of several channels are rarely more.
const SLICES: usize = 16;

/// How much of a file is read ahead of the socket, in bytes.
const FILE_PIECE_BYTES: usize = 64 * 1024;

/// How often one connection is written to in a turn. A peer that reads as fast
/// as we write would else keep everybody waiting until its file is through.
const STEPS: usize = 16;

/// Writes what the connection has to write.
pub fn transmit(core: &mut Core, now: Time, key: ConnKey, writer: &mut impl Write) -> Transmit {
    if core.conns.get(key).is_some_and(|conn| conn.blocked) {
        return Transmit::Blocked;
    }
    match write_all(core, now, key, writer) {
        Ok(Step::Done) => {
            if let Some(conn) = core.conns.get_mut(key) {
                conn.waits_since_ms = u64::MAX;
            }
            Transmit::Idle
        }
        Ok(step) if waits_for_writable(core, now, key) => match step {
            Step::More => Transmit::More,
            Step::Blocked | Step::Done => Transmit::Blocked,
        },
        // Writable, it said, and took nothing that would save it.
        Ok(_) => {
            cut(core, now, key);
            Transmit::Idle
        }
        Err(_) => Transmit::Failed,
    }
}

/// Waits until the socket takes more; false if it was waited for too long already.
fn waits_for_writable(core: &mut Core, now: Time, key: ConnKey) -> bool {
    let Some(conn) = core.conns.get_mut(key) else {
        return true;
    };
    conn.blocked = true;
    conn.waits_since_ms = conn.waits_since_ms.min(now.ms);
    let stuck_at_ms = conn.stuck_at_ms(&core.config);
    if stuck_at_ms.is_some_and(|at_ms| at_ms <= now.ms) {
        return false;
    }
    core.arm(key);
    true
}

/// Closes a connection whose peer took too little for too long. It could not
/// read a Close either. Its session lives on, and is told what it missed.
pub fn cut(core: &mut Core, now: Time, key: ConnKey) {
    let stream = core.conns.get(key).map(|conn| &conn.role);
    let limit = if matches!(stream, Some(Role::WebSocket(_))) {
        core.stats.slow_closed += 1;
        "slow_consumer_timeout_ms"
    } else {
        "write_timeout_ms"
    };
    log::info!("event=slow_peer action=close limit={limit}");
    core.close(now, key);
}

/// How a piece of writing ended.
#[derive(PartialEq, Eq)]
enum Step {
    /// There may be more to write.
    More,
    Done,
    Blocked,
}

fn write_all(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    writer: &mut impl Write,
) -> io::Result<Step> {
    for _ in 0..STEPS {
        let Some(conn) = core.conns.get_mut(key) else {
            return Ok(Step::Done);
        };
        let was_queued = std::mem::take(&mut conn.queued);
        if let Role::Upstream(upstream) = conn.role {
            return Ok(match core.webhook.transmit(upstream, writer)? {
                Written::All => Step::Done,
                Written::Blocked => Step::Blocked,
            });
        }
        if was_queued
            && let Role::WebSocket(stream) = &mut conn.role
            && stream.owed != Owed::Nothing
        {
            stream.say_owed(&mut conn.outbox);
        }
        if !conn.outbox.is_empty() {
            let written = write_outbox(conn, now, &core.config, writer)?;
            core.memory.settle_output(key, conn);
            if written == Written::Blocked {
                return Ok(Step::Blocked);
            }
        }
        let step = match &conn.role {
            Role::WebSocket(_) => write_stream(core, now, key, writer)?,
            Role::Http(_) => refill(core, now, key)?,
            Role::Upstream(_) => Step::Done,
        };
        if step != Step::More {
            return Ok(step);
        }
    }
    Ok(Step::More)
}

fn write_outbox(
    conn: &mut Conn,
    now: Time,
    config: &Config,
    writer: &mut impl Write,
) -> io::Result<Written> {
    let before = conn.outbox.len();
    let written = conn.outbox.write_to(writer);
    conn.note_taken(now, before - conn.outbox.len(), config);
    written
}

/// Writes what the session of a stream is owed.
fn write_stream(
    core: &mut Core,
    now: Time,
    key: ConnKey,
    writer: &mut impl Write,
) -> io::Result<Step> {
    let Some(Conn {
        role: Role::WebSocket(stream),
        ..
    }) = core.conns.get(key)
    else {
        return Ok(Step::Done);
    };
    let (session, ending, modern) = (stream.session, stream.ending, stream.modern);
    // After a Close no data frame is sent (RFC 6455, 5.5.1), and a session that
    // went on by another stream is written there.
    if ending.has_begun() || !is_attached(core, session, key) {
        return Ok(Step::Done);
    }
    if tell_gaps(core, key, session, modern) {
        return Ok(Step::More);
    }
    let written = match core.hub.only_run(session) {
        Some(run) => {
            let (subscription, to, count) = (run.subscription, run.to, run.to - run.from);
            let whole = run.bytes.len();
            let written = write_vectored(writer, &[IoSlice::new(run.bytes)])?;
            if written == whole && ending == Ending::No {
                // Nearly every write of a fan-out ends here, so it is short:
                // nothing is merged, and nothing can have come meanwhile.
                core.hub.pass_run(session, subscription, to);
                core.stats.deliveries += count;
                return Ok(Step::Done);
            }
            written
        }
        None => match write_runs(core, session, writer)? {
            Some(written) => written,
            // The app may be about to answer what was asked on this stream.
            None if core.acks.is_awaited(session) => return Ok(Step::Done),
            None => return Ok(end_stream(core, now, key, ending)),
        },
    };
    let Some(conn) = core.conns.get_mut(key) else {
        return Ok(Step::Done);
    };
    if written == 0 {
        return Ok(Step::Blocked);
    }
    conn.note_taken(now, written, &core.config);
    let mut rest = Vec::new();
    core.stats.deliveries += core.hub.advance(session, written, &mut rest);
    if !rest.is_empty() {
        conn.outbox.push(&rest);
        core.memory.settle_output(key, conn);
    }
    Ok(Step::More)
}

/// Writes what several channels owe, merged; `None` if nothing is owed.
fn write_runs(
    core: &Core,
    session: SessionKey,
    writer: &mut impl Write,
) -> io::Result<Option<usize>> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let mut used = 0;
    for run in core.hub.pending(session).take(SLICES) {
        slices[used] = IoSlice::new(run.bytes);
        used += 1;
    }
    if used == 0 {
        return Ok(None);
    }
    write_vectored(writer, &slices[..used]).map(Some)
}

fn is_attached(core: &Core, session: SessionKey, key: ConnKey) -> bool {
    let session = core.hub.session(session);
    session.is_some_and(|session| session.stream() == Some(key.to_u64()))
}

/// Writes the slices; 0 when the writer would block.
fn write_vectored(writer: &mut impl Write, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        let written = match slices {
            [one] => writer.write(one),
            several => writer.write_vectored(several),
        };
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Says what the session will never get; true if something was said.
fn tell_gaps(core: &mut Core, key: ConnKey, session: SessionKey, modern: bool) -> bool {
    let mut told = false;
    while let Some(gap) = core.hub.take_gap(session) {
        core.note_gap("websocket", &gap);
        // An old client would take it for a message (protocol A.5).
        if modern && let Some(conn) = core.conns.get_mut(key) {
            websocket::gap(conn.outbox.tail(), &gap);
            told = true;
        }
    }
    told
}

/// Nothing is pending: a stream that was to be closed then, is.
fn end_stream(core: &mut Core, now: Time, key: ConnKey, ending: Ending) -> Step {
    let Ending::AfterPending(code) = ending else {
        return Step::Done;
    };
    let until_ms = now.after(core.config.close_timeout_ms);
    if let Some(conn) = core.conns.get_mut(key)
        && let Role::WebSocket(stream) = &mut conn.role
    {
        stream.end(Ending::Begun, until_ms);
        encode_close_frame(conn.outbox.tail(), code, "");
    }
    core.arm(key);
    Step::More
}

/// The outbox of an HTTP connection is empty: reads on in a file, or ends the answer.
fn refill(core: &mut Core, now: Time, key: ConnKey) -> io::Result<Step> {
    let Some(conn) = core.conns.get_mut(key) else {
        return Ok(Step::Done);
    };
    let Role::Http(http) = &mut conn.role else {
        return Ok(Step::Done);
    };
    match &mut http.phase {
        Phase::Sending(Sending::File(body)) => {
            let done = body.read_into(conn.outbox.tail(), FILE_PIECE_BYTES)?;
            if done {
                core.set_phase(now, key, reading());
            }
            Ok(Step::More)
        }
        Phase::Sending(Sending::Deliveries(session)) => {
            let session = *session;
            core.hub.batch_written(session, key.to_u64());
            core.set_phase(now, key, reading());
            // A poll that came meanwhile has waited for this.
            deliver(core, now, session);
            Ok(Step::Done)
        }
        _ => Ok(Step::Done),
    }
}

fn reading() -> Phase {
    Phase::Reading(crate::wire::http::Waiting::NothingYet)
}

/// Answers the held poll of `key` with what its session is owed, unless the
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

/// Sees to it that a session gets what it is owed, if anything is attached to it.
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

/// Adds what is pending to a batch, as much as it may hold; the number of bytes taken from the logs.
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
