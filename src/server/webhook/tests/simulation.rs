//! Seeded runs against an app that does whatever chance tells it, checked by a
//! shadow model: each message is decided once, in its session's order, and
//! comes twice only if the webhook could not know that it had come.

use std::collections::{HashMap, VecDeque};

use super::rig::{LIMITS, Rig};
use crate::base::random::Random;
use crate::server::webhook::{Counters, GivenUp, WebhookLimits};

const SESSIONS: u64 = 6;

/// What the model knows of one session. Its messages are "0", "1", "2", ...
#[derive(Default)]
struct Session {
    queued: u64,
    /// Those without an outcome, in order. Only the first may be sent.
    waiting: VecDeque<u64>,
    /// The last of them waits for room in the queue.
    held: bool,
    first: First,
}

/// What the app has seen of a session's first waiting message.
#[derive(Default)]
struct First {
    webhook_id: Option<String>,
    /// What the app has said that decides it.
    decision: Option<Decision>,
    /// The last request failed, or may have, for all that the webhook can know.
    ambiguous: bool,
    requests: usize,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Decision {
    Taken,
    Rejected,
}

struct Simulation {
    rig: Rig,
    chance: Random,
    sessions: HashMap<u128, Session>,
    /// The session whose request a connection carries, unanswered.
    asked: Vec<Option<u128>>,
    /// 0: the app is well. 100: everything fails.
    trouble_percent: u64,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut chance = Random::new(bytes);
        let limits = WebhookLimits {
            connections: 1 + chance.below(4) as usize,
            queue_messages: 40,
            // Less than that many take with their keeping.
            queue_bytes: 4_000 + chance.below(20_000) as usize,
            session_messages: 1 + chance.below(15) as usize,
            give_up_ms: 2_000 + chance.below(100_000),
            ..LIMITS
        };
        Simulation {
            rig: Rig::to("http://localhost:4567/", None, limits),
            asked: vec![None; limits.connections()],
            chance,
            sessions: HashMap::new(),
            trouble_percent: 0,
        }
    }

    fn step(&mut self) {
        match self.chance.below(12) {
            0 => self.trouble_percent = [0, 0, 10, 50, 95][self.chance.below(5) as usize],
            1..=4 => self.enqueue(),
            5 => {
                let delta_ms = [1, 20, 300, 4_100, 30_000][self.chance.below(5) as usize];
                self.advance(delta_ms);
            }
            6 if self.rig.resolving => {
                let found: &[&str] = match self.in_trouble() {
                    true => &[],
                    false => &["[::1]:4567", "127.0.0.1:4567"],
                };
                self.rig.resolve(found);
            }
            _ => {
                let upstream = self.chance.below(self.asked.len() as u64) as usize;
                self.play(upstream);
            }
        }
        self.rig.room = 1 + self.chance.below(400) as usize;
        self.settle();
    }

    fn in_trouble(&mut self) -> bool {
        self.chance.below(100) < self.trouble_percent
    }

    fn enqueue(&mut self) {
        let id = u128::from(self.chance.below(SESSIONS));
        let session = self.sessions.entry(id).or_default();
        let text = session.queued.to_string();
        if session.held {
            // Its connection is read no further; or it goes.
            if self.chance.below(8) == 0 {
                self.rig.webhook.forget(self.rig.now, id as u64);
                self.rig.pump();
                let last = session.waiting.pop_back();
                assert_eq!(Some(session.queued - 1), last);
                session.queued -= 1;
                session.held = false;
            }
            return;
        }
        let took = match self.chance.below(2) {
            0 => self.rig.enqueue(id, &text).is_ok(),
            _ => {
                session.held = !self.rig.say(id as u8, id, &text);
                true
            }
        };
        if took {
            session.waiting.push_back(session.queued);
            session.queued += 1;
        }
    }

    /// The clock moves to the next timeout at most, so that what it ends is seen.
    fn advance(&mut self, delta_ms: u64) {
        let due_ms = self.rig.webhook.poll_timeout().unwrap_or(u64::MAX);
        let until_due_ms = due_ms.saturating_sub(self.rig.now.ms);
        self.rig.advance(delta_ms.min(until_due_ms));
        self.forget_lost_requests();
    }

    /// Something happens to the socket of `upstream`.
    fn play(&mut self, upstream: usize) {
        let trouble = self.in_trouble();
        let Some(socket) = &self.rig.sockets[upstream] else {
            return;
        };
        if !socket.connected {
            if trouble {
                self.rig.refuse(upstream);
            } else {
                self.rig.accept(upstream);
            }
        } else if self.rig.sockets[upstream].as_ref().unwrap().blocked && !trouble {
            self.rig.transmit(upstream);
        } else if let Some(session) = self.asked[upstream] {
            self.answer(upstream, session, trouble);
        } else if let Some(request) = self.rig.request(upstream) {
            self.take_request(
                upstream,
                request.header("X-Chloe-Session").unwrap(),
                &request.body,
            );
            self.check_id(upstream, request.webhook_id);
        } else if trouble {
            self.lose(upstream);
        }
        self.forget_lost_requests();
    }

    fn take_request(&mut self, upstream: usize, session: &str, body: &str) {
        let id = u128::from_str_radix(session, 16).unwrap();
        let session = self.sessions.get_mut(&id).unwrap();
        let first = session.waiting.front().map(u64::to_string);
        assert_eq!(Some(body), first.as_deref(), "in order, one at a time");
        assert_eq!(session.first.decision, None, "decided, and sent again");
        assert!(!self.asked.contains(&Some(id)), "two out at a time");
        session.first.requests += 1;
        self.asked[upstream] = Some(id);
    }

    fn check_id(&mut self, upstream: usize, webhook_id: String) {
        let session = self.sessions.get_mut(&self.asked[upstream].unwrap());
        let first = &mut session.unwrap().first;
        if first.requests > 1 {
            assert!(first.ambiguous, "sent again without need");
            assert_eq!(first.webhook_id.as_ref(), Some(&webhook_id));
        }
        first.ambiguous = false;
        first.webhook_id = Some(webhook_id);
    }

    fn answer(&mut self, upstream: usize, id: u128, trouble: bool) {
        let choice = self.chance.below(if trouble { 10 } else { 2 });
        let first = &mut self.sessions.get_mut(&id).unwrap().first;
        let taken = [
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ];
        let failed = [
            "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 429 Slower\r\nContent-Length: 0\r\n\r\n",
            "garbage\r\n\r\n",
        ];
        match choice {
            0..=2 => {
                first.decision = Some(Decision::Taken);
                self.rig.answer(upstream, taken[choice as usize]);
                self.asked[upstream] = None;
            }
            3 => {
                first.decision = Some(Decision::Rejected);
                let rejected = "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n";
                self.rig.answer(upstream, rejected);
                self.asked[upstream] = None;
            }
            4 => {
                first.decision = Some(Decision::Taken);
                self.rig
                    .answer(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
                self.lose(upstream);
                self.asked[upstream] = None;
            }
            5..=8 => {
                first.ambiguous = true;
                self.rig.answer(upstream, failed[choice as usize - 5]);
                self.asked[upstream] = None;
            }
            _ => self.lose(upstream),
        }
    }

    fn lose(&mut self, upstream: usize) {
        // The webhook may go on at once on the same connection, so the loss is noted first.
        if let Some(id) = self.asked[upstream].take() {
            self.sessions.get_mut(&id).unwrap().first.ambiguous = true;
        }
        match self.chance.below(2) {
            0 => self.rig.finish(upstream),
            _ => self.rig.reset(upstream),
        }
    }

    /// Requests whose socket is gone by the webhook's own doing (a timeout).
    fn forget_lost_requests(&mut self) {
        for upstream in 0..self.asked.len() {
            let is_gone = self.rig.sockets[upstream]
                .as_ref()
                .is_none_or(|socket| !socket.connected);
            if is_gone && let Some(id) = self.asked[upstream].take() {
                self.sessions.get_mut(&id).unwrap().first.ambiguous = true;
            }
        }
    }

    /// Compares the outcomes told with what the app said.
    fn settle(&mut self) {
        for place in std::mem::take(&mut self.rig.queued) {
            let session = self.sessions.get_mut(&u128::from(place)).unwrap();
            assert!(std::mem::take(&mut session.held), "queued twice");
        }
        for (id, tag, result) in std::mem::take(&mut self.rig.outcomes) {
            let session = self.sessions.get_mut(&{ id.0 }).unwrap();
            let number = tag - id.0 as u64 * 1_000;
            let place = session.waiting.iter().position(|&waits| waits == number);
            session.waiting.remove(place.expect("one outcome for each"));
            if place != Some(0) {
                // Too old as well, while the first is on its last attempt.
                assert!(matches!(result, Err(GivenUp::TooOld { .. })));
                continue;
            }
            let first = std::mem::take(&mut session.first);
            match result {
                Ok(_) => assert_eq!(first.decision, Some(Decision::Taken)),
                Err(GivenUp::Rejected { .. }) => {
                    assert_eq!(first.decision, Some(Decision::Rejected));
                }
                Err(_) => assert_eq!(first.decision, None, "decided, and given up"),
            }
        }
        let waiting = self.sessions.values();
        let waiting: usize = waiting.map(|session| session.waiting.len()).sum();
        let (queued, held) = (self.rig.webhook.queued(), self.rig.webhook.waiting());
        assert_eq!(queued + held, waiting);
        assert!(queued <= 40 || self.trouble_percent == 0);
        let marked = self.sessions.values().filter(|session| session.held);
        assert_eq!(marked.count(), held);
    }

    /// The app is well again: all that is left gets through, and nothing stays behind.
    fn finish(&mut self) {
        self.trouble_percent = 0;
        self.rig.webhook.leave(self.rig.now);
        self.rig.webhook.drain();
        self.rig.pump();
        for _ in 0..100_000 {
            if self.rig.webhook.is_idle() {
                break;
            }
            if self.rig.resolving {
                self.rig.resolve(&["127.0.0.1:4567"]);
            }
            for upstream in 0..self.asked.len() {
                self.play(upstream);
                self.settle();
            }
            self.advance(100);
            self.settle();
        }
        assert!(self.rig.webhook.is_idle(), "all is decided");
        assert!(self.rig.open().is_empty(), "all connections are closed");
        assert!(self.rig.is_bare());
        let counters = self.rig.webhook.counters();
        let queued: u64 = self.sessions.values().map(|session| session.queued).sum();
        assert_eq!(counters.taken + counters.given_up, queued);
    }
}

#[test]
fn whatever_the_app_does_each_message_is_decided_once_and_in_order() {
    let mut total = Counters::default();
    for seed in 0..300 {
        let mut simulation = Simulation::new(seed);
        let run = std::panic::AssertUnwindSafe(|| {
            for _ in 0..400 {
                simulation.step();
            }
            simulation.finish();
        });
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("the seed is {seed}");
            std::panic::resume_unwind(panic);
        }
        let counters = simulation.rig.webhook.counters();
        total.taken += counters.taken;
        total.retried += counters.retried;
        total.given_up += counters.given_up;
        total.refused += counters.refused;
    }
    // Chance has shown the webhook every side of the app.
    assert!(total.taken > 5_000, "{total:?}");
    assert!(total.retried > 1_000, "{total:?}");
    assert!(total.given_up > 500, "{total:?}");
    assert!(total.refused > 100, "{total:?}");
}
