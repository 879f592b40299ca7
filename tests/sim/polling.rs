//! A browser that asks with requests: XHR and JSONP.

use serde_json::{Value, json};

use super::browser::{Browser, State, Way, Wish};
use super::http::{self, Call, Response};
use super::network::{GONE_MS, Network, SocketId};
use super::turn::World;

/// What a request is for.
#[derive(Clone, Debug, PartialEq)]
enum Purpose {
    Connect,
    Poll,
    Command(Wish, Option<u64>),
}

struct Exchange {
    socket: SocketId,
    input: Vec<u8>,
    purpose: Purpose,
    sent_ms: u64,
    /// When the first byte of the answer was written.
    begun: Option<u64>,
}

impl Exchange {
    /// When the answer was begun, as far as it is.
    fn begun(&self, network: &Network) -> Option<u64> {
        let socket = &network.sockets[self.socket];
        let there = (!socket.outbound.is_empty()).then_some(socket.begun);
        self.begun.or(there)
    }
}

/// The requests under way, oldest first.
#[derive(Default)]
pub struct Polls {
    exchanges: Vec<Exchange>,
    /// Kept-alive connections that wait for the next request.
    idle: Vec<SocketId>,
    count: u64,
    /// The number of the last batch that came on this connection.
    batch: u64,
}

impl Polls {
    fn is_polling(&self) -> bool {
        self.exchanges.iter().any(|e| e.purpose == Purpose::Poll)
    }

    /// Another poll's answer was begun before: scripts run in the order in which they came.
    fn is_behind(&self, network: &Network, number: usize) -> bool {
        let exchange = &self.exchanges[number];
        let begun = exchange.begun(network);
        let mut polls = self.exchanges.iter();
        exchange.purpose == Purpose::Poll
            && polls.any(|other| {
                let before = other.begun(network);
                other.purpose == Purpose::Poll && before.is_some() && before < begun
            })
    }

    fn is_commanding(&self) -> bool {
        let command = |e: &Exchange| matches!(e.purpose, Purpose::Command(..));
        self.exchanges.iter().any(command)
    }
}

impl Browser {
    pub fn open_polls(&mut self, world: &mut World) {
        self.polls.batch = 0;
        let mut message = self.connect_message(world);
        if self.way == Way::Jsonp {
            message["id"] = self.number.into();
        }
        self.request(world, &message, Purpose::Connect);
    }

    pub fn drop_polls(&mut self, world: &mut World) {
        for exchange in std::mem::take(&mut self.polls.exchanges) {
            if let Purpose::Command(wish, id) = exchange.purpose
                && (id.is_some() || !matches!(wish, Wish::Say(_)))
                && !self.waiting.values().any(|waiting| *waiting == wish)
            {
                self.wishes.push_front(wish);
            }
            self.hang_up(world, exchange.socket);
        }
        for socket in std::mem::take(&mut self.polls.idle) {
            self.hang_up(world, socket);
        }
    }

    fn hang_up(&mut self, world: &mut World, socket: SocketId) {
        world.network.hang_up(&mut world.dice, socket, GONE_MS);
    }

    /// The way to the server is gone.
    pub fn lose_poll_ways(&mut self, world: &mut World) {
        let asking = self.polls.exchanges.iter().map(|e| e.socket);
        for socket in asking.chain(self.polls.idle.iter().copied()) {
            world.network.vanish(&mut world.dice, socket, GONE_MS);
        }
    }

    pub fn step_polls(&mut self, world: &mut World) {
        self.read_polls(world);
        let polling = matches!(self.way, Way::Xhr | Way::Jsonp);
        if self.state != State::Connected || !polling {
            return;
        }
        if !self.polls.is_commanding()
            && let Some(wish) = self.wishes.pop_front()
        {
            let (mut message, id) = self.message_of(world, &wish);
            message["sessionId"] = self.session.clone().into();
            if let Some(id) = id {
                self.waiting.insert(id, wish.clone());
            }
            self.request(world, &message, Purpose::Command(wish, id));
        }
        if self.modern && !self.polls.is_polling() && (world.network.calm || world.dice.chance(70))
        {
            self.poll(world);
        }
        // A page of old that polls twice, as it does after a burst of yore.
        if !self.modern && self.polls.is_polling() && !world.network.calm && world.dice.chance(1) {
            self.poll(world);
        }
        if !world.network.calm && world.dice.chance(1) && world.dice.chance(50) {
            self.break_poll(world);
        }
    }

    fn poll(&mut self, world: &mut World) {
        let mut message = json!({"type": "poll", "version": 1, "sessionId": self.session});
        if self.modern {
            message["wait"] = world.dice.pick(&[0, 1_000, 5_000, 60_000]).into();
            message["positions"] = self.reader.positions();
            message["batch"] = self.polls.batch.into();
        }
        if self.way == Way::Jsonp {
            message["id"] = self.number.into();
        }
        self.request(world, &message, Purpose::Poll);
    }

    /// The poll's connection breaks; the browser stays.
    fn break_poll(&mut self, world: &mut World) {
        let xhr = self.way == Way::Xhr;
        let polls = self.polls.exchanges.iter();
        let count = polls.filter(|e| e.purpose == Purpose::Poll).count();
        // Of two, the one that breaks might come last, and end the other.
        if count == 0 || (!self.modern && (xhr || count > 1)) {
            return;
        }
        let place = self
            .polls
            .exchanges
            .iter()
            .position(|e| e.purpose == Purpose::Poll);
        let place = place.expect("a poll");
        if self.polls.is_behind(&world.network, place) {
            return;
        }
        let mut exchange = self.polls.exchanges.remove(place);
        let name = self.name().to_owned();
        world.log(|| format!("{name}: breaks its poll"));
        let socket = &mut world.network.sockets[exchange.socket];
        exchange.input.extend(socket.outbound.drain(..));
        if self.modern {
            return self.hang_up(world, exchange.socket);
        }
        // By a FIN the server could not tell that nobody reads any more.
        world.network.reset(exchange.socket);
        // What was on the way is lost, and nobody can tell: as good as read.
        // Nor, after a leap of the clock, whether it was late.
        if let Some(response) = http::response(&exchange.input).filter(|r| r.status != 408) {
            self.poll_sent_ms = exchange.sent_ms;
            self.poll_answered(world, &response);
        }
        if !self.polls.is_polling() && self.state == State::Connected {
            // The script's error event makes the page poll again at once (A.27).
            self.poll(world);
        }
    }

    fn request(&mut self, world: &mut World, message: &Value, purpose: Purpose) {
        let network = &mut world.network;
        self.polls.idle.retain(|socket| network.is_open(*socket));
        let socket = match self.polls.idle.pop() {
            Some(socket) => socket,
            None => network.open(&mut world.dice),
        };
        if self.is_dark() {
            network.vanish(&mut world.dice, socket, GONE_MS);
        }
        self.polls.count += 1;
        let text = message.to_string();
        let data = match self.modern {
            true => http::percent(&text),
            false => http::escape(&text),
        };
        let count = self.polls.count;
        let bytes = match (self.way, &purpose) {
            (Way::Xhr, Purpose::Poll) if !self.modern => {
                http::get(&format!("/chloe/xhr/{count}?data={data}"))
            }
            (Way::Xhr, _) => http::post("/chloe/xhr", "", format!("data={data}").as_bytes()),
            // Without the blank, as the page of old does it.
            _ => http::get(&format!("/chloe/jsonp.js?data={data}ts={count}")),
        };
        network.send(socket, &bytes);
        let name = self.name().to_owned();
        world.log(|| format!("{name}: asks on {socket} for {purpose:?}"));
        self.polls.exchanges.push(Exchange {
            socket,
            input: Vec::new(),
            purpose,
            sent_ms: world.now.ms,
            begun: None,
        });
    }

    fn read_polls(&mut self, world: &mut World) {
        let mut number = 0;
        while number < self.polls.exchanges.len() {
            let exchange = &self.polls.exchanges[number];
            let socket = exchange.socket;
            let begun = exchange.begun(&world.network);
            if self.polls.is_behind(&world.network, number) {
                number += 1;
                continue;
            }
            world.look(socket);
            let bytes = world.network.read(&mut world.dice, socket);
            let exchange = &mut self.polls.exchanges[number];
            exchange.begun = exchange.begun.or(begun.filter(|_| !bytes.is_empty()));
            exchange.input.extend_from_slice(&bytes);
            let whole = match bytes.is_empty() {
                true => None,
                false => http::response(&exchange.input),
            };
            if let Some(response) = whole {
                let name = self.reader.name.clone();
                world.log(|| {
                    format!(
                        "{name}: is answered on {socket}, {}: {}",
                        response.status,
                        response.text()
                    )
                });
                let exchange = self.polls.exchanges.remove(number);
                assert_eq!(response.consumed, exchange.input.len(), "{}", self.name());
                let waited_ms = world.now.ms - exchange.sent_ms;
                if response.status == 408 && waited_ms >= world.config.head_timeout_ms {
                    return self.broke(world, exchange);
                }
                if response.keep_alive && world.network.is_open(socket) && world.dice.chance(70) {
                    self.polls.idle.push(socket);
                } else {
                    self.hang_up(world, socket);
                }
                if exchange.purpose == Purpose::Poll {
                    self.poll_sent_ms = exchange.sent_ms;
                }
                self.read_answer(world, exchange.purpose, &response);
            } else if world.network.is_over(socket) {
                let exchange = self.polls.exchanges.remove(number);
                return self.broke(world, exchange);
            } else {
                number += 1;
            }
        }
    }

    /// A request was not answered.
    fn broke(&mut self, world: &mut World, exchange: Exchange) {
        // An idle connection may be closed while a request is on its way.
        if let Purpose::Command(wish, id) = exchange.purpose {
            if let Some(id) = id {
                self.waiting.remove(&id);
            }
            if id.is_some() || !matches!(wish, Wish::Say(_)) {
                self.wishes.push_front(wish);
            }
        }
        self.lose(world);
    }

    fn read_answer(&mut self, world: &mut World, purpose: Purpose, response: &Response) {
        match purpose {
            Purpose::Connect => self.connect_answered(world, response),
            Purpose::Poll => self.poll_answered(world, response),
            Purpose::Command(wish, id) => self.command_answered(world, wish, id, response),
        }
    }

    /// The one object that an answer holds, of either transport.
    fn object(&self, response: &Response) -> Option<Value> {
        let text = response.text();
        if self.way == Way::Jsonp {
            assert_eq!(response.status, 200, "{}: {text}", self.name());
            let mut calls = http::calls(&text);
            assert!(calls.len() <= 1, "{}: {text}", self.name());
            return calls.pop().map(|call| match call {
                Call::Response(value) => value,
                other => panic!("{}: {other:?}", self.name()),
            });
        }
        (!text.is_empty()).then(|| serde_json::from_str(&text).expect("JSON"))
    }

    fn connect_answered(&mut self, world: &mut World, response: &Response) {
        let answer = self.object(response).expect("an answer to connect");
        if answer["type"] == "error" {
            let paced = world.tight && answer["code"] == "messages_per_second_max";
            assert!(world.stopping || paced, "{}: {answer}", self.name());
            return self.lose(world);
        }
        if self.modern {
            return self.connected(world, &answer);
        }
        assert_eq!(answer["type"], "connect", "{}: {answer}", self.name());
        let session = answer["sessionId"].as_str().expect("a session").to_owned();
        self.begin(world, &session);
        self.reader.joined(&world.shadow, "/all");
        self.state = State::Connected;
        self.alive_ms = self.poll_sent_ms;
        self.poll(world);
    }

    fn command_answered(
        &mut self,
        world: &mut World,
        wish: Wish,
        id: Option<u64>,
        response: &Response,
    ) {
        let answer = self.object(response);
        if let Some(answer) = &answer {
            if answer["code"] == "unknown_session" {
                if let Some(id) = id {
                    self.waiting.remove(&id);
                }
                // Without an id nobody could tell what is sent twice.
                if id.is_some() || !matches!(wish, Wish::Say(_)) {
                    self.wishes.push_front(wish);
                }
                return self.session_lost(world);
            }
            if id.is_some() {
                return self.receive(world, answer);
            }
        }
        if response.status != 200 {
            let code = answer.map(|answer| answer["code"].clone());
            assert!(world.stopping || world.tight, "{}: {code:?}", self.name());
            if let Wish::Say(text) = &wish {
                world.ledger.of(text).refused = true;
            }
            if !self.modern {
                self.lose(world);
            }
            return;
        }
        assert_eq!(answer, None, "{}: {wish:?}", self.name());
        // A refusal without an id is an empty script, as success is.
        let young = world.now.ms - self.alive_ms < world.config.session_ttl_ms;
        let lives = young && self.life == world.life();
        let lives_on = world.life() == world.lives[world.network.process];
        if self.way == Way::Jsonp && !lives {
            return;
        }
        match wish {
            Wish::Subscribe(channel) if !world.tight => self.reader.joined(&world.shadow, &channel),
            // A full webhook refuses, or a server that stops, and an empty script cannot say so.
            Wish::Say(text)
                if lives_on && !((world.tight || world.stopping) && self.way == Way::Jsonp) =>
            {
                world.ledger.certain(&text);
            }
            _ => {}
        }
    }

    /// The server knows the session no more: it may, if nothing kept it alive.
    fn session_lost(&mut self, world: &mut World) {
        let age_ms = world.now.ms - self.alive_ms;
        let may = age_ms >= world.config.session_ttl_ms || world.stopping;
        assert!(
            may || self.life != world.life(),
            "{}: its session ended after {age_ms} ms",
            self.name()
        );
        self.lose(world);
    }

    fn poll_answered(&mut self, world: &mut World, response: &Response) {
        if self.modern {
            return self.batch(world, response);
        }
        let sent_ms = self.poll_sent_ms;
        let text = response.text();
        let got = match self.way {
            Way::Jsonp => self.script(world, response, &text),
            _ => self.message(world, response, &text),
        };
        if got {
            self.alive_ms = self.alive_ms.max(sent_ms);
            return self.poll(world);
        }
        if self.polls.is_polling() {
            // The newer poll took its place.
            return;
        }
        let age_ms = world.now.ms - self.alive_ms;
        let ended = age_ms >= world.config.session_ttl_ms || self.life != world.life();
        assert!(
            ended || world.stopping,
            "{}: silenced by {text:?}",
            self.name()
        );
        self.lose(world);
    }

    /// An old XHR page's answer: exactly one message, or nothing.
    fn message(&mut self, world: &mut World, response: &Response, text: &str) -> bool {
        if response.status == 404 {
            self.session_lost(world);
            return false;
        }
        if response.status != 200 {
            assert!(
                world.stopping,
                "{}: {} {text}",
                self.name(),
                response.status
            );
            return false;
        }
        if text.trim().is_empty() {
            return false;
        }
        let answer: Value = serde_json::from_str(text).expect("JSON");
        let messages = answer["messages"].as_array().expect("messages");
        assert!(messages.len() <= 1, "{}: {answer}", self.name());
        for message in messages {
            self.receive(world, message);
        }
        !messages.is_empty()
    }

    /// An old JSONP page's script: only its last call makes it poll again.
    fn script(&mut self, world: &mut World, response: &Response, text: &str) -> bool {
        assert_eq!(response.status, 200, "{}: {text}", self.name());
        let calls = http::calls(text);
        let last = calls.len();
        for (number, call) in calls.into_iter().enumerate() {
            match call {
                Call::OnMessage(id, message) => {
                    assert!(number + 1 < last && id == self.number as u64, "{text}");
                    self.receive(world, &message);
                }
                Call::Response(mut message) => {
                    assert_eq!(number + 1, last, "{}: {text}", self.name());
                    assert_eq!(message["type"], "poll", "{}: {text}", self.name());
                    assert_eq!(message["id"], self.number, "{}: {text}", self.name());
                    message["type"].take();
                    message["id"].take();
                    self.receive(world, &message);
                }
                Call::Listen(id) => assert_eq!((id, last), (self.number as u64, 1)),
            }
        }
        last > 0
    }

    /// A new page's answer.
    fn batch(&mut self, world: &mut World, response: &Response) {
        let answer = self.object(response).expect("an answer to a poll");
        if answer["type"] == "error" {
            match answer["code"].as_str() {
                Some("unknown_session") => return self.session_lost(world),
                _ => assert!(world.stopping, "{}: {answer}", self.name()),
            }
            return self.lose(world);
        }
        self.alive_ms = self.alive_ms.max(self.poll_sent_ms);
        if let Some(batch) = answer["batch"].as_u64() {
            self.polls.batch = batch;
        }
        for message in answer["messages"].as_array().expect("messages") {
            self.receive(world, message);
        }
    }
}
