//! A hub that goes on where another one ended, on a clock moved by hand.

use crate::base::names::Epoch;
use crate::base::names::Offset;
use crate::base::names::SessionId;
use crate::base::random::Random;
use crate::base::record::Damaged;
use crate::base::time::Time;
use proptest::prelude::*;

use super::tests::bare;
use super::*;
use crate::base::address::AddressKey;
use crate::base::names::Position;
use crate::base::record;

fn limits() -> HubLimits {
    HubLimits {
        sessions: 1_000,
        sessions_per_address: 1_000,
        session_ttl_ms: 90_000,
        channels: 1_000,
        channels_per_session: 10,
        subscriptions_per_address: 1_000,
        backlog_bytes: 1 << 20,
        channel_name_bytes: 64,
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

const START: Time = Time {
    ms: 1_000_000,
    unix_ms: 1_700_000_000_000,
};

fn hub(limits: HubLimits, seed: u8) -> Hub {
    Hub::new(limits, bare, Random::new([seed; 32]))
}

fn frame(text: &str) -> impl FnOnce(&mut Vec<u8>, Offset, Option<Epoch>) {
    move |bytes, _, _| bytes.extend_from_slice(format!("{text} ").as_bytes())
}

fn saved(hub: &Hub, now: Time) -> Vec<u8> {
    record::written(|out| hub.save(now, out))
}

fn restore(hub: &mut Hub, now: Time, bytes: &[u8]) -> Result<Restored, Damaged> {
    let restored = record::read(bytes, |record| hub.restore(now, record));
    if restored.is_err() {
        hub.clear();
    }
    restored
}

fn read(hub: &mut Hub, key: SessionKey) -> String {
    let runs = hub.pending(key).flat_map(|run| run.bytes.to_vec());
    let bytes: Vec<u8> = runs.collect();
    hub.advance(key, bytes.len(), &mut Vec::new());
    String::from_utf8(bytes).unwrap()
}

/// A hub in which a good deal is going on, and its sessions.
fn busy() -> (Hub, Vec<SessionId>) {
    let mut hub = hub(limits(), 1);
    let keys: Vec<_> = (0..3).map(|_| hub.open(START, None).unwrap()).collect();
    hub.set_modern(keys[1]);
    hub.attach(keys[1], 7);
    for (number, name) in ["news", "sport", "news"].into_iter().enumerate() {
        hub.subscribe(keys[number], name, None).unwrap();
    }
    for number in 0..4 {
        hub.publish(START, "news", frame(&format!("n{number}")))
            .unwrap();
        hub.publish(START, "/all", frame(&format!("a{number}")))
            .unwrap();
        hub.publish_to(START, keys[number % 2], frame(&format!("d{number}")));
    }
    assert_eq!(read(&mut hub, keys[0]), "n0 a0 d0 n1 a1 n2 a2 d2 n3 a3 ");
    hub.publish(START, "sport", frame("s")).unwrap();
    let ids = keys.iter().map(|&key| hub.session(key).unwrap().id);
    let ids = ids.collect();
    (hub, ids)
}

#[test]
fn a_restored_hub_owes_what_the_other_owed_in_the_same_order() {
    let (mut old, ids) = busy();
    let bytes = saved(&old, START);
    let mut new = hub(limits(), 2);
    // Another monotonic clock, ten seconds later.
    let later = Time {
        ms: 500_000,
        unix_ms: START.unix_ms + 10_000,
    };
    let restored = restore(&mut new, later, &bytes).unwrap();
    let expected = Restored {
        sessions: 3,
        publications: 13,
    };
    assert_eq!(restored, expected);
    assert!(saved(&new, later) == bytes, "nothing is added or lost");
    for &id in &ids {
        let (before, after) = (old.find(id).unwrap(), new.find(id).unwrap());
        let known = new.session(after).unwrap();
        assert_eq!(known.modern, id == ids[1]);
        assert_eq!(known.stream(), None, "it sleeps");
        assert_eq!(read(&mut new, after), read(&mut old, before));
    }
    let news = new.publish(later, "news", frame("n4")).unwrap();
    assert_eq!(
        news,
        old.publish(START, "news", frame("n4")).unwrap(),
        "the epoch and its offsets go on"
    );
}

#[test]
fn what_was_not_taken_is_owed_again() {
    let (mut old, ids) = busy();
    let key = old.find(ids[2]).unwrap();
    old.begin_batch(key, 9, true);
    let batch = read(&mut old, key);
    old.batch_written(key, 9);
    let mut new = hub(limits(), 2);
    restore(&mut new, START, &saved(&old, START)).unwrap();
    let key = new.find(ids[2]).unwrap();
    assert_eq!(read(&mut new, key), batch);
}

#[test]
fn ages_go_on_and_sessions_begin_anew() {
    let (old, ids) = busy();
    let bytes = saved(&old, START);
    let mut new = hub(limits(), 2);
    let later = Time {
        ms: 100_000,
        unix_ms: START.unix_ms + 59_000,
    };
    restore(&mut new, later, &bytes).unwrap();
    let key = new.find(ids[2]).unwrap();
    new.expire(later);
    assert!(new.is_behind(key) && new.take_gap(key).is_none());
    new.expire(later.plus(1_000));
    assert_eq!(new.log_bytes(), 0, "a minute old in all");
    assert!(new.take_gap(key).is_some(), "and it is told");
    new.expire(later.plus(89_999));
    assert_eq!(new.session_count(), 3);
    new.expire(later.plus(90_000));
    assert_eq!((new.session_count(), new.channel_count()), (0, 0));
}

#[test]
fn lower_limits_hold_for_what_is_restored() {
    let (old, _) = busy();
    let bytes = saved(&old, START);
    let mut tight = limits();
    tight.sessions = 2;
    tight.retention.total_bytes = 100;
    let mut new = hub(tight, 2);
    restore(&mut new, START, &bytes).unwrap();
    assert_eq!(new.session_count(), 2);
    assert!(new.log_bytes() <= 100);
}

#[test]
fn a_position_of_before_is_recovered() {
    let (mut old, ids) = busy();
    let key = old.find(ids[0]).unwrap();
    let published = old.publish(START, "news", frame("n4")).unwrap();
    let mut new = hub(limits(), 2);
    restore(&mut new, START, &saved(&old, START)).unwrap();
    let position = Position {
        offset: published.position.offset - 1,
        ..published.position
    };
    let key = new.find(old.session(key).unwrap().id).unwrap();
    let told = new.resume(key, &[("news", position.into())], Asking::Again);
    let recovered = |channel| {
        let mut told = told.iter();
        told.find(|(name, _)| &**name == channel)
            .unwrap()
            .1
            .recovered
    };
    assert!(recovered("news") && !recovered("/all"));
    assert!(read(&mut new, key).contains("n4 "));
}

#[test]
fn nothing_is_restored_of_what_no_hub_wrote() {
    let (old, _) = busy();
    let bytes = saved(&old, START);
    for cut in 0..bytes.len() {
        let mut new = hub(limits(), 2);
        assert_eq!(
            restore(&mut new, START, &bytes[..cut]),
            Err(Damaged),
            "{cut}"
        );
        assert_eq!((new.session_count(), new.channel_count()), (0, 0));
    }
    let mut long = bytes;
    long.push(0);
    assert_eq!(restore(&mut hub(limits(), 2), START, &long), Err(Damaged));
}

/// Which channel goes first where there are too many is as it was, though the process
/// is another: what was asked for since its last publication counts as well.
#[test]
fn the_channel_that_was_of_no_use_for_longest_is_known_to_the_next_process() {
    let few = HubLimits {
        channels: 4,
        ..limits()
    };
    let mut before = hub(few.clone(), 1);
    for name in ["a", "b", "c"] {
        before.publish(START, name, frame("x")).unwrap();
    }
    before.head(START, "a").unwrap();
    let bytes = saved(&before, START);
    let mut after = hub(few, 2);
    restore(&mut after, START, &bytes).unwrap();
    for name in ["d", "e"] {
        after.publish(START, name, frame("x")).unwrap();
    }
    let known = ["a", "b", "c", "d", "e"].map(|name| after.tables.names.contains_key(name));
    assert_eq!(known, [true, false, true, true, true]);
    assert_eq!(saved(&before, START), bytes, "to save changes nothing");
}

proptest! {
    #[test]
    fn whatever_stands_in_the_bytes_the_hub_stays_whole(
        at in 0_usize..2_000,
        value in any::<u8>(),
        then in 0_usize..2_000,
    ) {
        let (old, _) = busy();
        let mut bytes = saved(&old, START);
        let length = bytes.len();
        bytes[at % length] = value;
        bytes[then % length] ^= value;
        let mut new = hub(limits(), 2);
        if restore(&mut new, START, &bytes).is_ok() {
            let key = new.open(START, None).unwrap();
            new.publish(START, "news", frame("x")).unwrap();
            new.publish_to(START, key, frame("y")).unwrap();
            new.close(key);
            new.expire(START.plus(10_000_000));
            prop_assert_eq!((new.session_count(), new.channel_count()), (0, 0));
            prop_assert_eq!(new.log_bytes(), 0);
        } else {
            prop_assert_eq!((new.session_count(), new.channel_count()), (0, 0));
        }
    }

    #[test]
    fn any_history_is_restored_as_it_was(
        steps in prop::collection::vec((0_u8..4, 0_usize..5, 0_usize..4, 0_u64..500), 1..80),
    ) {
        let mut now = START;
        let mut old = hub(limits(), 1);
        let mut keys = Vec::new();
        for (what, one, other, passed_ms) in steps {
            now = now.plus(passed_ms);
            let name = ["/all", "a", "b", "c", "d"][one];
            let key = keys.get(other).copied();
            match (what, key) {
                (0, _) => keys.push(old.open(now, None).unwrap()),
                (1, Some(key)) => {
                    old.subscribe(key, name, None).unwrap();
                }
                (2, Some(key)) => {
                    old.publish_to(now, key, frame(name));
                    if one == 0 {
                        read(&mut old, key);
                    }
                }
                _ => {
                    old.publish(now, name, frame(name)).unwrap();
                }
            }
        }
        let bytes = saved(&old, now);
        let mut new = hub(limits(), 2);
        restore(&mut new, now, &bytes).unwrap();
        for key in keys {
            let id = old.session(key).unwrap().id;
            let other = new.find(id).unwrap();
            prop_assert_eq!(read(&mut new, other), read(&mut old, key));
        }
    }
}

#[test]
fn sessions_that_never_had_a_stream_are_the_first_to_go_in_the_next_hub_too() {
    let limits = HubLimits {
        sessions: 50,
        ..limits()
    };
    let mut before = hub(limits.clone(), 1);
    let visitor = before.open(START, None).unwrap();
    before.attach(visitor, 7);
    let visitor = before.session(visitor).unwrap().id;
    let stranger = AddressKey::of("192.0.2.1".parse().unwrap());
    for _ in 0..49 {
        before.open(START, stranger).unwrap();
    }
    let mut after = hub(limits, 2);
    restore(&mut after, START, &saved(&before, START)).unwrap();
    assert_eq!(after.session_count(), 50);
    // Whose they are is not known any more: they are as many as this machine has.
    for _ in 0..20 {
        let key = after.open(START, None).expect("a visitor gets in");
        after.attach(key, 8);
    }
    assert_eq!(after.session_count(), 50);
    assert!(after.find(visitor).is_some(), "who may come back is kept");
}
