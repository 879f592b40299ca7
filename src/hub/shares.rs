//! What of the tables counts against whose share, and whether there is room for more.
//!
//! The counting half of the tables: it is told by those that move readers, and looks
//! readers through. Numbers are in `holdings`. Called by the hub alone.

use crate::base::address::AddressKey;
use crate::base::slots::Key;

use super::channel::Channel;
use super::readership::{LOOKED_THROUGH, Readership};
use super::session::SessionKey;
use super::tables::Tables;
use super::values::{HubError, HubLimits};

impl Tables {
    /// Whether a subscription of the session to `channel`, which may not be there yet,
    /// is within the shares of its address.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_shares(
        &self,
        key: SessionKey,
        channel: Option<Key<Channel>>,
        limits: &HubLimits,
    ) -> Result<(), HubError> {
        let address = self.sessions.get(key).and_then(|session| session.address);
        let Some(address) = address else {
            return Ok(());
        };
        let channel = channel.and_then(|channel| self.channels.get(channel));
        if channel.is_some_and(|channel| !channel.counted) {
            return Ok(());
        }
        if self.holdings.subscriptions.room(address) == 0 {
            let most = limits.subscriptions_per_address;
            return Err(HubError::TooManySubscriptions(most));
        }
        if !channel.is_none_or(Channel::is_empty) {
            return Ok(());
        }
        if self.holdings.channels.room(address) == 0 {
            return Err(HubError::TooManyAlone(limits.channels_per_address()));
        }
        // The more is taken the less one party may have of it. So several that help each
        // other leave as much room as each of them has, and who has few always finds it.
        let free = limits.channels.saturating_sub(self.read);
        match self.holdings.opened.of_party(address) {
            opened if opened >= free && free > 0 => Err(HubError::TooManyOpened(opened)),
            _ => Ok(()),
        }
    }

    /// The session, and what it reads, counts for `address` from now on, unless that
    /// is more than the address may have.
    pub fn set_address(&mut self, key: SessionKey, address: Option<AddressKey>) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let (before, had_stream) = (session.address, session.had_stream);
        if before == address {
            return;
        }
        let slots = session.subscriptions.iter().map(|read| read.channel);
        let counted = |slot: &u32| self.channels.at(*slot).is_some_and(|(_, c)| c.counted);
        let counted: Vec<u32> = slots.filter(counted).collect();
        let fits = self.holdings.has_room_for_session(address)
            && address.is_none_or(|address| {
                let (subscriptions, channels) =
                    (&self.holdings.subscriptions, &self.holdings.channels);
                subscriptions.room(address).min(channels.room(address)) >= counted.len()
            });
        if !fits {
            return;
        }
        self.holdings.session_went(before);
        self.holdings.session_came(address);
        if let Some(session) = self.sessions.get_mut(key) {
            session.address = address;
        }
        for slot in counted {
            self.count_subscription(slot, before, false);
            self.count_subscription(slot, address, true);
            self.look_through(slot);
            self.find_opener(slot, address);
        }
        self.newcomers.clean(before, &self.sessions, &self.holdings);
        if !had_stream {
            self.wait_for_stream(key);
        }
    }

    /// The session has no stream, and never had one: it is the first to go.
    pub fn wait_for_stream(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get(key) {
            let address = session.address;
            self.newcomers
                .push(address, key, &self.sessions, &self.holdings);
        }
    }

    /// Who has to go before a session of `address` can come; nobody if there is room.
    ///
    /// # Errors
    /// There is no room, and none may go.
    pub fn who_goes(
        &mut self,
        address: Option<AddressKey>,
        limits: &HubLimits,
    ) -> Result<Option<SessionKey>, HubError> {
        self.newcomers
            .make_room(address, &self.sessions, &self.holdings, limits)
    }

    /// Whether publications to all of `names` would find room: for a new name a
    /// channel goes that nobody reads.
    ///
    /// # Errors
    /// When a name cannot be one, or all channels there may be are read by somebody.
    pub fn check_names<'n>(
        &self,
        mut names: impl Iterator<Item = &'n str> + Clone,
        limits: &HubLimits,
    ) -> Result<(), HubError> {
        names.clone().try_for_each(|name| limits.check_name(name))?;
        let full = self.read >= limits.channels;
        match full && names.any(|name| !self.names.contains_key(name)) {
            true => Err(HubError::TooManyChannels(limits.channels)),
            false => Ok(()),
        }
    }

    /// A subscription of a session of `address` to the channel in `slot` came, or went.
    pub fn count_subscription(&mut self, slot: u32, address: Option<AddressKey>, more: bool) {
        let counted = self.channels.at(slot).is_some_and(|(_, c)| c.counted);
        let Some(address) = address.filter(|_| counted) else {
            return;
        };
        match more {
            true => self.holdings.subscriptions.count(address, 1),
            false => self.holdings.subscriptions.give_back(address, 1),
        }
    }

    /// Finds out anew whose readers a channel has. One with many is nobody's.
    pub fn look_through(&mut self, slot: u32) {
        let Some((_, channel)) = self.channels.at(slot) else {
            return;
        };
        let readers = channel.readers();
        let readership = match readers.len() {
            0..=LOOKED_THROUGH => Readership::of(readers.iter().map(|reader| {
                let session = self.sessions.at(reader.session);
                session.and_then(|(_, session)| session.address)
            })),
            _ => Readership::Several,
        };
        self.set_readership(slot, readership);
    }

    /// Finds out whom the channel in `slot` counts for, where `address` came to it or left
    /// it: its opener for as long as that reads it, and then the one of its readers that
    /// has opened the fewest, if that has fewer than the opener.
    pub fn find_opener(&mut self, slot: u32, address: Option<AddressKey>) {
        let Some((_, channel)) = self.channels.at(slot).filter(|(_, c)| c.counted) else {
            return;
        };
        let before = channel.opener;
        let readers = channel.readers().iter().take(LOOKED_THROUGH);
        let addresses = readers.filter_map(|reader| self.sessions.at(reader.session)?.1.address);
        let opened = |address: &AddressKey| self.holdings.opened.of_party(*address);
        let after = match before {
            _ if channel.is_empty() => None,
            None => address,
            Some(opener) => {
                let fewest = addresses.min_by_key(|&reader| (reader != opener, opened(&reader)));
                let better = fewest.filter(|reader| opened(reader) < opened(&opener));
                Some(better.unwrap_or(opener))
            }
        };
        if before == after {
            return;
        }
        if let Some(channel) = self.channels.at_mut(slot) {
            channel.opener = after;
        }
        if let Some(before) = before {
            self.holdings.opened.give_back(before, 1);
        }
        if let Some(after) = after {
            self.holdings.opened.count(after, 1);
        }
    }

    /// The channel in `slot` has these readers now.
    pub fn set_readership(&mut self, slot: u32, readership: Readership) {
        let Some(channel) = self.channels.at_mut(slot) else {
            return;
        };
        if !channel.counted || channel.readership == readership {
            return;
        }
        let before = std::mem::replace(&mut channel.readership, readership);
        if let Some(address) = before.alone() {
            self.holdings.channels.give_back(address, 1);
        }
        if let Some(address) = readership.alone() {
            self.holdings.channels.count(address, 1);
        }
    }
}
