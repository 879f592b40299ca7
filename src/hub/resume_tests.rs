//! What a client that comes again is given, and what it is told.

use super::tests::{World, limits};
use super::*;
use crate::base::names::Epoch;
use crate::base::names::Position;
use crate::base::names::Since;

#[test]
fn a_poll_that_names_what_is_gone_is_told_of_the_gap() {
    let mut tight = limits();
    tight.retention.keep.bytes = 500;
    let mut world = World::new(tight);
    let key = world.awake(1);
    let at = world.publish("/all", "seen").position;
    world.read(key);
    for number in 0..100 {
        world.publish("/all", &number.to_string());
    }
    world.readers();
    let told = world.hub.resume(key, &[("/all", at.into())], Asking::Poll);
    assert!(!told[0].1.recovered);
    let gap = world.hub.take_gap(key).unwrap();
    let rest = world.read(key).split_whitespace().count() as u64;
    assert_eq!((gap.missed + rest, gap.position.offset), (100, 101 - rest));
    let told = world.hub.resume(key, &[("/all", at.into())], Asking::Again);
    assert!(!told[0].1.recovered, "told by the answer, and only there");
    assert_eq!(world.hub.take_gap(key), None);
}

#[test]
fn a_client_that_names_others_has_seen_nothing_of_its_own_channel() {
    let mut world = World::new(limits());
    let key = world.awake(1);
    let all = world.publish("/all", "a").position;
    world.publish_to(key, "direct");
    assert_eq!(world.read(key), "a direct ");
    // It was lost behind the socket, and only the client can say so.
    let told = world
        .hub
        .resume(key, &[("/all", all.into())], Asking::Again);
    assert!(told.iter().all(|(_, standing)| standing.recovered));
    assert_eq!(world.read(key), "direct ");
    world.hub.resume(key, &[], Asking::Poll);
    assert_eq!(world.read(key), "", "it names nothing at all");
}

#[test]
fn a_session_that_is_renewed_sleeps_its_whole_time_again() {
    let mut world = World::new(limits());
    let key = world.hub.open(world.now, None).unwrap();
    let id = world.hub.session(key).unwrap().id;
    for (wait_ms, lives) in [(80_000, true), (80_000, true), (91_000, false)] {
        world.hub.renew(world.now, key);
        world.now = world.now.plus(wait_ms);
        world.hub.expire(world.now);
        assert_eq!(world.hub.find(id).is_some(), lives, "after {wait_ms}");
    }
}

#[test]
fn who_asks_anew_has_not_got_the_batch_that_is_being_written() {
    let mut world = World::new(limits());
    let key = world.awake(1);
    world.publish("/all", "a");
    world.hub.begin_batch(key, 7, false);
    assert_eq!(world.read(key), "a ");
    assert!(world.hub.is_batch_out(key));
    world.hub.resume(key, &[], Asking::Poll);
    assert!(!world.hub.is_batch_out(key));
    assert_eq!(world.read(key), "a ");
    world.hub.batch_lost(key, 7);
    assert_eq!(world.read(key), "", "the old stream fails, too late");
}

#[test]
fn a_poll_that_names_another_life_of_a_channel_moves_no_cursor() {
    let mut tight = limits();
    tight.retention.keep.bytes = 1_000;
    let mut world = World::new(tight);
    let key = world.awake(1);
    let standing = world.hub.subscribe(key, "news", None).unwrap();
    // More than the log keeps, so that its first ones are gone.
    for number in 0..100 {
        world.publish("news", &number.to_string());
    }
    world.readers();
    let before = Position {
        epoch: Epoch::from_random(u64::MAX),
        offset: 40,
    };
    assert_ne!(before.epoch, standing.position.epoch);
    world
        .hub
        .resume(key, &[("news", before.into())], Asking::Poll);
    let gap = world.hub.take_gap(key).expect("the loss is told");
    assert_eq!(gap.position.offset, gap.missed);
}

#[test]
fn who_lost_an_answer_that_is_gone_by_then_is_told_of_the_gap() {
    let mut tight = limits();
    tight.retention.keep.bytes = 500;
    let mut world = World::new(tight);
    let key = world.awake(1);
    let at = world.publish("/all", "lost").position;
    world.hub.begin_batch(key, 1, true);
    assert_eq!(world.read(key), "lost ");
    world.hub.batch_written(key, 1);
    for number in 0..100 {
        world.publish("/all", &number.to_string());
    }
    world.readers();
    world.hub.catch_up(key, Some(0), None);
    let gap = world.hub.take_gap(key).unwrap();
    let rest = world.read(key).split_whitespace().count() as u64;
    assert_eq!((gap.missed + rest, gap.position.offset), (101, 101 - rest));
    let told = world.hub.resume(key, &[("/all", at.into())], Asking::Again);
    assert!(!told[0].1.recovered, "told by the answer, and only there");
    assert_eq!(world.hub.take_gap(key), None);
}

#[test]
fn a_numbered_batch_is_owed_until_its_number_comes_back() {
    let mut world = World::new(limits());
    let key = world.awake(1);
    world.publish("/all", "a");
    let mut given = Vec::new();
    // Lost, whether it was written or not; the second time its client says nothing of use.
    for (stream, said) in [(1, 0), (2, 99), (3, 1)] {
        given.push(world.hub.begin_batch(key, stream, true));
        assert_eq!(world.read(key), "a ");
        if stream != 2 {
            world.hub.batch_written(key, stream);
        }
        world.hub.catch_up(key, Some(said), None);
    }
    assert_eq!(
        given,
        [1, 2, 100],
        "no number that was named is given again"
    );
    world.publish("/all", "b");
    let number = world.hub.begin_batch(key, 4, true);
    assert_eq!(world.read(key), "a b ");
    world.hub.catch_up(key, Some(number), None);
    world.hub.batch_lost(key, 4);
    world.hub.catch_up(key, Some(0), None);
    assert_eq!(
        world.read(key),
        "",
        "it came, whatever became of the stream"
    );
}

#[test]
fn a_batch_without_a_number_is_read_when_it_is_written() {
    let mut world = World::new(limits());
    let key = world.awake(1);
    world.publish("/all", "a");
    assert_eq!(world.hub.begin_batch(key, 1, false), 0);
    assert_eq!(world.read(key), "a ");
    world.hub.batch_written(key, 1);
    world.hub.catch_up(key, Some(0), None);
    assert_eq!(world.read(key), "");
}

/// Of many positions the first of a name counts, as of few.
#[test]
fn of_many_positions_the_first_of_a_name_counts() {
    let mut world = World::new(limits());
    let key = world.awake(1);
    world.hub.subscribe(key, "room", None).unwrap();
    let at = world.publish("room", "seen").position;
    let later = world.publish("room", "not seen").position;
    let elsewhere = Position { offset: 7, ..at };
    for others in [0, 1, 100] {
        let others: Vec<String> = (0..others).map(|number| format!("r{number}")).collect();
        // Those that it has stand last.
        let mut positions: Vec<(&str, Since)> = Vec::new();
        positions.extend(others.iter().map(|name| (&**name, later.into())));
        positions.extend([at, later, elsewhere].map(|at| ("room", at.into())));
        let told = world.hub.resume(key, &positions, Asking::Again);
        assert_eq!(told.len(), 2);
        let (_, standing) = told.iter().find(|(name, _)| **name == *"room").unwrap();
        assert_eq!((standing.position, standing.recovered), (at, true));
    }
}
