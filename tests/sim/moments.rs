//! Positions of the server itself, `LIFE-SEQUENCE`: asked for where nobody knows the
//! channel, and good for any channel (docs/protocol.md).

use std::collections::HashMap;

use super::http;
use super::network::{GONE_MS, SocketId};
use super::turn::World;

/// More are not kept for those who want one.
const FRESH_MAX: usize = 20;

/// What is known of a position.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// What was accepted up to here, it says to be seen.
    pub before: u64,
    /// What was accepted behind this, it does not.
    pub after: u64,
    /// The life of the server that told it.
    pub life: usize,
}

/// All that were told, and the last of them.
#[derive(Default)]
pub struct Moments {
    known: HashMap<String, Moment>,
    fresh: Vec<String>,
}

impl Moments {
    /// What is known of the position, if it is one of these.
    pub fn of(&self, position: &str) -> Option<Moment> {
        let told = position.contains('-');
        told.then(|| self.known[position])
    }

    /// `text` was told; the same may have been told before.
    fn tell(&mut self, text: &str, moment: Moment) {
        let known = self.known.entry(text.to_owned()).or_insert(moment);
        assert_eq!(known.life, moment.life, "{text} is of two lives");
        known.before = known.before.max(moment.before);
        known.after = known.after.min(moment.after);
        self.fresh.push(text.to_owned());
        if self.fresh.len() > FRESH_MAX {
            self.fresh.remove(0);
        }
    }
}

impl World {
    /// One of the last positions that were told.
    pub fn any_moment(&mut self) -> Option<String> {
        let count = self.shadow.moments.fresh.len();
        (count > 0).then(|| self.shadow.moments.fresh[self.dice.below(count)].clone())
    }
}

/// The app renders pages, and asks where a channel stands that may not be there.
#[derive(Default)]
pub struct Renderer {
    socket: Option<SocketId>,
    input: Vec<u8>,
    /// How much was accepted when it asked.
    asked: Option<u64>,
}

impl Renderer {
    pub fn step(&mut self, world: &mut World) {
        if let Some(id) = self.socket {
            self.read(world, id);
        }
        if !world.network.calm && self.asked.is_none() && world.dice.chance(5) {
            self.ask(world);
        }
    }

    fn ask(&mut self, world: &mut World) {
        let id = match self.socket {
            Some(id) if world.network.is_open(id) => id,
            _ => world.network.open(&mut world.dice),
        };
        self.socket = Some(id);
        let request = http::get(&format!("/channels/nobody-{}", world.dice.below(1_000)));
        world.network.send(id, &request);
        self.asked = Some(world.shadow.count);
    }

    fn read(&mut self, world: &mut World, id: SocketId) {
        world.look(id);
        let bytes = world.network.read(&mut world.dice, id);
        self.input.extend_from_slice(&bytes);
        if let Some(answer) = http::response(&self.input) {
            self.input.drain(..answer.consumed);
            let before = self.asked.take();
            if answer.status == 200 {
                let told: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
                let position = told["position"].as_str().expect("a position");
                assert!(position.contains('-'), "nobody made that channel: {told}");
                let moment = Moment {
                    before: before.expect("it was asked"),
                    after: world.shadow.count,
                    life: world.life(),
                };
                world.log(|| format!("told {position}: {moment:?}"));
                world.shadow.moments.tell(position, moment);
            }
        }
        if world.network.is_over(id) {
            self.leave(world);
        }
    }

    /// It goes, whatever it is waiting for.
    pub fn leave(&mut self, world: &mut World) {
        if let Some(id) = self.socket {
            world.network.hang_up(&mut world.dice, id, GONE_MS);
        }
        *self = Renderer::default();
    }
}
