//! What is published, and where a channel stands.
//!
//! Called by the app's side of the server.

use std::sync::Arc;

use crate::base::names::{Epoch, Offset};
use crate::base::time::Time;

use super::session::SessionKey;
use super::state::Hub;
use super::values::{HubError, Published, Whereabouts};

impl Hub {
    /// Appends a publication to the channel `name`. `encode` writes its JSON,
    /// given the offset, and the epoch if a reader may not know it yet.
    ///
    /// # Errors
    /// When the name cannot be one, or there are too many channels.
    pub fn publish(
        &mut self,
        now: Time,
        name: &str,
        encode: impl FnOnce(&mut Vec<u8>, Offset, Option<Epoch>),
    ) -> Result<Published, HubError> {
        self.limits.check_name(name)?;
        if let Some(&channel) = self.tables.names.get(name) {
            return Ok(self.archive.append(&mut self.tables, now, channel, encode));
        }
        let most = self.limits.channels;
        let channel = self.archive.channel_for(&mut self.tables, name, most)?;
        let published = self.archive.append(&mut self.tables, now, channel, encode);
        self.archive.rest(&mut self.tables, channel);
        Ok(published)
    }

    /// Appends a publication to the session's own channel; `None` if the session ended.
    pub fn publish_to(
        &mut self,
        now: Time,
        key: SessionKey,
        encode: impl FnOnce(&mut Vec<u8>, Offset, Option<Epoch>),
    ) -> Option<Published> {
        self.session(key)?;
        let channel = match self.tables.own_channel(key) {
            Some(channel) => channel,
            None => {
                let name = Arc::clone(&self.own);
                let channel = self.archive.create(&mut self.tables, name, true);
                self.tables.join(key, channel);
                channel
            }
        };
        Some(self.archive.append(&mut self.tables, now, channel, encode))
    }

    /// Whether publications to all of `names` would be taken. For a new name a channel
    /// goes that nobody reads.
    ///
    /// # Errors
    /// When a name cannot be one, or all channels there may be are read by somebody.
    pub fn check<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) -> Result<(), HubError> {
        self.tables.check_names(names, &self.limits)
    }

    /// Where the channel `name` stands. It is kept for as long as a publication of now
    /// would be, so that a subscription from there misses nothing. One that is not there
    /// is not made: then it is said where the server stands.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub fn head(&mut self, now: Time, name: &str) -> Result<Whereabouts, HubError> {
        self.limits.check_name(name)?;
        Ok(match self.tables.names.get(name) {
            Some(&channel) => {
                Whereabouts::Known(self.archive.promise(&mut self.tables, now, channel))
            }
            None => Whereabouts::Unknown(self.archive.moment()),
        })
    }
}
