//! Positions that were told, moments, and publications that are checked before they are made.

use crate::base::names::Since;
use crate::base::random::Random;
use proptest::prelude::*;

use super::tests::{World, bare, limits};
use super::*;
use crate::base::names::{Life, Moment};
use crate::base::record;

impl World {
    fn head(&mut self, channel: &str) -> Head {
        match self.hub.head(self.now, channel).unwrap() {
            Whereabouts::Known(head) => head,
            Whereabouts::Unknown(moment) => panic!("{channel} is unknown at {moment}"),
        }
    }

    fn moment(&mut self) -> Moment {
        match self.hub.head(self.now, "nobody knows it").unwrap() {
            Whereabouts::Unknown(moment) => moment,
            Whereabouts::Known(head) => panic!("it is known: {head:?}"),
        }
    }

    /// A new session's standing in `channel`, and what it reads from there.
    fn since(&mut self, channel: &str, since: impl Into<Since>) -> (Standing, String) {
        let key = self.awake(99);
        let standing = self.hub.subscribe(key, channel, Some(since.into()));
        let read = self.read(key);
        self.hub.close(key);
        (standing.unwrap(), read)
    }
}

#[test]
fn a_position_that_was_told_is_good_for_as_long_as_history_is_kept() {
    let mut world = World::new(limits());
    let start = world.now;
    world.publish("news", "zero");
    world.now = start.plus(30_000);
    let told = world.head("news");
    assert_eq!((told.position.offset, told.readers), (1, 0));
    // A reader that comes and goes does not end it.
    let visitor = world.awake(1);
    world.hub.subscribe(visitor, "news", None).unwrap();
    assert_eq!(world.head("news").readers, 1);
    world.hub.close(visitor);
    world.now = start.plus(89_000);
    world.hub.expire(world.now);
    assert_eq!(world.hub.log_bytes(), 0);
    assert_eq!(world.head("news").position, told.position);
    world.publish("news", "one");
    let (standing, read) = world.since("news", told.position);
    assert!(standing.recovered);
    assert_eq!(read, "one ");
    // Asked again meanwhile, it lives on behind its publication.
    world.now = start.plus(140_000);
    let told = world.head("news");
    world.now = start.plus(199_000);
    world.hub.expire(world.now);
    assert_eq!(world.hub.log_bytes(), 0);
    assert_eq!(world.head("news").position, told.position);
    world.now = start.plus(199_000 + 61_000);
    let due_ms = world.hub.poll_timeout().unwrap();
    assert!(due_ms <= world.now.ms, "it wakes up to forget it");
    world.hub.expire(world.now);
    assert!(!world.hub.tables.names.contains_key("news"));
    world.hub.expire(world.now.plus(100_000));
    assert!(world.hub.poll_timeout().is_none(), "and then sleeps");
}

#[test]
fn publications_are_checked_together_before_any_is_made() {
    let mut world = World::new(HubLimits {
        channels: 3,
        ..limits()
    });
    world.publish("a", "one");
    let check = |hub: &Hub, names: &[&str]| hub.check(names.iter().copied());
    let count = |world: &World| world.hub.channel_count();
    assert_eq!(check(&world.hub, &["a", "b", "c", "b", "c"]), Ok(()));
    assert_eq!(check(&world.hub, &["a", ""]), Err(HubError::EmptyName));
    assert_eq!(
        check(&world.hub, &["/session"]),
        Err(HubError::ReservedName)
    );
    assert_eq!(count(&world), 1, "a check makes none");
    // More than there may be are taken, and the last are kept.
    let names = ["b", "c", "d", "e"];
    assert_eq!(check(&world.hub, &names), Ok(()));
    for name in names {
        world.publish(name, "x");
    }
    assert_eq!(count(&world), 3);
    let key = world.awake(1);
    for name in ["d", "e"] {
        world.hub.subscribe(key, name, None).unwrap();
    }
    let too_many = Err(HubError::TooManyChannels(3));
    assert_eq!(check(&world.hub, &["d", "f"]), too_many);
    assert_eq!(check(&world.hub, &["d", "e", "/all"]), Ok(()));
}

#[test]
fn asking_makes_no_channel_and_the_moment_told_is_good_for_any() {
    let mut world = World::new(limits());
    world.publish("known", "before");
    let moment = world.moment();
    assert_eq!(moment.sequence, 1);
    assert_eq!(world.hub.channel_count(), 1);
    let key = world.awake(1);
    let standing = world
        .hub
        .subscribe(key, "new", Some(moment.into()))
        .unwrap();
    assert_eq!((standing.position.offset, standing.recovered), (0, true));
    for number in 1..=3 {
        world.publish("known", &format!("k{number}"));
        world.publish("other", "o");
        world.publish("new", &format!("n{number}"));
    }
    let halfway = Moment {
        sequence: moment.sequence + 4,
        ..moment
    };
    for (channel, at, offset, read) in [
        ("known", moment, 1, "k1 k2 k3 "),
        ("known", halfway, 3, "k3 "),
        ("new", moment, 0, "n1 n2 n3 "),
        ("new", halfway, 1, "n2 n3 "),
        ("nowhere", halfway, 0, ""),
    ] {
        let (standing, got) = world.since(channel, at);
        let position = standing.position.offset;
        assert_eq!((position, standing.recovered, &*got), (offset, true, read));
    }
    // Of another life, or of one to come, nothing is known.
    let foreign = Moment {
        life: Life::from_random(moment.life.bits() + 1),
        ..moment
    };
    let future = Moment {
        sequence: 99,
        ..moment
    };
    for at in [foreign, future] {
        let (standing, got) = world.since("known", at);
        assert!(!standing.recovered);
        assert_eq!(got, "before k1 k2 k3 ", "it goes on with what is kept");
        assert!(!world.since("nowhere", at).0.recovered);
    }
}

#[test]
fn a_moment_is_a_position_in_connects_and_polls() {
    let mut world = World::new(limits());
    let key = world.awake(1);
    world.hub.subscribe(key, "news", None).unwrap();
    let moment = world.moment();
    world.publish("news", "a");
    world.publish("/all", "b");
    assert_eq!(world.read(key), "a b ");
    for asking in [Asking::Again, Asking::Poll] {
        let told = world.hub.resume(key, &[("news", moment.into())], asking);
        let news = told.iter().find(|(name, _)| &**name == "news").unwrap();
        assert!(news.1.recovered);
        assert_eq!(world.read(key), "a ");
    }
    let foreign = Moment {
        life: Life::from_random(moment.life.bits() + 1),
        ..moment
    };
    world
        .hub
        .resume(key, &[("news", foreign.into())], Asking::Poll);
    assert_eq!(world.read(key), "", "it acknowledges nothing");
    let told = world
        .hub
        .resume(key, &[("news", foreign.into())], Asking::Again);
    let news = told.iter().find(|(name, _)| &**name == "news").unwrap();
    assert!(!news.1.recovered);
    assert_eq!(world.read(key), "a ");
}

#[test]
fn what_went_behind_a_moment_is_told() {
    let mut tight = limits();
    tight.channels = 3;
    tight.retention.keep.bytes = 500;
    let mut world = World::new(tight);
    let first = world.moment();
    // Trimmed.
    for number in 0..100 {
        world.publish("news", &number.to_string());
    }
    let later = world.moment();
    let (standing, read) = world.since("news", first);
    assert!(!standing.recovered && read.ends_with("99 "));
    assert!(world.since("news", later).0.recovered);
    // By a poll it is a gap as well.
    let key = world.awake(1);
    world
        .hub
        .subscribe(key, "news", Some(first.into()))
        .unwrap();
    world.hub.owe_gap(key, "news", first.into());
    let gap = world.hub.take_gap(key).unwrap();
    assert_eq!(gap.position.offset, gap.missed);
    world.hub.close(key);
    // Gone with its channel, for want of room.
    let evicted = world.moment();
    for name in ["a", "b", "c", "d"] {
        world.publish(name, "x");
    }
    assert!(!world.since("a", evicted).0.recovered);
    assert!(!world.since("news", first).0.recovered);
    // What was kept all the time is not lost, and what comes later begins anew.
    let kept = world.moment();
    assert!(world.since("a", kept).0.recovered);
    // Gone because it was too old.
    world.publish("old", "x");
    world.now = world.now.plus(61_000);
    world.hub.expire(world.now);
    assert!(!world.since("old", kept).0.recovered);
    let now = world.moment();
    assert!(world.since("old", now).0.recovered);
}

#[test]
fn a_moment_outlives_the_process_with_its_state() {
    let mut old = World::new(limits());
    let before = old.moment();
    old.publish("news", "a");
    let between = old.moment();
    old.publish("gone", "x");
    let key = old.hub.tables.names["gone"];
    old.hub.tables.remove(key);
    old.hub.archive.make_room(&mut old.hub.tables);
    old.publish("news", "b");
    let bytes = record::written(|out| old.hub.save(old.now, out));
    let mut new = World::new(limits());
    new.hub = Hub::new(limits(), bare, Random::new([2; 32]));
    assert_ne!(new.moment().life, before.life);
    let (hub, now) = (&mut new.hub, new.now);
    record::read(&bytes, |record| hub.restore(now, record)).unwrap();
    assert_eq!(new.moment(), old.moment());
    for at in [before, between] {
        let (told, expected) = (new.since("news", at), old.since("news", at));
        assert_eq!(
            (told.0.recovered, &told.1),
            (expected.0.recovered, &expected.1)
        );
        let (told, expected) = (new.since("other", at), old.since("other", at));
        assert_eq!(told.0.recovered, expected.0.recovered);
    }
}

proptest! {
    /// Whoever is told that nothing is missing gets just what was published behind the
    /// moment that it named.
    #[test]
    fn a_moment_never_claims_too_much(
        steps in prop::collection::vec((0_u8..9, 0_usize..5, 0_u64..9_000), 1..120),
        asked in 0_usize..5,
    ) {
        let mut tight = limits();
        tight.channels = 4;
        tight.retention.keep.ttl_ms = 20_000;
        tight.retention.keep.bytes = 300;
        tight.retention.total_bytes = 700;
        let mut world = World::new(tight);
        let names = ["a", "b", "c", "d", "e"];
        let (mut told, mut published, mut readers) = (Vec::new(), Vec::new(), Vec::new());
        for (number, (what, which, passed_ms)) in steps.into_iter().enumerate() {
            world.now = world.now.plus(passed_ms);
            match what {
                0 => told.push((world.moment(), published.len())),
                1 => {
                    let key = world.awake(number as u64);
                    let _ = world.hub.subscribe(key, names[which], None);
                    readers.push(key);
                }
                2 => readers.drain(..).for_each(|key| world.hub.close(key)),
                3 => world.hub.expire(world.now),
                _ if world.hub.check(std::iter::once(names[which])).is_ok() => {
                    world.publish(names[which], &number.to_string());
                    published.push((which, number));
                }
                _ => {}
            }
        }
        readers.drain(..).for_each(|key| world.hub.close(key));
        for (moment, count) in told {
            let (standing, read) = world.since(names[asked], moment);
            let missed = published[count..].iter().filter(|(which, _)| *which == asked);
            let missed: String = missed.map(|(_, number)| format!("{number} ")).collect();
            if standing.recovered {
                prop_assert_eq!(read, missed);
            } else {
                prop_assert!(missed.ends_with(&read));
            }
        }
    }
}
