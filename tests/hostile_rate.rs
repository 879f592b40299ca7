//! One address that sends as much as it can over as many connections as it may have, and
//! a bystander who notices nothing of it.

mod pure;

use chloe::server::ConnKey;
use chloe::wire::websocket::{Opcode, encode_masked_frame};
use pure::{Bystander, World};

const HOSTILE: &str = "192.0.2.1";
const OTHER: &str = "198.51.100.1";

/// Messages a second of an address, in these tests.
const RATE: usize = 3_200;

fn world() -> World {
    World::new(&[&format!("messages_per_second_per_address_max={RATE}")])
}

fn pings(count: usize) -> Vec<u8> {
    let mut frames = Vec::new();
    for _ in 0..count {
        encode_masked_frame(&mut frames, Opcode::Ping, b"", [1, 2, 3, 4]);
    }
    frames
}

/// How many pings were answered on `key` since it was last asked.
fn pongs(world: &mut World, key: ConnKey) -> usize {
    let taken = std::mem::take(&mut world.end(key).taken);
    // Nothing else that is written here has this byte.
    taken.iter().filter(|&&byte| byte == 0x8a).count()
}

#[test]
fn a_thousand_senders_of_one_address_have_its_share() {
    let mut world = world();
    let mut bystander = Bystander::of(&mut world);
    let other = world.websocket(OTHER, "");
    let keys: Vec<ConnKey> = (0..100).map(|_| world.websocket(HOSTILE, "")).collect();
    let mut done = 0;
    let mut asked = 0;
    let second = pings(1_000);
    for _ in 0..5 {
        for key in &keys {
            world.send(*key, &second);
            asked += 1_000;
            done += pongs(&mut world, *key);
        }
        world.send(other, &pings(100));
        assert_eq!(
            pongs(&mut world, other),
            100,
            "another address is answered at once"
        );
        bystander.hears(&mut world);
        world.pass(1_000);
        done += keys
            .iter()
            .map(|key| pongs(&mut world, *key))
            .sum::<usize>();
    }
    // Ten seconds' worth at once, five seconds, and for each session what is not counted yet.
    let most = 15 * RATE + 64 * keys.len();
    assert!(done <= most, "{done} of {asked}");
    assert!(done >= 10 * RATE, "{done} of {asked}");
    assert!(
        keys.iter().all(|key| !world.end(*key).closed),
        "it is read slowly, and no more"
    );
    // Nothing of it is lost.
    world.pass(600_000);
    done += keys
        .iter()
        .map(|key| pongs(&mut world, *key))
        .sum::<usize>();
    assert_eq!(done, asked);
}

#[test]
fn and_so_have_those_that_send_little_and_go() {
    let mut world = world();
    let mut bystander = Bystander::of(&mut world);
    let few = pings(60);
    let mut done = 0;
    for number in 0..2_000 {
        let key = world.websocket(HOSTILE, "");
        world.send(key, &few);
        done += pongs(&mut world, key);
        world.reset(key);
        if number % 200 == 0 {
            world.pass(100);
            bystander.hears(&mut world);
        }
    }
    // Ten seconds' worth, a second, and what those sent that are not dropped yet.
    assert!(done >= 10 * RATE, "{done}");
    assert!(done < 20 * RATE, "{done} of {}", 2_000 * 60);
    let other = world.websocket(OTHER, "");
    world.send(other, &few);
    assert_eq!(pongs(&mut world, other), 60);
}

#[test]
fn this_machine_sends_what_it_likes() {
    let mut world = world();
    let mut done = 0;
    for _ in 0..60 {
        let key = world.websocket("127.0.0.1", "");
        world.send(key, &pings(1_000));
        done += pongs(&mut world, key);
    }
    assert_eq!(done, 60_000);
}
