//! The webhook: what browsers send, as POSTs to the app.
//!
//! A pure state machine: no sockets, no clock. It opens no connection, but says
//! which it wants ([`Event::Connect`]), and moves bytes through
//! [`Webhook::handle_received`] and [`Webhook::transmit`]. An upstream connection is one
//! kept-alive connection to the app, named by its index; between an
//! [`Event::Connect`] and an [`Event::Close`], a failed
//! [`Webhook::handle_connected`] or a [`Webhook::handle_closed`], the upstream connection
//! has a socket.
//!
//! Promises: a session's messages are tried strictly one after another, in
//! order, retries included. A message leaves the queue once: taken by the app,
//! or given up with a reason, a log line and a count. It is sent again only
//! when no answer told its fate, and then with the same `webhook-id`. A session
//! has its share of the queue, and an address its share of queue and upstream connections; what
//! they do too much of holds up them alone. What the app answers to one session
//! holds that session; the app is down for all when it cannot be reached or
//! several addresses fail in a row (`gate`). Messages that grow too old are given
//! up where they stand; but one that was never tried is kept until it is, for as long
//! as the app answers anybody.
//!
//! After each call drain [`Webhook::poll_event`], then read
//! [`Webhook::poll_timeout`]. Called by the server.

mod limits;
mod counters;
mod result;
mod event;
mod accounts;
mod message;
mod waiting;
mod queue;
mod saved;
mod backoff;
mod gate;
mod health;
mod verdict;
mod endpoints;
mod request;
mod exchange;
mod upstream;
mod pool;
mod machine;
mod stopping;
#[cfg(test)]
mod tests;

pub use counters::Counters;
pub use event::Event;
pub use limits::WebhookLimits;
pub use machine::Webhook;
pub use message::Message;
pub use request::Signing;
pub use result::{Answer, Failure, GivenUp, REMEMBERED, Refused};
pub use saved::{SavedMessage, decode as decode_saved};
