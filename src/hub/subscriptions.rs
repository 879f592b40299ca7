//! Who reads which channel, and from where on.
//!
//! Called by the server for the commands of clients.

use crate::base::names::Since;

use super::session::SessionKey;
use super::state::Hub;
use super::values::{HubError, Standing};

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
        self.stand(key, number, since, true)
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

    /// What is missing behind `since`, from which the session has subscribed to
    /// `name`, is a gap as well: for whom that may reach sooner than the answer.
    pub fn owe_gap(&mut self, key: SessionKey, name: &str, since: Since) {
        let channel = self.tables.names.get(name).copied();
        let known = channel.and_then(|channel| self.session(key)?.find(channel.index()));
        if let Some(number) = known {
            self.owe_gap_of(key, number, since);
        }
    }
}
