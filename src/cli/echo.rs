//! `chloe echo`: the WebSocket code alone, for conformance tests only.
//!
//! The event loop, the handshake and the framing are the server's; nothing is
//! published and no app is called. Called by `cli::main`.

use super::failure::Failure;
use super::serve;
use crate::config::Config;
use crate::server::Server;

/// The longest message, in bytes: twice what the largest case of Autobahn sends.
const MESSAGE_BYTES_MAX: usize = 32 << 20;
/// The most frames of a message. Autobahn sends 16 MiB in frames of 64 bytes.
const FRAGMENTS_MAX: usize = 1_000_000;

/// Runs until it is told to end.
///
/// # Errors
/// As [`serve::run`].
pub fn run(config: Config) -> Result<(), Failure> {
    serve::run_server(adapt(config), None, Server::echo, |_| Ok(()))
}

/// The settings of an echo: this host's own unless an address was given, large
/// messages, and anybody's.
fn adapt(mut config: Config) -> Config {
    if config.listen_addresses == Config::default().listen_addresses {
        config.listen_addresses = vec!["127.0.0.1".to_owned(), "::1".to_owned()];
    }
    config.message_bytes_max = MESSAGE_BYTES_MAX;
    config.fragments_max = FRAGMENTS_MAX;
    config.allowed_origins = vec!["*".to_owned()];
    config
}
