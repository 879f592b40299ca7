//! What all of the server works on: the parts, and the few things done everywhere.
//!
//! It owns connections, hub, webhook and timers, queues answers and closes
//! connections. It understands neither requests nor frames. Called by every
//! file below it in this folder.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::base::address::AddressKey;
use crate::base::random::Random;
use crate::base::slots::{Key, Slots};
use crate::base::time::Time;
use crate::base::timers::Timers;
use crate::config::Config;
use crate::hub::{Gap, Hub, HubLimits, Keep, Retention, SessionKey, Stream};
use crate::transport::contract::{Answer, Polling};
use crate::wire::http::{Framing, HttpLimits, Response};
use crate::wire::signature::Secret;
use crate::wire::url::HttpUrl;
use crate::wire::websocket::{WebSocketLimits, encode_text_header};

use super::leaving::Leaving;
use super::stats::Stats;
use crate::server::connection::conn::{Conn, ConnKey, Phase, RequestContext, Role, Sending};
use crate::server::connection::memory::Memory;
use crate::server::files::Files;
use crate::server::limits::addresses::Addresses;
use crate::server::limits::hosts::Hosts;
use crate::server::limits::origins::Origins;
use crate::server::limits::pace::{AGAIN_PART, Paces};
use crate::server::limits::proxies::Unbelieved;
use crate::server::session::acks::Acks;
use crate::server::session::behind::Behind;
use crate::server::session::idempotency::Idempotency;
use crate::server::session::openers::Openers;
use crate::server::session::outcomes::AckLimits;
use crate::server::webhook::{Signing, Webhook, WebhookLimits};

/// What the event loop is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect `key` to `address`; tell `handle_connected`.
    Connect { key: ConnKey, address: SocketAddr },
    /// Find the addresses of `host`; tell `handle_resolved`.
    Resolve { host: String, port: u16 },
    /// Close the socket. The server has forgotten the key already.
    Close { key: ConnKey },
    /// Send a FIN after what was written.
    ShutdownWrite { key: ConnKey },
    /// Read the socket again, also if no new event comes for it.
    ResumeRead { key: ConnKey },
}

/// The parts of the server.
pub struct Core {
    pub config: Config,
    pub http_limits: HttpLimits,
    pub websocket_limits: WebSocketLimits,
    pub secret: Option<Secret>,
    pub hosts: Hosts,
    pub origins: Origins,
    pub openers: Openers,
    pub files: Files,
    pub hub: Hub,
    pub webhook: Webhook,
    pub conns: Slots<Conn>,
    /// The connection of each upstream connection of the webhook.
    pub upstreams: Vec<Option<ConnKey>>,
    pub acks: Acks,
    pub addresses: Addresses,
    /// What the connections keep in memory.
    pub memory: Memory,
    pub unbelieved: Unbelieved,
    pub paces: Paces,
    pub timers: Timers<ConnKey>,
    pub actions: VecDeque<Action>,
    /// Connections with something in their outbox, or newly writable.
    pub flush: VecDeque<ConnKey>,
    /// What came on streams behind a message that waits for the webhook.
    pub behind: Behind,
    /// Connections whose request to publish waits until readers have caught up.
    pub publishers: VecDeque<ConnKey>,
    /// Connections whose session goes on elsewhere, to be told so.
    pub superseded: Vec<ConnKey>,
    /// Sessions that are owed again what was not taken; a newer poll may wait for it.
    pub rewound: Vec<SessionKey>,
    pub stats: Stats,
    /// What was published under which key.
    pub idempotency: Idempotency,
    pub started_ms: u64,
    /// When the draining ends, once it has begun.
    pub drained_by_ms: Option<u64>,
    pub leaving: Leaving,
    /// For what need not be foreseen, such as who is told first.
    pub random: Random,
    /// It is a bare WebSocket echo, for conformance tests.
    pub echo: bool,
}

impl Core {
    /// The parts as `config` wants them. `seed` is the root of all random choices.
    pub fn new(config: Config, seed: [u8; 32], now: Time) -> Core {
        let mut random = Random::new(seed);
        let secret = Secret::new(&config.secret);
        let signing = secret.clone().map(|secret| Signing {
            secret,
            md5: config.allow_md5,
        });
        let url = HttpUrl::parse(&config.application_server_url).unwrap_or_else(|error| {
            // `Config::validate` has refused it already.
            panic!("application_server_url: {error}")
        });
        let doc_root = Some(config.doc_root.clone()).filter(|root| !root.as_os_str().is_empty());
        let http_limits = HttpLimits {
            head_bytes: config.head_bytes_max,
            headers: config.headers_max,
            body_bytes: config.body_bytes_max,
        };
        Core {
            memory: Memory::new(&config, &http_limits),
            http_limits,
            websocket_limits: WebSocketLimits {
                message_bytes: config.message_bytes_max,
                fragments: u32::try_from(config.fragments_max).unwrap_or(u32::MAX),
            },
            hosts: Hosts::new(&config),
            origins: Origins::new(&config),
            openers: Openers::new(&mut random),
            files: Files::new(doc_root),
            hub: Hub::new(hub_limits(&config), encode_text_header, random.fork()),
            webhook: Webhook::new(url, signing, webhook_limits(&config), random.fork()),
            secret,
            conns: Slots::default(),
            upstreams: Vec::new(),
            acks: Acks::new(ack_limits(&config)),
            addresses: Addresses::new(&config),
            unbelieved: Unbelieved::default(),
            paces: Paces::new(&config),
            timers: Timers::default(),
            actions: VecDeque::new(),
            flush: VecDeque::new(),
            behind: Behind::default(),
            publishers: VecDeque::new(),
            superseded: Vec::new(),
            rewound: Vec::new(),
            stats: Stats::default(),
            idempotency: Idempotency::new(config.idempotency_ttl_ms, config.idempotency_keys_max),
            started_ms: now.ms,
            drained_by_ms: None,
            leaving: Leaving::default(),
            random: random.fork(),
            echo: false,
            config,
        }
    }

    /// Puts `key` in the queue of those to be flushed, unless its socket is full.
    pub fn queue_flush(&mut self, key: ConnKey) {
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        self.memory.settle_output(key, conn);
        if !conn.queued && !conn.blocked {
            conn.queued = true;
            self.flush.push_back(key);
        }
    }

    /// Counts what the connection keeps in memory now.
    pub fn settle(&mut self, key: ConnKey) {
        if let Some(conn) = self.conns.get_mut(key) {
            self.memory.settle(key, conn, self.behind.bytes(key));
        }
    }

    /// The next connection in that queue. One that was written to since, because
    /// something was published, has had its place.
    pub fn next_flush(&mut self) -> Option<ConnKey> {
        loop {
            let key = self.flush.pop_front()?;
            if self.conns.get(key).is_some_and(|conn| conn.queued) {
                return Some(key);
            }
        }
    }

    /// Queues a response. If the connection does not stay open, it is closed behind it.
    pub fn respond(&mut self, now: Time, key: ConnKey, response: &Response<'_>, framing: &Framing) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.waits_since_ms = conn.waits_since_ms.min(now.ms);
            response.encode(conn.outbox.tail(), framing);
            conn.closing |= !framing.keep_alive;
        }
        self.queue_flush(key);
    }

    /// Says `said` to the request that `context` is of.
    pub fn answer(&mut self, now: Time, key: ConnKey, context: &RequestContext, said: &Answer) {
        let response = Response::new(said.status).body(&said.body[..]);
        let response = self.polling_fields(response, context.polling, context.origin.as_deref());
        let response = match said.status {
            429 | 503 => response.header("Retry-After", "1"),
            _ => response,
        };
        // A page of another origin may not read it otherwise (Fetch, 4.10).
        let response = match said.status {
            429 | 503 if context.polling.cors => {
                response.header("Access-Control-Expose-Headers", "Retry-After")
            }
            _ => response,
        };
        self.respond(now, key, &response, &context.framing);
    }

    /// Adds the fields of every answer of a polling transport.
    pub fn polling_fields<'a>(
        &self,
        response: Response<'a>,
        polling: &'static Polling,
        origin: Option<&str>,
    ) -> Response<'a> {
        let response = response
            .content_type(polling.content_type)
            .header("Cache-Control", "no-store")
            .header("X-Content-Type-Options", "nosniff");
        match polling.cors {
            true => self.cors_fields(response, origin),
            false => response,
        }
    }

    /// Lets the page of `origin` read the answer (protocol A.22: errors too).
    pub fn cors_fields<'a>(&self, response: Response<'a>, origin: Option<&str>) -> Response<'a> {
        let allowed = self.origins.cors(origin).to_owned();
        response
            .header("Access-Control-Allow-Origin", allowed)
            .header("Vary", "Origin")
    }

    /// Whether enough was done in this turn for whom the connection counts for.
    pub fn has_had_its_turn(&self, now: Time, key: ConnKey) -> bool {
        let turn = &self.paces.turn;
        turn.is_used(now) && turn.is_over(now, self.conns.get(key).and_then(|conn| conn.address))
    }

    /// Sets what an HTTP connection is in the middle of.
    pub fn set_phase(&mut self, now: Time, key: ConnKey, phase: Phase) {
        if let Some(conn) = self.conns.get_mut(key)
            && let Role::Http(http) = &mut conn.role
        {
            http.phase = phase;
            http.since_ms = now.ms;
        }
    }

    /// Sees to it that the connection's deadline is kept.
    pub fn arm(&mut self, key: ConnKey) {
        if let Some(conn) = self.conns.get_mut(key)
            && let Some(at_ms) = conn.deadline_ms(&self.config)
            && conn.alarm.set(at_ms)
        {
            self.timers.set(at_ms, key);
        }
    }

    /// Closes a connection from our side.
    pub fn close(&mut self, now: Time, key: ConnKey) {
        if self.forget(now, key) {
            self.actions.push_back(Action::Close { key });
        }
    }

    /// Forgets a connection that is gone; false if it was not known.
    pub fn forget(&mut self, now: Time, key: ConnKey) -> bool {
        let Some(conn) = self.conns.remove(key) else {
            return false;
        };
        self.memory.forget(key, &conn);
        if let Some(address) = conn.address {
            self.addresses.leave(address);
        }
        self.leave_webhook(now, key);
        match conn.role {
            Role::Http(http) => match http.phase {
                Phase::Polling(held) => {
                    self.stats.polls -= 1;
                    self.hub.detach(now, held.session, key.to_u64());
                }
                Phase::Sending(Sending::Deliveries(session)) => {
                    let bytes = self.hub.batch_lost(session, key.to_u64());
                    let wait_ms = self.pace_again(now, session, conn.address, bytes);
                    if wait_ms > 0 {
                        self.hold_back(session, now.after(wait_ms));
                    }
                    self.rewound.push(session);
                }
                _ => {}
            },
            Role::WebSocket(websocket) => {
                self.stats.websockets -= 1;
                self.leave_stream(now, key, websocket.session, websocket.modern);
            }
            Role::Upstream(_) => {}
        }
        true
    }

    /// The poll of the session, if one is held, is not answered before `until_ms`.
    fn hold_back(&mut self, session: SessionKey, until_ms: u64) {
        let stream = self.hub.session(session).and_then(|known| known.stream());
        let Some(key) = stream.map(Core::conn_of) else {
            return;
        };
        if let Some(conn) = self.conns.get_mut(key)
            && let Role::Http(http) = &mut conn.role
            && let Phase::Polling(held) = &mut http.phase
        {
            held.not_before_ms = until_ms;
            self.arm(key);
        }
    }

    /// The session is to be given `bytes` again; what that costs is paced. How long its next
    /// answer with deliveries has to wait, in milliseconds; 0 when it need not.
    pub fn pace_again(
        &mut self,
        now: Time,
        session: SessionKey,
        address: Option<AddressKey>,
        bytes: usize,
    ) -> u64 {
        let again = self.hub.session(session).is_some_and(|known| known.again);
        if bytes == 0 && !again {
            return 0;
        }
        let wait_ms = self.paces.wait_ms(now, session, address);
        // Charged behind the look: who was away for long gets all that it missed at once.
        let cost_bytes = bytes / AGAIN_PART;
        self.paces.charge(now, session, address, cost_bytes);
        wait_ms
    }

    /// A connection is gone: a message that waited for room in its name does not
    /// any longer, nor does what came behind it.
    fn leave_webhook(&mut self, now: Time, key: ConnKey) {
        self.behind.remove(key);
        if self.webhook.waiting() > 0 {
            self.webhook.forget(now, key.to_u64());
        }
    }

    /// A WebSocket is gone. The session of a new client waits for its return;
    /// nobody else could come back to it, so another ends.
    pub fn leave_stream(&mut self, now: Time, key: ConnKey, session: SessionKey, modern: bool) {
        self.leave_webhook(now, key);
        let attached = self
            .hub
            .session(session)
            .is_some_and(|session| session.stream() == Some(key.to_u64()));
        if !attached {
            return;
        }
        if modern {
            self.hub.detach(now, session, key.to_u64());
        } else {
            self.hub.close(session);
        }
    }

    /// The connection that a session's publications go to.
    pub fn conn_of(stream: Stream) -> ConnKey {
        Key::from_u64(stream)
    }

    /// Counts publications that a session will never get, and logs them.
    pub fn note_gap(&mut self, transport: &str, gap: &Gap) {
        self.stats.missed += gap.missed;
        log::warn!(
            "event=gap transport={transport} channel={:?} missed={} missed_in_all={}",
            gap.channel,
            gap.missed,
            self.stats.missed
        );
    }

    /// Whether what is not finished goes on in the next process.
    pub fn keeps_state(&self) -> bool {
        !self.config.state_file.as_os_str().is_empty()
    }

    /// What the next process has now is let go of, but for what is still to be
    /// written here.
    pub fn forget_saved(&mut self) {
        self.hub.forget_read();
        self.webhook.forget_saved();
        self.acks = Acks::new(ack_limits(&self.config));
        self.idempotency = Idempotency::new(0, 0);
    }

    /// Whether the server is about to stop.
    pub fn is_draining(&self) -> bool {
        self.drained_by_ms.is_some()
    }
}

fn hub_limits(config: &Config) -> HubLimits {
    HubLimits {
        sessions: config.sessions_max,
        sessions_per_address: config.sessions_per_address_max,
        session_ttl_ms: config.session_ttl_ms,
        channels: config.channels_max,
        channels_per_session: config.channels_per_session_max,
        subscriptions_per_address: config.subscriptions_per_address_max,
        channel_name_bytes: config.channel_name_bytes_max,
        backlog_bytes: config.fan_out_backlog_bytes,
        retention: retention(config),
    }
}

fn retention(config: &Config) -> Retention {
    let keep = Keep {
        size: config.history_size,
        ttl_ms: config.history_ttl_ms,
        bytes: config.history_bytes,
    };
    let rules = config.history.iter().map(|rule| {
        let keep = Keep {
            size: rule.size.unwrap_or(keep.size),
            ttl_ms: rule.ttl_ms.unwrap_or(keep.ttl_ms),
            bytes: rule.bytes.unwrap_or(keep.bytes),
        };
        (rule.prefix.as_str().into(), keep)
    });
    Retention {
        keep,
        prefixes: rules.collect(),
        total_bytes: config.history_total_bytes,
    }
}

fn ack_limits(config: &Config) -> AckLimits {
    AckLimits {
        per_session: config.acks_per_session_max,
        total_bytes: config.acks_total_bytes,
        answer_bytes: config.webhook_answer_bytes_max,
    }
}

fn webhook_limits(config: &Config) -> WebhookLimits {
    WebhookLimits {
        connections: config.webhook_connections,
        queue_messages: config.webhook_queue_messages,
        queue_bytes: config.webhook_queue_bytes,
        session_messages: config.webhook_queue_per_session_max,
        connect_timeout_ms: config.webhook_connect_timeout_ms,
        timeout_ms: config.webhook_timeout_ms,
        retry_min_ms: config.webhook_retry_min_ms,
        retry_max_ms: config.webhook_retry_max_ms,
        give_up_ms: config.webhook_give_up_ms,
        answer_bytes_max: config.webhook_answer_bytes_max,
    }
}
