//! The app's other side: publishes by `POST /send`, pipelined, over connections
//! that break.

use std::collections::VecDeque;

use super::http;
use super::network::{GONE_MS, SocketId};
use super::turn::World;

/// The channels of a run. Few, so that they are shared; strange, to be spelled right.
pub const CHANNELS: [&str; 6] = ["news", "sport", "a/b c", "ü\"\\", "</script>", "'"];

/// Requests under way on one connection.
const PIPELINE_MAX: usize = 6;

/// One program that publishes.
#[derive(Default)]
pub struct Publisher {
    socket: Option<SocketId>,
    input: Vec<u8>,
    /// The requests that are not answered, and when they were sent.
    asked: VecDeque<(usize, u64)>,
    /// When an answer last came, or the connection was opened.
    heard_ms: u64,
}

impl Publisher {
    pub fn step(&mut self, world: &mut World) {
        if let Some(id) = self.socket {
            self.read(world, id);
        }
        if world.network.calm {
            return;
        }
        if world.dice.chance(25) {
            for _ in 0..world.dice.range(1, PIPELINE_MAX) {
                self.publish(world);
            }
        }
        if self.socket.is_some() && world.dice.chance(2) {
            self.leave(world);
        }
    }

    /// It goes, whatever it is waiting for.
    pub fn leave(&mut self, world: &mut World) {
        if let Some(id) = self.socket {
            world.network.hang_up(&mut world.dice, id, GONE_MS);
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.socket = None;
        self.input.clear();
        self.asked.clear();
    }

    fn read(&mut self, world: &mut World, id: SocketId) {
        world.look(id);
        let bytes = world.network.read(&mut world.dice, id);
        self.input.extend_from_slice(&bytes);
        if !bytes.is_empty() {
            self.heard_ms = world.now.ms;
        }
        while let Some(answer) = http::response(&self.input) {
            self.input.drain(..answer.consumed);
            let (request, sent_ms) = self.asked.pop_front().expect("an answer to a request");
            let waited_ms = world.now.ms - sent_ms;
            match answer.status {
                200 => {
                    let json = serde_json::from_slice(&answer.body).expect("JSON");
                    world.shadow.confirm(request, &json);
                }
                404 => world.shadow.refuse(request),
                503 if world.stopping => {}
                408 if waited_ms >= world.config.head_timeout_ms => {}
                status => panic!("/send is answered {status}: {:?}", answer.text()),
            }
        }
        if world.network.is_over(id) {
            // Requests that cross the end of an idle or a stuck connection are lost.
            let quiet_ms = world.now.ms - self.heard_ms;
            let stuck = quiet_ms >= world.config.write_timeout_ms;
            let may = world.stopping || stuck || world.was_late(id);
            let left = self.asked.len();
            assert!(
                left == 0 || may,
                "closed with {left} unanswered after {quiet_ms} ms"
            );
            if world.network.is_open(id) {
                world.network.finish(id);
            }
            self.forget();
        }
    }

    fn publish(&mut self, world: &mut World) {
        if self.asked.len() >= PIPELINE_MAX {
            return;
        }
        let id = match self.socket {
            Some(id) if world.network.is_open(id) => id,
            // Its last answers are still to be read.
            Some(_) => return,
            None => {
                let id = world.network.open(&mut world.dice);
                self.socket = Some(id);
                self.heard_ms = world.now.ms;
                id
            }
        };
        let mut data = format!("p{}", world.publications);
        world.publications += 1;
        if world.dice.chance(30) {
            data.push_str(world.dice.pick(&[
                " it's",
                " \"x\\y\"",
                " </script>",
                " é\u{2028}😀",
                "\n",
            ]));
        }
        if world.dice.chance(10) {
            data.push_str(&"x".repeat(world.dice.below(3_000)));
        }
        let mut channels: Vec<String> = Vec::new();
        let mut form = format!("data={}", http::percent(&data));
        let mut direct = None;
        if world.dice.chance(20) && !world.sessions.is_empty() {
            let number = world.dice.below(world.sessions.len());
            direct = Some(world.sessions[number].clone());
            form.push_str(&format!("&session={}", world.sessions[number]));
        }
        let most = if direct.is_some() { 1 } else { 2 };
        for _ in 0..world.dice.below(most + 1) {
            let channel = world.dice.pick(&CHANNELS).to_owned();
            if !channels.contains(&channel) {
                form.push_str(&format!("&channel={}", http::percent(&channel)));
                channels.push(channel);
            }
        }
        if channels.is_empty() {
            channels.push("/all".to_owned());
        }
        world.log(|| {
            format!(
                "publish {:?} to {channels:?} {direct:?}",
                data.split([' ', 'x']).next()
            )
        });
        let request = world.shadow.publish(&data, &channels, direct.as_deref());
        let mut fields = "Accept: application/json\r\n".to_owned();
        if world.dice.chance(10) {
            fields.push_str(&format!("Idempotency-Key: {request}\r\n"));
        }
        let bytes = http::post("/send", &fields, form.as_bytes());
        world.network.send(id, &bytes);
        world.network.mark(id, request);
        self.asked.push_back((request, world.now.ms));
    }
}
