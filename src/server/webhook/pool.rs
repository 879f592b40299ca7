//! The connections to the app, and the attempts that are under way on them.
//!
//! Opens them on demand, up to a limit, tries the addresses in turn, keeps them
//! alive, and closes those that nobody needs. An exchange that hangs no
//! longer counts against the limit: it is waited for as before, and another connection may
//! be opened. An attempt ends with an answer or a failure; what follows from that is not
//! decided here. Called by `Webhook`.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;

use super::accounts::{Owner, party};
use super::endpoints::Addresses;
use super::event::Event;
use super::exchange::{Exchange, Progress};
use super::limits::WebhookLimits;
use super::message::QueuedMessage;
use super::request::Recipient;
use super::result::Failure;
use super::upstream::{HANG_MS, IDLE_MS, Upstream};
use super::verdict::Reply;
use crate::base::outbox::Written;
use crate::base::time::Time;

/// An attempt that is over. Its connection is free or closed already.
pub struct Ended {
    pub upstream: usize,
    pub queued: QueuedMessage,
    pub end: Result<Reply, Failure>,
}

/// What the next attempt would run on.
pub enum Choice {
    Upstream(usize),
    /// Nothing before the app's name is resolved.
    Unresolved,
    /// All connections are busy.
    Busy,
}

/// All connections. Calls for a connection that has no socket, or that does not exist, do nothing.
pub struct Pool {
    recipient: Recipient,
    addresses: Addresses,
    /// As many as were needed lately; the last is not closed.
    upstreams: Vec<Upstream>,
    events: VecDeque<Event>,
    limits: WebhookLimits,
    /// Requests put on a connection so far.
    pub sent: u64,
}

impl Pool {
    /// Closed connections to `recipient`.
    pub fn new(recipient: Recipient, limits: WebhookLimits) -> Pool {
        Pool {
            addresses: Addresses::new(&recipient.url.host, recipient.url.port),
            recipient,
            upstreams: Vec::new(),
            events: VecDeque::new(),
            limits,
            sent: 0,
        }
    }

    /// The next event, if there is one.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Connections that are open, or about to be.
    pub fn open(&self) -> usize {
        let upstreams = self.upstreams.iter();
        upstreams
            .filter(|upstream| !matches!(upstream, Upstream::Closed))
            .count()
    }

    /// The earliest deadline of a connection.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.upstreams
            .iter()
            .filter_map(Upstream::deadline_ms)
            .min()
    }

    /// The connection for the next attempt: the first idle one, so that connections beyond
    /// the need fall asleep, or a closed one.
    pub fn choose(&mut self) -> Choice {
        while matches!(self.upstreams.last(), Some(Upstream::Closed)) {
            self.upstreams.pop();
        }
        let taken = self.upstreams.iter().filter_map(Upstream::taken_by).count();
        if taken >= self.limits.connections.max(1) {
            return Choice::Busy;
        }
        let first = |wanted: fn(&Upstream) -> bool| self.upstreams.iter().position(wanted);
        if let Some(upstream) = first(|upstream| matches!(upstream, Upstream::Idle { .. })) {
            return Choice::Upstream(upstream);
        }
        match first(|upstream| matches!(upstream, Upstream::Closed)) {
            _ if !self.addresses.is_known() => Choice::Unresolved,
            Some(upstream) => Choice::Upstream(upstream),
            None => Choice::Upstream(self.upstreams.len()),
        }
    }

    /// All connections are busy and `owner`, whose party has `out` exchanges, waits: an
    /// exchange leaves its connection, if one hangs, or if another party has more than half
    /// of them. Else, when one will hang that may leave then.
    ///
    /// # Errors
    /// That time, if there is one.
    pub fn make_way(&mut self, now: Time, owner: Owner, out: usize) -> Result<(), Option<u64>> {
        let is_hanging =
            |upstream: &&Upstream| matches!(upstream, Upstream::Busy { hangs: true, .. });
        if self.upstreams.iter().filter(is_hanging).count() >= self.limits.hanging() {
            return Err(None);
        }
        let half = self.limits.half_of_lanes();
        let taken = || {
            self.upstreams
                .iter()
                .filter_map(Upstream::taken_by)
                .map(party)
        };
        let has = |other: Owner| taken().filter(|&taken| taken == other).count();
        let greedy = taken()
            .filter(|&other| other != party(owner))
            .find(|&other| has(other) > half);
        // This machine may be a proxy that nobody named, for visitors of any address.
        let may_pass = owner.is_none() || out < half;
        let longest = self.longest(|other| match greedy {
            Some(greedy) => greedy == party(other),
            None => may_pass,
        });
        let Some((upstream, began_ms)) = longest else {
            return Err(None);
        };
        let hangs_ms = began_ms.saturating_add(HANG_MS);
        if greedy.is_none() && hangs_ms > now.ms {
            return Err(Some(hangs_ms));
        }
        if let Upstream::Busy { hangs, .. } = &mut self.upstreams[upstream] {
            *hangs = true;
        }
        Ok(())
    }

    /// The exchange that takes a connection for the longest time, of those of some addresses.
    fn longest(&self, of: impl Fn(Owner) -> bool) -> Option<(usize, u64)> {
        let upstreams = self.upstreams.iter().enumerate();
        let began = upstreams.filter_map(|(index, upstream)| match upstream {
            Upstream::Busy {
                began_ms, queued, ..
            } if upstream.taken_by().is_some() && of(queued.message.address) => {
                Some((index, *began_ms))
            }
            _ => None,
        });
        began.min_by_key(|&(_, began_ms)| began_ms)
    }

    /// Asks for the app's name to be resolved, if that is not under way.
    pub fn resolve(&mut self) {
        if let Some((host, port)) = self.addresses.ask() {
            self.events.push_back(Event::Resolve { host, port });
        }
    }

    /// The outcome of that. False if it gave no address.
    pub fn resolved(&mut self, addresses: Vec<SocketAddr>) -> bool {
        self.addresses.resolved(addresses)
    }

    /// Begins an attempt on a connection that [`Pool::choose`] gave.
    pub fn begin(&mut self, now: Time, upstream: usize, queued: QueuedMessage) {
        if upstream == self.upstreams.len() {
            self.upstreams.push(Upstream::Closed);
        }
        if matches!(self.upstreams[upstream], Upstream::Idle { .. }) {
            self.send(now, upstream, queued, true);
        } else {
            debug_assert!(matches!(self.upstreams[upstream], Upstream::Closed));
            self.connect(now, upstream, queued, self.addresses.in_turn());
        }
    }

    /// Begins to connect to the first of `rest`, which is not empty.
    fn connect(
        &mut self,
        now: Time,
        upstream: usize,
        queued: QueuedMessage,
        mut rest: Vec<SocketAddr>,
    ) {
        let address = rest.remove(0);
        self.upstreams[upstream] = Upstream::Connecting {
            queued,
            address,
            rest,
            deadline_ms: now.after(self.limits.connect_timeout_ms),
        };
        self.events.push_back(Event::Connect { upstream, address });
    }

    fn send(&mut self, now: Time, upstream: usize, queued: QueuedMessage, reused: bool) {
        let mut exchange = Exchange::new(self.limits.answer_bytes_max);
        self.recipient.encode(now, &queued, exchange.tail());
        self.upstreams[upstream] = Upstream::Busy {
            queued,
            exchange,
            reused,
            began_ms: now.ms,
            hangs: false,
            deadline_ms: now.after(self.limits.timeout_ms),
        };
        self.sent += 1;
        self.events.push_back(Event::Transmit { upstream });
    }

    /// Takes the connection's state out, leaving it closed.
    fn take(&mut self, upstream: usize) -> Upstream {
        self.upstreams
            .get_mut(upstream)
            .map_or(Upstream::Closed, Upstream::take)
    }

    /// Closes the connection's socket.
    fn close(&mut self, upstream: usize) {
        self.upstreams[upstream] = Upstream::Closed;
        self.events.push_back(Event::Close { upstream });
    }

    /// The outcome of [`Event::Connect`]. After an error the connection has no socket.
    pub fn connected(
        &mut self,
        now: Time,
        upstream: usize,
        result: Result<(), io::ErrorKind>,
    ) -> Option<Ended> {
        match self.take(upstream) {
            Upstream::Connecting {
                queued,
                address,
                rest,
                ..
            } => match result {
                Ok(()) => {
                    self.addresses.worked(address);
                    self.send(now, upstream, queued, false);
                    None
                }
                Err(kind) => {
                    self.connect_failed(now, upstream, queued, rest, Failure::Unreachable(kind))
                }
            },
            Upstream::Closed => None,
            other => {
                self.upstreams[upstream] = other;
                None
            }
        }
    }

    fn connect_failed(
        &mut self,
        now: Time,
        upstream: usize,
        queued: QueuedMessage,
        rest: Vec<SocketAddr>,
        failure: Failure,
    ) -> Option<Ended> {
        if rest.is_empty() {
            self.addresses.all_failed();
            let end = Err(failure);
            return Some(Ended {
                upstream,
                queued,
                end,
            });
        }
        self.connect(now, upstream, queued, rest);
        None
    }

    /// Bytes from the app.
    pub fn received(&mut self, now: Time, upstream: usize, bytes: &[u8]) -> Option<Ended> {
        let progress = match self.upstreams.get_mut(upstream)? {
            Upstream::Busy { exchange, .. } => exchange.received(bytes),
            Upstream::Idle { .. } if !bytes.is_empty() => {
                // Nothing was asked: a 408 for an idle connection, or nonsense.
                self.close(upstream);
                return None;
            }
            _ => return None,
        };
        let (end, reusable) = match progress {
            Progress::Waiting => return None,
            Progress::Answered { reply, reusable } => (Ok(reply), reusable),
            Progress::Broken(failure) => (Err(failure), false),
        };
        let Upstream::Busy { queued, .. } = self.take(upstream) else {
            return None;
        };
        if reusable {
            let deadline_ms = now.after(IDLE_MS);
            self.upstreams[upstream] = Upstream::Idle { deadline_ms };
        } else {
            self.close(upstream);
        }
        Some(Ended {
            upstream,
            queued,
            end,
        })
    }

    /// The app will send nothing more. The connection is closed, answer or not.
    pub fn finished(&mut self, now: Time, upstream: usize) -> Option<Ended> {
        match self.upstreams.get(upstream)? {
            Upstream::Closed => return None,
            _ => self.events.push_back(Event::Close { upstream }),
        }
        self.closed(now, upstream)
    }

    /// The connection's socket is gone.
    pub fn closed(&mut self, now: Time, upstream: usize) -> Option<Ended> {
        match self.take(upstream) {
            Upstream::Busy {
                queued,
                mut exchange,
                reused,
                ..
            } => {
                // The app closed an idle connection while the request was on
                // its way. That is no failure: it goes again at once, on a
                // connection that is new (RFC 9112, section 9.3.1).
                if reused && exchange.nothing_came() && self.addresses.is_known() {
                    self.connect(now, upstream, queued, self.addresses.in_turn());
                    return None;
                }
                let end = exchange.finished();
                Some(Ended {
                    upstream,
                    queued,
                    end,
                })
            }
            Upstream::Connecting { queued, rest, .. } => {
                let failure = Failure::Unreachable(io::ErrorKind::ConnectionReset);
                self.connect_failed(now, upstream, queued, rest, failure)
            }
            Upstream::Idle { .. } | Upstream::Closed => None,
        }
    }

    /// Closes the connections whose deadline has come; gives the attempts that are
    /// over for it, and goes on to the next address with those that have one.
    pub fn time_out(&mut self, now: Time) -> Vec<Ended> {
        let is_due =
            |upstream: &Upstream| upstream.deadline_ms().is_some_and(|at_ms| at_ms <= now.ms);
        let due: Vec<usize> = (0..self.upstreams.len())
            .filter(|&upstream| is_due(&self.upstreams[upstream]))
            .collect();
        due.into_iter()
            .filter_map(|upstream| self.upstream_timed_out(now, upstream))
            .collect()
    }

    fn upstream_timed_out(&mut self, now: Time, upstream: usize) -> Option<Ended> {
        let state = self.take(upstream);
        self.close(upstream);
        match state {
            Upstream::Connecting { queued, rest, .. } => {
                self.connect_failed(now, upstream, queued, rest, Failure::ConnectTimeout)
            }
            Upstream::Busy {
                queued, exchange, ..
            } => {
                let end = exchange.cut_short(Failure::AnswerTimeout);
                Some(Ended {
                    upstream,
                    queued,
                    end,
                })
            }
            Upstream::Idle { .. } | Upstream::Closed => None,
        }
    }

    /// Writes the connection's request, or the rest of it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn transmit(&mut self, upstream: usize, writer: &mut impl Write) -> io::Result<Written> {
        match self.upstreams.get_mut(upstream) {
            Some(Upstream::Busy { exchange, .. }) => exchange.write_to(writer),
            _ => Ok(Written::All),
        }
    }

    /// Closes all connections, and gives the attempts that are over for it.
    pub fn close_all(&mut self) -> Vec<Ended> {
        let mut interrupted = Vec::new();
        for upstream in 0..self.upstreams.len() {
            match self.upstreams[upstream].take() {
                Upstream::Closed => continue,
                Upstream::Idle { .. } => {}
                Upstream::Connecting { queued, .. } => {
                    let end = Err(Failure::Closed);
                    interrupted.push(Ended {
                        upstream,
                        queued,
                        end,
                    });
                }
                Upstream::Busy {
                    queued, exchange, ..
                } => {
                    let end = exchange.cut_short(Failure::Closed);
                    interrupted.push(Ended {
                        upstream,
                        queued,
                        end,
                    });
                }
            }
            self.close(upstream);
        }
        interrupted
    }
}
