//! What a browser's command does: sessions are opened, found and resumed, channels are
//! subscribed to, messages go to the app.
//!
//! It knows commands and replies, and not how they were spelled or carried: calls come from
//! `browser`, which also holds requests and writes replies. Who may do what is decided here,
//! by what `session` and `hub` know. A new command has its variant in
//! `crate::transport::contract::Command` and its function here.
//!
//! Called by `browser`, `routing`, and by what the webhook has to report.

pub mod sessions;
pub mod messages;
