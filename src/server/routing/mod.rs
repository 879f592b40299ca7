//! From an HTTP request to whoever answers it: all paths stand in one match, in `router`.
//!
//! `head` decides what can be decided before a body has come. Nothing is answered here but
//! refusals: `browser` answers browsers, `api` the app, `files` visitors, and a request that
//! becomes a WebSocket goes to `browser::stream`. Requests are decoded by `crate::wire`.
//!
//! Called by the server when bytes come, and when an answer is out and more requests wait.

pub mod head;
pub mod router;
