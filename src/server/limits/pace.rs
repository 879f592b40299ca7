//! How many messages a session may send in a second, and how much it may have Chloe say
//! to them; and which streams wait for that.
//!
//! A bucket for each session, kept as the one moment at which it will be full again. A
//! message takes its time out of it, and so does each byte of a long answer, or a few
//! bytes that are sent could make thousands. Both are taken from their address as well, or
//! it would take as many sessions. Whose bucket is full has no entry,
//! so that those that are silent cost nothing. Called by `stream`, which reads no
//! further while a bucket is empty, and by `polls`, which refuses.

use std::collections::HashSet;

use crate::base::address::AddressKey;
use crate::base::key_map::KeyMap;
use crate::base::time::Time;
use crate::base::timers::Timers;
use crate::config::Config;
use crate::hub::SessionKey;
use crate::transport::contract::Problem;

use super::address_pace::AddressPaces;
use super::turn::Turn;
use crate::server::connection::conn::ConnKey;

/// How long a stream is held back before its client is told.
const TELL_AFTER_MS: u64 = 1_000;

/// So much of each answer takes nothing: all that is said to a message of the app, and to
/// most commands.
const ANSWER_FREE_BYTES: usize = 1024;

/// How long the entry of a full bucket stays at most, or twice as long.
const SWEEP_MS: u64 = 60_000;

/// What is delivered once more, because a client named a position, counts for this part of
/// an answer of as many bytes: one that was away for long has much to get, and once.
pub const AGAIN_PART: usize = 8;

/// So many messages of a session are taken from its address at once: a look for each of
/// them would cost as much as a short message does.
const COUNTED_AT_ONCE: u32 = 64;

/// What a session used up.
struct Spent {
    /// Whom its messages count for, and how many of them have not been counted there yet.
    address: Option<AddressKey>,
    uncounted: u32,
    /// When its bucket will be full again, in microseconds on the monotonic clock.
    full_at_us: u64,
    /// Since when it is held back.
    held_since_ms: Option<u64>,
    told: bool,
}

/// The buckets that are not full.
pub struct Paces {
    token_us: u64,
    bucket_us: u64,
    per_second: usize,
    bytes_per_second: usize,
    per_second_of_address: usize,
    bytes_per_second_of_address: usize,
    spent: KeyMap<SessionKey, Spent>,
    addresses: AddressPaces,
    /// How many entries there may be before those of full buckets are dropped.
    sweep_at: usize,
    /// When they are dropped, however many there are, if there are any.
    sweep_ms: Option<u64>,
    /// Streams that are not read until there is a token.
    pub waiting: Timers<ConnKey>,
    /// Each of them once.
    timed: HashSet<ConnKey>,
    /// What is enough for a turn of the event loop.
    pub turn: Turn,
}

impl Paces {
    /// Full buckets, of the size that `config` gives them.
    pub fn new(config: &Config) -> Paces {
        let token_us = (1_000_000 / config.messages_per_second_max as u64).max(1);
        Paces {
            token_us,
            bucket_us: token_us.saturating_mul(config.messages_burst_max as u64),
            per_second: config.messages_per_second_max,
            bytes_per_second: config.answer_bytes_per_second_max,
            per_second_of_address: config.messages_per_second_per_address_max,
            bytes_per_second_of_address: config.answer_bytes_per_second_per_address_max,
            spent: KeyMap::default(),
            addresses: AddressPaces::default(),
            sweep_at: 64,
            sweep_ms: None,
            waiting: Timers::default(),
            timed: HashSet::new(),
            turn: Turn::default(),
        }
    }

    /// The stream of `key` is to be read on at `at_ms`, or when it was to be already.
    pub fn wait_until(&mut self, at_ms: u64, key: ConnKey) {
        if self.timed.insert(key) {
            self.waiting.set(at_ms, key);
        }
    }

    /// The streams that are to be read on, some at a time; `None` when there are none.
    pub fn take_due(&mut self, now: Time) -> Option<Vec<ConnKey>> {
        let due = self.waiting.take_due(now.ms)?;
        due.iter().for_each(|key| {
            self.timed.remove(key);
        });
        if self.timed.is_empty() {
            // A crowd that waited leaves no room behind.
            self.timed = HashSet::new();
        }
        Some(due)
    }

    /// How long the session, whose connection counts for `address`, has to wait before
    /// its next message is taken; 0 when it need not.
    pub fn wait_ms(&self, now: Time, session: SessionKey, address: Option<AddressKey>) -> u64 {
        let of_session = self.session_wait_ms(now, session);
        of_session.max(self.addresses.wait_ms(now, address))
    }

    /// Drops the entries of full buckets, when it is time for that.
    pub fn expire(&mut self, now: Time) {
        if self.sweep_ms.is_none_or(|at_ms| at_ms > now.ms) {
            return;
        }
        self.sweep(now);
        self.spent.shrink_to(2 * self.spent.len());
        self.addresses.expire(now);
        self.sweep_ms = (self.entries() > 0).then(|| now.after(SWEEP_MS));
    }

    /// When [`Paces::expire`] has something to do next, on the monotonic clock.
    pub fn next_ms(&self) -> Option<u64> {
        self.sweep_ms
    }

    /// Sessions and addresses whose buckets were not full when that was last looked at.
    pub fn entries(&self) -> usize {
        self.spent.len() + self.addresses.len()
    }

    fn session_wait_ms(&self, now: Time, session: SessionKey) -> u64 {
        let Some(spent) = self.spent.get(&session) else {
            return 0;
        };
        let used_us = spent.full_at_us.saturating_sub(now.ms * 1_000);
        let over_us = (used_us + self.token_us).saturating_sub(self.bucket_us);
        over_us.div_ceil(1_000)
    }

    /// Takes a token of the session and of its address, whether they have one or not.
    pub fn take(&mut self, now: Time, session: SessionKey, address: Option<AddressKey>) {
        self.take_us(now, session, address, self.token_us, 1);
    }

    fn count_messages(&mut self, now: Time, address: Option<AddressKey>, count: u32) {
        let cost_us = u64::from(count) * 1_000_000 / self.per_second_of_address as u64;
        self.addresses.take(now, address, cost_us);
    }

    /// Takes what an answer of `bytes` costs, from its session and from its address,
    /// whether they have it or not.
    pub fn charge(
        &mut self,
        now: Time,
        session: SessionKey,
        address: Option<AddressKey>,
        bytes: usize,
    ) {
        self.turn.answered(now, address, bytes);
        let bytes = bytes.saturating_sub(ANSWER_FREE_BYTES) as u64;
        if bytes == 0 {
            return;
        }
        let cost_us = |per_second: usize| bytes * 1_000_000 / per_second as u64;
        self.take_us(now, session, address, cost_us(self.bytes_per_second), 0);
        let cost_us = cost_us(self.bytes_per_second_of_address);
        self.addresses.take(now, address, cost_us);
    }

    /// Drops the entries of sessions whose buckets are full.
    fn sweep(&mut self, now: Time) {
        let now_us = now.ms * 1_000;
        let mut uncounted = Vec::new();
        self.spent.retain(|_, spent| {
            let stays = spent.full_at_us > now_us;
            if !stays && spent.address.is_some() && spent.uncounted > 0 {
                uncounted.push((spent.address, spent.uncounted));
            }
            stays
        });
        // Or many sessions that send little each would be counted for nobody.
        for (address, count) in uncounted {
            self.count_messages(now, address, count);
        }
    }

    fn take_us(
        &mut self,
        now: Time,
        session: SessionKey,
        address: Option<AddressKey>,
        cost_us: u64,
        messages: u32,
    ) {
        let now_us = now.ms * 1_000;
        let mut is_new = false;
        let spent = self.spent.entry(session).or_insert_with(|| {
            is_new = true;
            Spent {
                address: None,
                uncounted: 0,
                full_at_us: 0,
                held_since_ms: None,
                told: false,
            }
        });
        if spent.full_at_us <= now_us {
            (spent.full_at_us, spent.held_since_ms, spent.told) = (now_us, None, false);
        }
        spent.full_at_us += cost_us;
        spent.address = address;
        spent.uncounted += messages;
        if spent.uncounted >= COUNTED_AT_ONCE {
            let count = std::mem::take(&mut spent.uncounted);
            self.count_messages(now, address, count);
        }
        if is_new {
            self.sweep_ms.get_or_insert_with(|| now.after(SWEEP_MS));
            if self.spent.len() > self.sweep_at {
                self.sweep(now);
                self.sweep_at = (2 * self.spent.len()).max(64);
                self.spent.shrink_to(self.sweep_at);
            }
        }
    }

    /// Takes a token for a request.
    ///
    /// # Errors
    /// The refusal, when there is none.
    pub fn spend(
        &mut self,
        now: Time,
        session: SessionKey,
        address: Option<AddressKey>,
    ) -> Result<(), Problem> {
        if self.wait_ms(now, session, address) > 0 {
            return Err(self.too_fast("The message was not taken: send it again in a moment."));
        }
        self.take(now, session, address);
        Ok(())
    }

    /// Whether a `connect` by a request may be answered now, which is long where many
    /// channels are named; `session` is the one that it goes on with.
    ///
    /// # Errors
    /// The refusal, when it has to wait.
    pub fn may_answer(
        &self,
        now: Time,
        session: Option<SessionKey>,
        address: Option<AddressKey>,
    ) -> Result<(), Problem> {
        let of_session = session.map_or(0, |session| self.session_wait_ms(now, session));
        let of_address = self.addresses.wait_ms(now, address);
        match of_session.max(of_address) {
            0 => Ok(()),
            _ => Err(self.too_fast("Connect again in a moment.")),
        }
    }

    /// The session's stream is held back. What its client is to be told, once
    /// until it has been slow enough for its bucket to fill.
    pub fn hold(&mut self, now: Time, session: SessionKey) -> Option<Problem> {
        // Where its address is what waits, the session may have used nothing.
        let spent = self.spent.get_mut(&session)?;
        let since_ms = *spent.held_since_ms.get_or_insert(now.ms);
        if spent.told || now.ms < since_ms + TELL_AFTER_MS {
            return None;
        }
        spent.told = true;
        Some(self.too_fast("Nothing is lost: what you send is read that slowly."))
    }

    fn too_fast(&self, what_then: &str) -> Problem {
        let (most, most_bytes) = (self.per_second, self.bytes_per_second);
        let (all, all_bytes) = (self.per_second_of_address, self.bytes_per_second_of_address);
        Problem::temporary(
            429,
            "messages_per_second_max",
            format!(
                "You send more than {most} messages a second, or ask for more than {most_bytes} bytes of answers a second; or all of your address more than {all}, or for more than {all_bytes} bytes. {what_then}"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slots::Key;

    #[test]
    fn a_burst_then_so_many_a_second_and_nothing_is_kept_of_the_silent() {
        let config = Config {
            messages_per_second_max: 10,
            messages_burst_max: 20,
            ..Config::default()
        };
        let mut paces = Paces::new(&config);
        let mut now = Time::default().plus(1_000);
        let session = Key::from_u64(1);
        for _ in 0..20 {
            assert!(paces.spend(now, session, None).is_ok());
        }
        assert_eq!(paces.wait_ms(now, session, None), 100);
        assert!(paces.spend(now, session, None).is_err_and(|p| p.temporary));
        now = now.plus(1_000);
        let taken = (0..20).filter(|_| paces.spend(now, session, None).is_ok());
        assert_eq!(taken.count(), 10);
        for number in 2..10_000 {
            now = now.plus(1_000);
            assert!(paces.spend(now, Key::from_u64(number), None).is_ok());
        }
        assert!(paces.spent.len() <= 64);
    }

    #[test]
    fn messages_of_many_sessions_take_from_their_address() {
        let config = Config {
            messages_per_second_per_address_max: 1_000,
            ..Config::default()
        };
        let mut paces = Paces::new(&config);
        let mut now = Time::default().plus(1_000);
        let address = AddressKey::of("192.0.2.1".parse().unwrap());
        let other = AddressKey::of("192.0.2.2".parse().unwrap());
        // Ten seconds' worth at once, of sessions that are far from their own limit.
        let mut taken = 0;
        for number in 1..=1_000 {
            let session = Key::from_u64(number);
            while taken < 64_000 && paces.spend(now, session, address).is_ok() {
                taken += 1;
                if taken % 640 == 0 {
                    break;
                }
            }
        }
        assert_eq!(taken, 64 * 157, "10,000, and what was begun");
        let fresh = Key::from_u64(2_000);
        assert_eq!(paces.wait_ms(now, fresh, address), 48);
        assert_eq!(paces.wait_ms(now, fresh, other), 0);
        assert_eq!(paces.wait_ms(now, fresh, None), 0);
        now = now.plus(48);
        assert_eq!(paces.wait_ms(now, fresh, address), 0);
        // Of those that send little each, all is counted when they are dropped.
        for number in 3_000..4_000 {
            for _ in 0..63 {
                paces.take(now, Key::from_u64(number), address);
            }
            now = now.plus(7);
        }
        let wait_ms = paces.wait_ms(now, fresh, address);
        assert!(wait_ms > 40_000, "{wait_ms}");
        for number in 5_000..5_500 {
            (0..100).for_each(|_| paces.take(now, Key::from_u64(number), None));
        }
        assert_eq!(paces.wait_ms(now, fresh, None), 0);
    }

    #[test]
    fn a_stream_that_waits_has_one_timer() {
        let mut paces = Paces::new(&Config::default());
        let now = Time::default();
        let (one, other) = (Key::from_u64(1), Key::from_u64(2));
        for round in 0..3 {
            // The webhook has it read on whenever a message of it is queued.
            for _ in 0..100 {
                paces.wait_until(now.after(50), one);
            }
            paces.wait_until(now.after(50), other);
            assert_eq!(paces.waiting.len(), 2, "round {round}");
            assert_eq!(paces.take_due(now.plus(100)), Some(vec![one, other]));
        }
        assert!(paces.timed.is_empty() && paces.take_due(now.plus(100)).is_none());
    }

    #[test]
    fn long_answers_take_from_the_session_and_its_address() {
        let config = Config {
            answer_bytes_per_second_max: 100_000,
            answer_bytes_per_second_per_address_max: 1_000_000,
            ..Config::default()
        };
        let mut paces = Paces::new(&config);
        let mut now = Time::default().plus(1_000);
        let address = AddressKey::of("192.0.2.1".parse().unwrap());
        let other = AddressKey::of("192.0.2.2".parse().unwrap());
        let session = Key::from_u64(1);
        // Short ones cost nothing.
        for _ in 0..100_000 {
            paces.charge(now, session, address, ANSWER_FREE_BYTES);
        }
        assert_eq!(paces.wait_ms(now, session, address), 0);
        assert!(paces.addresses.len() == 0);
        // Ten seconds' worth at once, and from there on the rate.
        let of_100_kb = ANSWER_FREE_BYTES + 100_000;
        (0..10).for_each(|_| paces.charge(now, session, address, of_100_kb));
        assert_eq!(paces.wait_ms(now, session, address), 1, "the next token");
        paces.charge(now, session, address, of_100_kb);
        assert_eq!(paces.wait_ms(now, session, address), 1_001);
        assert!(paces.may_answer(now, Some(session), address).is_err());
        // Other sessions go on, until the address has used up its own.
        for number in 2..=91 {
            let session = Key::from_u64(number);
            assert_eq!(paces.wait_ms(now, session, address), 0, "{number}");
            paces.charge(now, session, address, of_100_kb);
        }
        let fresh = Key::from_u64(1_000);
        assert_eq!(paces.wait_ms(now, fresh, address), 100);
        assert!(
            paces
                .may_answer(now, None, address)
                .is_err_and(|p| p.temporary)
        );
        assert_eq!(paces.wait_ms(now, fresh, other), 0, "nobody else waits");
        assert_eq!(paces.wait_ms(now, fresh, None), 0, "nor this machine");
        now = now.plus(100);
        assert_eq!(paces.wait_ms(now, fresh, address), 0);
        // Seventeen networks of a /48 have what sixteen may have.
        let network = |number: u16| {
            let address = [0x2001, 0xdb8, 7, number, 0, 0, 0, 1];
            AddressKey::of(std::net::IpAddr::from(address))
        };
        for number in 1..=17 {
            assert_eq!(paces.wait_ms(now, fresh, network(number)), 0);
            for _ in 0..100 {
                paces.charge(now, session, network(number), of_100_kb);
            }
        }
        assert!(paces.wait_ms(now, fresh, network(18)) > 500);
        // Nothing is kept of those that have been quiet.
        for number in 1..10_000u32 {
            now = now.plus(1_000);
            let address = AddressKey::of(std::net::IpAddr::from(number.to_be_bytes()));
            paces.charge(now, session, address, of_100_kb);
        }
        assert!(paces.addresses.len() <= 64);
    }
}
