//! The hub on a clock moved by hand.

use super::reading::LOOKS_MAX;
use super::*;
use crate::base::names::Epoch;
use crate::base::names::Offset;
use crate::base::names::Position;
use crate::base::random::Random;
use crate::base::time::Time;

pub(super) fn limits() -> HubLimits {
    HubLimits {
        sessions: 1_000,
        sessions_per_address: 1_000,
        session_ttl_ms: 90_000,
        channels: 1_000,
        channels_per_session: 10,
        subscriptions_per_address: 1_000,
        channel_name_bytes: 64,
        backlog_bytes: 1 << 20,
        retention: Retention {
            keep: Keep {
                size: 1_000,
                ttl_ms: 60_000,
                bytes: 1 << 20,
            },
            prefixes: Vec::new(),
            total_bytes: 8 << 20,
        },
    }
}

/// No header: in these tests a frame is its text.
pub(super) fn bare(_: usize) -> ([u8; 10], usize) {
    ([0; 10], 0)
}

pub(super) struct World {
    pub(super) hub: Hub,
    pub(super) now: Time,
}

impl World {
    pub(super) fn new(limits: HubLimits) -> World {
        World {
            hub: Hub::new(limits, bare, Random::new([1; 32])),
            now: Time::default().plus(1_000),
        }
    }

    pub(super) fn awake(&mut self, stream: Stream) -> SessionKey {
        let key = self.hub.open(self.now, None).unwrap();
        self.hub.attach(key, stream);
        key
    }

    pub(super) fn publish(&mut self, channel: &str, text: &str) -> Published {
        let encode = |bytes: &mut Vec<u8>, _: Offset, _: Option<Epoch>| {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(b' ');
        };
        self.hub.publish(self.now, channel, encode).unwrap()
    }

    pub(super) fn publish_to(&mut self, key: SessionKey, text: &str) {
        let encode = |bytes: &mut Vec<u8>, _: Offset, _: Option<Epoch>| {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(b' ');
        };
        self.hub.publish_to(self.now, key, encode).unwrap();
    }

    pub(super) fn read(&mut self, key: SessionKey) -> String {
        let bytes: Vec<u8> = self
            .hub
            .pending(key)
            .flat_map(|run| run.bytes.to_vec())
            .collect();
        let mut rest = Vec::new();
        self.hub.advance(key, bytes.len(), &mut rest);
        assert!(rest.is_empty() && !self.hub.is_behind(key));
        String::from_utf8(bytes).unwrap()
    }

    pub(super) fn epoch(&mut self, channel: &str) -> Epoch {
        match self.hub.head(self.now, channel).unwrap() {
            Whereabouts::Known(head) => head.position.epoch,
            Whereabouts::Unknown(_) => panic!("{channel} is not there"),
        }
    }

    /// Every reader is looked at; the streams of those with something to write.
    pub(super) fn readers(&mut self) -> Vec<Stream> {
        std::iter::from_fn(|| self.hub.next_reader(self.now).map(|(_, stream)| stream)).collect()
    }
}

#[test]
fn channels_are_merged_in_the_order_of_acceptance() {
    let mut world = World::new(limits());
    let key = world.awake(1);
    world.hub.subscribe(key, "news", None).unwrap();
    world.hub.subscribe(key, "sport", None).unwrap();
    for (channel, text) in [
        ("news", "1"),
        ("/all", "2"),
        ("/all", "3"),
        ("other", "x"),
        ("sport", "4"),
        ("news", "5"),
    ] {
        world.publish(channel, text);
    }
    world.publish_to(key, "6");
    world.publish("news", "7");
    assert_eq!(world.read(key), "1 2 3 4 5 6 7 ");
}

#[test]
fn a_pass_meets_each_awake_reader_once_and_no_sleeper() {
    let mut world = World::new(limits());
    let keys: Vec<_> = (0..20).map(|stream| world.awake(stream)).collect();
    for &key in &keys {
        world.hub.subscribe(key, "news", None).unwrap();
    }
    for stream in 5..20 {
        world.hub.detach(world.now, keys[stream as usize], stream);
    }
    world.publish("news", "a");
    world.publish("news", "b");
    let mut met = world.readers();
    met.sort_unstable();
    assert_eq!(met, [0, 1, 2, 3, 4]);
    assert!(world.readers().is_empty());
}

#[test]
fn who_is_to_come_is_told_ahead_and_met_all_the_same() {
    let mut world = World::new(limits());
    for stream in 0..10 {
        world.awake(stream);
    }
    assert_eq!(world.hub.upcoming(5).count(), 0);
    world.publish("/all", "a");
    for left in (0..10).rev() {
        let ahead: Vec<_> = world.hub.upcoming(20).collect();
        assert_eq!(ahead.len(), left + 1);
        assert_eq!(world.hub.next_reader(world.now).unwrap().1, ahead[0]);
    }
    assert!(world.readers().is_empty());
}

#[test]
fn nobody_is_missed_when_others_leave_in_the_middle_of_a_pass() {
    for leaver in 0..10u64 {
        for after in 0..9 {
            let mut world = World::new(limits());
            let keys: Vec<_> = (0..10).map(|stream| world.awake(stream)).collect();
            world.publish("/all", "a");
            let mut met: Vec<_> = (0..after)
                .map(|_| world.hub.next_reader(world.now).unwrap().1)
                .collect();
            world.hub.close(keys[leaver as usize]);
            met.extend(world.readers());
            for stream in (0..10).filter(|stream| *stream != leaver) {
                assert!(
                    met.contains(&stream),
                    "{stream} when {leaver} left after {after}"
                );
            }
        }
    }
}

#[test]
fn a_publication_in_the_middle_of_a_pass_gets_a_pass_of_its_own() {
    let mut world = World::new(limits());
    let keys: Vec<_> = (0..3).map(|stream| world.awake(stream)).collect();
    world.publish("/all", "a");
    let (first, _) = world.hub.next_reader(world.now).unwrap();
    assert_eq!(world.read(first), "a ");
    world.publish("/all", "b");
    while let Some((key, _)) = world.hub.next_reader(world.now) {
        world.read(key);
    }
    for key in keys {
        assert!(!world.hub.is_behind(key));
    }
}

#[test]
fn a_cut_write_owes_the_rest_of_one_frame_and_nothing_twice() {
    let whole = "one two three four ";
    for cut in 0..=whole.len() {
        let mut world = World::new(limits());
        let key = world.awake(1);
        world.hub.subscribe(key, "b", None).unwrap();
        world.publish("/all", "one");
        world.publish("b", "two");
        world.publish("/all", "three");
        world.publish("/all", "four");
        let mut got = whole.as_bytes()[..cut].to_vec();
        world.hub.advance(key, cut, &mut got);
        got.extend(world.read(key).as_bytes());
        assert_eq!(String::from_utf8(got).unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn a_stuck_reader_is_told_what_it_missed() {
    let mut tight = limits();
    tight.retention.keep.bytes = 2_000;
    let mut world = World::new(tight);
    let (stuck, brisk) = (world.awake(1), world.awake(2));
    let mut seen = 0;
    for number in 0..1_000 {
        world.publish("/all", &number.to_string());
        // Its socket takes nothing of what it is to be given.
        assert_eq!(world.readers().len(), 2);
        seen += world.read(brisk).split_whitespace().count();
    }
    assert_eq!(seen, 1_000);
    assert_eq!(world.hub.take_gap(brisk), None);
    let gap = world.hub.take_gap(stuck).unwrap();
    assert_eq!((&*gap.channel, gap.position.offset), ("/all", gap.missed));
    let rest = world.read(stuck);
    assert_eq!(rest.split_whitespace().count() as u64, 1_000 - gap.missed);
    assert!(rest.ends_with("999 "));
    assert!(world.hub.log_bytes() <= 2_000);
}

#[test]
fn a_sleeping_session_goes_on_where_it_stopped_until_it_ends() {
    let mut world = World::new(limits());
    let key = world.awake(1);
    let id = world.hub.session(key).unwrap().id;
    world.hub.detach(world.now, key, 1);
    world.publish("/all", "while asleep");
    world.now = world.now.plus(89_000);
    world.hub.expire(world.now);
    assert_eq!(world.hub.find(id), Some(key));
    world.hub.attach(key, 2);
    world.now = world.now.plus(600_000);
    world.hub.expire(world.now);
    assert_eq!(world.hub.find(id), Some(key), "attached, it does not end");
    world.hub.detach(world.now, key, 1);
    assert_eq!(
        world.hub.session(key).unwrap().stream(),
        Some(2),
        "a stale stream detaches nothing"
    );
    world.hub.detach(world.now, key, 2);
    let due = world.hub.poll_timeout().unwrap();
    world.now = world.now.plus(due - world.now.ms);
    world.hub.expire(world.now);
    assert_eq!(world.hub.find(id), None);
}

#[test]
fn nothing_is_left_behind() {
    let mut world = World::new(limits());
    let keys: Vec<_> = (0..50).map(|stream| world.awake(stream)).collect();
    for (number, &key) in keys.iter().enumerate() {
        for channel in 0..5 {
            world
                .hub
                .subscribe(key, &format!("c{}", (number + channel) % 9), None)
                .unwrap();
        }
        world.publish_to(key, "direct");
        world.hub.unsubscribe(key, &format!("c{}", number % 9));
    }
    world.publish("c1", "x");
    for key in keys {
        world.hub.close(key);
    }
    assert_eq!(world.hub.session_count(), 0);
    world.now = world.now.plus(61_000);
    world.hub.expire(world.now);
    assert_eq!((world.hub.channel_count(), world.hub.log_bytes()), (0, 0));
    assert_eq!(
        world.hub.poll_timeout().filter(|at| *at < world.now.ms),
        None
    );
}

#[test]
fn a_position_is_gone_on_from_or_the_loss_is_told() {
    let mut world = World::new(limits());
    let key = world.awake(1);
    let start = world.hub.subscribe(key, "news", None).unwrap();
    assert_eq!((start.position.offset, start.recovered), (0, true));
    for number in 1..=5 {
        world.publish("news", &number.to_string());
    }
    world.read(key);
    let at = |offset| Position {
        offset,
        ..start.position
    };
    let standing = world
        .hub
        .subscribe(key, "news", Some(at(3).into()))
        .unwrap();
    assert_eq!((standing.position, standing.recovered), (at(3), true));
    assert_eq!(world.read(key), "4 5 ");
    let told = world.hub.resume(
        key,
        &[("news", at(4).into()), ("unknown", at(1).into())],
        Asking::Again,
    );
    assert_eq!(told.len(), 2);
    let news = told.iter().find(|(name, _)| &**name == "news").unwrap();
    assert_eq!((news.1.position, news.1.recovered), (at(4), true));
    assert_eq!(world.read(key), "5 ");
    let other = Position {
        epoch: Epoch::from_random(99),
        offset: 3,
    };
    let standing = world
        .hub
        .subscribe(key, "news", Some(other.into()))
        .unwrap();
    assert_eq!((standing.position, standing.recovered), (at(0), false));
    assert_eq!(world.read(key), "1 2 3 4 5 ");
}

#[test]
fn a_batch_that_was_not_written_comes_again() {
    let mut world = World::new(limits());
    let key = world.awake(1);
    world.publish("/all", "a");
    world.hub.begin_batch(key, 7, false);
    assert_eq!(world.read(key), "a ");
    world.publish("/all", "b");
    world.hub.batch_lost(key, 7);
    assert_eq!(world.read(key), "a b ");
    world.hub.batch_lost(key, 7);
    assert_eq!(world.read(key), "", "rewound once only");
}

#[test]
fn each_stream_answers_for_its_own_batch() {
    let mut world = World::new(limits());
    let key = world.awake(1);
    world.publish("/all", "a");
    world.hub.begin_batch(key, 7, false);
    assert_eq!(world.read(key), "a ");
    world.publish("/all", "b");
    world.hub.begin_batch(key, 8, false);
    assert_eq!(world.read(key), "b ");
    world.hub.batch_written(key, 8);
    world.hub.batch_lost(key, 8);
    assert_eq!(world.read(key), "", "what is confirmed is done");
    world.hub.batch_lost(key, 7);
    assert_eq!(world.read(key), "a b ");
}

#[test]
fn the_total_is_bounded_and_the_oldest_go_first() {
    let mut tight = limits();
    tight.retention.total_bytes = 10_000;
    let mut world = World::new(tight);
    for number in 0..500 {
        world.now = world.now.plus(1);
        world.publish(&format!("c{}", number % 50), &"x".repeat(100));
        assert!(world.hub.log_bytes() <= 10_000);
    }
    let key = world.awake(1);
    let newest = world.hub.subscribe(key, "c49", None).unwrap().position;
    let last = Position {
        offset: newest.offset - 1,
        ..newest
    };
    assert!(
        world
            .hub
            .subscribe(key, "c49", Some(last.into()))
            .unwrap()
            .recovered
    );
}

#[test]
fn a_prefix_has_limits_of_its_own_and_the_longest_wins() {
    let keep = limits().retention.keep;
    let mut by_name = limits();
    by_name.retention.prefixes = vec![
        ("chat:".into(), Keep { size: 300, ..keep }),
        (
            "chat:short:".into(),
            Keep {
                ttl_ms: 5_000,
                ..keep
            },
        ),
        ("none:".into(), Keep { size: 0, ..keep }),
        (
            "long:".into(),
            Keep {
                ttl_ms: 600_000,
                ..keep
            },
        ),
    ];
    let mut world = World::new(by_name);
    let held = |world: &mut World, name: &str| {
        let key = world.hub.open(world.now, None).unwrap();
        let head = world.hub.subscribe(key, name, None).unwrap().position;
        let start = Position { offset: 0, ..head };
        let first = world
            .hub
            .subscribe(key, name, Some(start.into()))
            .unwrap()
            .position;
        world.hub.close(key);
        head.offset - first.offset
    };
    let names = [
        "chat:a",
        "chat:short:a",
        "none:a",
        "long:a",
        "chat",
        "other",
    ];
    for name in names {
        for number in 0..400 {
            world.publish(name, &number.to_string());
        }
    }
    let counts = names.map(|name| held(&mut world, name));
    assert_eq!(counts, [300, 400, LOG_FLOOR as u64, 400, 400, 400]);

    for (after_ms, counts) in [
        (4_000, [300, 400, 128, 400, 400, 400]),
        (1_500, [300, 0, 128, 400, 400, 400]),
        (60_000, [0, 0, 0, 400, 0, 0]),
        (600_000, [0; 6]),
    ] {
        world.now = world.now.plus(after_ms);
        world.hub.expire(world.now);
        assert_eq!(names.map(|name| held(&mut world, name)), counts);
    }
    assert_eq!(world.hub.log_bytes(), 0);
}

#[test]
fn the_oldest_of_all_go_first_whatever_their_rules() {
    let keep = limits().retention.keep;
    let mut tight = limits();
    tight.retention.total_bytes = 10_000;
    let long = Keep {
        ttl_ms: 6_000_000,
        ..keep
    };
    tight.retention.prefixes = vec![("long:".into(), long)];
    let mut world = World::new(tight);
    for number in 0..500 {
        world.now = world.now.plus(1);
        let prefix = if number % 2 == 0 { "long:" } else { "" };
        world.publish(&format!("{prefix}{}", number % 50), &"x".repeat(100));
        assert!(world.hub.log_bytes() <= 10_000);
    }
    let oldest = world.hub.poll_timeout().unwrap() - keep.ttl_ms;
    assert!(world.now.ms - oldest < 100, "the newest of both are left");
}

#[test]
fn a_pass_over_readers_that_have_everything_is_cut_into_turns() {
    let mut world = World::new(limits());
    let keys: Vec<_> = (0..500).map(|stream| world.awake(stream)).collect();
    for name in ["a", "b", "c"] {
        for &key in &keys {
            world.hub.subscribe(key, name, None).unwrap();
        }
        world.publish(name, "x");
    }
    for _ in &keys {
        let (key, _) = world.hub.next_reader(world.now).unwrap();
        assert_eq!(world.read(key), "x x x ");
    }
    // What is left is to find that two channels more are read already.
    let turns = std::iter::from_fn(|| world.hub.next_reader(world.now)).count();
    assert_eq!(turns, 2 * keys.len() / LOOKS_MAX);
    assert_eq!(world.hub.next_reader(world.now), None);
}
