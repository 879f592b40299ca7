//! What a WebSocket writes of its session: frames, straight from the channels' logs.
//!
//! Gaps are told first, and a stream that was to be closed when all is written is closed
//! here. What the connection itself has to say is in its outbox, which `transmit` writes
//! before. Called by `transmit`.

use std::io::{self, IoSlice, Write};

use crate::base::time::Time;
use crate::hub::SessionKey;
use crate::transport::websocket;
use crate::wire::websocket::encode_close_frame;

use crate::server::connection::conn::{Conn, ConnKey, Ending, Role};
use crate::server::core::Core;

/// Slices a vectored write may have. Runs of several channels are rarely more.
const SLICES: usize = 16;

/// How a piece of writing ended.
#[derive(PartialEq, Eq)]
pub(super) enum Step {
    /// There may be more to write.
    More,
    Done,
    Blocked,
}

/// Writes what the session of a stream is owed.
pub(super) fn write_stream(
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
