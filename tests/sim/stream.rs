//! A browser's WebSocket.

use chloe::wire::websocket::handshake::{decode_server_response, encode_client_request};
use chloe::wire::websocket::{
    Event, MessageDecoder, Opcode, Role, WebSocketLimits, encode_masked_frame,
};
use serde_json::Value;

use super::browser::{Browser, State, Wish};
use super::network::{GONE_MS, SocketId};
use super::turn::World;

pub struct Stream {
    socket: SocketId,
    input: Vec<u8>,
    decoder: MessageDecoder,
    nonce: [u8; 16],
    open: bool,
    leaving: bool,
    /// What the server has not read yet: where it ends, and what it is.
    sent: Vec<(u64, Wish)>,
    /// When it last sent, and when it last had read everything.
    spoke_ms: u64,
    drained_ms: u64,
}

impl Stream {
    /// When the server must have found out that nobody is there: by its pings, or,
    /// if it has something to say that the socket does not take, by that.
    fn limit_ms(&self, world: &World) -> u64 {
        let config = &world.config;
        // A stream that is not read, because the webhook is full, may be silent.
        if !self.open || world.tight {
            return GONE_MS;
        }
        // Who was heard within half an interval is not pinged yet.
        let pings_ms = config.ping_interval_ms * 3 / 2 + config.ping_timeout_ms;
        let stuck_ms = config.slow_consumer_timeout_ms;
        // Whole seconds, twice, and steps of a few seconds.
        pings_ms + stuck_ms + config.close_timeout_ms + 15_000
    }
}

impl Browser {
    pub fn open_stream(&mut self, world: &mut World) {
        let socket = world.network.open(&mut world.dice);
        let nonce = world.dice.bytes();
        let mut request = Vec::new();
        encode_client_request(&mut request, "localhost:8901", "/chloe/websocket", nonce);
        world.network.send(socket, &request);
        self.stream = Some(Stream {
            socket,
            input: Vec::new(),
            decoder: MessageDecoder::new(Role::Client),
            nonce,
            open: false,
            leaving: false,
            sent: Vec::new(),
            spoke_ms: world.now.ms,
            drained_ms: world.now.ms,
        });
    }

    pub fn drop_stream(&mut self, world: &mut World) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        self.note_read(world, &stream);
        let limit_ms = stream.limit_ms(world);
        let (network, dice) = (&mut world.network, &mut world.dice);
        network.hang_up(dice, stream.socket, limit_ms);
    }

    /// The way to the server is gone.
    pub fn lose_stream_way(&mut self, world: &mut World) {
        if let Some(stream) = &self.stream {
            let limit_ms = stream.limit_ms(world);
            let (network, dice) = (&mut world.network, &mut world.dice);
            network.vanish(dice, stream.socket, limit_ms);
        }
    }

    /// Takes note of what the server has read by now.
    fn note_read(&mut self, world: &mut World, stream: &Stream) {
        let socket = &world.network.sockets[stream.socket];
        // Once it has said Close, it hears no more; the Close may be on its way.
        let delivered = socket.delivered.min(socket.before_stop);
        let lives = world.lives_on(stream.socket);
        for (end, wish) in &stream.sent {
            // A webhook that is full lets a stream wait.
            if *end > delivered || world.tight || !lives {
                continue;
            }
            match wish {
                Wish::Subscribe(channel) if !self.modern => {
                    self.reader.joined(&world.shadow, channel);
                }
                Wish::Say(text) => world.ledger.certain(text),
                _ => {}
            }
        }
    }

    pub fn step_stream(&mut self, world: &mut World) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        self.note_read(world, &stream);
        let delivered = world.network.sockets[stream.socket].delivered;
        stream.sent.retain(|(end, _)| *end > delivered);
        world.look(stream.socket);
        if self.state == State::Connected && world.network.is_attached(stream.socket) {
            self.alive_ms = world.now.ms;
        }
        let bytes = world.network.read(&mut world.dice, stream.socket);
        if world.network.sockets[stream.socket].outbound.is_empty() {
            stream.drained_ms = world.now.ms;
        }
        stream.input.extend_from_slice(&bytes);
        if !stream.open && !self.shake_hands(world, &mut stream) {
            if world.network.is_over(stream.socket) {
                // In a narrow pipe its head may take longer than it may, or have leapt.
                let waited_ms = world.now.ms - stream.spoke_ms;
                let slow = waited_ms >= world.config.head_timeout_ms;
                let late = slow || world.was_late(stream.socket);
                self.stream = Some(stream);
                assert!(
                    world.stopping || world.tight || late,
                    "{}: no handshake",
                    self.name()
                );
                return self.lose(world);
            }
            self.stream = Some(stream);
            return;
        }
        let closed = self.read_frames(world, &mut stream);
        let over = world.network.is_over(stream.socket);
        if over && !closed {
            self.check_cut(world, &stream);
        }
        if closed || over {
            self.stream = Some(stream);
            return self.lose(world);
        }
        if self.state == State::Connected && world.network.is_open(stream.socket) {
            self.send_wishes(world, &mut stream);
        }
        self.stream = Some(stream);
    }

    fn shake_hands(&mut self, world: &mut World, stream: &mut Stream) -> bool {
        let answered = decode_server_response(&stream.input, stream.nonce);
        let Some(width) = answered.unwrap_or_else(|error| {
            let waited_ms = world.now.ms - stream.spoke_ms;
            let late = waited_ms >= world.config.head_timeout_ms;
            assert!(world.stopping || late, "{}: {error}", self.name());
            None
        }) else {
            return false;
        };
        stream.input.drain(..width);
        stream.open = true;
        if self.modern {
            let message = self.connect_message(world);
            self.send_text(world, stream, &message);
        } else {
            self.state = State::Connected;
            self.reader.joined(&world.shadow, "/all");
        }
        true
    }

    /// Reads what is there; true when the server has closed.
    fn read_frames(&mut self, world: &mut World, stream: &mut Stream) -> bool {
        let limits = WebSocketLimits {
            message_bytes: 1 << 24,
            ..WebSocketLimits::default()
        };
        let mut input = std::mem::take(&mut stream.input);
        let mut used = 0;
        let mut closed = false;
        loop {
            let decoded = stream.decoder.decode(&mut input[used..], &limits);
            let (consumed, event) =
                decoded.unwrap_or_else(|error| panic!("{}: {error}", self.name()));
            used += consumed;
            match event {
                None if consumed == 0 => break,
                None | Some(Event::Pong(_)) => {}
                Some(Event::Text(text)) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    if message["type"] == "connect" {
                        self.connected(world, &message);
                    } else if self.state == State::Connected {
                        // What comes before is for the session of the handshake.

                        self.receive(world, &message);
                    }
                }
                Some(Event::Ping(payload)) => {
                    let payload = payload.to_vec();
                    send_frame(world, stream, Opcode::Pong, &payload);
                }
                Some(Event::Close { code, reason }) => {
                    let fine = match code {
                        // Its own code comes back.
                        Some(1001) => world.stopping || stream.leaving,
                        Some(1012) => world.stopping,
                        Some(1000) => true,
                        _ => false,
                    };
                    assert!(fine, "{}: closed with {code:?}, {reason:?}", self.name());
                    send_frame(world, stream, Opcode::Close, &1000u16.to_be_bytes());
                    closed = true;
                }
                Some(Event::Binary(_)) => panic!("{}: binary", self.name()),
            }
        }
        input.drain(..used);
        stream.input = input;
        closed
    }

    /// The server cut the stream without a Close: it may, if it heard nothing
    /// for long, or got rid of nothing.
    fn check_cut(&self, world: &World, stream: &Stream) {
        let silent_ms = world.now.ms - stream.spoke_ms;
        let stuck_ms = world.now.ms - stream.drained_ms;
        let may = world.stopping
            || stream.leaving
            || world.tight
            || world.was_late(stream.socket)
            || silent_ms >= world.config.ping_timeout_ms
            || stuck_ms >= world.config.write_timeout_ms;
        assert!(
            may,
            "{}: cut after {silent_ms} and {stuck_ms} ms",
            self.name()
        );
    }

    fn send_wishes(&mut self, world: &mut World, stream: &mut Stream) {
        while let Some(wish) = self.wishes.pop_front() {
            let (message, id) = self.message_of(world, &wish);
            self.send_text(world, stream, &message);
            stream
                .sent
                .push((world.network.sent(stream.socket), wish.clone()));
            if let Some(id) = id {
                self.waiting.insert(id, wish);
            }
        }
        if world.dice.chance(1) {
            send_frame(world, stream, Opcode::Ping, b"are you there?");
        }
        if !self.modern && world.dice.chance(1) && world.dice.chance(20) {
            // It leaves as one should.
            stream.leaving = true;
            let name = self.name();
            world.log(|| format!("{name}: leaves on {}", stream.socket));
            send_frame(world, stream, Opcode::Close, &1001u16.to_be_bytes());
            world.network.finish(stream.socket);
        }
    }

    fn send_text(&mut self, world: &mut World, stream: &mut Stream, message: &Value) {
        let text = message.to_string();
        let cut = world.dice.below(text.len());
        if world.dice.chance(80) {
            return send_frame(world, stream, Opcode::Text, text.as_bytes());
        }
        // In two fragments, with a control frame between.
        let mut bytes = Vec::new();
        let head = &text.as_bytes()[..cut];
        encode_masked_frame(&mut bytes, Opcode::Text, head, world.dice.bytes());
        bytes[0] &= 0x7f;
        encode_masked_frame(&mut bytes, Opcode::Pong, b"", world.dice.bytes());
        let tail = &text.as_bytes()[cut..];
        encode_masked_frame(&mut bytes, Opcode::Continuation, tail, world.dice.bytes());
        if world.network.is_open(stream.socket) {
            stream.spoke_ms = world.now.ms;
            world.network.send(stream.socket, &bytes);
        }
    }
}

fn send_frame(world: &mut World, stream: &mut Stream, opcode: Opcode, payload: &[u8]) {
    if world.network.is_open(stream.socket) {
        let mut bytes = Vec::new();
        encode_masked_frame(&mut bytes, opcode, payload, world.dice.bytes());
        stream.spoke_ms = world.now.ms;
        world.network.send(stream.socket, &bytes);
    }
}
