//! A peer that asks and asks, and reads when it likes: answered in order, and
//! not read further than the server is willing to keep answers for.

use std::collections::VecDeque;

use super::http;
use super::network::{GONE_MS, SocketId};
use super::turn::World;

/// Bytes of requests at a time that a server with small limits may hold in any
/// form: what it keeps unread, a turn's reading, and those of the answers it keeps.
const HELD_MAX: u64 = 200_000;

#[derive(Default)]
pub struct Flooder {
    socket: Option<SocketId>,
    input: Vec<u8>,
    /// The status and the end of each request that is not answered.
    asked: VecDeque<(u16, u64)>,
    /// The bytes of the requests that are.
    answered: u64,
    pub got: u64,
}

impl Flooder {
    pub fn step(&mut self, world: &mut World) {
        let Some(id) = self.socket else {
            if !world.network.calm && world.dice.chance(1) && world.dice.chance(50) {
                self.open(world);
            }
            return;
        };
        world.look(id);
        let held = world.network.sockets[id].delivered - self.answered;
        assert!(held < HELD_MAX, "{held} bytes of requests are held");
        if world.network.calm || world.dice.chance(10) {
            self.read(world, id);
        }
        if world.network.is_over(id) {
            let may = world.stopping || world.was_late(id);
            let left = self.asked.len();
            assert!(
                left == 0 || may || self.is_late(world),
                "closed with {left} unanswered"
            );
            if world.network.is_open(id) {
                world.network.finish(id);
            }
            *self = Flooder {
                got: self.got,
                ..Flooder::default()
            };
        }
    }

    /// Whether the server may have lost its patience with this reader.
    fn is_late(&self, world: &World) -> bool {
        !world.network.calm || world.now.ms > world.config.write_timeout_ms
    }

    /// Whether an answer is still to come.
    pub fn waits(&self) -> bool {
        !self.asked.is_empty()
    }

    /// It goes, whatever it is waiting for.
    pub fn leave(&mut self, world: &mut World) {
        if let Some(id) = self.socket {
            world.network.hang_up(&mut world.dice, id, GONE_MS);
        }
        *self = Flooder {
            got: self.got,
            ..Flooder::default()
        };
    }

    fn open(&mut self, world: &mut World) {
        let id = world.network.open(&mut world.dice);
        self.socket = Some(id);
        for _ in 0..world.dice.range(1, 300) {
            let (bytes, status) = match world.dice.below(4) {
                0 => (http::get("/nothing"), 404),
                1 => (http::post("/send", "", b"channel=x"), 400),
                _ => (http::get("/chloe/ping"), 200),
            };
            world.network.send(id, &bytes);
            self.asked.push_back((status, world.network.sent(id)));
        }
        if world.dice.chance(50) {
            world.network.finish(id);
        }
    }

    fn read(&mut self, world: &mut World, id: SocketId) {
        let bytes = world.network.read(&mut world.dice, id);
        self.input.extend_from_slice(&bytes);
        let mut used = 0;
        while let Some(answer) = http::response(&self.input[used..]) {
            used += answer.consumed;
            let (status, end) = self.asked.pop_front().expect("an answer to a request");
            if answer.status == 408 && world.was_late(id) {
                self.asked.clear();
                break;
            }
            assert_eq!(answer.status, status, "{}", answer.text());
            self.answered = end;
            self.got += 1;
        }
        self.input.drain(..used);
    }
}
