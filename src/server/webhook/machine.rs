//! The webhook as a state machine: messages, bytes and time go in, events and bytes come out.
//!
//! It joins the parts of this folder, and decides nothing that one of them could. How it
//! ends, and what outlives the process, is in `stopping`. Called by the server.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;

use super::backoff::Backoff;
use super::counters::Counters;
use super::event::Event;
use super::gate::{Failed, Suspect};
use super::health::Health;
use super::limits::WebhookLimits;
use super::message::{Message, QueuedMessage};
use super::pool::{Choice, Ended, Pool};
use super::queue::Queue;
use super::request::{Recipient, Signing, webhook_id};
use super::result::{Answer, Failure, GivenUp, Refused};
use super::verdict::{self, Blame, Verdict};
use crate::base::outbox::Written;
use crate::base::random::Random;
use crate::base::time::Time;
use crate::wire::url::HttpUrl;

/// The webhook. See the module's description.
pub struct Webhook {
    pub(super) limits: WebhookLimits,
    random: Random,
    pub(super) queue: Queue,
    health: Health,
    pub(super) pool: Pool,
    /// Outcomes and notices; the upstream connections have a queue of their own.
    notices: VecDeque<Event>,
    counters: Counters,
    /// When what is ready may be sent, though nothing else happens till then.
    pub(super) wake_ms: Option<u64>,
    leaving: bool,
    pub(super) draining: bool,
    /// What is not out stays queued, for the next process.
    pub(super) keeping: bool,
}

impl Webhook {
    /// A webhook to `url`, signing as `signing` says, if there is a secret.
    pub fn new(
        url: HttpUrl,
        signing: Option<Signing>,
        limits: WebhookLimits,
        mut random: Random,
    ) -> Self {
        let url_text = url.without_query();
        let backoff = Backoff {
            min_ms: limits.retry_min_ms,
            max_ms: limits.retry_max_ms,
        };
        Webhook {
            limits,
            queue: Queue::new(limits),
            health: Health::new(url_text, backoff, random.fork()),
            random,
            pool: Pool::new(Recipient { url, signing }, limits),
            notices: VecDeque::new(),
            counters: Counters::default(),
            wake_ms: None,
            leaving: false,
            draining: false,
            keeping: false,
        }
    }

    /// Queues a message; what becomes of it comes as [`Event::Completed`].
    ///
    /// # Errors
    /// [`Refused`] when its session, its address or the queue has no room, or the
    /// webhook drains. Nothing is kept then.
    pub fn enqueue(&mut self, now: Time, message: Message) -> Result<(), Refused> {
        let refused = match () {
            () if self.draining => Refused::Stopping,
            () if !self.queue.has_room(&message) => Refused::Full,
            () => {
                self.push(now, message);
                self.send_ready(now);
                return Ok(());
            }
        };
        self.counters.refused += 1;
        Err(refused)
    }

    /// As [`Webhook::enqueue`], but where there is no room the message waits for
    /// it: [`Event::Queued`] tells `place` when it is queued. True if it is already.
    /// Each place has one message at a time.
    ///
    /// # Errors
    /// [`Refused`] when the webhook drains, or is about to and has no room.
    pub fn enqueue_or_wait(
        &mut self,
        now: Time,
        message: Message,
        place: u64,
    ) -> Result<bool, Refused> {
        let waits = !self.draining && !self.leaving && !self.queue.has_room(&message);
        if !waits {
            return self.enqueue(now, message).map(|()| true);
        }
        self.queue.wait(place, message);
        Ok(false)
    }

    /// The place is gone, and with it the message that waits in its name, if one
    /// does. [`Event::Dropped`] tells its tag.
    pub fn forget(&mut self, now: Time, place: u64) {
        if let Some(Message { tag, .. }) = self.queue.forget(place) {
            self.notices.push_back(Event::Dropped { tag });
            self.send_ready(now);
        }
    }

    /// Messages that wait for room in the queue.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Chloe is about to stop: nobody waits for a share any longer, and what waits
    /// for room is queued.
    pub fn leave(&mut self, now: Time) {
        self.leaving = true;
        self.queue.leave();
        self.send_ready(now);
    }

    fn push(&mut self, now: Time, message: Message) {
        let webhook_id = self.random.bits_128();
        self.queue.push(now.ms, message, webhook_id);
    }

    /// Queues what waits, as far as there is room.
    pub(super) fn admit(&mut self, now: Time) {
        while let Some(waiter) = self.queue.next_waiting() {
            self.push(now, waiter.message);
            let place = waiter.place;
            self.notices.push_back(Event::Queued { place });
        }
    }

    /// Each thing that is held by name, and how much of it; for tests.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        [
            self.queue.counts(),
            vec![("webhook_connections", self.pool.open())],
        ]
        .concat()
    }

    /// Whether no message is queued or out; after [`Webhook::keep`], whether none is out.
    pub fn is_idle(&self) -> bool {
        match self.keeping {
            true => self.queue.len() == self.queue.queued().len(),
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
            sent: self.pool.sent,
            ..self.counters
        }
    }

    /// The next event, if there is one.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.pool.poll_event().or_else(|| self.notices.pop_front())
    }

    /// When [`Webhook::handle_timeout`] wants to be called, on the monotonic clock.
    pub fn poll_timeout(&self) -> Option<u64> {
        let ready = self.wake_ms.filter(|_| !self.keeping);
        let patience = self.health.patience(self.limits.give_up_ms);
        let old = self.queue.next_old_ms(patience);
        let wake = self.queue.next_wake_ms();
        let candidates = [self.pool.next_deadline_ms(), ready, old, wake];
        candidates.into_iter().flatten().min()
    }

    /// The answer to [`Event::Resolve`]: addresses, or what went wrong.
    pub fn handle_resolved(&mut self, now: Time, result: Result<Vec<SocketAddr>, String>) {
        let error = result.as_ref().err().cloned().unwrap_or_default();
        if !self.pool.resolved(result.unwrap_or_default()) {
            self.health.unresolved(now, &error);
        }
        self.send_ready(now);
    }

    /// The answer to [`Event::Connect`]. After an error the upstream connection has no socket.
    pub fn handle_connected(
        &mut self,
        now: Time,
        upstream: usize,
        result: Result<(), io::ErrorKind>,
    ) {
        let ended = self.pool.connected(now, upstream, result);
        self.go_on(now, ended);
    }

    /// Bytes from the app.
    pub fn handle_received(&mut self, now: Time, upstream: usize, bytes: &[u8]) {
        let ended = self.pool.received(now, upstream, bytes);
        self.go_on(now, ended);
    }

    /// The app will send nothing more on this upstream connection. [`Event::Close`] follows.
    pub fn handle_finished(&mut self, now: Time, upstream: usize) {
        let ended = self.pool.finished(now, upstream);
        self.go_on(now, ended);
    }

    /// The upstream connection's socket is gone, by a reset or another error.
    pub fn handle_closed(&mut self, now: Time, upstream: usize) {
        let ended = self.pool.closed(now, upstream);
        self.go_on(now, ended);
    }

    /// To be called at [`Webhook::poll_timeout`] or later.
    pub fn handle_timeout(&mut self, now: Time) {
        for ended in self.pool.time_out(now) {
            self.settle(now, ended);
        }
        let patience = self.health.patience(self.limits.give_up_ms);
        while let Some(queued) = self.queue.take_old(now.ms, patience) {
            let last = queued.last;
            self.give_up(now, queued, GivenUp::TooOld { last });
        }
        self.queue.wake(now.ms);
        self.go_on(now, None);
    }

    /// Writes what the upstream connection has to say, after [`Event::Transmit`] and whenever
    /// a blocked upstream connection becomes writable.
    ///
    /// # Errors
    /// Those of the writer; [`Webhook::handle_closed`] should follow.
    pub fn transmit(&mut self, upstream: usize, writer: &mut impl Write) -> io::Result<Written> {
        self.pool.transmit(upstream, writer)
    }

    fn go_on(&mut self, now: Time, ended: Option<Ended>) {
        if let Some(ended) = ended {
            self.settle(now, ended);
        }
        self.send_ready(now);
        self.close_when_drained();
    }

    /// Queues what waits for room, and gives ready messages to free upstream connections, as
    /// long as there are both.
    pub(super) fn send_ready(&mut self, now: Time) {
        self.admit(now);
        self.wake_ms = None;
        while !self.keeping && self.queue.has_ready() {
            let turn = match self.health.next_turn(now.ms, &self.queue) {
                Ok(turn) => turn,
                Err(wake_ms) => {
                    self.wake_ms = wake_ms;
                    return;
                }
            };
            let upstream = match self.pool.choose() {
                Choice::Upstream(upstream) => upstream,
                Choice::Unresolved => return self.pool.resolve(),
                Choice::Busy => {
                    let out = self.queue.out(turn.owner);
                    match self.pool.make_way(now, turn.owner, out) {
                        Ok(()) => continue,
                        Err(wake_ms) => self.wake_ms = wake_ms,
                    }
                    return;
                }
            };
            if let Some(mut queued) = self.queue.take_ready(turn) {
                queued.answers_before = self.health.answers();
                self.health.begin(now.ms, upstream, &turn);
                self.pool.begin(now, upstream, queued);
            }
        }
    }

    pub(super) fn close_when_drained(&mut self) {
        if self.draining && self.is_idle() {
            let interrupted = self.pool.close_all();
            debug_assert!(interrupted.is_empty(), "nothing is out");
        }
    }

    /// An attempt is over: what follows for its message.
    pub(super) fn settle(&mut self, now: Time, ended: Ended) {
        let Ended {
            upstream,
            queued,
            end,
        } = ended;
        self.health.end(upstream);
        let verdict = match end {
            Ok(reply) => verdict::on_reply(now, reply),
            Err(failure) => verdict::on_failure(failure),
        };
        match verdict {
            Verdict::Taken(answer) => {
                self.health.answered(now);
                self.queue.finish(&queued);
                self.counters.taken += 1;
                self.notify(&queued, Ok(answer));
            }
            Verdict::GivenUp(reason) => {
                self.health.answered(now);
                self.queue.finish(&queued);
                self.give_up(now, queued, reason);
            }
            Verdict::Retry {
                failure,
                blame,
                asked_ms,
            } => {
                // The app may be well at once: it is asked as often as one that does not say.
                let asked_ms = asked_ms.map(|wait_ms| wait_ms.min(self.limits.retry_max_ms));
                if blame == Blame::Message {
                    self.health.answered(now);
                } else {
                    let failed = Failed {
                        suspect: (blame == Blame::Unclear).then(|| Suspect::of(&queued.message)),
                        answers_before: queued.answers_before,
                        asked_ms,
                    };
                    self.health.failed(now, failure, failed);
                }
                self.retry(now, queued, failure, asked_ms);
            }
        }
    }

    fn retry(
        &mut self,
        now: Time,
        mut queued: QueuedMessage,
        failure: Failure,
        asked_ms: Option<u64>,
    ) {
        queued.attempts = queued.attempts.saturating_add(1);
        queued.last = Some(failure);
        if queued.queued_ms.saturating_add(self.limits.give_up_ms) <= now.ms {
            self.queue.finish(&queued);
            let last = Some(failure);
            return self.give_up(now, queued, GivenUp::TooOld { last });
        }
        self.counters.retried += 1;
        // Where nothing was reached the gate holds everybody, and no message longer.
        let not_before_ms = match self.health.is_down() && failure.is_unreachable() {
            true => None,
            false => {
                let delay_ms = self.health.delay_ms(queued.attempts);
                Some(now.after(delay_ms.max(asked_ms.unwrap_or(0))))
            }
        };
        self.queue.put_back(queued, not_before_ms);
    }

    pub(super) fn give_up(&mut self, now: Time, queued: QueuedMessage, reason: GivenUp) {
        self.counters.given_up += 1;
        log::warn!(
            "event=webhook_given_up code={} session={:?} webhook_id={} attempts={} age_ms={} reason=\"{reason}\"",
            reason.code(),
            queued.message.session,
            webhook_id(&queued),
            queued.attempts,
            now.ms.saturating_sub(queued.queued_ms),
        );
        self.notify(&queued, Err(reason));
    }

    /// Tells the outcome of a message that the queue has forgotten.
    fn notify(&mut self, queued: &QueuedMessage, result: Result<Answer, GivenUp>) {
        self.notices.push_back(Event::Completed {
            session: queued.message.session,
            tag: queued.message.tag,
            result,
        });
    }
}
