//! The end of the server's process, and the next one: with the state file,
//! without it, or with one that is of no use.

use chloe::server::Server;

use super::turn::World;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The next one has the listening sockets before this one ends.
    Restart,
    /// In order, and nobody listens for a while.
    Stop,
    /// At once, with everything that it knew.
    Kill,
}

impl World {
    /// The process ends, and after a while the next one begins.
    pub fn succeed(&mut self, death: Death) {
        let keeps = !self.config.state_file.as_os_str().is_empty() && death != Death::Kill;
        let state = keeps.then(|| {
            let mut bytes = Vec::new();
            let written = self.server.save(self.now, &mut bytes).expect("memory");
            assert_eq!(written, bytes.len() as u64);
            bytes
        });
        let state = state.and_then(|bytes| self.store(bytes));
        if death == Death::Restart {
            self.say_goodbye();
        }
        let knows = state.as_ref().is_some_and(|(_, whole)| *whole);
        self.log(|| format!("{death:?}: the next process knows of this one: {knows}"));
        self.network.die(&mut self.dice, death == Death::Restart);
        self.dialed.clear();
        self.ready.clear();
        self.publishing.clear();
        self.resolving = false;
        self.draining = false;
        self.doors_closed = false;
        self.rest_a_while();
        let config = self.config.clone();
        self.server = Server::new(config, self.dice.bytes(), self.now);
        if let Some((bytes, whole)) = state {
            let restored = {
                let length = bytes.len() as u64;
                self.server.restore(self.now, &mut &bytes[..], length)
            };
            assert_eq!(restored.is_ok(), whole, "{restored:?}");
        }
        let life = self.lives.last().copied().unwrap_or(0);
        self.lives.push(life + usize::from(!knows));
        self.processes += 1;
        self.restored += u64::from(knows);
        if !knows {
            self.shadow.forgotten = self.shadow.count;
            self.ledger.forget();
        }
    }

    /// The state file as the next process finds it, and whether it is whole: the
    /// disk may be full, or fail.
    fn store(&mut self, mut bytes: Vec<u8>) -> Option<(Vec<u8>, bool)> {
        match self.dice.below(10) {
            0 => None,
            1 => {
                bytes.truncate(self.dice.below(bytes.len()));
                Some((bytes, false))
            }
            2 => {
                let at = self.dice.below(bytes.len());
                bytes[at] ^= 1 << self.dice.below(8);
                Some((bytes, false))
            }
            _ => Some((bytes, true)),
        }
    }

    /// No process is there; time passes, and the wall clock may be set.
    fn rest_a_while(&mut self) {
        let ms = match self.dice.below(10) {
            0 => 0,
            1 => self.dice.below(200_000) as u64,
            _ => self.dice.below(3_000) as u64,
        };
        self.pass(ms);
        if self.dice.chance(10) {
            let before = self.now;
            self.leap();
            let passed_ms = self.now.ms - before.ms;
            let shown_ms = self.now.unix_ms.saturating_sub(before.unix_ms);
            self.ledger.grow_older(shown_ms.saturating_sub(passed_ms));
        }
    }
}
