//! A browser: one session's client, of the old kind or the new, by any transport.
//!
//! What it wants and what it understands is here; how it is carried is
//! `stream` and `polling`.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use serde_json::{Value, json};

use super::polling::Polls;
use super::publisher::CHANNELS;
use super::reader::{Reader, SESSION};
use super::stream::Stream;
use super::turn::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    WebSocket,
    Xhr,
    Jsonp,
}

const WAYS: [Way; 3] = [Way::WebSocket, Way::Xhr, Way::Jsonp];

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It comes after so many steps, for the first time or again.
    Away(usize),
    Connecting,
    Connected,
    /// It will not come again.
    Gone,
}

/// What it wants of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    Subscribe(String),
    Unsubscribe(String),
    Say(String),
}

pub struct Browser {
    pub number: usize,
    pub modern: bool,
    pub way: Way,
    pub state: State,
    pub reader: Reader,
    pub session: Option<String>,
    /// The positions that the last `connect` named.
    pub asked: Value,
    pub wishes: VecDeque<Wish>,
    /// Under way, by the id of the message.
    pub waiting: BTreeMap<u64, Wish>,
    pub stream: Option<Stream>,
    pub polls: Polls,
    /// The server's life in which its session began.
    pub life: usize,
    /// When its session was alive for certain.
    pub alive_ms: u64,
    /// When the poll was sent whose answer is being read.
    pub poll_sent_ms: u64,
    pub resumed: u64,
    /// The ids of messages that were sent with one, by their text.
    ids: HashMap<String, u64>,
    /// The positions that subscriptions under way were to go on from, by id.
    sinces: HashMap<u64, String>,
    /// Ids that were answered: one that was sent twice may be answered twice.
    done: HashSet<u64>,
    /// The way to the server is gone; it notices after so many steps.
    dark: Option<usize>,
    said: usize,
    next_id: u64,
}

impl Browser {
    pub fn new(world: &mut World, number: usize) -> Browser {
        let modern = world.dice.chance(60);
        let way = world.dice.pick(&WAYS);
        let kind = if modern { "new" } else { "old" };
        let name = format!("b{number}/{kind}/{way:?}");
        Browser {
            number,
            modern,
            way,
            state: State::Away(world.dice.below(10)),
            reader: Reader::new(name, modern, world.tight),
            session: None,
            asked: json!({}),
            wishes: VecDeque::new(),
            waiting: BTreeMap::new(),
            stream: None,
            polls: Polls::default(),
            life: 0,
            alive_ms: world.now.ms,
            poll_sent_ms: world.now.ms,
            resumed: 0,
            ids: HashMap::new(),
            sinces: HashMap::new(),
            done: HashSet::new(),
            dark: None,
            said: 0,
            next_id: 100,
        }
    }

    pub fn name(&self) -> &str {
        &self.reader.name
    }

    pub fn step(&mut self, world: &mut World) {
        match self.dark {
            Some(steps) if steps > 0 && !world.network.calm => self.dark = Some(steps - 1),
            // A new client hears no heartbeat; a person reloads the page.
            Some(_) => return self.lose(world),
            None => {}
        }
        match self.state {
            State::Gone => return,
            State::Away(0) => self.connect(world),
            State::Away(_) if world.network.calm => self.state = State::Away(0),
            State::Away(steps) => self.state = State::Away(steps - 1),
            State::Connecting | State::Connected => {
                self.step_stream(world);
                self.step_polls(world);
            }
        }
        if self.state == State::Connected && !world.network.calm {
            self.wish(world);
            self.stumble(world);
        }
    }

    fn connect(&mut self, world: &mut World) {
        if self.modern && world.dice.chance(40) {
            self.way = world.dice.pick(&WAYS);
        }
        let (name, way) = (self.name().to_owned(), self.way);
        world.log(|| format!("{name}: connects by {way:?}"));
        self.state = State::Connecting;
        self.poll_sent_ms = world.now.ms;
        self.reader.join("/all");
        match self.way {
            Way::WebSocket => self.open_stream(world),
            Way::Xhr | Way::Jsonp => self.open_polls(world),
        }
    }

    /// Its connections broke; it comes again, or not.
    pub fn lose(&mut self, world: &mut World) {
        let name = self.name().to_owned();
        world.log(|| format!("{name}: lost its connection"));
        self.dark = None;
        self.drop_stream(world);
        self.drop_polls(world);
        for (_, wish) in std::mem::take(&mut self.waiting).into_iter().rev() {
            self.wishes.push_front(wish);
        }
        self.state = match self.modern {
            true => State::Away(world.dice.below(20)),
            false => State::Gone,
        };
    }

    /// Wants something more.
    fn wish(&mut self, world: &mut World) {
        let channel = world.dice.pick(&CHANNELS).to_owned();
        match world.dice.below(100) {
            0..6 if !self.reader.interests.contains_key(&channel) && !self.wants(&channel) => {
                self.wishes.push_back(Wish::Subscribe(channel));
            }
            6..9 if self.modern
                && self
                    .reader
                    .interests
                    .get(&channel)
                    .is_some_and(|i| !i.leaving)
                && !self.wants(&channel) =>
            {
                self.wishes.push_back(Wish::Unsubscribe(channel));
            }
            9..17 => {
                let text = format!("m{}.{} 1+1 é", self.number, self.said);
                self.said += 1;
                self.wishes.push_back(Wish::Say(text));
            }
            _ => {}
        }
    }

    /// Something about the channel is under way.
    fn wants(&self, channel: &str) -> bool {
        let about = |wish: &Wish| match wish {
            Wish::Subscribe(name) | Wish::Unsubscribe(name) => name == channel,
            Wish::Say(_) => false,
        };
        self.wishes.iter().any(about) || self.waiting.values().any(about)
    }

    /// Breaks, or goes for good, at random.
    fn stumble(&mut self, world: &mut World) {
        match world.dice.below(1_000) {
            0..8 => self.lose(world),
            8..10 => {
                self.lose(world);
                self.state = State::Gone;
            }
            10..14 if self.dark.is_none() => self.go_dark(world),
            _ => {}
        }
    }

    /// The way to the server is gone, and neither end is told.
    fn go_dark(&mut self, world: &mut World) {
        let name = self.name();
        world.log(|| format!("{name}: is in the dark"));
        self.dark = Some(world.dice.range(1, 40));
        self.lose_stream_way(world);
        self.lose_poll_ways(world);
    }

    pub fn is_dark(&self) -> bool {
        self.dark.is_some()
    }

    // ---- what it sends ----------------------------------------------------

    pub fn connect_message(&mut self, world: &mut World) -> Value {
        let mut message = json!({"type": "connect", "version": 1});
        if self.modern {
            self.asked = self.positions(world);
            message["positions"] = self.asked.clone();
            message["sessionId"] = self.session.clone().into();
        }
        message
    }

    /// Where it goes on from; what it knows nothing of, from where the app says.
    fn positions(&self, world: &mut World) -> Value {
        let mut positions = self.reader.positions();
        if self.session.is_none()
            && positions.get("/all").is_none()
            && world.dice.chance(50)
            && let Some(moment) = world.any_moment()
        {
            positions["/all"] = moment.into();
        }
        positions
    }

    /// The message of a wish; with an id it is answered.
    pub fn message_of(&mut self, world: &mut World, wish: &Wish) -> (Value, Option<u64>) {
        let mut asked = None;
        let mut message = match wish {
            Wish::Subscribe(channel) => {
                let new = self.reader.knows_nothing_of(channel);
                self.reader.join(channel);
                let mut message = json!({"type": "channel-subscribe", "channel": channel});
                let mut since = self.reader.positions()[channel].clone();
                if new && self.modern && world.dice.chance(50) {
                    // As the app has rendered it into the page.
                    since = world.any_moment().into();
                }
                if self.modern && !since.is_null() {
                    asked = since.as_str().map(str::to_owned);
                    message["since"] = since;
                    self.reader.catch_up(channel);
                }
                message
            }
            Wish::Unsubscribe(channel) => {
                self.reader.leave(channel);
                json!({"type": "channel-unsubscribe", "channel": channel})
            }
            Wish::Say(text) => {
                match self.ids.contains_key(text) {
                    true => world.ledger.of(text).again = true,
                    false => world.ledger.send(text, world.now.ms),
                }
                json!({"type": "message", "data": text})
            }
        };
        message["version"] = 1.into();
        let said = match wish {
            Wish::Say(text) => self.ids.get(text).copied(),
            _ => None,
        };
        let wants_answer = self.modern && (!matches!(wish, Wish::Say(_)) || world.dice.chance(50));
        let id = said.or_else(|| {
            self.next_id += 1;
            wants_answer.then_some(self.next_id)
        });
        if let (Wish::Say(text), Some(id)) = (wish, id) {
            self.ids.insert(text.clone(), id);
        }
        if let Some(id) = id {
            message["id"] = id.into();
            self.sinces.extend(asked.map(|asked| (id, asked)));
        }
        let name = self.name();
        world.log(|| format!("{name}: sends {message}"));
        (message, id)
    }

    // ---- what it gets -----------------------------------------------------

    /// The answer to a `connect` of the new kind.
    pub fn connected(&mut self, world: &mut World, answer: &Value) {
        let name = self.name().to_owned();
        world.log(|| format!("{name}: {answer}"));
        assert_eq!(answer["type"], "connect", "{name}: {answer}");
        let session = answer["sessionId"].as_str().expect("a session").to_owned();
        let resumed = answer["resumed"].as_bool().expect("resumed");
        if resumed {
            self.resumed += 1;
            assert_eq!(self.session.as_deref(), Some(session.as_str()), "{name}");
            assert_eq!(self.life, world.life(), "{name}: resumed from nothing");
        } else {
            self.begin(world, &session);
        }
        let life = world.life();
        let channels = answer["channels"].as_object().expect("channels");
        assert!(channels.contains_key("/all"), "{name}: {answer}");
        for (channel, told) in channels {
            let asked = self.asked[channel].as_str().map(str::to_owned);
            let known = self.reader.interests.get(channel).is_some_and(|i| i.sure);
            self.reader
                .settle(&world.shadow, channel, told, asked.as_deref(), life);
            let own = asked.as_deref().is_some_and(|asked| asked.contains(':'));
            let sure = resumed && known && own && !world.tight;
            assert!(
                !sure || told["recovered"] == true,
                "{name}: {channel} is lost: {answer}"
            );
        }
        let lost: Vec<String> = self
            .reader
            .interests
            .iter()
            .filter(|(channel, _)| !channels.contains_key(*channel) && *channel != SESSION)
            .map(|(channel, _)| channel.clone())
            .collect();
        for channel in lost {
            let interest = &self.reader.interests[&channel];
            let sure = interest.sure && !interest.leaving;
            assert!(
                !(resumed && sure),
                "{name} is no longer in {channel}: {answer}"
            );
            if !interest.leaving && !self.wants(&channel) {
                self.wishes.push_front(Wish::Subscribe(channel));
            }
        }
        self.state = State::Connected;
        self.alive_ms = self.poll_sent_ms;
    }

    /// A session of its own.
    pub fn begin(&mut self, world: &mut World, session: &str) {
        if self.session.is_some() {
            let age_ms = world.now.ms - self.alive_ms.min(world.now.ms);
            let name = self.name();
            world.log(|| format!("{name}: a new session, {age_ms} ms after"));
            let may = age_ms >= world.config.session_ttl_ms || world.stopping;
            assert!(
                may || self.life != world.life(),
                "{name}: its session is not known any more after {age_ms} ms"
            );
        }
        self.life = world.life();
        self.session = Some(session.to_owned());
        world.sessions.push(session.to_owned());
        self.reader.begin();
    }

    /// A message that is no answer to a poll or a `connect`.
    pub fn receive(&mut self, world: &mut World, message: &Value) {
        let name = self.name().to_owned();
        world.log(|| format!("{name}: gets {message:.120}"));
        let id = message["id"].as_u64();
        match message["type"].as_str() {
            None => self.reader.deliver(&mut world.shadow, message),
            Some("gap") => self.reader.gap(message),
            Some("heartbeat") => assert!(self.modern, "{name}: {message}"),
            // A refusal over a WebSocket is told also to a message without an id.
            Some("error") if id.is_none() => {
                assert!(world.stopping || world.tight, "{name}: {message}");
            }
            Some(kind) => {
                assert!(self.modern, "{name}: {message} to a client of old");
                let id = id.unwrap_or_else(|| panic!("{name}: {message} answers nothing"));
                let Some(wish) = self.asked_with(id) else {
                    assert!(self.done.contains(&id), "{name}: {message} answers nothing");
                    return;
                };
                self.done.insert(id);
                self.answered(world, kind, message, wish);
            }
        }
    }

    /// What was asked with `id`; it may be about to be asked again.
    fn asked_with(&mut self, id: u64) -> Option<Wish> {
        if let Some(wish) = self.waiting.remove(&id) {
            return Some(wish);
        }
        let ids = &self.ids;
        let place = self
            .wishes
            .iter()
            .position(|wish| matches!(wish, Wish::Say(text) if ids.get(text) == Some(&id)));
        self.wishes.remove(place?)
    }

    fn answered(&mut self, world: &mut World, kind: &str, message: &Value, wish: Wish) {
        let name = self.name().to_owned();
        match (kind, wish) {
            ("subscribed", Wish::Subscribe(channel)) => {
                assert_eq!(message["channel"], channel, "{name}");
                let id = message["id"].as_u64().expect("a number");
                let (asked, life) = (self.sinces.remove(&id), world.life());
                self.reader
                    .settle(&world.shadow, &channel, message, asked.as_deref(), life);
            }
            ("unsubscribed", Wish::Unsubscribe(channel)) => {
                self.reader.left(&world.shadow, &channel);
            }
            ("accepted", Wish::Say(text)) => {
                let sent = world.ledger.of(&text);
                assert!(sent.taken, "{name}: {text:?} was not taken: {message}");
            }
            // It was too fast, and tries again.
            ("error", wish) if message["code"] == "messages_per_second_max" => {
                assert!(world.tight, "{name}: {message}");
                self.done.remove(&message["id"].as_u64().expect("a number"));
                self.wishes.push_back(wish);
            }
            ("error", Wish::Say(text)) => {
                let sent = world.ledger.of(&text);
                sent.refused = true;
                match message["code"].as_str() {
                    Some("app_rejected" | "app_redirected") => {
                        assert!(sent.rejected, "{name}: {message}")
                    }
                    Some("app_busy") => assert!(world.tight, "{name}: {message}"),
                    Some("app_unavailable") => {}
                    _ => assert!(world.stopping, "{name}: {message} to {text:?}"),
                }
            }
            // It comes back in a moment, if its session is known then.
            ("error", wish) if world.stopping => self.wishes.push_back(wish),
            (_, wish) => panic!("{name}: {message} answers {wish:?}"),
        }
    }
}
