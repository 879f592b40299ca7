//! Several addresses that help each other, or the many of an IPv6 /48, against the tables
//! of channels and sessions; and a visitor who has little, and gets what he asks for.

mod pure;

use chloe::server::ConnKey;
use pure::{Bystander, World};

const VISITOR: &str = "198.51.100.7";

fn join(name: &str) -> String {
    format!(r#"{{"type":"channel-subscribe","channel":"{name}","id":1}}"#)
}

/// Subscribes a page to a channel; the answer.
fn subscribe(world: &mut World, page: ConnKey, name: &str) -> String {
    world.texts(page);
    world.text(page, &join(name));
    world.texts(page).pop().expect("an answer")
}

/// A visitor subscribes to channels that nobody has read yet.
fn finds_room(world: &mut World) {
    let page = world.websocket(VISITOR, "");
    for number in 0..20 {
        let told = subscribe(world, page, &format!("mine{number}"));
        assert!(told.contains(r#""recovered":true"#), "{told}");
    }
    world.reset(page);
}

/// Each opens channels, and the next joins them, so that nobody reads any alone.
#[test]
fn addresses_that_join_each_others_channels_leave_room_for_a_visitor() {
    let mut world = World::new(&["channels_max=1000"]);
    let mut bystander = Bystander::of(&mut world);
    let mut refused = String::new();
    for round in 0..30 {
        let opener = world.websocket(&format!("192.0.2.{}", round % 3 + 1), "");
        let helper = world.websocket(&format!("192.0.2.{}", (round + 1) % 3 + 1), "");
        for number in 0..99 {
            let name = format!("junk{round}.{number}");
            let told = subscribe(&mut world, opener, &name);
            match told.contains("channel-subscribed") || told.contains("recovered") {
                true => drop(subscribe(&mut world, helper, &name)),
                false => refused = told,
            }
        }
        // The opener may go: what the helper reads is a channel all the same.
        if round % 2 == 0 {
            world.reset(opener);
        }
        bystander.hears(&mut world);
    }
    assert!(refused.contains(r#""code":"channels_max""#), "{refused}");
    assert!(refused.contains(r#""temporary":true"#), "{refused}");
    let channels = world.status("channels");
    assert!((600..=800).contains(&channels), "{channels}");
    finds_room(&mut world);
    world.publish("channel=never-seen&data=x");
    bystander.hears(&mut world);
}

#[test]
fn the_networks_of_one_48_leave_half_of_the_channels() {
    let mut world = World::new(&["channels_max=1000"]);
    for network in 1..=200 {
        let page = world.websocket(&format!("2001:db8:7:{network:x}::1"), "");
        for number in 0..20 {
            subscribe(&mut world, page, &format!("junk{network}.{number}"));
        }
    }
    let channels = world.status("channels");
    assert!((400..=510).contains(&channels), "{channels}");
    finds_room(&mut world);
}

/// Two /48s fill the table with two sessions of each network, all of which polled once.
#[test]
fn a_table_full_of_the_networks_of_two_48s_has_room_for_a_visitor() {
    let mut world = World::new(&["sessions_max=400"]);
    let mut bystander = Bystander::of(&mut world);
    for number in 0..200 {
        let site = 7 + number % 2;
        let address = format!("2001:db8:{site}:{number:x}::1");
        for _ in 0..2 {
            let page = world.connect(&address).unwrap();
            world.upgrade(page, "");
            world.text(page, r#"{"type":"connect","version":1,"positions":{}}"#);
            world.reset(page);
        }
    }
    assert_eq!(world.status("sessions"), 400);
    for number in 0..30 {
        let address = format!("198.51.100.{number}");
        let visitor = world.connect(&address).unwrap();
        let connect = r#"data={"type":"connect","version":1,"positions":{}}"#;
        let answer = world.post(visitor, "/chloe/xhr", "", connect);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        world.websocket(&address, "");
        bystander.hears(&mut world);
    }
    assert_eq!(world.status("sessions"), 400);
}

/// A /48 with all its shares makes room for a network of its own, of which nothing is there yet.
#[test]
fn a_48_with_a_full_share_makes_room_for_itself() {
    let mut world = World::new(&["sessions_per_address_max=2"]);
    let connect = r#"data={"type":"connect","version":1,"positions":{}}"#;
    for network in 0..40 {
        let key = world
            .connect(&format!("2001:db8:7:{network:x}::1"))
            .unwrap();
        let answer = world.post(key, "/chloe/xhr", "", connect);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{network}: {answer}");
    }
    assert_eq!(world.status("sessions"), 32);
}
