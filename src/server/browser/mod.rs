//! The browsers' side: calls come in by request or by WebSocket, replies go back.
//!
//! One file for each way in which a connection carries calls: `polls` for requests that are
//! held until there is something to say (XHR, JSONP), `stream` for a WebSocket. What the
//! bytes look like is in `crate::transport`, what a command does in `commands`, what is
//! delivered in `delivery`. A new transport of an old way is a row in
//! `crate::transport::TABLE` and nothing here; a new way is one more file.
//!
//! Called by `routing` and, for WebSockets and deadlines, by the server and `upkeep`.

pub mod polls;
pub mod echo;
pub mod stream;
