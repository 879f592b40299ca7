//! Chloe: a realtime web server that fits on the smallest VM.
//!
//! The floors, lowest first. Imports go down only (`tests/layers.rs` proves it).
//!
//! | floor | module | what it is |
//! |---|---|---|
//! | 1 | [`base`] | values and containers that know nothing of the web |
//! | 2 | [`wire`] | codecs: bytes in, values out |
//! | 2 | [`hub`] | who hears what: channels are logs, subscribers are cursors |
//! | 3 | [`transport`] | one file for each way to reach a browser |
//! | 4 | [`config`] | every setting, its default and its limits |
//! | 5 | [`server`] | the whole server as a state machine without sockets or clocks |
//! | 6 | [`net`] | the event loop, the only place that knows mio |
//! | 7 | [`cli`] | the command line |

pub mod base;
pub mod cli;
pub mod config;
pub mod hub;
pub mod net;
pub mod server;
pub mod transport;
pub mod wire;
