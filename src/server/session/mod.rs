//! What the server remembers of sessions and of publishers, beside their place in the hub.
//!
//! Tables only: which origin opened a session, what became of its messages and who waits to
//! know, what came behind a message that waits, what was published under which key. Sessions
//! themselves, their subscriptions and positions are the hub's; what a session's commands do
//! is in `commands`, how it reaches its browser is in `browser`. Each table bounds itself,
//! by session and by address.
//!
//! Owned by `core`; called by `commands`, `browser`, `api` and `state`.

pub mod openers;
pub mod idempotency;
pub mod outcomes;
pub mod acks;
pub mod behind;
