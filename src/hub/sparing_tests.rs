//! What is kept beyond a short history, for whom and for how long.

use super::sparing::{POLL_MS, WAIT_MS};
use super::tests::{World, limits};
use super::*;
use crate::base::names::Position;

/// A history of [`LOG_FLOOR`] publications; publishers wait beyond `backlog_bytes`.
fn world(backlog_bytes: usize) -> World {
    let mut short = limits();
    short.retention.keep.size = 0;
    short.backlog_bytes = backlog_bytes;
    World::new(short)
}

fn publish(world: &mut World, count: usize) {
    for number in 0..count {
        world.publish("/all", &number.to_string());
    }
}

/// A session whose poll was answered just now.
fn between_polls(world: &mut World, stream: Stream) -> SessionKey {
    let key = world.awake(stream);
    world.hub.answered(world.now, key, stream);
    key
}

fn pass_ms(world: &mut World, ms: u64) {
    world.now = world.now.plus(ms);
    world.hub.expire(world.now);
}

/// How many it gets, and how many it missed.
fn outcome(world: &mut World, key: SessionKey) -> (usize, u64) {
    let missed = world.hub.take_gap(key).map_or(0, |gap| gap.missed);
    (world.read(key).split_whitespace().count(), missed)
}

#[test]
fn a_long_list_reaches_every_reader_however_short_the_history() {
    let mut world = world(1 << 20);
    let keys = [world.awake(1), world.awake(2)];
    publish(&mut world, 1_000);
    for _ in keys {
        let (key, _) = world.hub.next_reader(world.now).unwrap();
        assert_eq!(outcome(&mut world, key), (1_000, 0));
    }
    assert_eq!(world.hub.next_reader(world.now), None);
    let late = world.hub.head(world.now, "/all").unwrap();
    assert!(matches!(late, Whereabouts::Known(head) if head.position.offset == 1_000));
    // Who was not there has the history, and no more.
    let position = Position {
        epoch: world.epoch("/all"),
        offset: 0,
    };
    let key = world.awake(3);
    let told = world
        .hub
        .resume(key, &[("/all", position.into())], Asking::Again);
    assert!(!told[0].1.recovered);
    assert_eq!(outcome(&mut world, key), (LOG_FLOOR, 0));
}

#[test]
fn who_does_not_take_what_he_is_given_is_not_waited_for() {
    let mut world = world(1 << 20);
    let (slow, brisk) = (world.awake(1), world.awake(2));
    for _ in 0..10 {
        publish(&mut world, 1_000);
        while let Some((key, _)) = world.hub.next_reader(world.now) {
            if key == brisk {
                assert_eq!(outcome(&mut world, key), (1_000, 0));
            }
        }
        assert!(!world.hub.is_ahead());
    }
    assert_eq!(
        outcome(&mut world, slow),
        (LOG_FLOOR, 10_000 - LOG_FLOOR as u64)
    );
}

#[test]
fn who_polls_is_waited_for_between_two_polls() {
    let mut world = world(1 << 20);
    let key = between_polls(&mut world, 1);
    publish(&mut world, 1_000);
    pass_ms(&mut world, POLL_MS - 1);
    world.hub.attach(key, 2);
    assert_eq!(outcome(&mut world, key), (1_000, 0));
    // It is not kept for longer than that.
    pass_ms(&mut world, 1);
    publish(&mut world, 1);
    assert!(world.hub.log_bytes() < LOG_FLOOR * 40);
    assert_eq!(outcome(&mut world, key), (1, 0));
    // And not for one that comes too late.
    world.hub.answered(world.now, key, 2);
    publish(&mut world, 1_000);
    pass_ms(&mut world, POLL_MS);
    assert_eq!(
        outcome(&mut world, key),
        (LOG_FLOOR, 1_000 - LOG_FLOOR as u64)
    );
}

#[test]
fn what_did_not_fit_into_an_answer_is_kept_for_the_next() {
    let mut world = world(1 << 20);
    let (slow, key) = (between_polls(&mut world, 1), world.awake(2));
    publish(&mut world, 500);
    world.hub.attach(slow, 3);
    assert_eq!(outcome(&mut world, slow), (500, 0));
    // The answer has room for a few.
    assert_eq!(world.hub.advance(key, 4, &mut Vec::new()), 2);
    world.hub.answered(world.now, key, 2);
    publish(&mut world, 500);
    world.readers();
    assert_eq!(outcome(&mut world, key), (998, 0));
}

#[test]
fn publishers_wait_for_who_polls_and_not_for_long() {
    let mut world = world(8_000);
    let key = between_polls(&mut world, 1);
    publish(&mut world, 300);
    assert!(!world.hub.is_ahead());
    publish(&mut world, 300);
    assert!(world.hub.is_ahead(), "publishers wait");
    // It comes, and they go on.
    world.hub.attach(key, 2);
    assert_eq!(outcome(&mut world, key), (600, 0));
    assert_eq!(world.hub.poll_timeout(), Some(0));
    pass_ms(&mut world, 0);
    assert!(!world.hub.is_ahead());
    // It does not come in time.
    world.hub.answered(world.now, key, 2);
    publish(&mut world, 600);
    assert!(world.hub.is_ahead());
    let due_ms = world.hub.poll_timeout().unwrap();
    assert!(due_ms <= world.now.ms + WAIT_MS);
    pass_ms(&mut world, WAIT_MS - 1);
    assert!(world.hub.is_ahead());
    pass_ms(&mut world, 1);
    assert!(!world.hub.is_ahead());
    assert_eq!(
        outcome(&mut world, key),
        (LOG_FLOOR, 600 - LOG_FLOOR as u64)
    );
    // Whoever does that on purpose holds nobody up again so soon.
    for _ in 0..8 {
        world.hub.attach(key, 3);
        world.hub.answered(world.now, key, 3);
        publish(&mut world, 600);
        assert!(!world.hub.is_ahead());
        pass_ms(&mut world, WAIT_MS);
    }
}

#[test]
fn sessions_that_are_told_something_once_leave_nothing_behind() {
    let mut world = world(1 << 20);
    for stream in 0..5_000 {
        let key = world.awake(stream);
        world.publish_to(key, "welcome");
        world.readers();
        world.hub.close(key);
        let counts = world.hub.counts();
        let timed = counts.iter().find(|(name, _)| *name == "channels_timed");
        assert!(timed.unwrap().1 <= 100, "{timed:?}");
    }
}

#[test]
fn nothing_is_counted_of_a_channel_that_is_gone() {
    let mut world = world(1 << 20);
    let key = world.awake(1);
    world.hub.subscribe(key, "news", None).unwrap();
    for number in 0..500 {
        world.publish("news", &number.to_string());
    }
    world.hub.close(key);
    pass_ms(&mut world, 60_001);
    world.readers();
    pass_ms(&mut world, POLL_MS);
    assert_eq!((world.hub.channel_count(), world.hub.log_bytes()), (0, 0));
    assert_eq!(world.hub.spared_bytes(), 0);
}
