//! One peer that has Chloe say as much as it can for a few bytes, and a bystander who
//! notices nothing of it; and many honest ones behind one address.

mod pure;

use chloe::server::ConnKey;
use pure::{Bystander, World};

const HOSTILE: &str = "192.0.2.1";

fn status_of(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// A WebSocket in 99 channels whose names are as long as they can be when answered.
fn amplifier(world: &mut World, address: &str) -> ConnKey {
    let key = world.websocket(address, "");
    for number in 10..109 {
        let channel = format!("{number:03}{}", "<".repeat(252));
        world.text(
            key,
            &format!(r#"{{"type":"channel-subscribe","channel":"{channel}"}}"#),
        );
    }
    world.end(key).taken.clear();
    key
}

const CONNECT: &str = r#"{"type":"connect","version":1,"positions":{}}"#;

#[test]
fn what_answers_cost_is_paced_by_session() {
    let mut world = World::new(&[]);
    let mut bystander = Bystander::of(&mut world);
    let key = amplifier(&mut world, HOSTILE);
    let (mut said, mut asked) = (0, 0);
    for _ in 0..10 {
        for _ in 0..200 {
            world.text(key, CONNECT);
            asked += 1;
        }
        bystander.hears(&mut world);
        world.pass(1_000);
        said += std::mem::take(&mut world.end(key).taken).len();
    }
    // Ten seconds' worth at once and ten seconds, of 2.6 MB each, and one answer more.
    assert!(said > 2_000_000, "{said} bytes for {asked}");
    assert!(said < 6_000_000, "{said} bytes for {asked}");
    assert!(!world.end(key).closed, "it is read slowly, and no more");

    // By requests.
    let key = world.connect("192.0.2.9").unwrap();
    let names = (0..99).map(|n| format!(r#""{n:03}{}":"1:1""#, "<".repeat(252)));
    let positions = names.collect::<Vec<_>>().join(",");
    let first = format!(r#"data={{"type":"connect","positions":{{{positions}}}}}"#);
    let answer = world.post(key, "/chloe/xhr", "", &first);
    assert_eq!(status_of(&answer), "200", "{answer}");
    let id = answer.split(r#""sessionId":""#).nth(1).unwrap()[..32].to_owned();
    for number in 10..109 {
        let channel = format!("{number:03}{}", "<".repeat(252));
        let body = format!(
            r#"data={{"type":"channel-subscribe","channel":"{channel}","sessionId":"{id}"}}"#
        );
        world.post(key, "/chloe/xhr", "", &body);
    }
    let again = format!(r#"data={{"type":"connect","positions":{{}},"sessionId":"{id}"}}"#);
    let mut said = 0;
    let mut refused = 0;
    for _ in 0..200 {
        let answer = world.post(key, "/chloe/xhr", "", &again);
        said += answer.len();
        if status_of(&answer) == "429" {
            refused += 1;
            assert!(answer.contains("Retry-After: 1\r\n"), "{answer}");
            assert!(answer.contains(r#""temporary":true"#), "{answer}");
        }
    }
    assert!(said < 3_500_000, "{said} bytes");
    assert!(refused > 150, "{refused} were refused");
    world.pass(2_000);
    assert_eq!(status_of(&world.post(key, "/chloe/xhr", "", &again)), "200");
    bystander.hears(&mut world);
}

#[test]
fn and_by_address() {
    let mut world = World::new(&["answer_bytes_per_second_per_address_max=1048576"]);
    let mut bystander = Bystander::of(&mut world);
    let mut said = 0;
    // Fresh sessions again and again, each of which is far from its own limit.
    for _ in 0..100 {
        let key = amplifier(&mut world, HOSTILE);
        for _ in 0..10 {
            world.text(key, CONNECT);
        }
        said += std::mem::take(&mut world.end(key).taken).len();
        world.reset(key);
    }
    assert!(said > 8_000_000, "{said}");
    assert!(
        said < 13_000_000,
        "ten seconds' worth, and what is short: {said}"
    );
    // By requests it is refused, and nobody else is.
    let connect = |address: &str, world: &mut World| {
        let key = world.connect(address).unwrap();
        let answer = world.post(key, "/chloe/xhr", "", &format!("data={CONNECT}"));
        status_of(&answer).to_owned()
    };
    assert_eq!(connect(HOSTILE, &mut world), "429");
    assert_eq!(connect("192.0.2.2", &mut world), "200");
    // A page of 2011 is answered in a few bytes, and connects.
    let key = world.connect(HOSTILE).unwrap();
    let answer = world.post(
        key,
        "/chloe/xhr",
        "",
        r#"data={"type":"connect","version":1}"#,
    );
    assert_eq!(status_of(&answer), "200");
    bystander.hears(&mut world);
}

/// A fifth of a thousand browsers, and a fifth of what their address may have: each in
/// 100 channels, and all come back again and again.
#[test]
fn what_is_read_again_and_again_is_paced() {
    let mut world = World::new(&[]);
    let mut bystander = Bystander::of(&mut world);
    for _ in 0..15 {
        world.publish(&format!("channel=news&data={}", "x".repeat(1_000_000)));
    }
    let app = world.connect("127.0.0.1").unwrap();
    let answer = world.get(app, "/channels/news", "");
    let epoch = answer.split(r#""epoch":""#).nth(1).unwrap()[..10].to_owned();
    let news = format!(r#"{{"type":"channel-subscribe","channel":"news","since":"{epoch}:0"}}"#);
    // Twenty streams of one address, each of which wants all 15 MB a hundred times.
    let keys: Vec<ConnKey> = (0..20).map(|_| world.websocket(HOSTILE, "")).collect();
    let (mut said, mut asked) = (0, 0);
    for _ in 0..5 {
        for key in &keys {
            for _ in 0..20 {
                world.text(*key, &news);
                asked += 1;
            }
            said += std::mem::take(&mut world.end(*key).taken).len();
        }
        world.pass(1_000);
        bystander.hears(&mut world);
    }
    // What an address may have at once, and in five seconds, is 8 times 120 MB of these.
    let most = 8 * 120_000_000 + 20 * 15_000_000;
    assert!(said < most, "{said} bytes for {asked}");
    assert!(said > 20 * 15_000_000, "each gets it once");
    assert!(keys.iter().all(|key| !world.end(*key).closed));
}

/// The same by polls: each names where the history begins, and is answered with as much as
/// an answer holds.
#[test]
fn what_polls_read_again_and_again_is_paced() {
    polls_that_read_again(|epoch| format!(r#""positions":{{"news":"{epoch}:0"}}"#));
}

/// And where they acknowledge nothing of what they got.
#[test]
fn what_polls_do_not_acknowledge_is_paced() {
    polls_that_read_again(|_| r#""batch":0"#.to_owned());
}

/// And where each answer is broken off by its client, while the next poll waits already.
#[test]
fn what_is_broken_off_again_and_again_is_paced() {
    polls_that_break_off(r#","wait":20000,"positions":{}"#);
    // Those of the old kind say nothing of what they got.
    polls_that_break_off("");
}

fn polls_that_break_off(more: &str) {
    let mut world = World::new(&[]);
    let mut bystander = Bystander::of(&mut world);
    let mut key = world.connect(HOSTILE).unwrap();
    let answer = world.post(key, "/chloe/xhr", "", &format!("data={CONNECT}"));
    let id = answer.split(r#""sessionId":""#).nth(1).unwrap()[..32].to_owned();
    let body =
        format!(r#"data={{"type":"channel-subscribe","channel":"news","sessionId":"{id}"}}"#);
    assert_eq!(status_of(&world.post(key, "/chloe/xhr", "", &body)), "200");
    world.publish(&format!("channel=news&data={}", "x".repeat(1_000_000)));
    let poll = format!(r#"data={{"type":"poll","version":1,"sessionId":"{id}"{more}}}"#);
    world.end(key).room = Some(1_000);
    world.post(key, "/chloe/xhr", "", &poll);
    let mut answered = 0;
    for _ in 0..400 {
        let next = world.connect(HOSTILE).unwrap();
        world.end(next).room = Some(1_000);
        let before = world.post(next, "/chloe/xhr", "", &poll);
        world.reset(key);
        answered += usize::from(!before.is_empty() || !world.heard(next).is_empty());
        key = next;
    }
    // Ten seconds' worth: each costs an eighth of a megabyte.
    assert!((15..60).contains(&answered), "{answered} of 400");
    bystander.hears(&mut world);
    world.pass(19_000);
    assert!(!world.heard(key).is_empty(), "it comes when it may");
}

fn polls_that_read_again(naming: impl Fn(&str) -> String) {
    let mut world = World::new(&[]);
    let mut bystander = Bystander::of(&mut world);
    for number in 0..15 {
        let body = format!("{number}{}", "x".repeat(1_000_000));
        world.publish(&format!("channel=news&data={body}"));
    }
    let app = world.connect("127.0.0.1").unwrap();
    let answer = world.get(app, "/channels/news", "");
    let epoch = answer.split(r#""epoch":""#).nth(1).unwrap()[..10].to_owned();
    let mut pages = Vec::new();
    for _ in 0..20 {
        let key = world.connect(HOSTILE).unwrap();
        let answer = world.post(key, "/chloe/xhr", "", &format!("data={CONNECT}"));
        let id = answer.split(r#""sessionId":""#).nth(1).unwrap()[..32].to_owned();
        let body = format!(
            r#"data={{"type":"channel-subscribe","channel":"news","sessionId":"{id}","since":"{epoch}:0"}}"#
        );
        assert_eq!(status_of(&world.post(key, "/chloe/xhr", "", &body)), "200");
        pages.push((key, id));
    }
    let poll = |id: &str, seen: &str| {
        format!(r#"data={{"type":"poll","version":1,"sessionId":"{id}","wait":20000,{seen}}}"#)
    };
    let seen = naming(&epoch);
    let (mut said, mut asked) = (0, 0);
    for _ in 0..5 {
        for (key, id) in &mut pages {
            for _ in 0..100 {
                let answer = world.post(*key, "/chloe/xhr", "", &poll(id, &seen));
                said += answer.len();
                asked += 1;
                if answer.is_empty() {
                    // It is held. Who does not wait for it, and asks anew, has nothing of it.
                    world.reset(*key);
                    *key = world.connect(HOSTILE).unwrap();
                } else {
                    assert_eq!(status_of(&answer), "200");
                }
            }
        }
        world.pass(1_000);
        bystander.hears(&mut world);
    }
    // Of 20 sessions: what each may have at once, and in five seconds, is 8 times 4 MB; what
    // they subscribed to was 15 MB of it.
    let most = 20 * 8 * 4_000_000;
    assert!(said < most, "{said} bytes for {asked}");
    assert!(said > 20 * 2_000_000, "{said} bytes for {asked}");
    // What is held comes when the session may have it again; and a page that goes on from
    // where it was never waits.
    let (key, id) = pages[0].clone();
    let asked = (0..20).find(|_| {
        world
            .post(key, "/chloe/xhr", "", &poll(&id, &seen))
            .is_empty()
    });
    assert!(asked.is_some(), "it is held");
    let mut answer = String::new();
    for _ in 0..19 {
        world.pass(1_000);
        answer.push_str(&world.heard(key));
    }
    assert!(answer.contains(r#""data":"0xxx"#), "{} bytes", answer.len());
    // It has got the first, and says so.
    let on = poll(&id, &format!(r#""positions":{{"news":"{epoch}:1"}}"#));
    let answer = world.post(key, "/chloe/xhr", "", &on);
    assert!(answer.contains(r#""data":"1xxx"#), "{} bytes", answer.len());
    bystander.hears(&mut world);
}

#[test]
fn browsers_that_come_back_at_once_behind_one_address_are_not_slowed() {
    let mut world = World::new(&["answer_bytes_per_second_per_address_max=1677721"]);
    let names: Vec<_> = (0..99)
        .map(|n| format!("channel-of-a-usual-name-{n}"))
        .collect();
    let positions: Vec<_> = names
        .iter()
        .map(|name| format!(r#""{name}":"1:1""#))
        .collect();
    let positions = positions.join(",");
    let mut sessions = vec![String::new(); 200];
    for storm in 0..7 {
        let mut pages = Vec::new();
        for session in &mut sessions {
            let key = world.websocket(HOSTILE, "");
            for name in names.iter().filter(|_| storm == 0) {
                let text = format!(r#"{{"type":"channel-subscribe","channel":"{name}"}}"#);
                world.text(key, &text);
            }
            let connect = format!(
                r#"{{"type":"connect","version":1,"sessionId":"{session}","positions":{{{positions}}}}}"#
            );
            world.text(key, &connect);
            let said = world.texts(key);
            let last = said.last().expect("answered at once");
            assert!(last.contains(r#""channel-of-a-usual-name-98""#), "{last}");
            assert_eq!(storm > 0, last.contains(r#""resumed":true"#), "{last}");
            *session = last.split(r#""sessionId":""#).nth(1).unwrap()[..32].to_owned();
            pages.push(key);
        }
        pages.into_iter().for_each(|key| world.reset(key));
    }
}
