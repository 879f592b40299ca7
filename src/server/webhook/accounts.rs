//! What each address has of the webhook: messages queued, exchanges under way, and
//! sessions whose turn it may be.
//!
//! Of those that wait for a connection, the party with the fewest exchanges is next; of
//! several, the one that has waited longest. A party is an IPv4 address or an IPv6 /48,
//! and within that the same rule is between the addresses. So who hangs or sends
//! much takes his own share, whatever the number of his sessions or addresses. This
//! machine itself (no address) may be a proxy that nobody named: it has no share of the
//! queue, and its sessions are limited each by itself. Called by `queue`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::limits::WebhookLimits;
use crate::base::address::{AddressKey, SiteKey};
use crate::base::names::SessionId;

/// Whose a message counts as; none is this machine itself.
pub type Owner = Option<AddressKey>;

/// Everybody who is counted together with `owner`, as one owner.
pub fn party(owner: Owner) -> Owner {
    owner.map(AddressKey::party)
}

/// Which limit a message would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// That of its session.
    Session,
    /// Its address's share.
    Address,
    /// That of its IPv6 /48.
    Site,
    /// That of the whole queue.
    Whole,
}

/// The place of a session among those that wait for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    pub owner: Owner,
    pub number: u64,
    pub session: SessionId,
}

/// A turn, and how many exchanges its party has under way: the lesser goes first.
pub type Claim = (usize, Turn);

/// What somebody has.
#[derive(Default)]
struct Counts {
    messages: usize,
    bytes: usize,
    /// Exchanges under way, those that hang included.
    out: usize,
}

type Turns = BTreeMap<u64, SessionId>;

#[derive(Default)]
struct Account {
    counts: Counts,
    turns: Turns,
}

impl Account {
    /// Its place among those that wait for a connection, if it does.
    fn place(&self) -> Option<(usize, u64)> {
        let (&first, _) = self.turns.first_key_value()?;
        Some((self.counts.out, first))
    }
}

/// What the networks of one IPv6 /48 have together: whoever has one has 65,536 addresses.
#[derive(Default)]
struct Site {
    counts: Counts,
    ready: BTreeSet<(usize, u64, AddressKey)>,
}

impl Site {
    fn place(&self) -> Option<(usize, u64)> {
        let &(_, first, _) = self.ready.first()?;
        Some((self.counts.out, first))
    }
}

/// A /48 may have as much of the queue as so many addresses: half of it.
const SITE_SHARES: usize = 5;

/// All accounts. Nothing is kept of an address that has nothing.
pub struct Accounts {
    messages_max: usize,
    bytes_max: usize,
    connections: usize,
    half_of_lanes: usize,
    accounts: HashMap<Owner, Account>,
    sites: HashMap<SiteKey, Site>,
    /// The parties that wait for a connection.
    ready: BTreeSet<(usize, u64, Owner)>,
}

impl Accounts {
    /// Nobody has anything.
    pub fn new(limits: &WebhookLimits) -> Accounts {
        Accounts {
            messages_max: limits.address_messages(),
            bytes_max: limits.address_bytes(),
            connections: limits.connections.max(1),
            half_of_lanes: limits.half_of_lanes(),
            accounts: HashMap::new(),
            sites: HashMap::new(),
            ready: BTreeSet::new(),
        }
    }

    /// Which share of `owner` a message of so many bytes would pass, if one. The
    /// only message of an address or a /48 passes none, however long.
    pub fn limit(&self, owner: Owner, bytes: usize) -> Option<Limit> {
        let address = owner?;
        let fits = |counts: &Counts, shares: usize| {
            counts.messages == 0
                || (counts.messages < shares * self.messages_max
                    && counts.bytes + bytes <= shares.saturating_mul(self.bytes_max))
        };
        let account = self.accounts.get(&owner);
        if account.is_some_and(|account| !fits(&account.counts, 1)) {
            return Some(Limit::Address);
        }
        let site = address.site().and_then(|key| self.sites.get(&key));
        let full = site.is_some_and(|site| !fits(&site.counts, SITE_SHARES));
        full.then_some(Limit::Site)
    }

    /// What the party of `owner` has.
    fn counts_of_party(&self, owner: Owner) -> Option<&Counts> {
        match owner.and_then(AddressKey::site) {
            Some(key) => self.sites.get(&key).map(|site| &site.counts),
            None => self.accounts.get(&owner).map(|account| &account.counts),
        }
    }

    /// Exchanges of the party of `owner` that are under way.
    pub fn out(&self, owner: Owner) -> usize {
        self.counts_of_party(owner).map_or(0, |counts| counts.out)
    }

    /// Whether a session waits for nothing but a connection.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A party with so many exchanges may begin no other: as many as half of the connections,
    /// those that hang included, or as all if nobody else is there.
    fn most_out(&self) -> usize {
        match self.accounts.len() {
            ..=1 => self.connections,
            _ => self.half_of_lanes,
        }
    }

    /// The sessions that may be next, best first: one of each party, and `depth` of this
    /// machine, each of which may be another's. Each step is O(log n).
    pub fn turns(&self, depth: usize) -> impl Iterator<Item = Turn> {
        let most = self.most_out();
        // Who may not stand behind those who may, in this order; but this machine always may.
        let may = self.ready.iter().take_while(move |(out, ..)| *out < most);
        let own = self.accounts.get(&None).and_then(Account::place);
        let own = own.filter(|(out, _)| *out >= most).map(|_| None);
        let owners = may.map(|(_, _, owner)| *owner).chain(own);
        owners.flat_map(move |owner| {
            let depth = if owner.is_none() { depth } else { 1 };
            self.turns_of(owner).take(depth)
        })
    }

    /// The turn of this party, if it may be next.
    pub fn claim(&self, party: Owner) -> Option<Claim> {
        let out = self.out(party);
        let may = party.is_none() || out < self.most_out();
        let turn = self.turns_of(party).next().filter(|_| may)?;
        Some((out, turn))
    }

    /// Those of the party's address that is next.
    fn turns_of(&self, party: Owner) -> impl Iterator<Item = Turn> {
        let site = party.and_then(AddressKey::site);
        let owner = match site.and_then(|key| self.sites.get(&key)) {
            Some(site) => site.ready.first().map(|&(_, _, address)| Some(address)),
            None => Some(party),
        };
        let account = owner.and_then(|owner| self.accounts.get(&owner));
        let turns = account.into_iter().flat_map(|account| &account.turns);
        turns.map(move |(&number, &session)| Turn {
            owner: owner.flatten(),
            number,
            session,
        })
    }

    /// One more message is queued.
    pub fn add_message(&mut self, owner: Owner, bytes: usize) {
        self.count(owner, |counts| {
            counts.messages += 1;
            counts.bytes += bytes;
        });
    }

    /// A message has left the queue.
    pub fn remove_message(&mut self, owner: Owner, bytes: usize) {
        self.count(owner, |counts| {
            counts.messages -= 1;
            counts.bytes -= bytes;
        });
    }

    /// A session waits for a connection.
    pub fn add_turn(&mut self, turn: Turn) {
        self.change(
            turn.owner,
            |_| {},
            |turns| {
                turns.insert(turn.number, turn.session);
            },
        );
    }

    /// It does so no longer.
    pub fn remove_turn(&mut self, owner: Owner, number: u64) {
        self.change(
            owner,
            |_| {},
            |turns| {
                turns.remove(&number);
            },
        );
    }

    /// An exchange begins: it is this session's turn.
    pub fn begin(&mut self, turn: Turn) {
        self.change(
            turn.owner,
            |counts| counts.out += 1,
            |turns| {
                turns.remove(&turn.number);
            },
        );
    }

    /// An exchange is over.
    pub fn end(&mut self, owner: Owner) {
        self.count(owner, |counts| counts.out -= 1);
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.accounts.len() + self.sites.len() + self.ready.len()
    }

    fn count(&mut self, owner: Owner, count: impl Fn(&mut Counts)) {
        self.change(owner, count, |_| {});
    }

    /// Changes what an address and its /48 have, and keeps their places.
    fn change(
        &mut self,
        owner: Owner,
        count: impl Fn(&mut Counts),
        turns: impl FnOnce(&mut Turns),
    ) {
        let account = self.accounts.entry(owner).or_default();
        let before = account.place();
        count(&mut account.counts);
        turns(&mut account.turns);
        let after = account.place();
        let is_over = |counts: &Counts| counts.messages + counts.out == 0;
        let empty = is_over(&account.counts) && account.turns.is_empty();
        if let Some(address) = owner
            && let Some(key) = address.site()
        {
            let site = self.sites.entry(key).or_default();
            let whole_before = site.place();
            count(&mut site.counts);
            put(&mut site.ready, before, after, address);
            let whole_after = site.place();
            if is_over(&site.counts) && site.ready.is_empty() {
                self.sites.remove(&key);
            }
            put(&mut self.ready, whole_before, whole_after, party(owner));
        } else {
            put(&mut self.ready, before, after, owner);
        }
        if empty {
            self.accounts.remove(&owner);
        }
    }
}

/// Moves somebody from one place to another.
fn put<K: Copy + Ord>(
    ready: &mut BTreeSet<(usize, u64, K)>,
    before: Option<(usize, u64)>,
    after: Option<(usize, u64)>,
    who: K,
) {
    if before == after {
        return;
    }
    if let Some((out, turn)) = before {
        ready.remove(&(out, turn, who));
    }
    if let Some((out, turn)) = after {
        ready.insert((out, turn, who));
    }
}
