//! The relay: what browsers send, as POSTs to the app.
//!
//! A pure state machine: no sockets, no clock. It opens no connection, but says
//! which it wants ([`Event::Connect`]), and moves bytes through
//! [`Callbacks::handle_received`] and [`Callbacks::transmit`]. A lane is one
//! kept-alive connection to the app, named by its index; between an
//! [`Event::Connect`] and an [`Event::Close`], a failed
//! [`Callbacks::handle_connected`] or a [`Callbacks::handle_closed`], the lane
//! has a socket.
//!
//! Promises: a session's messages are tried strictly one after another, in
//! order, retries included. A message leaves the queue once: taken by the app,
//! or given up with a reason, a log line and a count. It is sent again only
//! when no answer told its fate, and then with the same `webhook-id`. A
//! message the app dislikes holds up no other session; an app that is down is
//! asked by one request at a time. Messages that grow too old are given up
//! where they stand, also behind one that is on its last attempt.
//!
//! After each call drain [`Callbacks::poll_event`], then read
//! [`Callbacks::poll_timeout`]. Called by the server.

mod limits;

mod outcome;

mod event;

mod queue;

mod saved;

mod backoff;

mod report;

mod verdict;

mod addresses;

mod request;

mod exchange;

mod lane;

mod lanes;

#[cfg(test)]
mod tests;

pub use event::Event;
pub use limits::CallbackLimits;
pub use outcome::{Answer, Failure, GivenUp, REMEMBERED, Refused};
pub use queue::Message;
pub use saved::{SavedMessage, decode as decode_saved};

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;

use self::backoff::{Backoff, Gate};
use self::lanes::{Choice, Ended, Lanes};
use self::queue::{Pending, Queue};
use self::report::Report;
use self::request::{Recipient, webhook_id};
use self::verdict::{Blame, Verdict};
use crate::base::outbox::Written;
use crate::base::random::Random;
use crate::base::record::Writer;
use crate::base::time::Time;
use crate::wire::signature::Secret;
use crate::wire::url::HttpUrl;

/// How often things happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests put on a connection, retries included.
    pub sent: u64,
    /// Messages the app has taken.
    pub taken: u64,
    /// Attempts that failed and were followed by another.
    pub retried: u64,
    /// Messages given up.
    pub given_up: u64,
    /// Messages not queued, for want of room or because the relay drains.
    pub refused: u64,
}

/// The relay. See the module's description.
pub struct Callbacks {
    limits: CallbackLimits,
    backoff: Backoff,
    random: Random,
    queue: Queue,
    gate: Gate,
    report: Report,
    lanes: Lanes,
    /// Outcomes and notices; the lanes have a queue of their own.
    notices: VecDeque<Event>,
    counters: Counters,
    /// For the log.
    url: String,
    full: bool,
    draining: bool,
    /// What is not out stays queued, for the next process.
    keeping: bool,
}

impl Callbacks {
    /// A relay to `url`, signing with `secret` if there is one.
    pub fn new(
        url: HttpUrl,
        secret: Option<Secret>,
        limits: CallbackLimits,
        random: Random,
    ) -> Self {
        let url_text = url.to_string();
        Callbacks {
            limits,
            backoff: Backoff {
                min_ms: limits.retry_min_ms,
                max_ms: limits.retry_max_ms,
            },
            random,
            queue: Queue::new(limits.queue_messages, limits.queue_bytes),
            gate: Gate::default(),
            report: Report::default(),
            lanes: Lanes::new(Recipient { url, secret }, limits),
            notices: VecDeque::new(),
            counters: Counters::default(),
            url: url_text,
            full: false,
            draining: false,
            keeping: false,
        }
    }

    /// Queues a message; what becomes of it comes as [`Event::Outcome`].
    ///
    /// # Errors
    /// [`Refused`] when the queue is full or the relay drains. Nothing is kept then.
    pub fn enqueue(&mut self, now: Time, message: Message) -> Result<(), Refused> {
        let queued = if self.draining {
            Err(Refused::Stopping)
        } else {
            let webhook_id = self.random.bits_128();
            let pushed = self.queue.push(now.ms, message, webhook_id);
            pushed.map_err(|queue::Full| Refused::Full)
        };
        self.counters.refused += u64::from(queued.is_err());
        self.full |= self.queue.is_high();
        self.dispatch(now);
        queued
    }

    /// Whether those that feed the queue should pause. True from three quarters
    /// of a limit on, until [`Event::Room`] at a half.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Takes no new messages from now on; what is queued is finished, and the
    /// lanes are closed after the last of it.
    pub fn drain(&mut self) {
        self.draining = true;
        self.close_when_drained();
    }

    /// Takes no new messages and sends none any more; what is out is finished.
    /// The rest stays queued, to be saved by [`Callbacks::save`].
    pub fn keep(&mut self) {
        self.keeping = true;
        self.drain();
    }

    /// Sends nothing more, and takes messages as ever: another process will send them.
    pub fn pause(&mut self) {
        self.keeping = true;
    }

    /// Forgets what [`Callbacks::save`] wrote.
    pub fn forget(&mut self) {
        self.queue = Queue::new(0, 0);
    }

    /// The time for finishing is over: gives everything up, or, after
    /// [`Callbacks::keep`], puts back what is out.
    pub fn abandon(&mut self, now: Time) {
        self.draining = true;
        for ended in self.lanes.close_all() {
            // What the app has begun to answer is decided, also if the rest comes too late.
            if ended.end.is_ok() {
                self.settle(now, ended);
                continue;
            }
            let pending = ended.pending;
            if self.keeping {
                self.queue.put_back(pending, None);
                continue;
            }
            self.queue.finish(&pending);
            self.give_up(now, pending, GivenUp::Stopped);
        }
        while !self.keeping
            && let Some(pending) = self.queue.take_oldest()
        {
            self.give_up(now, pending, GivenUp::Stopped);
        }
    }

    /// Writes what is queued to `out`. What is out counts as queued: nobody
    /// knows its fate, and the app can tell a second attempt by its `webhook-id`.
    pub fn save(&mut self, now: Time, out: &mut Writer<'_>) {
        self.keep();
        self.abandon(now);
        saved::encode(now, self.queue.waiting(), out);
    }

    /// Queues what [`Callbacks::save`] wrote, as [`decode_saved`] read it. `tag`
    /// gives each the tag that it is to have now for the one it had.
    /// They grow old as before. What the limits leave no room for is given
    /// up, and logged so.
    pub fn restore(&mut self, now: Time, messages: Vec<SavedMessage>, tag: impl Fn(u64) -> u64) {
        for saved in messages {
            let queued_ms = now.from_unix_ms(saved.queued_unix_ms);
            let (session, webhook_id, tag) = (saved.session, saved.webhook_id, tag(saved.tag));
            let message = saved.message(tag);
            if self.queue.push(queued_ms, message, webhook_id).is_err() {
                self.counters.given_up += 1;
                log::warn!("event=relay_given_up code=app_busy session={session:?}");
            }
        }
        self.full |= self.queue.is_high();
        self.dispatch(now);
    }

    /// Whether no message is queued or out; after [`Callbacks::keep`], whether none is out.
    pub fn is_idle(&self) -> bool {
        match self.keeping {
            true => self.queue.len() == self.queue.waiting().len(),
            false => self.queue.len() == 0,
        }
    }

    /// Messages queued or out.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The counters.
    pub fn counters(&self) -> Counters {
        Counters {
            sent: self.lanes.sent,
            ..self.counters
        }
    }

    /// The next event, if there is one.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.lanes.poll_event().or_else(|| self.notices.pop_front())
    }

    /// When [`Callbacks::handle_timeout`] wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<u64> {
        let gate = self
            .gate
            .until_ms()
            .filter(|_| self.queue.has_ready() && !self.keeping);
        let oldest = self.queue.oldest_ms();
        let age = oldest.map(|queued_ms| queued_ms.saturating_add(self.limits.give_up_ms));
        let wake = self.queue.next_wake_ms();
        let candidates = [self.lanes.next_deadline_ms(), gate, age, wake];
        candidates.into_iter().flatten().min()
    }

    /// The answer to [`Event::Resolve`]: addresses, or what went wrong.
    pub fn handle_resolved(&mut self, now: Time, result: Result<Vec<SocketAddr>, String>) {
        if let Err(error) = &result {
            log::debug!(
                "event=relay_resolve_failed url={} error={error:?}",
                self.url
            );
        }
        if !self.lanes.resolved(result.unwrap_or_default()) {
            self.app_failed(now, Failure::Unresolved, None);
        }
        self.dispatch(now);
    }

    /// The answer to [`Event::Connect`]. After an error the lane has no socket.
    pub fn handle_connected(&mut self, now: Time, lane: usize, result: Result<(), io::ErrorKind>) {
        let ended = self.lanes.connected(now, lane, result);
        self.go_on(now, ended);
    }

    /// Bytes from the app.
    pub fn handle_received(&mut self, now: Time, lane: usize, bytes: &[u8]) {
        let ended = self.lanes.received(now, lane, bytes);
        self.go_on(now, ended);
    }

    /// The app will send nothing more on this lane. [`Event::Close`] follows.
    pub fn handle_finished(&mut self, now: Time, lane: usize) {
        let ended = self.lanes.finished(now, lane);
        self.go_on(now, ended);
    }

    /// The lane's socket is gone, by a reset or another error.
    pub fn handle_closed(&mut self, now: Time, lane: usize) {
        let ended = self.lanes.closed(now, lane);
        self.go_on(now, ended);
    }

    /// To be called at [`Callbacks::poll_timeout`] or later.
    pub fn handle_timeout(&mut self, now: Time) {
        for ended in self.lanes.time_out(now) {
            self.settle(now, ended);
        }
        let give_up_ms = self.limits.give_up_ms;
        while let Some(queued_ms) = self.queue.oldest_ms()
            && queued_ms.saturating_add(give_up_ms) <= now.ms
            && let Some(pending) = self.queue.take_oldest()
        {
            let last = pending.last;
            self.give_up(now, pending, GivenUp::TooOld { last });
        }
        self.queue.wake(now.ms);
        self.go_on(now, None);
    }

    /// Writes what the lane has to say, after [`Event::Transmit`] and whenever
    /// a blocked lane becomes writable.
    ///
    /// # Errors
    /// Those of the writer; [`Callbacks::handle_closed`] should follow.
    pub fn transmit(&mut self, lane: usize, writer: &mut impl Write) -> io::Result<Written> {
        self.lanes.transmit(lane, writer)
    }

    fn go_on(&mut self, now: Time, ended: Option<Ended>) {
        if let Some(ended) = ended {
            self.settle(now, ended);
        }
        self.dispatch(now);
        self.close_when_drained();
    }

    /// Gives ready messages to free lanes, as long as there are both.
    fn dispatch(&mut self, now: Time) {
        while !self.keeping && self.queue.has_ready() && self.gate.admits(now.ms) {
            let lane = match self.lanes.choose() {
                Choice::Lane(lane) => lane,
                Choice::Unresolved => return self.lanes.resolve(),
                Choice::Busy => return,
            };
            if let Some(pending) = self.queue.take_ready() {
                self.gate.begin(lane);
                self.lanes.begin(now, lane, pending);
            }
        }
    }

    fn close_when_drained(&mut self) {
        if self.draining && self.is_idle() {
            let interrupted = self.lanes.close_all();
            debug_assert!(interrupted.is_empty(), "nothing is out");
        }
    }

    /// An attempt is over: what follows for its message.
    fn settle(&mut self, now: Time, ended: Ended) {
        let Ended { lane, pending, end } = ended;
        self.gate.end(lane);
        let verdict = match end {
            Ok(reply) => verdict::on_reply(now, reply),
            Err(failure) => verdict::on_failure(failure),
        };
        match verdict {
            Verdict::Taken(answer) => {
                self.app_answered();
                self.queue.finish(&pending);
                self.counters.taken += 1;
                self.tell(&pending, Ok(answer));
            }
            Verdict::GivenUp(reason) => {
                self.app_answered();
                self.queue.finish(&pending);
                self.give_up(now, pending, reason);
            }
            Verdict::Retry {
                failure,
                blame,
                asked_ms,
            } => {
                // A wait longer than any message is kept for is of no use.
                let asked_ms = asked_ms.map(|wait_ms| wait_ms.min(self.limits.give_up_ms));
                match blame {
                    Blame::Message => self.app_answered(),
                    Blame::App | Blame::Both => self.app_failed(now, failure, asked_ms),
                }
                self.retry(now, pending, failure, blame, asked_ms);
            }
        }
    }

    fn retry(
        &mut self,
        now: Time,
        mut pending: Pending,
        failure: Failure,
        blame: Blame,
        asked_ms: Option<u64>,
    ) {
        pending.attempts = pending.attempts.saturating_add(1);
        pending.last = Some(failure);
        if pending.queued_ms.saturating_add(self.limits.give_up_ms) <= now.ms {
            self.queue.finish(&pending);
            let last = Some(failure);
            return self.give_up(now, pending, GivenUp::TooOld { last });
        }
        self.counters.retried += 1;
        let not_before_ms = match blame {
            Blame::App => None,
            Blame::Message | Blame::Both => {
                let delay_ms = self.backoff.delay_ms(pending.attempts, &mut self.random);
                Some(now.after(delay_ms.max(asked_ms.unwrap_or(0))))
            }
        };
        self.queue.put_back(pending, not_before_ms);
    }

    fn app_answered(&mut self) {
        self.gate.answered();
        if self.report.answered() {
            log::info!("event=app_up url={}", self.url);
        }
    }

    fn app_failed(&mut self, now: Time, failure: Failure, asked_ms: Option<u64>) {
        let (backoff, random) = (self.backoff, &mut self.random);
        let was_well = self.gate.failed(now.ms, asked_ms, backoff, random);
        if let Some(unreported) = self.report.failed(now.ms, was_well) {
            log::warn!(
                "event=app_down url={} cause=\"{failure}\" down_before_unlogged={unreported}",
                self.url
            );
        }
    }

    fn give_up(&mut self, now: Time, pending: Pending, reason: GivenUp) {
        self.counters.given_up += 1;
        log::warn!(
            "event=relay_given_up code={} session={:?} webhook_id={} attempts={} age_ms={} reason=\"{reason}\"",
            reason.code(),
            pending.message.session,
            webhook_id(&pending),
            pending.attempts,
            now.ms.saturating_sub(pending.queued_ms),
        );
        self.tell(&pending, Err(reason));
    }

    /// Tells the outcome of a message that the queue has forgotten.
    fn tell(&mut self, pending: &Pending, result: Result<Answer, GivenUp>) {
        self.notices.push_back(Event::Outcome {
            session: pending.message.session,
            tag: pending.message.tag,
            result,
        });
        if self.full && self.queue.is_low() {
            self.full = false;
            self.notices.push_back(Event::Room);
        }
    }
}
