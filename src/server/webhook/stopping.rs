//! How the webhook ends: it finishes, keeps what it has for the next process, or gives up.
//!
//! Which of them, and when, is the server's to say. How messages are written as bytes is in
//! `saved`. Called by the server.

use super::machine::Webhook;
use super::queue::Queue;
use super::result::GivenUp;
use super::saved::{self, SavedMessage};
use crate::base::record::Writer;
use crate::base::time::Time;

impl Webhook {
    /// Takes no new messages from now on; what is queued is finished, and the
    /// upstream connections are closed after the last of it.
    pub fn drain(&mut self) {
        self.draining = true;
        self.close_when_drained();
    }

    /// Takes no new messages and sends none any more; what is out is finished.
    /// The rest stays queued, to be saved by [`Webhook::save`].
    pub fn keep(&mut self) {
        self.keeping = true;
        self.drain();
    }

    /// Sends nothing more, and takes messages as ever: another process will send them.
    pub fn pause(&mut self) {
        self.keeping = true;
    }

    /// Forgets what [`Webhook::save`] wrote.
    pub fn forget_saved(&mut self) {
        self.queue = Queue::new(self.limits);
    }

    /// The time for finishing is over: gives everything up, or, after
    /// [`Webhook::keep`], puts back what is out.
    pub fn abandon(&mut self, now: Time) {
        self.draining = true;
        self.wake_ms = None;
        self.queue.leave();
        self.admit(now);
        for ended in self.pool.close_all() {
            // What the app has begun to answer is decided, also if the rest comes too late.
            if ended.end.is_ok() {
                self.settle(now, ended);
                continue;
            }
            let queued = ended.queued;
            if self.keeping {
                self.queue.put_back(queued, None);
                continue;
            }
            self.queue.finish(&queued);
            self.give_up(now, queued, GivenUp::Stopped);
        }
        while !self.keeping
            && let Some(queued) = self.queue.take_oldest()
        {
            self.give_up(now, queued, GivenUp::Stopped);
        }
    }

    /// Writes what is queued to `out`. What is out counts as queued: nobody
    /// knows its fate, and the app can tell a second attempt by its `webhook-id`.
    pub fn save(&mut self, now: Time, out: &mut Writer<'_>) {
        self.keep();
        self.abandon(now);
        saved::encode(now, self.queue.queued(), out);
    }

    /// Queues what [`Webhook::save`] wrote, as [`saved::decode`] read it. `tag`
    /// gives each the tag that it is to have now for the one it had. They grow old
    /// as before. Whose they were is not known any more, so they count for
    /// nobody's share.
    pub fn restore(&mut self, now: Time, messages: Vec<SavedMessage>, tag: impl Fn(u64) -> u64) {
        for saved in messages {
            let queued_ms = now.from_unix_ms(saved.queued_unix_ms);
            let (webhook_id, tag) = (saved.webhook_id, tag(saved.tag));
            self.queue.push(queued_ms, saved.message(tag), webhook_id);
        }
        self.send_ready(now);
    }
}
