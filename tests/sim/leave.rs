//! The end of a run: everybody goes, all times pass, and nothing may be left behind.

use serde_json::Value;

use super::browser::State;
use super::http;
use super::run::Cast;
use super::turn::World;

/// How often all times pass at most, until nothing is left.
const ROUNDS: usize = 12;

/// So many turns are enough for the app to take whatever was queued.
const WEBHOOK_TURNS: usize = 5_000;

/// What the server says of itself in public; the connection that asks is one.
const STATUS: [(&str, u64); 8] = [
    ("connections", 1),
    ("websockets", 0),
    ("polls", 0),
    ("sessions", 0),
    ("channels", 0),
    ("log_bytes", 0),
    ("input_bytes", 0),
    ("outbox_bytes", 0),
];

impl Cast {
    /// Everybody goes, wherever they are, and nothing of them may be left.
    pub fn leave(&mut self, world: &mut World) {
        world.log(|| "leave".to_owned());
        self.go(world);
        for _ in 0..20 {
            self.act(world);
            world.turn();
            world.pass(10);
        }
        world.network.calm_down();
        // Those that vanished are found out, by pings, limits and the kernel.
        while world.network.has_voids() {
            self.act(world);
            world.turn();
            world.pass(3_000);
        }
        self.finish_webhook(world);
        for _ in 0..ROUNDS {
            self.let_all_times_pass(world);
            if world.left().is_empty() {
                break;
            }
        }
        let left = world.left();
        assert!(
            left.is_empty(),
            "everybody has gone, and there is: {left:?}\n{}",
            world.network.describe()
        );
        let status = world.status();
        world.refused = status["refused"].as_u64().expect("a number");
        world.shed = status["shed"].as_u64().expect("a number");
        for (name, left) in STATUS {
            assert_eq!(status[name], left, "{name}: {status}");
        }
        for name in ["queued", "waiting"] {
            assert_eq!(status["webhook"][name], 0, "{name}: {status}");
        }
    }

    /// Everybody hangs up, in one way or another, and does not come back.
    fn go(&mut self, world: &mut World) {
        for browser in &mut self.browsers {
            browser.lose(world);
            browser.state = State::Gone;
        }
        for rude in &mut self.rude {
            rude.leave(world);
            rude.gone = true;
        }
        self.renderer.leave(world);
        if world.network.calm {
            // What they asked for is answered; the server finds out that they ask no more.
            return;
        }
        self.flooder.leave(world);
        for publisher in &mut self.publishers {
            publisher.leave(world);
        }
    }

    /// The app is well now, and messages that were never tried wait for it.
    fn finish_webhook(&mut self, world: &mut World) {
        for _ in 0..WEBHOOK_TURNS {
            let left = world.left();
            if !left.iter().any(|(name, _)| *name == "webhook_queued") {
                return;
            }
            self.act(world);
            world.turn();
            world.pass(50);
        }
    }

    fn let_all_times_pass(&mut self, world: &mut World) {
        let config = &world.config;
        let lived_ms = config.session_ttl_ms + config.history_ttl_ms + config.idempotency_ttl_ms;
        let webhook_ms = 2 * config.webhook_give_up_ms + config.webhook_timeout_ms;
        for ms in [lived_ms, 1_000, webhook_ms, 80_000, 1_000, 5_000] {
            world.pass(ms);
            for _ in 0..3 {
                self.act(world);
                world.turn();
                world.pass(20);
            }
        }
    }
}

impl World {
    /// What the server still holds of anybody.
    fn left(&self) -> Vec<(&'static str, usize)> {
        let counts = self.server.counts().into_iter();
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// What must hold at any time.
    pub fn check_counts(&self) {
        let counts = self.server.counts().into_iter();
        let twice = counts.filter(|(name, _)| *name == "paced_twice");
        assert_eq!(
            twice.map(|(_, count)| count).sum::<usize>(),
            0,
            "a stream waits twice"
        );
    }

    /// What the server says of itself.
    pub fn status(&mut self) -> Value {
        let id = self.network.open(&mut self.dice);
        self.network.send(id, &http::get("/chloe/status"));
        let mut bytes = Vec::new();
        for _ in 0..100 {
            self.turn();
            bytes.extend(self.network.read(&mut self.dice, id));
            if let Some(answer) = http::response(&bytes) {
                return serde_json::from_slice(&answer.body).expect("JSON");
            }
        }
        panic!("there is no status");
    }
}
