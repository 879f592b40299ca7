//! How near its end a loop is, and what takes it there.
//!
//! Listening ends here, in step with the server's own end; what is closed and
//! said meanwhile is the server's. Called by `net` alone.

use mio::Registry;

use super::handle::Asked;
use super::listener::Listeners;
use crate::base::time::Time;
use crate::server::Server;

/// The stages of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    Serving,
    /// It is to hand over, and listens until the server has settled.
    Settling,
    /// It is to hand over, and nobody listens.
    DoorsClosed,
    Draining,
    /// It is to end at once.
    Over,
}

impl Course {
    /// Does what the loop is asked for, before a turn.
    pub(super) fn heed(
        &mut self,
        asked: Asked,
        now: Time,
        server: &mut Server,
        listeners: &mut Listeners,
        registry: &Registry,
    ) {
        match asked {
            Asked::End => *self = Course::Over,
            Asked::Drain if *self != Course::Draining => {
                *self = Course::Draining;
                listeners.close(registry, false);
                server.handle_shutdown(now);
            }
            Asked::HandOver if *self == Course::Serving => {
                *self = Course::Settling;
                server.handle_restart(now);
            }
            _ => {}
        }
    }

    /// After a turn: whether the loop has come to its end, or hands over now.
    pub(super) fn is_over(&self, now: Time, server: &Server, lingers: bool) -> bool {
        match self {
            Course::Serving | Course::Settling => false,
            Course::DoorsClosed => server.may_hand_over(now),
            Course::Draining => server.is_drained() && !lingers,
            Course::Over => true,
        }
    }

    /// After a turn: stops listening when the server has settled. True if so:
    /// what is in the sockets by then is to be read before anything is saved.
    pub(super) fn close_doors(
        &mut self,
        now: Time,
        server: &mut Server,
        listeners: &mut Listeners,
        registry: &Registry,
    ) -> bool {
        let settled = *self == Course::Settling && server.is_settled();
        if settled {
            *self = Course::DoorsClosed;
            listeners.close(registry, true);
            server.handle_doors_closed(now);
        }
        settled
    }
}
