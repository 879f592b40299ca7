//! The app at the other end of the relay: slow, down, erring, closing early.

use chloe::wire::http::{Decoded, HttpLimits, RequestDecoder};

use super::network::{SocketId, Stage};
use super::turn::World;

/// A lane, seen from the app.
struct Lane {
    socket: SocketId,
    input: Vec<u8>,
    /// The message that is being worked on, and what will become of it when.
    work: Option<(String, Plan, usize)>,
}

/// What the app does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Take,
    TakeWithJson,
    TakeAndClose,
    /// Says that it closes, and does.
    TakeLast,
    Reject,
    Fail,
    FailForAWhile,
    Cut,
    Reset,
    CutInHead,
    Garble,
    Hang,
}

const PLANS: [Plan; 16] = [
    Plan::Take,
    Plan::Take,
    Plan::Take,
    Plan::Take,
    Plan::TakeWithJson,
    Plan::TakeWithJson,
    Plan::TakeAndClose,
    Plan::TakeLast,
    Plan::Reject,
    Plan::Fail,
    Plan::FailForAWhile,
    Plan::Cut,
    Plan::Reset,
    Plan::CutInHead,
    Plan::Garble,
    Plan::Hang,
];

/// The app.
#[derive(Default)]
pub struct App {
    lanes: Vec<Lane>,
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
        for mut lane in std::mem::take(&mut self.lanes) {
            if self.work(world, &mut lane) {
                self.lanes.push(lane);
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
                // Not yet; or never, if the relay's patience ends first.
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
            self.lanes.push(Lane {
                socket: id,
                input: Vec::new(),
                work: None,
            });
            world.server.handle_connected(world.now, key, Ok(()));
        }
    }

    /// One look at a lane; false when it is of no more use.
    fn work(&mut self, world: &mut World, lane: &mut Lane) -> bool {
        let bytes = world.network.read(&mut world.dice, lane.socket);
        lane.input.extend_from_slice(&bytes);
        if let Some((text, plan, wait)) = &mut lane.work {
            if *wait > 0 {
                *wait -= 1;
            } else {
                let (text, plan) = (text.clone(), *plan);
                if plan != Plan::Hang || world.network.calm {
                    lane.work = None;
                    return carry_out(world, lane.socket, &text, plan);
                }
            }
        } else if !self.take(world, lane) {
            return false;
        }
        if world.network.is_over(lane.socket) {
            if let Some((text, ..)) = &lane.work {
                world.ledger.fail(text, lane.socket);
            }
            if world.network.is_open(lane.socket) {
                world.network.finish(lane.socket);
            }
            return false;
        }
        // An idle connection may be closed at any time.
        if lane.work.is_none() && !world.network.calm && world.dice.chance(2) {
            match world.dice.chance(50) {
                true => world.network.finish(lane.socket),
                false => world.network.reset(lane.socket),
            }
            return false;
        }
        true
    }

    /// Reads a request, if one is there whole.
    fn take(&mut self, world: &mut World, lane: &mut Lane) -> bool {
        let mut decoder = RequestDecoder::default();
        let decoded = decoder.decode(&lane.input, &HttpLimits::default());
        let (text, session, id, consumed) = match decoded.expect("the relay speaks HTTP") {
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
        assert_eq!(consumed, lane.input.len(), "one request at a time");
        lane.input.clear();
        self.asked += 1;
        world.log(|| format!("app: {text:?} of {}", &session[..8]));
        world
            .ledger
            .ask(&world.network, &text, &session, &id, lane.socket);
        let calm = world.network.calm;
        let well = calm || world.dice.chance(70);
        let plan = if well {
            Plan::Take
        } else {
            world.dice.pick(&PLANS)
        };
        let wait = match calm || world.dice.chance(70) {
            true => 0,
            false => world.dice.below(20),
        };
        lane.work = Some((text, plan, wait));
        true
    }
}

/// Answers, or fails to; false when the lane is of no more use.
fn carry_out(world: &mut World, id: SocketId, text: &str, plan: Plan) -> bool {
    world.log(|| format!("app: {plan:?} {text:?}"));
    if !world.network.is_open(id) {
        world.ledger.fail(text, id);
        return false;
    }
    let json =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
    let (answer, decides) = match plan {
        Plan::Take | Plan::TakeAndClose | Plan::Hang => {
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200)
        }
        Plan::TakeWithJson => (json, 200),
        Plan::TakeLast => ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthe end", 200),
        Plan::Reject => ("HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n", 422),
        Plan::Fail => ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", 0),
        Plan::FailForAWhile => (
            "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
            0,
        ),
        Plan::Cut | Plan::Reset => ("", 0),
        Plan::CutInHead => ("HTTP/1.1 2", 0),
        Plan::Garble => ("220 mail.example ESMTP\r\n", 0),
    };
    world.network.send(id, answer.as_bytes());
    match decides {
        0 => world.ledger.fail(text, id),
        status => world.ledger.answer(&world.network, text, id, status),
    }
    match plan {
        Plan::TakeAndClose | Plan::TakeLast | Plan::Cut | Plan::CutInHead => {
            world.network.finish(id);
            false
        }
        Plan::Reset => {
            world.network.reset(id);
            false
        }
        _ => true,
    }
}
