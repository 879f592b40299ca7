//! Every setting of Chloe: its name, type, default and bounds. The one table.
//!
//! From it come the fields of [`Config`], its defaults, the `--help` and the
//! reading of file, flags and environment. `etc/chloe.toml` tells the why of
//! each default; a test keeps the two in step. Called by `config`.

use std::fmt;
use std::path::PathBuf;
use toml::de::DeValue;

use super::check;
use super::history::{self, HistoryRule};
use super::value::Value;

/// One row of the table, as `--help` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name in the file; `--poll-hold-ms` and `CHLOE_POLL_HOLD_MS` for `poll_hold_ms`.
    pub name: &'static str,
    /// The heading it stands under.
    pub group: &'static str,
    /// What it is, in one line.
    pub doc: &'static str,
}

macro_rules! keys {
    ($($group:literal: $(
        #[doc = $doc:literal] $name:ident: $type:ty = $default:expr, $check:expr;
    )+)+) => {
        /// All settings. A path or text that is empty is not set.
        #[derive(Clone, PartialEq)]
        pub struct Config {
            $($(#[doc = $doc] pub $name: $type,)+)+
        }

        /// The rows of the table, in the order of `etc/chloe.toml`.
        pub const KEYS: &[Key] = &[
            $($(Key { name: stringify!($name), group: $group, doc: $doc.trim_ascii() },)+)+
        ];

        impl Default for Config {
            fn default() -> Self {
                Config { $($($name: $default,)+)+ }
            }
        }

        impl Config {
            /// Sets one key from text. `None`: there is no such key.
            pub(super) fn set_text(&mut self, key: &str, text: &str) -> Option<Result<(), String>> {
                match key {
                    $($(stringify!($name) => Some(
                        checked(<$type>::from_text(text), $check).map(|value| self.$name = value)
                    ),)+)+
                    _ => None,
                }
            }

            /// Sets one key from a value of the file. `None`: there is no such key.
            pub(super) fn set_toml(&mut self, key: &str, value: &DeValue<'_>) -> Option<Result<(), String>> {
                match key {
                    $($(stringify!($name) => Some(
                        checked(<$type>::from_toml(value), $check).map(|value| self.$name = value)
                    ),)+)+
                    _ => None,
                }
            }

            /// The value of a key as a line of the file would give it; `None` if there is no such key.
            pub fn value_of(&self, key: &str) -> Option<String> {
                match key {
                    $($(stringify!($name) => Some(self.$name.to_toml()),)+)+
                    _ => None,
                }
            }

            /// The first key whose value is out of its bounds, and what is wrong with it.
            pub(super) fn out_of_bounds(&self) -> Option<(&'static str, String)> {
                $($(
                    let check: fn(&$type) -> check::Checked = $check;
                    if let Err(problem) = check(&self.$name) {
                        return Some((stringify!($name), problem));
                    }
                )+)+
                None
            }
        }
    };
}

fn checked<T: Value>(
    value: Result<T, String>,
    check: fn(&T) -> check::Checked,
) -> Result<T, String> {
    let value = value?;
    check(&value)?;
    Ok(value)
}

impl fmt::Debug for Config {
    /// One `key=value` for each setting that is not the default; the secret is never shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = Config::default();
        let mut shown = f.debug_struct("Config");
        for key in KEYS {
            let value = self.value_of(key.name);
            if value == default.value_of(key.name) {
                continue;
            }
            match (key.name, value) {
                ("secret", _) => shown.field("secret", &"(hidden)"),
                (name, value) => shown.field(name, &format_args!("{}", value.unwrap_or_default())),
            };
        }
        shown.finish_non_exhaustive()
    }
}

/// An hour; no wait that a peer can cause is longer.
const HOUR: u64 = 3_600_000;
/// A day; the longest that anything is kept.
const DAY: u64 = 24 * HOUR;
/// A gibibyte; the most for a count of bytes of one thing.
const GIB: u64 = 1 << 30;

keys! {
    "Where Chloe listens":
    /// The TCP port that browsers and the app come to; 0 takes a free one.
    port: u16 = 8901, check::any;
    /// The IP addresses to listen on; "::" is all of IPv6, "0.0.0.0" all of IPv4.
    listen_addresses: Vec<String> = vec!["0.0.0.0".into(), "::".into()], |value| check::addresses(value);
    /// A Unix socket for a proxy on the same host; empty for none.
    unix_socket: PathBuf = PathBuf::new(), check::any;

    "The app":
    /// The origin of the app's pages; a browser may come from there.
    application_server: String = "http://localhost:4567".into(), |value| check::origin(value);
    /// Where the app takes what browsers send, as POST.
    application_server_url: String = "http://localhost:4567/updates".into(), |value| check::http_url(value);
    /// The secret that Chloe and the app share; empty: /send only from this host.
    secret: String = String::new(), check::any;
    /// The file with the secret, in place of `secret`; empty for none.
    secret_file: PathBuf = PathBuf::new(), check::any;
    /// Whether the MD5 signatures of 2011 are sent, and accepted by /send (sig).
    allow_md5: bool = false, check::any;
    /// More origins whose pages may connect; "*" for all.
    allowed_origins: Vec<String> = Vec::new(), |value| check::origins(value);
    /// More host names by which Chloe may be called in a private network.
    server_names: Vec<String> = Vec::new(), |value| check::server_names(value);

    "Files, logs, the process":
    /// The folder of static files; empty for none.
    doc_root: PathBuf = PathBuf::new(), check::any;
    /// The folder of chloe.log; empty: the log goes to standard error.
    log_dir: PathBuf = PathBuf::new(), check::any;
    /// The least that is logged: off, error, warn, info, debug or trace.
    log_level: String = "info".into(), |value| check::log_level(value);
    /// The most lines of one event in a second, errors apart; 0 for no limit.
    log_lines_per_second_max: u64 = 20, check::any;
    /// The file with the process id; empty: start and stop choose it by port.
    pid_file: PathBuf = PathBuf::new(), check::any;
    /// The file that the next start goes on with; empty: none in the foreground.
    state_file: PathBuf = PathBuf::new(), check::any;
    /// The longest time to send browsers away, or to settle before a restart.
    drain_timeout_ms: u64 = 2_000, |&n| check::range(n, 0, HOUR);
    /// How long stopping may take, to deliver what is accepted.
    shutdown_timeout_ms: u64 = 10_000, |&n| check::range(n, 0, HOUR);

    "Connections and HTTP":
    /// The most connections at a time.
    connections_max: usize = 100_000, |&n| check::range(n as u64, 1, 10_000_000);
    /// The most connections of one address.
    connections_per_address_max: usize = 1000, |&n| check::range(n as u64, 1, 10_000_000);
    /// The proxies that are believed when they say whose request it is.
    trusted_proxies: Vec<String> = vec!["127.0.0.1".into(), "::1".into()], |value| check::networks(value);
    /// The most bytes of a request's head.
    head_bytes_max: usize = 16_384, |&n| check::range(n as u64, 512, 1 << 20);
    /// The most header fields of a request.
    headers_max: usize = 100, |&n| check::range(n as u64, 8, 1000);
    /// The most bytes of a request's body.
    body_bytes_max: usize = 1_048_576, |&n| check::range(n as u64, 1024, GIB);
    /// How long a request's head may take to arrive.
    head_timeout_ms: u64 = 10_000, |&n| check::range(n, 10, HOUR);
    /// How long a request's body may take to arrive.
    body_timeout_ms: u64 = 30_000, |&n| check::range(n, 10, HOUR);
    /// How long a connection may rest between two requests.
    idle_timeout_ms: u64 = 75_000, |&n| check::range(n, 10, DAY);
    /// How long a peer may take nothing of what is written to it.
    write_timeout_ms: u64 = 30_000, |&n| check::range(n, 10, HOUR);
    /// The least speed at which an answer has to be taken.
    write_bytes_per_second_min: usize = 1000, |&n| check::range(n as u64, 1, GIB);
    /// The most bytes of answers that wait for one connection.
    outbox_bytes_max: usize = 1_048_576, |&n| check::range(n as u64, 1024, GIB);
    /// The most bytes of all that is not finished; 0: by the memory there is.
    input_total_bytes: usize = 0, |&n| check::total(n as u64);
    /// The most bytes of all answers that wait; 0: by the memory there is.
    output_total_bytes: usize = 0, |&n| check::total(n as u64);

    "WebSocket":
    /// The most bytes of one message from a browser, by every transport.
    message_bytes_max: usize = 65_536, |&n| check::range(n as u64, 1, GIB);
    /// The most frames that one message may come in.
    fragments_max: usize = 1024, |&n| check::range(n as u64, 1, 1 << 20);
    /// How long a WebSocket may be silent before it is pinged.
    ping_interval_ms: u64 = 25_000, |&n| check::range(n, 10, DAY);
    /// How long a pinged WebSocket may take to answer.
    ping_timeout_ms: u64 = 20_000, |&n| check::range(n, 10, HOUR);
    /// How long a WebSocket may take nothing of what is written to it.
    slow_consumer_timeout_ms: u64 = 30_000, |&n| check::range(n, 10, DAY);
    /// How long a WebSocket may take to answer a close.
    close_timeout_ms: u64 = 5_000, |&n| check::range(n, 10, HOUR);

    "Polls":
    /// How long a poll is held when there is nothing to say.
    poll_hold_ms: u64 = 25_000, |&n| check::range(n, 10, HOUR);
    /// The most bytes of messages in one answer to a poll.
    poll_batch_bytes: usize = 65_536, |&n| check::range(n as u64, 1024, GIB);
    /// The most messages in one answer to a poll.
    poll_batch_messages: usize = 256, |&n| check::range(n as u64, 1, 1 << 20);

    "Sessions and channels":
    /// How long a session lives without a connection.
    session_ttl_ms: u64 = 90_000, |&n| check::range(n, 10, DAY);
    /// The most sessions at a time.
    sessions_max: usize = 200_000, |&n| check::range(n as u64, 1, 10_000_000);
    /// The most sessions of one address.
    sessions_per_address_max: usize = 10_000, |&n| check::range(n as u64, 1, 10_000_000);
    /// The most channels that one session may subscribe to.
    channels_per_session_max: usize = 100, |&n| check::range(n as u64, 1, 100_000);
    /// The most subscriptions of all sessions of one address.
    subscriptions_per_address_max: usize = 50_000, |&n| check::range(n as u64, 1, 100_000_000);
    /// How many answered messages of one session are remembered by id.
    acks_per_session_max: usize = 64, |&n| check::range(n as u64, 1, 100_000);
    /// The most bytes of all answers that are remembered.
    acks_total_bytes: usize = 33_554_432, |&n| check::range(n as u64, 1024, 1 << 40);
    /// The most messages that one session may send in a second, in the long run.
    messages_per_second_max: usize = 1000, |&n| check::range(n as u64, 1, 1_000_000);
    /// The most messages that one session may send at once.
    messages_burst_max: usize = 10_000, |&n| check::range(n as u64, 1, 1_000_000);
    /// The most in a second of all sessions of one address.
    messages_per_second_per_address_max: usize = 32_000, |&n| check::range(n as u64, 1, 1_000_000_000);
    /// The most bytes of long answers to the commands of one session in a second.
    answer_bytes_per_second_max: usize = 262_144, |&n| check::range(n as u64, 1024, GIB);
    /// The same of all sessions of one address together.
    answer_bytes_per_second_per_address_max: usize = 8_388_608, |&n| check::range(n as u64, 1024, GIB);
    /// The most bytes of a channel's name.
    channel_name_bytes_max: usize = 255, |&n| check::range(n as u64, 8, 4096);
    /// The most channels at a time.
    channels_max: usize = 100_000, |&n| check::range(n as u64, 2, 10_000_000);

    "History":
    /// The most messages that a channel keeps.
    history_size: usize = 100_000, |&n| check::range(n as u64, 1, 100_000_000);
    /// How long a channel keeps a message.
    history_ttl_ms: u64 = 300_000, |&n| check::range(n, 10, DAY);
    /// The most bytes that a channel keeps.
    history_bytes: usize = 16_777_216, |&n| check::range(n as u64, 1024, GIB);
    /// The most bytes that all channels together keep.
    history_total_bytes: usize = 67_108_864, |&n| check::range(n as u64, 1024, 1 << 40);

    "Publishing":
    /// The most publications of one /send, each channel counted.
    send_publications_max: usize = 1_000, |&n| check::range(n as u64, 1, 1_000_000);
    /// How long a key of /send is known, so that it publishes once.
    idempotency_ttl_ms: u64 = 600_000, |&n| check::range(n, 10, DAY);
    /// The most publications known by their keys.
    idempotency_keys_max: usize = 50_000, |&n| check::range(n as u64, 1, 10_000_000);

    "The webhook":
    /// The most exchanges with the app at a time, beside those that hang.
    webhook_connections: usize = 32, |&n| check::range(n as u64, 1, 1024);
    /// The most messages that wait for the app.
    webhook_queue_messages: usize = 10_000, |&n| check::range(n as u64, 1, 10_000_000);
    /// The most messages of one session that wait for the app.
    webhook_queue_per_session_max: usize = 64, |&n| check::range(n as u64, 1, 10_000_000);
    /// The most bytes that wait for the app.
    webhook_queue_bytes: usize = 16_777_216, |&n| check::range(n as u64, 1024, 1 << 40);
    /// How long connecting to the app may take.
    webhook_connect_timeout_ms: u64 = 3_000, |&n| check::range(n, 10, HOUR);
    /// How long the app may take to answer a message.
    webhook_timeout_ms: u64 = 10_000, |&n| check::range(n, 10, HOUR);
    /// The wait before the first retry while the app is down; it doubles.
    webhook_retry_min_ms: u64 = 200, |&n| check::range(n, 1, HOUR);
    /// The longest wait between two retries.
    webhook_retry_max_ms: u64 = 10_000, |&n| check::range(n, 1, HOUR);
    /// The age at which a message that the app does not take is given up.
    webhook_give_up_ms: u64 = 300_000, |&n| check::range(n, 1, DAY);
    /// The most bytes that are read of an answer of the app.
    webhook_answer_bytes_max: usize = 65_536, |&n| check::range(n as u64, 256, GIB);

    "The event loop":
    /// The most bytes read from one connection in a turn.
    turn_read_bytes: usize = 65_536, |&n| check::range(n as u64, 1024, 1 << 24);
    /// The most connections written to in a turn.
    turn_writes: usize = 64, |&n| check::range(n as u64, 1, 10_000_000);
    /// The most bytes published that run ahead of a fan-out under way.
    fan_out_backlog_bytes: usize = 131_072, |&n| check::range(n as u64, 1024, 1 << 30);
    /// The most connections accepted in a turn.
    turn_accepts: usize = 64, |&n| check::range(n as u64, 1, 100_000);

    "History of certain channels":
    /// Other limits for channels whose names begin alike: `[[history]]` tables.
    history: Vec<HistoryRule> = Vec::new(), |value| history::check(value);
}
