//! One run: the world is made, lives, comes to rest, and is left by everybody.

use std::collections::VecDeque;

use chloe::base::time::Time;
use chloe::config::Config;
use chloe::server::Server;

use super::app::App;
use super::browser::{Browser, State};
use super::dice::Dice;
use super::flooder::Flooder;
use super::ledger::Ledger;
use super::moments::Renderer;
use super::network::Network;
use super::process::Death;
use super::publisher::Publisher;
use super::rude::Rude;
use super::shadow::Shadow;
use super::turn::World;

/// What happened, to see that something did.
#[derive(Debug, Default)]
pub struct Report {
    publications: u64,
    deliveries: u64,
    gaps: u64,
    messages: u64,
    vanished: u64,
    leaps: u64,
    processes: u64,
    restored: u64,
    resumed: u64,
    answers: u64,
    /// Connections of rude peers, and bytes that they read.
    rude: u64,
    told: u64,
    /// Connections that the server refused, and those that it closed for want of memory.
    refused: u64,
    shed: u64,
}

impl Report {
    pub fn add(&mut self, other: &Report) {
        self.publications += other.publications;
        self.deliveries += other.deliveries;
        self.gaps += other.gaps;
        self.messages += other.messages;
        self.vanished += other.vanished;
        self.leaps += other.leaps;
        self.processes += other.processes;
        self.restored += other.restored;
        self.resumed += other.resumed;
        self.answers += other.answers;
        self.rude += other.rude;
        self.told += other.told;
        self.refused += other.refused;
        self.shed += other.shed;
    }

    /// A simulation in which nothing happens proves nothing.
    pub fn check(&self) {
        assert!(
            self.publications > 0 && self.deliveries > self.publications,
            "{self:?}"
        );
        assert!(self.messages > 0, "{self:?}");
    }

    /// Nor one in which nothing goes wrong; of many seeds.
    pub fn check_faults(&self) {
        assert!(self.resumed > 0, "{self:?}");
        assert!(self.rude > 0 && self.told > self.rude, "{self:?}");
        assert!(self.refused > 0 && self.shed > 0, "{self:?}");
        assert!(self.vanished > 0 && self.leaps > 0, "{self:?}");
        assert!(
            self.restored > 0 && self.processes > self.restored,
            "{self:?}"
        );
    }
}

/// Plays the run of `seed`.
pub fn play(seed: u64, trace: bool) -> Report {
    let mut dice = Dice::new(seed);
    let tight = dice.chance(25);
    let config = config(&mut dice, tight);
    let now = Time {
        ms: 1_000 + dice.below(100_000) as u64,
        unix_ms: 1_700_000_000_000,
    };
    let mut world = World {
        server: Server::new(config.clone(), dice.bytes(), now),
        now,
        leaps: 0,
        dice,
        network: Network::default(),
        shadow: Shadow::default(),
        ledger: Ledger::default(),
        sessions: Vec::new(),
        rude_sessions: Vec::new(),
        refused: 0,
        shed: 0,
        publications: 0,
        dialed: Vec::new(),
        ready: VecDeque::new(),
        publishing: VecDeque::new(),
        resolving: false,
        tight,
        draining: false,
        doors_closed: false,
        stopping: false,
        heard: 0,
        lives: vec![0],
        processes: 0,
        restored: 0,
        trace,
        config,
    };
    world.shadow.crowded = world.config.channels_max < 1_000;
    let mut cast = Cast::new(&mut world);
    let steps = world.dice.range(60, 300);
    for _ in 0..steps {
        cast.step(&mut world);
    }
    if world.dice.chance(70) {
        cast.rest(&mut world);
    }
    // It may end at any time, and what is left by all is left to the next process.
    if world.dice.chance(50) {
        cast.stop(&mut world);
        world.succeed(Death::Stop);
    }
    cast.leave(&mut world);
    cast.stop(&mut world);
    cast.report(&world)
}

fn config(dice: &mut Dice, tight: bool) -> Config {
    let mut config = Config {
        // The pipes are narrow and time leaps: a byte may take a second.
        write_bytes_per_second_min: 1,
        webhook_retry_max_ms: 1_000,
        outbox_bytes_max: dice.pick(&[4_096, 1 << 20]),
        webhook_connections: dice.range(1, 4),
        poll_hold_ms: dice.pick(&[2_000, 25_000]),
        poll_batch_messages: dice.pick(&[1, 3, 256]),
        poll_batch_bytes: dice.pick(&[1_024, 65_536]),
        fan_out_backlog_bytes: dice.pick(&[1_024, 131_072]),
        // Longer than clocks leap.
        history_ttl_ms: 30 * 86_400_000,
        session_ttl_ms: dice.pick(&[10_000, 90_000]),
        sessions_max: dice.pick(&[600, 200_000]),
        sessions_per_address_max: dice.pick(&[5, 10_000]),
        connections_per_address_max: dice.pick(&[2, 1_000]),
        channels_max: dice.pick(&[100, 100_000]),
        subscriptions_per_address_max: dice.pick(&[30, 50_000]),
        turn_read_bytes: dice.pick(&[2_048, 65_536]),
        body_bytes_max: 65_536,
        input_total_bytes: dice.pick(&[1 << 19, 1 << 19, 1 << 30]),
        output_total_bytes: dice.pick(&[4 << 20, 4 << 20, 1 << 30]),
        state_file: dice.pick(&["", "state", "state"]).into(),
        ..Config::default()
    };
    if tight {
        config.history_size = dice.range(1, 200);
        config.history_bytes = dice.pick(&[1_024, 4_096, 1 << 20]);
        config.history_ttl_ms = dice.pick(&[100, 5_000, 60_000]);
        config.history_total_bytes = dice.pick(&[2_048, 1 << 20]);
        config.webhook_queue_messages = dice.range(1, 12);
        config.webhook_queue_per_session_max = dice.pick(&[1, 2, 64]);
        if dice.chance(50) {
            config.messages_per_second_max = 20;
            config.messages_burst_max = dice.range(5, 40);
        }
    }
    config
}

/// Everybody but the server.
pub struct Cast {
    pub browsers: Vec<Browser>,
    pub publishers: Vec<Publisher>,
    app: App,
    pub flooder: Flooder,
    pub renderer: Renderer,
    pub rude: Vec<Rude>,
}

impl Cast {
    fn new(world: &mut World) -> Cast {
        let count = world.dice.range(2, 14);
        Cast {
            browsers: (0..count)
                .map(|number| Browser::new(world, number))
                .collect(),
            publishers: (0..world.dice.range(1, 3))
                .map(|_| Publisher::default())
                .collect(),
            app: App::default(),
            flooder: Flooder::default(),
            renderer: Renderer::default(),
            rude: Rude::several(world),
        }
    }

    /// Everybody does what they like, for a moment.
    pub fn act(&mut self, world: &mut World) {
        for browser in &mut self.browsers {
            if world.network.calm || world.dice.chance(70) {
                browser.step(world);
            }
        }
        for publisher in &mut self.publishers {
            publisher.step(world);
        }
        self.flooder.step(world);
        self.renderer.step(world);
        for rude in &mut self.rude {
            rude.step(world);
        }
        self.app.step(world);
    }

    fn step(&mut self, world: &mut World) {
        self.act(world);
        world.turn();
        let due = world.server.poll_timeout();
        let ms = match world.dice.below(100) {
            0..50 => 0,
            50..90 => world.dice.below(50) as u64,
            90..98 => due
                .map_or(0, |at| at.saturating_sub(world.now.ms))
                .min(5_000),
            98 => world.dice.below(5_000) as u64,
            _ if world.dice.chance(5) => world.dice.below(120_000) as u64,
            _ => 0,
        };
        world.pass(ms);
        if world.dice.chance(4) {
            world.check_counts();
        }
        if world.dice.chance(1) {
            match world.dice.below(10) {
                0..4 => world.leap(),
                4..8 => self.change(world),
                _ => {}
            }
        }
        if self.browsers.len() < 30 && world.dice.chance(1) {
            let browser = Browser::new(world, self.browsers.len());
            self.browsers.push(browser);
        }
    }

    /// Nothing new happens, nothing breaks: everybody gets what is owed.
    fn rest(&mut self, world: &mut World) {
        world.log(|| "rest".to_owned());
        world.network.calm_down();
        for turn in 0..4_000 {
            self.act(world);
            world.turn();
            world.pass(if turn % 8 == 7 { 200 } else { 1 });
            if turn % 25 == 24 && self.owed(world).is_none() {
                break;
            }
        }
        let owed = self.owed(world);
        assert!(owed.is_none(), "{}", owed.unwrap_or_default());
        // Those that wait, our own, and new upstream connections may be among them.
        let before = world.network.live.len() + 1 + 4 * world.config.webhook_connections;
        let known = world.status()["connections"].as_u64().expect("a number");
        let after = world.network.open_count();
        let right = (after as u64..=before as u64).contains(&known);
        assert!(
            right,
            "{known} connections are known, of {before} and {after}"
        );
    }

    /// What has not come to rest yet.
    fn owed(&self, world: &World) -> Option<String> {
        if self.flooder.waits() {
            return Some("the flooder waits".to_owned());
        }
        let here = self.browsers.iter().filter(|b| b.state != State::Gone);
        here.filter_map(|browser| owed_to(browser, world))
            .chain(world.ledger.sent.iter().filter_map(|sent| {
                let old = world.now.ms - sent.sent_ms >= world.config.webhook_give_up_ms;
                let owed = sent.certain && !old;
                let done = sent.taken || sent.rejected || sent.refused;
                (owed && !done).then(|| format!("{:?} never came to the app", sent.text))
            }))
            .next()
    }

    /// The server stops, wherever everybody is.
    fn stop(&mut self, world: &mut World) {
        world.log(|| "stop".to_owned());
        world.server.handle_shutdown(world.now);
        self.drain(world);
    }

    /// Until the server has come to its end.
    fn drain(&mut self, world: &mut World) {
        world.draining = true;
        world.network.note_stop();
        let began = world.now.ms;
        for _ in 0..2_000 {
            if world.server.is_drained() {
                break;
            }
            self.act(world);
            world.turn();
            let ms = world.dice.below(30) as u64;
            world.pass(ms);
        }
        let took = world.now.ms - began;
        assert!(world.server.is_drained(), "not drained after {took} ms");
    }

    /// The server ends, in one way or another, and another process takes over.
    fn change(&mut self, world: &mut World) {
        let way = world.dice.pick(&[Death::Restart, Death::Stop, Death::Kill]);
        match way {
            Death::Restart => {
                world.server.handle_restart(world.now);
                self.settle(world);
            }
            Death::Stop => {
                world.server.handle_shutdown(world.now);
                self.drain(world);
            }
            Death::Kill => {}
        }
        world.succeed(way);
    }

    /// Until another process may take over.
    fn settle(&mut self, world: &mut World) {
        world.draining = true;
        world.network.note_stop();
        let began = world.now.ms;
        for _ in 0..2_000 {
            if world.doors_closed && world.server.may_hand_over(world.now) {
                return;
            }
            self.act(world);
            world.turn();
            if !world.doors_closed && world.server.is_settled() {
                world.doors_closed = true;
                world.server.handle_doors_closed(world.now);
            }
            let ms = world.dice.below(30) as u64;
            world.pass(ms);
        }
        panic!("not settled after {} ms", world.now.ms - began);
    }

    fn report(&self, world: &World) -> Report {
        Report {
            publications: world.shadow.count,
            deliveries: self.browsers.iter().map(|b| b.reader.got).sum(),
            gaps: self.browsers.iter().map(|b| b.reader.gaps).sum(),
            messages: self.app.asked,
            vanished: world.network.vanished,
            leaps: world.leaps,
            processes: world.processes,
            restored: world.restored,
            answers: self.flooder.got,
            resumed: self.browsers.iter().map(|b| b.resumed).sum(),
            rude: self.rude.iter().map(|rude| rude.came).sum(),
            told: self.rude.iter().map(|rude| rude.got).sum(),
            refused: world.refused,
            shed: world.shed,
        }
    }
}

fn owed_to(browser: &Browser, world: &World) -> Option<String> {
    let name = browser.name();
    if browser.state != State::Connected {
        return Some(format!("{name} is {:?}", browser.state));
    }
    if !browser.waiting.is_empty() || !browser.wishes.is_empty() {
        let (waiting, wishes) = (&browser.waiting, &browser.wishes);
        return Some(format!("{name} waits for {waiting:?} and wants {wishes:?}"));
    }
    let session = browser.session.as_deref();
    let publications = world.shadow.publications.iter();
    let missed = publications
        .rev()
        .find(|publication| browser.reader.misses(&world.shadow, session, publication));
    missed.map(|publication| {
        format!(
            "{name} never got {} of {}, at {:?}; it is at {:?}",
            publication.data,
            publication.channel,
            publication.place,
            browser.reader.interests.get(&publication.channel),
        )
    })
}
