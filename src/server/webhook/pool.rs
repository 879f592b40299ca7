//! The connections to the app, and the attempts that are under way on them.
//!
//! Opens them on demand, up to a limit, tries the addresses in turn, keeps them
//! alive, and closes those that nobody needs. An exchange that hangs leaves its
//! lane: it is waited for as before, on a connection beside the lanes. An attempt ends with an answer or
//! a failure; what follows from that is not decided here. Called by `Callbacks`.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;

use super::accounts::{Owner, party};
use super::endpoints::Addresses;
use super::event::Event;
use super::exchange::{Exchange, Progress};
use super::limits::CallbackLimits;
use super::message::Pending;
use super::request::Recipient;
use super::result::Failure;
use super::upstream::{HANG_MS, IDLE_MS, Lane};
use super::verdict::Reply;
use crate::base::outbox::Written;
use crate::base::time::Time;

/// An attempt that is over. Its lane is free or closed already.
pub struct Ended {
    pub lane: usize,
    pub pending: Pending,
    pub end: Result<Reply, Failure>,
}

/// What the next attempt would run on.
pub enum Choice {
    Lane(usize),
    /// Nothing before the app's name is resolved.
    Unresolved,
    /// All lanes are busy.
    Busy,
}

/// All lanes. Calls for a lane that has no socket, or that does not exist, do nothing.
pub struct Lanes {
    recipient: Recipient,
    addresses: Addresses,
    /// As many as were needed lately; the last is not closed.
    lanes: Vec<Lane>,
    events: VecDeque<Event>,
    limits: CallbackLimits,
    /// Requests put on a connection so far.
    pub sent: u64,
}

impl Lanes {
    /// Closed lanes to `recipient`.
    pub fn new(recipient: Recipient, limits: CallbackLimits) -> Lanes {
        Lanes {
            addresses: Addresses::new(&recipient.url.host, recipient.url.port),
            recipient,
            lanes: Vec::new(),
            events: VecDeque::new(),
            limits,
            sent: 0,
        }
    }

    /// The next event, if there is one.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Lanes that are open, or about to be.
    pub fn open(&self) -> usize {
        let lanes = self.lanes.iter();
        lanes.filter(|lane| !matches!(lane, Lane::Closed)).count()
    }

    /// The earliest deadline of a lane.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.lanes.iter().filter_map(Lane::deadline_ms).min()
    }

    /// The lane for the next attempt: the first idle one, so that lanes beyond
    /// the need fall asleep, or a closed one.
    pub fn choose(&mut self) -> Choice {
        while matches!(self.lanes.last(), Some(Lane::Closed)) {
            self.lanes.pop();
        }
        let taken = self.lanes.iter().filter_map(Lane::taken_by).count();
        if taken >= self.limits.lanes.max(1) {
            return Choice::Busy;
        }
        let first = |wanted: fn(&Lane) -> bool| self.lanes.iter().position(wanted);
        if let Some(lane) = first(|lane| matches!(lane, Lane::Idle { .. })) {
            return Choice::Lane(lane);
        }
        match first(|lane| matches!(lane, Lane::Closed)) {
            _ if !self.addresses.is_known() => Choice::Unresolved,
            Some(lane) => Choice::Lane(lane),
            None => Choice::Lane(self.lanes.len()),
        }
    }

    /// All lanes are busy and `owner`, whose party has `out` exchanges, waits: an
    /// exchange leaves its lane, if one hangs, or if another party has more than half
    /// of them. Else, when one will hang that may leave then.
    ///
    /// # Errors
    /// That time, if there is one.
    pub fn make_way(&mut self, now: Time, owner: Owner, out: usize) -> Result<(), Option<u64>> {
        let is_hanging = |lane: &&Lane| matches!(lane, Lane::Busy { hangs: true, .. });
        if self.lanes.iter().filter(is_hanging).count() >= self.limits.hanging() {
            return Err(None);
        }
        let half = self.limits.half_of_lanes();
        let taken = || self.lanes.iter().filter_map(Lane::taken_by).map(party);
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
        let Some((lane, began_ms)) = longest else {
            return Err(None);
        };
        let hangs_ms = began_ms.saturating_add(HANG_MS);
        if greedy.is_none() && hangs_ms > now.ms {
            return Err(Some(hangs_ms));
        }
        if let Lane::Busy { hangs, .. } = &mut self.lanes[lane] {
            *hangs = true;
        }
        Ok(())
    }

    /// The exchange that takes a lane for the longest time, of those of some addresses.
    fn longest(&self, of: impl Fn(Owner) -> bool) -> Option<(usize, u64)> {
        let lanes = self.lanes.iter().enumerate();
        let began = lanes.filter_map(|(index, lane)| match lane {
            Lane::Busy {
                began_ms, pending, ..
            } if lane.taken_by().is_some() && of(pending.message.address) => {
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

    /// Begins an attempt on a lane that [`Lanes::choose`] gave.
    pub fn begin(&mut self, now: Time, lane: usize, pending: Pending) {
        if lane == self.lanes.len() {
            self.lanes.push(Lane::Closed);
        }
        if matches!(self.lanes[lane], Lane::Idle { .. }) {
            self.send(now, lane, pending, true);
        } else {
            debug_assert!(matches!(self.lanes[lane], Lane::Closed));
            self.connect(now, lane, pending, self.addresses.in_turn());
        }
    }

    /// Begins to connect to the first of `rest`, which is not empty.
    fn connect(&mut self, now: Time, lane: usize, pending: Pending, mut rest: Vec<SocketAddr>) {
        let address = rest.remove(0);
        self.lanes[lane] = Lane::Connecting {
            pending,
            address,
            rest,
            deadline_ms: now.after(self.limits.connect_timeout_ms),
        };
        self.events.push_back(Event::Connect { lane, address });
    }

    fn send(&mut self, now: Time, lane: usize, pending: Pending, reused: bool) {
        let mut exchange = Exchange::new(self.limits.answer_bytes_max);
        self.recipient.encode(now, &pending, exchange.tail());
        self.lanes[lane] = Lane::Busy {
            pending,
            exchange,
            reused,
            began_ms: now.ms,
            hangs: false,
            deadline_ms: now.after(self.limits.timeout_ms),
        };
        self.sent += 1;
        self.events.push_back(Event::Transmit { lane });
    }

    /// Takes the lane's state out, leaving it closed.
    fn take(&mut self, lane: usize) -> Lane {
        self.lanes.get_mut(lane).map_or(Lane::Closed, Lane::take)
    }

    /// Closes the lane's socket.
    fn close(&mut self, lane: usize) {
        self.lanes[lane] = Lane::Closed;
        self.events.push_back(Event::Close { lane });
    }

    /// The outcome of [`Event::Connect`]. After an error the lane has no socket.
    pub fn connected(
        &mut self,
        now: Time,
        lane: usize,
        result: Result<(), io::ErrorKind>,
    ) -> Option<Ended> {
        match self.take(lane) {
            Lane::Connecting {
                pending,
                address,
                rest,
                ..
            } => match result {
                Ok(()) => {
                    self.addresses.worked(address);
                    self.send(now, lane, pending, false);
                    None
                }
                Err(kind) => {
                    self.connect_failed(now, lane, pending, rest, Failure::Unreachable(kind))
                }
            },
            Lane::Closed => None,
            other => {
                self.lanes[lane] = other;
                None
            }
        }
    }

    fn connect_failed(
        &mut self,
        now: Time,
        lane: usize,
        pending: Pending,
        rest: Vec<SocketAddr>,
        failure: Failure,
    ) -> Option<Ended> {
        if rest.is_empty() {
            self.addresses.all_failed();
            let end = Err(failure);
            return Some(Ended { lane, pending, end });
        }
        self.connect(now, lane, pending, rest);
        None
    }

    /// Bytes from the app.
    pub fn received(&mut self, now: Time, lane: usize, bytes: &[u8]) -> Option<Ended> {
        let progress = match self.lanes.get_mut(lane)? {
            Lane::Busy { exchange, .. } => exchange.received(bytes),
            Lane::Idle { .. } if !bytes.is_empty() => {
                // Nothing was asked: a 408 for an idle connection, or nonsense.
                self.close(lane);
                return None;
            }
            _ => return None,
        };
        let (end, reusable) = match progress {
            Progress::Waiting => return None,
            Progress::Answered { reply, reusable } => (Ok(reply), reusable),
            Progress::Broken(failure) => (Err(failure), false),
        };
        let Lane::Busy { pending, .. } = self.take(lane) else {
            return None;
        };
        if reusable {
            let deadline_ms = now.after(IDLE_MS);
            self.lanes[lane] = Lane::Idle { deadline_ms };
        } else {
            self.close(lane);
        }
        Some(Ended { lane, pending, end })
    }

    /// The app will send nothing more. The lane is closed, answer or not.
    pub fn finished(&mut self, now: Time, lane: usize) -> Option<Ended> {
        match self.lanes.get(lane)? {
            Lane::Closed => return None,
            _ => self.events.push_back(Event::Close { lane }),
        }
        self.closed(now, lane)
    }

    /// The lane's socket is gone.
    pub fn closed(&mut self, now: Time, lane: usize) -> Option<Ended> {
        match self.take(lane) {
            Lane::Busy {
                pending,
                mut exchange,
                reused,
                ..
            } => {
                // The app closed an idle connection while the request was on
                // its way. That is no failure: it goes again at once, on a
                // connection that is new (RFC 9112, section 9.3.1).
                if reused && exchange.nothing_came() && self.addresses.is_known() {
                    self.connect(now, lane, pending, self.addresses.in_turn());
                    return None;
                }
                let end = exchange.finished();
                Some(Ended { lane, pending, end })
            }
            Lane::Connecting { pending, rest, .. } => {
                let failure = Failure::Unreachable(io::ErrorKind::ConnectionReset);
                self.connect_failed(now, lane, pending, rest, failure)
            }
            Lane::Idle { .. } | Lane::Closed => None,
        }
    }

    /// Closes the lanes whose deadline has come; gives the attempts that are
    /// over for it, and goes on to the next address with those that have one.
    pub fn time_out(&mut self, now: Time) -> Vec<Ended> {
        let is_due = |lane: &Lane| lane.deadline_ms().is_some_and(|at_ms| at_ms <= now.ms);
        let due: Vec<usize> = (0..self.lanes.len())
            .filter(|&lane| is_due(&self.lanes[lane]))
            .collect();
        due.into_iter()
            .filter_map(|lane| self.lane_timed_out(now, lane))
            .collect()
    }

    fn lane_timed_out(&mut self, now: Time, lane: usize) -> Option<Ended> {
        let state = self.take(lane);
        self.close(lane);
        match state {
            Lane::Connecting { pending, rest, .. } => {
                self.connect_failed(now, lane, pending, rest, Failure::ConnectTimeout)
            }
            Lane::Busy {
                pending, exchange, ..
            } => {
                let end = exchange.cut_short(Failure::AnswerTimeout);
                Some(Ended { lane, pending, end })
            }
            Lane::Idle { .. } | Lane::Closed => None,
        }
    }

    /// Writes the lane's request, or the rest of it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn transmit(&mut self, lane: usize, writer: &mut impl Write) -> io::Result<Written> {
        match self.lanes.get_mut(lane) {
            Some(Lane::Busy { exchange, .. }) => exchange.write_to(writer),
            _ => Ok(Written::All),
        }
    }

    /// Closes all lanes, and gives the attempts that are over for it.
    pub fn close_all(&mut self) -> Vec<Ended> {
        let mut interrupted = Vec::new();
        for lane in 0..self.lanes.len() {
            match self.lanes[lane].take() {
                Lane::Closed => continue,
                Lane::Idle { .. } => {}
                Lane::Connecting { pending, .. } => {
                    let end = Err(Failure::Closed);
                    interrupted.push(Ended { lane, pending, end });
                }
                Lane::Busy {
                    pending, exchange, ..
                } => {
                    let end = exchange.cut_short(Failure::Closed);
                    interrupted.push(Ended { lane, pending, end });
                }
            }
            self.close(lane);
        }
        interrupted
    }
}
