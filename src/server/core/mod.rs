//! The core: the parts that all of the server works on, and the connections it accepts and
//! forgets.
//!
//! [`Core`] owns each table: connections, hub, webhook, limits, sessions, timers, what is to
//! be written and what the event loop is asked to do. It understands neither requests nor
//! messages, and decides nothing about them; it queues answers, sets deadlines, and cleans up
//! behind a connection, in one place. `admission` says who is let in, `leaving` how far the
//! server's end has come; `stats` and `counts` are numbers for the operator and for tests.
//!
//! Called by every folder that is listed below it.

pub mod stats;
pub mod leaving;
mod parts;
pub mod admission;
pub mod counts;

pub use parts::{Action, Core};
