//! How the simulated event loop reads: edge-triggered, as the true one does (`net`).
//!
//! A socket is looked at when something came of which the loop was not told yet, when
//! its share of a turn was not enough, and when the server asks for it by
//! `Action::ResumeRead`. Nobody else makes the loop look: what is never resumed stays unread.

use std::collections::VecDeque;

use chloe::server::{ConnKey, Server};

use super::network::{SocketId, Stage, take};
use super::shadow::Shadow;
use super::turn::World;

/// More reads than this in one turn is a spin.
const READS_MAX: usize = 20_000;

/// The most that one read takes.
const SCRATCH_BYTES: usize = 4_096;

/// After so many turns the server has let go of a connection that broke, also if it
/// wants to read no more of it for now.
const BROKEN_TURNS: usize = 40;

impl World {
    /// The kernel tells of what came since it last did.
    pub fn take_edges(&mut self) {
        for &id in &self.network.live {
            let socket = &mut self.network.sockets[id];
            let key = socket.key.filter(|_| socket.stage == Stage::Open);
            let held_back = key.is_some_and(|key| self.server.is_held_back(key));
            if socket.reset && socket.stage == Stage::Open && !held_back {
                socket.broken_turns += 1;
                let (turns, reading) = (socket.broken_turns, &socket.reading);
                assert!(
                    turns <= BROKEN_TURNS,
                    "{id} broke, and is still there {turns} turns later: {reading:?}"
                );
            }
            if socket.stage != Stage::Open || !std::mem::take(&mut socket.reading.edge) {
                continue;
            }
            // A half-closed socket is readable for ever; only an error is new.
            if socket.finish_told && !socket.reset {
                continue;
            }
            socket.reading.readable = true;
            socket.reading.ending |= socket.finished || socket.reset;
            if !std::mem::replace(&mut socket.reading.queued, true) {
                self.ready.push_back(id);
            }
        }
    }

    fn enqueue(&mut self, id: SocketId) {
        let reading = &mut self.network.sockets[id].reading;
        if !std::mem::replace(&mut reading.queued, true) {
            self.ready.push_back(id);
        }
    }

    /// Gives each ready socket one go, in any order; some have to wait for another turn.
    pub fn read(&mut self) {
        self.dice.shuffle(self.ready.make_contiguous());
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else {
                return;
            };
            let socket = &self.network.sockets[id];
            let Some(key) = socket.key.filter(|_| socket.stage == Stage::Open) else {
                continue;
            };
            let waits = !self.network.calm && self.dice.chance(15);
            if waits || self.server.is_held_back(key) || self.is_publishing(key) {
                self.ready.push_back(id);
                continue;
            }
            self.network.sockets[id].reading.queued = false;
            self.read_socket(id, key);
        }
    }

    fn read_socket(&mut self, id: SocketId, key: ConnKey) {
        let share = self.config.turn_read_bytes;
        let mut budget = match self.network.calm || self.dice.chance(70) {
            true => share,
            false => self.dice.range(1, share),
        };
        for _ in 0..READS_MAX {
            let socket = &mut self.network.sockets[id];
            let open = socket.stage == Stage::Open && socket.reading.readable;
            if !open {
                return;
            }
            if !socket.finish_told && !self.server.wants_read(key) {
                if socket.reset {
                    // Nobody is there any more, whatever is not read.
                    self.lose(id, key);
                }
                return;
            }
            if budget == 0 {
                return self.enqueue(id);
            }
            if socket.reset {
                return self.lose(id, key);
            }
            if socket.inbound.is_empty() {
                socket.reading.readable = false;
                if socket.finished && !std::mem::replace(&mut socket.finish_told, true) {
                    self.server.handle_finished(self.now, key);
                }
                continue;
            }
            let room = budget.min(SCRATCH_BYTES);
            let there = socket.inbound.len().min(room);
            let whole = socket.reading.ending || self.network.calm || self.dice.chance(40);
            let count = match whole {
                true => there,
                false => self.dice.range(1, there),
            };
            // A short read has taken all there was; what is left comes later, and is told.
            socket.reading.readable = count == room || socket.reading.ending;
            socket.reading.edge |= count < room && count < socket.inbound.len();
            budget -= count;
            self.deliver(id, key, count);
        }
        panic!("reading never ends");
    }

    /// Hands `count` bytes to the server, no more than one publication at a time: it may
    /// have to wait, and what is behind it is read later.
    fn deliver(&mut self, id: SocketId, key: ConnKey, mut count: usize) {
        while count > 0 {
            let socket = &mut self.network.sockets[id];
            let mark = socket.marks.front().copied();
            let piece = mark.map_or(count, |(end, _)| {
                count.min((end - socket.delivered) as usize)
            });
            count -= piece;
            let mut bytes = take(&mut socket.inbound, piece);
            socket.delivered += piece as u64;
            let published = mark.filter(|&(end, _)| end == socket.delivered);
            self.note_published();
            self.server.handle_received(self.now, key, &mut bytes);
            if let Some((_, number)) = published {
                self.network.sockets[id].marks.pop_front();
                self.publish(key, number);
            }
            self.note_published();
            let gone = self.server.waits_to_publish(key).is_none();
            let stop = self.is_publishing(key) || !self.server.wants_read(key);
            if gone || (count > 0 && stop) {
                if !gone && self.is_publishing(key) {
                    self.enqueue(id);
                }
                self.network.sockets[id].reading.readable = true;
                return;
            }
        }
    }

    /// Whether the server holds a publication of the connection back: what comes behind
    /// that is left unread here, so that it is known which of them it has taken.
    fn is_publishing(&self, key: ConnKey) -> bool {
        self.publishing.iter().any(|&(other, _)| other == key)
    }

    /// A request to publish is with the server, which takes it at once or holds it back.
    fn publish(&mut self, key: ConnKey, number: usize) {
        match self.server.waits_to_publish(key) {
            Some(true) => self.publishing.push_back((key, number)),
            _ => self.shadow.accept(number),
        }
    }

    /// What the server held back and has taken since, in the order in which it came.
    pub fn note_published(&mut self) {
        note_published(&self.server, &mut self.shadow, &mut self.publishing);
    }

    /// Whatever the server wants to read is going to be read: nobody waits for a word
    /// that was forgotten.
    pub fn check_reading(&mut self) {
        for &id in &self.network.live {
            let socket = &self.network.sockets[id];
            let reading = &socket.reading;
            let told = reading.edge || reading.queued || socket.finish_told;
            let news = !socket.inbound.is_empty() || socket.finished || socket.reset;
            let Some(key) = socket.key.filter(|_| socket.stage == Stage::Open) else {
                continue;
            };
            assert!(
                !news || told || !self.server.wants_read(key),
                "{id} is wanted to be read, and nobody resumes that: {reading:?}"
            );
        }
    }
}

/// As `World::note_published`.
pub fn note_published(
    server: &Server,
    shadow: &mut Shadow,
    publishing: &mut VecDeque<(ConnKey, usize)>,
) {
    publishing.retain(|&(key, number)| {
        let waits = server.waits_to_publish(key);
        if waits == Some(false) {
            shadow.accept(number);
        }
        // Of one that is gone the request was never made.
        waits == Some(true)
    });
}
