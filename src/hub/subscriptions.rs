//! Who reads which channel, and from where on.
//!
//! Called by the server for the commands of clients.

use std::sync::Arc;

use crate::base::names::Since;

use super::hub::Hub;
use super::session::SessionKey;
use super::values::{Asking, HubError, Standing};

impl Hub {
    /// Subscribes the session to the channel `name`, from here on or from
    /// behind `since`. Subscribing again changes nothing but the cursor, and
    /// that only with `since`.
    ///
    /// # Errors
    /// When the name cannot be one, or a limit is reached.
    pub fn subscribe(
        &mut self,
        key: SessionKey,
        name: &str,
        since: Option<Since>,
    ) -> Result<Standing, HubError> {
        self.limits.check_name(name)?;
        let session = self.session(key).ok_or(HubError::SessionEnded)?;
        let taken = session.subscriptions.len();
        let channel = self.tables.names.get(name).copied();
        let known = channel.and_then(|channel| session.find(channel.index()));
        let number = match known {
            Some(number) => number,
            None if taken >= self.limits.channels_per_session => {
                return Err(HubError::TooManyOfSession(self.limits.channels_per_session));
            }
            None => {
                self.tables.check_shares(key, channel, &self.limits)?;
                let most = self.limits.channels;
                let channel = self.archive.channel_for(&mut self.tables, name, most)?;
                let joined = self.tables.join(key, channel);
                joined.ok_or(HubError::SessionEnded)?
            }
        };
        self.tables
            .stand(key, number, since, self.archive.moment(), true)
            .ok_or(HubError::SessionEnded)
    }

    /// Ends the session's subscription to `name`; false if there was none.
    pub fn unsubscribe(&mut self, key: SessionKey, name: &str) -> bool {
        let channel = self.tables.names.get(name).copied();
        let known = channel.and_then(|channel| self.session(key)?.find(channel.index()));
        if let Some(number) = known {
            self.archive.leave(&mut self.tables, key, number);
        }
        known.is_some()
    }

    /// Sets the cursors of a session to what its client has seen, and tells how
    /// each of its subscriptions stands. A channel without a position given is
    /// `recovered` only if the session is fresh. A client that names others, and
    /// not the session's own channel, has seen nothing of that: it gets all of it.
    pub fn resume(
        &mut self,
        key: SessionKey,
        positions: &[(&str, Since)],
        asking: Asking,
    ) -> Vec<(Arc<str>, Standing)> {
        let present = self.archive.moment();
        self.tables.resume(key, positions, present, asking)
    }

    /// What is missing behind `since`, from which the session has subscribed to
    /// `name`, is a gap as well: for whom that may reach sooner than the answer.
    pub fn owe_gap(&mut self, key: SessionKey, name: &str, since: Since) {
        let channel = self.tables.names.get(name).copied();
        let known = channel.and_then(|channel| self.session(key)?.find(channel.index()));
        if let Some(number) = known {
            let present = self.archive.moment();
            self.tables.owe_gap(key, number, since, present);
        }
    }
}
