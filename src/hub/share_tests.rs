//! What one address may have of the hub, and whose turn it is to go.

use crate::base::address::AddressKey;
use crate::base::names::ALL_CHANNEL;
use crate::base::names::Epoch;
use crate::base::names::Offset;
use std::collections::HashMap;

use proptest::prelude::*;

use super::tests::{World, limits};
use super::*;

fn address(last: u8) -> Option<AddressKey> {
    AddressKey::of([192, 0, 2, last].into())
}

impl World {
    fn open(&mut self, last: u8) -> Result<SessionKey, HubError> {
        self.hub.open(self.now, address(last))
    }

    fn lives(&self, key: SessionKey) -> bool {
        self.hub.session(key).is_some()
    }

    fn is_known(&self, channel: &str) -> bool {
        self.hub.tables.names.contains_key(channel)
    }
}

#[test]
fn limits_are_told_with_what_to_do() {
    let mut world = World::new(HubLimits {
        sessions: 1,
        channels: 3,
        channels_per_session: 2,
        ..limits()
    });
    let key = world.awake(1);
    assert_eq!(
        world.hub.open(world.now, None),
        Err(HubError::TooManySessions(1))
    );
    world.hub.subscribe(key, "a", None).unwrap();
    world.hub.subscribe(key, "a", None).unwrap();
    assert_eq!(
        world.hub.subscribe(key, "b", None),
        Err(HubError::TooManyOfSession(2))
    );
    assert_eq!(
        world.hub.channel_count(),
        2,
        "a refused channel is not made"
    );
    assert_eq!(world.hub.subscribe(key, "", None), Err(HubError::EmptyName));
    assert_eq!(
        world.hub.subscribe(key, "/session", None),
        Err(HubError::ReservedName)
    );
    for name in ["a\nb", "\0", "\u{7f}", "a\u{85}"] {
        assert_eq!(
            world.hub.subscribe(key, name, None),
            Err(HubError::ControlInName)
        );
    }
    assert!(
        world
            .hub
            .subscribe(key, &"x".repeat(65), None)
            .unwrap_err()
            .to_string()
            .contains("64")
    );
    // One that nobody reads makes room.
    world.publish("c", "x");
    world.publish("d", "x");
    assert_eq!(world.hub.channel_count(), 3);
    let other = world.hub.tables.names.get("d").copied();
    world.hub.tables.join(key, other.unwrap());
    let refused = world
        .hub
        .publish(world.now, "e", |bytes, _, _| bytes.push(0));
    assert_eq!(refused, Err(HubError::TooManyChannels(3)));
}

#[test]
fn in_a_full_share_the_oldest_goes_that_never_had_a_stream() {
    let mut world = World::new(HubLimits {
        sessions_per_address: 3,
        ..limits()
    });
    let (first, second) = (world.open(1).unwrap(), world.open(1).unwrap());
    world.hub.attach(first, 1);
    world.hub.detach(world.now, first, 1);
    let third = world.open(1).unwrap();
    let other = world.open(2).unwrap();
    let fourth = world.open(1).unwrap();
    assert!(world.lives(first) && !world.lives(second) && world.lives(third));
    // By a WebSocket as well, of which none goes.
    let fifth = world.hub.open_stream(address(1), 5).unwrap();
    assert!(!world.lives(third) && world.lives(fourth));
    let sixth = world.hub.open_stream(address(1), 6).unwrap();
    let full = Err(HubError::TooManySessionsOfAddress(3));
    assert_eq!(world.open(1), full);
    assert_eq!(world.hub.open_stream(address(1), 7), full);
    assert!(
        [first, fifth, sixth, other]
            .iter()
            .all(|key| world.lives(*key))
    );
    world.hub.close(fifth);
    assert!(world.open(1).is_ok());
    // Those of this machine have no share.
    for _ in 0..50 {
        world.hub.open(world.now, None).unwrap();
    }
}

#[test]
fn in_a_full_table_one_of_the_largest_crowd_goes() {
    let mut world = World::new(HubLimits {
        sessions: 100,
        sessions_per_address: 50,
        ..limits()
    });
    let visitor = world.open(9).unwrap();
    let small: Vec<_> = (0..49).map(|_| world.open(1).unwrap()).collect();
    let large: Vec<_> = (0..50).map(|_| world.open(2).unwrap()).collect();
    let newcomer = world.open(8).unwrap();
    assert!(!world.lives(large[0]) && world.lives(large[1]) && world.lives(small[0]));
    // They had a stream each: those that sleep go, of a crowd.
    for (stream, &key) in (0..).zip(small.iter().chain(&large[1..]).chain([&visitor, &newcomer])) {
        world.hub.attach(key, stream);
        if stream % 2 == 0 {
            world.hub.detach(world.now, key, stream);
        }
    }
    for _ in 0..20 {
        let come = world.open(7).unwrap();
        world.hub.attach(come, 7);
    }
    assert_eq!(world.hub.session_count(), 100);
    assert!(world.lives(visitor) && world.lives(newcomer));
    // A crowd itself makes no room for itself at the cost of others.
    let mut refused = 0;
    for _ in 0..100 {
        match world.open(2) {
            Ok(key) => drop(world.hub.attach(key, 2)),
            Err(HubError::TooManySessions(100)) => refused += 1,
            Err(other) => assert_eq!(other, HubError::TooManySessionsOfAddress(50)),
        }
    }
    assert!(refused > 0 && world.lives(visitor) && world.lives(newcomer));
}

#[test]
fn queues_of_newcomers_stay_as_small_as_what_is_left() {
    let mut world = World::new(limits());
    for number in 0..5_000 {
        let key = world.open(1).unwrap();
        match number % 3 {
            0 => world.hub.close(key),
            1 => drop(world.hub.attach(key, 1)),
            _ => {}
        }
        assert!(world.hub.tables.newcomers.len() <= 2 * world.hub.session_count() + 4);
        if number % 3 == 1 {
            world.hub.close(key);
        }
    }
    world.now = world.now.plus(100_000);
    while world
        .hub
        .poll_timeout()
        .is_some_and(|at_ms| at_ms <= world.now.ms)
    {
        world.hub.expire(world.now);
    }
    assert_eq!(
        (world.hub.session_count(), world.hub.tables.newcomers.len()),
        (0, 0)
    );
    assert!(world.hub.tables.holdings.is_empty());
}

#[test]
fn an_address_alone_reads_a_tenth_of_all_channels() {
    let mut world = World::new(HubLimits {
        channels: 30,
        ..limits()
    });
    let (one, other) = (world.open(1).unwrap(), world.open(2).unwrap());
    let more = world.open(1).unwrap();
    for name in ["a", "b", "c"] {
        world.hub.subscribe(one, name, None).unwrap();
        world.hub.subscribe(more, name, None).unwrap();
    }
    let full = Err(HubError::TooManyAlone(3));
    assert_eq!(world.hub.subscribe(more, "d", None), full);
    // One that is there and that nobody reads is no different.
    world.publish("kept", "x");
    assert_eq!(world.hub.subscribe(one, "kept", None), full);
    // What several read is nobody's, until one address is alone again.
    world.hub.subscribe(other, "a", None).unwrap();
    world.hub.subscribe(one, "d", None).unwrap();
    assert_eq!(world.hub.subscribe(one, "e", None), full);
    world.hub.unsubscribe(other, "a");
    world.hub.unsubscribe(one, "d");
    assert_eq!(world.hub.subscribe(one, "e", None), full);
    for key in [one, more] {
        world.hub.unsubscribe(key, "a");
    }
    world.hub.subscribe(one, "e", None).unwrap();
    // What others read it reads beyond its share.
    world.hub.subscribe(other, "z", None).unwrap();
    world.hub.subscribe(one, "z", None).unwrap();
    for key in [one, other, more] {
        world.hub.close(key);
    }
    assert!(world.hub.tables.holdings.is_empty());
}

#[test]
fn subscriptions_of_an_address_are_limited_together() {
    let mut world = World::new(HubLimits {
        subscriptions_per_address: 3,
        ..limits()
    });
    let (one, more, other) = (world.open(1), world.open(1), world.open(2));
    let (one, more, other) = (one.unwrap(), more.unwrap(), other.unwrap());
    for (key, name) in [(one, "a"), (more, "a"), (more, "b"), (other, "a")] {
        world.hub.subscribe(key, name, None).unwrap();
    }
    let full = Err(HubError::TooManySubscriptions(3));
    assert_eq!(world.hub.subscribe(one, "b", None), full);
    assert!(world.hub.subscribe(one, "a", None).is_ok(), "twice is once");
    assert!(world.hub.subscribe(one, "/all", None).is_ok());
    world.publish_to(one, "its own");
    assert!(world.hub.subscribe(other, "b", None).is_ok());
    world.hub.unsubscribe(more, "b");
    assert!(world.hub.subscribe(one, "b", None).is_ok());
}

#[test]
fn who_moves_takes_its_share_along_if_there_is_room() {
    let mut world = World::new(HubLimits {
        sessions_per_address: 2,
        channels: 20,
        ..limits()
    });
    let key = world.open(1).unwrap();
    for name in ["a", "b"] {
        world.hub.subscribe(key, name, None).unwrap();
    }
    let held = |world: &World, last| {
        let holdings = &world.hub.tables.holdings;
        let key = address(last).unwrap();
        let sessions = holdings.sessions_of(address(last));
        (
            sessions,
            holdings.subscriptions.of(key),
            holdings.channels.of(key),
        )
    };
    world.hub.set_address(key, address(2));
    assert_eq!((held(&world, 1), held(&world, 2)), ((0, 0, 0), (1, 2, 2)));
    let other = world.open(1).unwrap();
    world.hub.subscribe(other, "c", None).unwrap();
    world.hub.set_address(other, address(2));
    assert_eq!(
        held(&world, 1),
        (1, 1, 1),
        "2 has no room for a channel more"
    );
    world.hub.set_address(key, None);
    world.hub.set_address(other, address(2));
    assert_eq!((held(&world, 1), held(&world, 2)), ((0, 0, 0), (1, 1, 1)));
    // It waits for its stream there.
    world.open(2).unwrap();
    world.open(2).unwrap();
    assert!(!world.lives(other) && world.lives(key));
}

#[test]
fn the_channel_goes_that_was_of_no_use_for_longest() {
    let mut world = World::new(HubLimits {
        channels: 5,
        ..limits()
    });
    for name in ["a", "b", "c", "d"] {
        world.publish(name, "x");
    }
    let key = world.awake(1);
    world.hub.subscribe(key, "a", None).unwrap();
    world.publish("b", "y");
    world.hub.head(world.now, "c").unwrap();
    world.publish("e", "z");
    let known = |world: &World| ["a", "b", "c", "d", "e"].map(|name| world.is_known(name));
    assert_eq!(known(&world), [true, true, true, false, true]);
    world.hub.unsubscribe(key, "a");
    world.publish("f", "z");
    world.publish("g", "z");
    assert_eq!(known(&world), [true, false, false, false, true]);
    assert_eq!(world.hub.channel_count(), 5);
    for name in ["a", "e", "f", "g"] {
        world.hub.subscribe(key, name, None).unwrap();
    }
    let full = Err(HubError::TooManyChannels(5));
    assert_eq!(world.hub.subscribe(key, "h", None), full);
    assert_eq!(
        world.hub.check(["a", "h"].into_iter()),
        Err(HubError::TooManyChannels(5))
    );
    assert_eq!(world.hub.check(["a", "g"].into_iter()), Ok(()));
}

#[test]
fn the_queue_of_channels_stays_as_small_as_the_table() {
    let mut world = World::new(limits());
    for number in 0..20_000_u64 {
        world.now = world.now.plus(100);
        world.hub.expire(world.now);
        world.publish(&format!("c{number}"), "x");
        let most = 2 * world.hub.channel_count() + 65;
        assert!(world.hub.archive.resting() <= most);
    }
}

/// What each address has, counted anew.
fn recounted(hub: &Hub) -> HashMap<AddressKey, (usize, usize, usize)> {
    let mut counts: HashMap<AddressKey, (usize, usize, usize)> = HashMap::new();
    for (_, session) in hub.tables.sessions.iter() {
        let Some(address) = session.address else {
            continue;
        };
        let subscriptions = session.subscriptions.iter();
        let counted = subscriptions.filter(|subscription| {
            let (_, channel) = hub.tables.channels.at(subscription.channel).unwrap();
            !channel.direct && &*channel.name != ALL_CHANNEL
        });
        let entry = counts.entry(address).or_default();
        entry.0 += 1;
        entry.1 += counted.count();
    }
    for (_, channel) in hub.tables.channels.iter() {
        let readers = channel.readers().iter();
        let mut owners: Vec<_> = readers
            .map(|reader| hub.tables.sessions.at(reader.session).unwrap().1.address)
            .collect();
        owners.dedup();
        if let ([Some(alone)], true) = (&owners[..], channel.counted) {
            counts.entry(*alone).or_default().2 += 1;
        }
    }
    counts
}

/// Whether each channel that is read has an opener, if it can, and no other has.
fn openers_are_readers(hub: &Hub) -> bool {
    let address = |reader: &channel::Reader| {
        let (_, session) = hub.tables.sessions.at(reader.session)?;
        session.address
    };
    let mut channels = hub.tables.channels.iter();
    channels.all(|(_, channel)| match channel.opener {
        Some(_) => channel.counted && !channel.is_empty(),
        None => !channel.counted || channel.readers().iter().find_map(address).is_none(),
    })
}

proptest! {
    #[test]
    fn whatever_happens_shares_are_what_is_there(
        steps in prop::collection::vec((0_u8..12, 0_usize..6, 0_usize..12, 0_u8..4), 1..200),
    ) {
        let mut world = World::new(HubLimits {
            sessions: 20,
            sessions_per_address: 8,
            subscriptions_per_address: 10,
            channels: 6,
            ..limits()
        });
        let mut keys = Vec::new();
        for (what, one, other, whose) in steps {
            let name = ["/all", "a", "b", "c", "d", "e"][one];
            let whose = if whose == 0 { None } else { address(whose) };
            let key = keys.get(other % keys.len().max(1)).copied();
            match (what, key) {
                (0 | 1, _) => keys.extend(world.hub.open(world.now, whose)),
                (2, _) => keys.extend(world.hub.open_stream(whose, other as u64)),
                (3, Some(key)) => drop(world.hub.attach(key, other as u64)),
                (4, Some(key)) => {
                    let stream = world.hub.session(key).and_then(|known| known.stream());
                    world.hub.detach(world.now, key, stream.unwrap_or(0));
                }
                (5 | 6, Some(key)) => drop(world.hub.subscribe(key, name, None)),
                (7, Some(key)) => drop(world.hub.unsubscribe(key, name)),
                (8, Some(key)) => world.hub.set_address(key, whose),
                (9, Some(key)) => world.hub.close(key),
                (10, _) => {
                    world.now = world.now.plus(20_000);
                    world.hub.expire(world.now);
                }
                _ => {
                    let encode = |bytes: &mut Vec<u8>, _: Offset, _: Option<Epoch>| bytes.push(b'x');
                    let checked = world.hub.check(std::iter::once(name));
                    let published = world.hub.publish(world.now, name, encode);
                    prop_assert_eq!(published.map(drop), checked);
                }
            }
            let hub = &world.hub;
            let counts = recounted(hub);
            for last in 1..4 {
                let key = address(last).unwrap();
                let holdings = &hub.tables.holdings;
                let held = (
                    holdings.sessions_of(Some(key)),
                    holdings.subscriptions.of(key),
                    holdings.channels.of(key),
                );
                prop_assert_eq!(held, counts.get(&key).copied().unwrap_or_default());
                prop_assert!(held.0 <= 8 && held.1 <= 10);
                let opened = hub.tables.channels.iter();
                let opened = opened.filter(|(_, channel)| channel.opener == Some(key));
                prop_assert_eq!(holdings.opened.of(key), opened.count());
            }
            prop_assert!(openers_are_readers(hub), "a read channel counts for somebody");
            let named = hub.tables.channels.iter().filter(|(_, channel)| !channel.direct);
            let (read, unread): (Vec<_>, Vec<_>) = named.partition(|(_, c)| !c.is_empty());
            prop_assert_eq!(hub.tables.read, read.len());
            prop_assert!(unread.iter().all(|(_, channel)| channel.resting));
            prop_assert!(hub.session_count() <= 20 && hub.tables.names.len() <= 7);
            prop_assert!(hub.tables.newcomers.len() <= 2 * hub.session_count() + 4 * 4);
        }
        for key in keys {
            world.hub.close(key);
        }
        prop_assert!(world.hub.tables.holdings.is_empty());
        prop_assert_eq!((world.hub.tables.newcomers.len(), world.hub.tables.read), (0, 0));
    }
}

#[test]
fn a_crowd_of_sessions_ends_over_several_turns() {
    let mut many = limits();
    (many.sessions, many.sessions_per_address) = (10_000, 10_000);
    let mut world = World::new(many);
    for _ in 0..5_000 {
        world.hub.open(world.now, None).unwrap();
    }
    world.now = world.now.plus(100_000);
    let mut left = Vec::new();
    while world.hub.session_count() > 0 {
        assert!(
            world.hub.poll_timeout().unwrap() <= world.now.ms,
            "due at once"
        );
        world.hub.expire(world.now);
        left.push(world.hub.session_count());
    }
    assert_eq!(left, [2_952, 904, 0]);
}
