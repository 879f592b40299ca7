//! The app at the other end of the webhook: slow, down, and in the moods of `mood`.

use chloe::wire::http::{Decoded, HttpLimits, RequestDecoder};

use super::mood::{Plan, carry_out};
use super::network::{SocketId, Stage};
use super::turn::World;

/// An upstream connection, seen from the app.
struct Upstream {
    socket: SocketId,
    input: Vec<u8>,
    /// The message that is being worked on, and what will become of it when.
    work: Option<(String, Plan, usize)>,
}

/// The app.
#[derive(Default)]
pub struct App {
    upstreams: Vec<Upstream>,
    /// It refuses connections.
    down: bool,
    pub asked: u64,
}

impl App {
    pub fn step(&mut self, world: &mut World) {
        if world.network.calm {
            self.down = false;
        } else if world.dice.chance(1) {
            self.down = !self.down;
        }
        self.resolve(world);
        self.decide(world);
        for mut upstream in std::mem::take(&mut self.upstreams) {
            if self.work(world, &mut upstream) {
                self.upstreams.push(upstream);
            }
        }
    }

    fn resolve(&mut self, world: &mut World) {
        if world.resolving && (world.network.calm || world.dice.chance(30)) {
            world.resolving = false;
            let fails = !world.network.calm && world.dice.chance(10);
            let result = match fails {
                true => Err("no such host".to_owned()),
                false => Ok(vec![
                    "[::1]:4567".parse().expect("an address"),
                    "127.0.0.1:4567".parse().expect("an address"),
                ]),
            };
            world.server.handle_resolved(world.now, result);
        }
    }

    /// Takes connections, or not.
    fn decide(&mut self, world: &mut World) {
        for (id, address) in std::mem::take(&mut world.dialed) {
            let socket = &world.network.sockets[id];
            let Some(key) = socket.key.filter(|_| socket.stage == Stage::Connecting) else {
                continue;
            };
            if !world.network.calm && world.dice.chance(40) {
                // Not yet; or never, if the webhook's patience ends first.
                world.dialed.push((id, address));
                continue;
            }
            if self.down || address.is_ipv6() {
                world.network.close(id);
                let refused = Err(std::io::ErrorKind::ConnectionRefused);
                world.server.handle_connected(world.now, key, refused);
                continue;
            }
            world.network.sockets[id].stage = Stage::Open;
            self.upstreams.push(Upstream {
                socket: id,
                input: Vec::new(),
                work: None,
            });
            world.server.handle_connected(world.now, key, Ok(()));
        }
    }

    /// One look at an upstream connection; false when it is of no more use.
    fn work(&mut self, world: &mut World, upstream: &mut Upstream) -> bool {
        let bytes = world.network.read(&mut world.dice, upstream.socket);
        upstream.input.extend_from_slice(&bytes);
        if let Some((text, plan, wait)) = &mut upstream.work {
            if *wait > 0 {
                *wait -= 1;
            } else {
                let (text, plan) = (text.clone(), *plan);
                if plan != Plan::Hang || world.network.calm {
                    upstream.work = None;
                    return carry_out(world, upstream.socket, &text, plan);
                }
            }
        } else if !self.take(world, upstream) {
            return false;
        }
        if world.network.is_over(upstream.socket) {
            if let Some((text, ..)) = &upstream.work {
                world.ledger.fail(text, upstream.socket);
            }
            if world.network.is_open(upstream.socket) {
                world.network.finish(upstream.socket);
            }
            return false;
        }
        // An idle connection may be closed at any time.
        if upstream.work.is_none() && !world.network.calm && world.dice.chance(2) {
            match world.dice.below(8) {
                0..3 => world.network.finish(upstream.socket),
                3..6 => world.network.reset(upstream.socket),
                // It says what nobody asked for, and closes.
                6 => {
                    let answer = b"HTTP/1.1 408 Idle\r\nContent-Length: 0\r\n\r\n";
                    world.network.send(upstream.socket, answer);
                    world.network.finish(upstream.socket);
                }
                _ => {
                    let limit_ms = world.config.webhook_timeout_ms + 10_000;
                    let dice = &mut world.dice;
                    world.network.vanish(dice, upstream.socket, limit_ms);
                }
            }
            return false;
        }
        true
    }

    /// Reads a request, if one is there whole.
    fn take(&mut self, world: &mut World, upstream: &mut Upstream) -> bool {
        let mut decoder = RequestDecoder::default();
        let decoded = decoder.decode(&upstream.input, &HttpLimits::default());
        let (text, session, id, consumed) = match decoded.expect("the webhook speaks HTTP") {
            Decoded::NeedMore { .. } => return true,
            Decoded::Request { request, consumed } => (
                String::from_utf8(request.body.to_vec()).expect("text"),
                request
                    .headers
                    .get("X-Chloe-Session")
                    .expect("a session")
                    .to_owned(),
                request.headers.get("webhook-id").expect("an id").to_owned(),
                consumed,
            ),
        };
        assert_eq!(consumed, upstream.input.len(), "one request at a time");
        upstream.input.clear();
        self.asked += 1;
        world.log(|| format!("app: {text:?} of {}", &session[..8]));
        world
            .ledger
            .ask(&world.network, &text, &session, &id, upstream.socket);
        let calm = world.network.calm;
        let well = calm || world.dice.chance(70);
        let plan = match well {
            true => Plan::Take,
            false => Plan::any(&mut world.dice),
        };
        let wait = match calm || world.dice.chance(70) {
            true => 0,
            false => world.dice.below(20),
        };
        upstream.work = Some((text, plan, wait));
        true
    }
}
