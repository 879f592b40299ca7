//! Writes what a connection has to write, whatever protocol it speaks: first its outbox,
//! then, for a stream, what its session is behind in, or the next piece of a file.
//!
//! It decides nothing about who gets what. Called by the server's `transmit`.

use std::io::{self, Write};

use crate::base::outbox::Written;
use crate::base::time::Time;
use crate::config::Config;

use super::batches::{deliver, reading};
use super::frames::{Step, write_stream};
use crate::server::connection::conn::{Conn, ConnKey, Owed, Phase, Role, Sending};
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
