//! Rude peers, of several addresses: they do their worst, and nobody else may notice.
//!
//! What each says is in `insults`. How it is carried is here: in packets, some of them
//! behind the end; read or not; ended in any way, or not at all.

use std::collections::VecDeque;

use chloe::server::Peer;

use super::http;
use super::insults::{self, Kind, Said};
use super::network::{GONE_MS, SocketId, Stage};
use super::turn::World;

/// The addresses: two of IPv4, and networks of two sites.
const ADDRESSES: [&str; 5] = [
    "8.8.8.8",
    "8.8.4.4",
    "2a00:7:7:1::1",
    "2a00:7:7:2::1",
    "2a00:7:8::1",
];

/// Sessions that rude peers know of: more than these are forgotten.
const SESSIONS_KEPT: usize = 20;

/// One peer, on one connection after the other.
pub struct Rude {
    address: usize,
    /// What it always does, if it is one of a crowd.
    fashion: Option<Kind>,
    socket: Option<SocketId>,
    /// What it is going to send, a packet at a time.
    packets: VecDeque<Vec<u8>>,
    /// It sends a FIN behind the last of them, and stays.
    finishes: bool,
    /// It says the last packet again and again, for as long as it can.
    repeats: usize,
    reads: bool,
    input: Vec<u8>,
    /// It does not come again.
    pub gone: bool,
    /// Connections, and bytes that it was sent.
    pub came: u64,
    pub got: u64,
}

impl Rude {
    /// Some of them, who have nothing to do with each other; or a crowd, at one address,
    /// who all do the same.
    pub fn several(world: &mut World) -> Vec<Rude> {
        if world.dice.chance(80) {
            let count = world.dice.below(6);
            let alone = (0..count).map(|_| Rude::new(world.dice.below(ADDRESSES.len()), None));
            return alone.collect();
        }
        let (count, address) = (world.dice.range(3, 10), world.dice.below(ADDRESSES.len()));
        let fashion = Some(insults::kind(&mut world.dice));
        (0..count).map(|_| Rude::new(address, fashion)).collect()
    }

    fn new(address: usize, fashion: Option<Kind>) -> Rude {
        Rude {
            address,
            fashion,
            socket: None,
            packets: VecDeque::new(),
            finishes: false,
            repeats: 0,
            reads: false,
            input: Vec::new(),
            gone: false,
            came: 0,
            got: 0,
        }
    }

    pub fn step(&mut self, world: &mut World) {
        let Some(id) = self.socket else {
            if !self.gone && !world.network.calm && world.dice.chance(4) {
                self.come(world);
            }
            return;
        };
        if self.reads {
            self.read(world, id);
        }
        if world.network.is_open(id) && world.dice.chance(50) {
            self.send(world, id);
        }
        let gone = world.network.sockets[id].stage == Stage::Closed || world.network.is_over(id);
        // When all is calm, who is here stays.
        let goes = match gone {
            true => world.dice.chance(30),
            false => !world.network.calm && world.dice.chance(2),
        };
        if goes {
            self.leave(world);
        }
    }

    /// It goes, in one way or another.
    pub fn leave(&mut self, world: &mut World) {
        if let Some(id) = self.socket.take() {
            world.network.hang_up(&mut world.dice, id, GONE_MS);
        }
        self.packets.clear();
        self.input.clear();
    }

    fn come(&mut self, world: &mut World) {
        let address = ADDRESSES[self.address];
        let proxied = world.dice.chance(30);
        let peer = match proxied {
            true => "127.0.0.1:50001".to_owned(),
            false if address.contains(':') => format!("[{address}]:50001"),
            false => format!("{address}:50001"),
        };
        let peer = Peer::Tcp(peer.parse().expect("an address"));
        let fields = match proxied {
            true => format!("X-Forwarded-For: {address}\r\n"),
            false => String::new(),
        };
        let session = match world.rude_sessions.len() {
            0 => "00".repeat(16),
            count => world.rude_sessions[world.dice.below(count)].clone(),
        };
        let said = Said {
            address: self.address,
            fields,
            session,
        };
        let id = world.network.open_from(&mut world.dice, peer);
        let kind = self
            .fashion
            .unwrap_or_else(|| insults::kind(&mut world.dice));
        let packets = insults::say(kind, &mut world.dice, &said);
        world.log(|| {
            format!(
                "rude {address} on {id}: {kind:?}, {} packets",
                packets.len()
            )
        });
        self.socket = Some(id);
        self.packets = packets.into();
        self.finishes = kind.finishes() || world.dice.chance(5);
        self.repeats = match kind.repeats() {
            true => world.dice.below(40),
            false => 0,
        };
        self.reads = !kind.is_deaf() && world.dice.chance(70);
        self.came += 1;
    }

    fn send(&mut self, world: &mut World, id: SocketId) {
        let Some(packet) = self.packets.pop_front() else {
            if std::mem::take(&mut self.finishes) {
                world.network.finish(id);
            }
            return;
        };
        world.network.send(id, &packet);
        if self.packets.is_empty() && self.repeats > 0 {
            self.repeats -= 1;
            self.packets.push_back(packet);
        }
    }

    /// Reads what has come, and looks for the ids of sessions in it.
    fn read(&mut self, world: &mut World, id: SocketId) {
        let bytes = world.network.read(&mut world.dice, id);
        self.got += bytes.len() as u64;
        self.input.extend_from_slice(&bytes);
        let Some((before, session)) = http::session_in(&self.input) else {
            let kept = self.input.len().saturating_sub(100);
            self.input.drain(..kept);
            return;
        };
        self.input.drain(..before);
        world.rude_sessions.push(session);
        if world.rude_sessions.len() > SESSIONS_KEPT {
            world.rude_sessions.remove(0);
        }
    }
}
