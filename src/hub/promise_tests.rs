//! Positions that were told, and publications that are checked before they are made.

use super::tests::{World, limits};
use super::*;

#[test]
fn a_position_that_was_told_is_good_for_as_long_as_history_is_kept() {
    let mut world = World::new(limits());
    let start = world.now;
    let told = world.hub.head(start, "news").unwrap();
    assert_eq!((told.position.offset, told.readers), (0, 0));
    // A reader that comes and goes does not end it.
    let visitor = world.awake(1);
    world.hub.subscribe(visitor, "news", None).unwrap();
    assert_eq!(world.hub.head(start, "news").unwrap().readers, 1);
    world.hub.close(visitor);
    world.now = start.plus(59_000);
    world.hub.expire(world.now);
    assert_eq!(
        world.hub.head(world.now, "news").unwrap().position,
        told.position
    );
    world.publish("news", "one");
    let key = world.awake(2);
    let standing = world
        .hub
        .subscribe(key, "news", Some(told.position))
        .unwrap();
    assert!(standing.recovered);
    assert_eq!(world.read(key), "one ");
    world.hub.close(key);
    // Asked again meanwhile, it lives on behind its publication.
    world.now = start.plus(118_900);
    let told = world.hub.head(world.now, "news").unwrap();
    world.now = start.plus(170_000);
    world.hub.expire(world.now);
    assert_eq!(world.hub.log_bytes(), 0);
    assert_eq!(
        world.hub.head(world.now, "news").unwrap().position,
        told.position
    );
    world.now = start.plus(171_000 + 60_000);
    let due_ms = world.hub.poll_timeout().unwrap();
    assert!(due_ms <= world.now.ms, "it wakes up to forget it");
    world.hub.expire(world.now);
    world.hub.expire(world.now.plus(100_000));
    let names: Vec<&str> = vec!["news"];
    assert_eq!(
        world.hub.tables.count_with(names.into_iter()),
        world.hub.channel_count() + 1
    );
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
    assert_eq!(check(&world.hub, &["a", "b", "c", "b", "c"]), Ok(()));
    let too_many = Err(HubError::TooManyChannels(3));
    assert_eq!(check(&world.hub, &["a", "b", "c", "d"]), too_many);
    assert_eq!(check(&world.hub, &["a", ""]), Err(HubError::EmptyName));
    assert_eq!(
        check(&world.hub, &["/session"]),
        Err(HubError::ReservedName)
    );
    assert_eq!(world.hub.channel_count(), 1, "a check makes none");
    world.hub.head(world.now, "b").unwrap();
    world.hub.head(world.now, "c").unwrap();
    assert_eq!(
        world.hub.head(world.now, "d").unwrap_err(),
        HubError::TooManyChannels(3)
    );
}
