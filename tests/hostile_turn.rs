//! One peer with many connections that all have much to be done at once, and a bystander
//! who came last: what is done before it is that bystander's turn.

mod pure;

use chloe::server::ConnKey;
use chloe::wire::websocket::{Opcode, encode_masked_frame};
use pure::World;

const CONNECT: &str = r#"{"type":"connect","version":1,"positions":{}}"#;

fn frame(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_masked_frame(&mut frame, Opcode::Text, text.as_bytes(), [1, 2, 3, 4]);
    frame
}

/// A WebSocket in 99 channels whose names are as long as they can be when answered.
fn amplifier(world: &mut World, address: &str) -> ConnKey {
    let key = world.websocket(address, "");
    for number in 10..109 {
        let channel = format!("{number:03}{}", "<".repeat(252));
        let text = format!(r#"{{"type":"channel-subscribe","channel":"{channel}"}}"#);
        world.text(key, &text);
    }
    world.end(key).taken.clear();
    key
}

/// One turn of the loop, in which the bystander comes last and is answered; how many
/// bytes were said to the others.
fn turn(world: &mut World, hostile: &[ConnKey], bystander: ConnKey) -> usize {
    world.now = world.now.plus(1);
    world.put(bystander, &frame(r#"{"type":"connect","version":1}"#));
    world.turn();
    assert_eq!(world.texts(bystander).len(), 1, "it waits for nobody");
    let taken = hostile.iter().map(|key| {
        let taken = std::mem::take(&mut world.end(*key).taken);
        taken.len()
    });
    taken.sum()
}

#[test]
fn a_burst_of_answers_is_spread_over_turns() {
    for of_a_48 in [false, true] {
        let mut world = World::new(&[]);
        let bystander = world.websocket("198.51.100.1", "");
        let address = |number: usize| match of_a_48 {
            true => format!("2001:db8:7:{number:x}::1"),
            false => "192.0.2.1".to_owned(),
        };
        let hostile: Vec<_> = (0..60)
            .map(|number| amplifier(&mut world, &address(number)))
            .collect();
        let burst = frame(CONNECT).repeat(6);
        for key in &hostile {
            world.put(*key, &burst);
        }
        let (mut said, mut most) = (0, 0);
        for _ in 0..200 {
            let bytes = turn(&mut world, &hostile, bystander);
            (said, most) = (said + bytes, most.max(bytes));
        }
        // Half a megabyte is enough for a turn, and then what one connection has in its go.
        assert!(most < 4 * 1_400_000, "{most} bytes in a turn");
        assert!(said > 40_000_000, "all get what is theirs: {said}");
    }
}

#[test]
fn a_burst_of_fragments_is_spread_over_turns() {
    let mut world = World::new(&[]);
    let bystander = world.websocket("198.51.100.1", "");
    let hostile: Vec<_> = (0..600).map(|_| world.websocket("192.0.2.1", "")).collect();
    let mut fragments = vec![0x01, 0x81, 1, 2, 3, 4, b'x' ^ 1];
    for _ in 0..998 {
        fragments.extend([0x00, 0x81, 1, 2, 3, 4, b'x' ^ 1]);
    }
    for key in &hostile {
        world.put(*key, &fragments);
    }
    let mut turns = 0;
    while world.unread() > 0 {
        let before = world.unread();
        turn(&mut world, &hostile, bystander);
        let read = before - world.unread();
        assert!(read < 4 * 140_000, "{read} bytes in a turn");
        turns += 1;
        assert!(turns < 1_000, "nobody starves");
    }
}
