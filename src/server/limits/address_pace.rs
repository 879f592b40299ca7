//! How much of its pace each address has used up, and each IPv6 /48.
//!
//! A bucket as in `pace`, kept as the moment at which it will be full again; a full one has
//! no entry. What is taken out of it, and for what, is said by `pace`, which alone calls this.

use std::collections::HashMap;

use crate::base::address::{AddressKey, SiteKey};
use crate::base::shares::SITE_SHARES;
use crate::base::time::Time;

/// How long an address may go on above its rate, in milliseconds: 80 MB of answers at
/// the default, enough for a school or a carrier whose browsers all come back at once.
const BURST_MS: u64 = 10_000;

/// Fewer entries are not worth a look.
const SWEEP_MIN: usize = 64;

/// Who pays beside the session: its address, and the IPv6 /48 of that, which has as many
/// shares as it has elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Payer {
    Address(AddressKey),
    Site(SiteKey),
}

impl Payer {
    fn all(address: AddressKey) -> impl Iterator<Item = Payer> {
        let site = address.site().map(Payer::Site);
        [Some(Payer::Address(address)), site].into_iter().flatten()
    }

    /// How much more it may have than an address.
    fn shares(self) -> u64 {
        match self {
            Payer::Address(_) => 1,
            Payer::Site(_) => SITE_SHARES as u64,
        }
    }
}

/// The buckets that are not full.
#[derive(Default)]
pub struct AddressPaces {
    /// When each will be full again, in microseconds on the monotonic clock.
    full_at_us: HashMap<Payer, u64>,
    /// How many there may be before the full ones are dropped.
    sweep_at: usize,
    /// Until then one of them is empty, in milliseconds: later nobody looks.
    waits_until_ms: u64,
}

impl AddressPaces {
    /// How long whoever counts for `address` has to wait, in milliseconds; 0 when they need not.
    #[inline]
    pub fn wait_ms(&self, now: Time, address: Option<AddressKey>) -> u64 {
        match address {
            Some(address) if now.ms < self.waits_until_ms => self.look(now, address),
            _ => 0,
        }
    }

    fn look(&self, now: Time, address: AddressKey) -> u64 {
        let full_at_us = Payer::all(address).filter_map(|payer| self.full_at_us.get(&payer));
        let full_at_us = full_at_us.copied().max().unwrap_or(0);
        let used_us = full_at_us.saturating_sub(now.ms * 1_000);
        used_us.saturating_sub(BURST_MS * 1_000).div_ceil(1_000)
    }

    /// Takes `cost_us` of the address's time, whether it has it or not; nothing of this machine's.
    pub fn take(&mut self, now: Time, address: Option<AddressKey>, cost_us: u64) {
        let Some(address) = address else {
            return;
        };
        let now_us = now.ms * 1_000;
        if self.full_at_us.len() >= self.sweep_at {
            self.expire(now);
            self.sweep_at = (2 * self.full_at_us.len()).max(SWEEP_MIN);
        }
        for payer in Payer::all(address) {
            let full_at_us = self.full_at_us.entry(payer).or_insert(0);
            *full_at_us = (*full_at_us).max(now_us) + cost_us / payer.shares();
            let waits_until_ms = full_at_us.div_ceil(1_000).saturating_sub(BURST_MS);
            self.waits_until_ms = self.waits_until_ms.max(waits_until_ms);
        }
    }

    /// Drops the entries of full buckets.
    pub fn expire(&mut self, now: Time) {
        let now_us = now.ms * 1_000;
        self.full_at_us.retain(|_, full_at_us| *full_at_us > now_us);
        self.full_at_us.shrink_to(2 * self.full_at_us.len());
    }

    /// How many buckets were not full when that was last looked at.
    pub fn len(&self) -> usize {
        self.full_at_us.len()
    }
}
