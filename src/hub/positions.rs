//! Where subscriptions stand, and where those go on whose clients say what they saw.
//!
//! A client names a position of the channel, or a moment of the server. Moves
//! cursors; `reading` finds what is pending behind them. Called by the hub alone.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::names::{Position, Since};

use super::channel::Channel;
use super::session::SessionKey;
use super::state::Hub;

use super::values::{Asking, Standing};

/// So many positions are looked through for each subscription; more are put in a map.
const LOOKED_THROUGH: usize = 8;

impl Hub {
    /// Where a subscription stands.
    fn standing(&self, key: SessionKey, number: usize) -> Option<(&Channel, Position)> {
        let subscription = self.tables.sessions.get(key)?.subscriptions.get(number)?;
        let (_, channel) = self.tables.channels.at(subscription.channel)?;
        let position = Position {
            epoch: channel.epoch,
            offset: subscription.cursor - 1,
        };
        Some((channel, position))
    }

    /// Sets a cursor behind `since`, or as near as the log allows.
    fn seek(&mut self, key: SessionKey, number: usize, since: Since) -> Option<Standing> {
        let present = self.archive.moment();
        let session = self.tables.sessions.get_mut(key)?;
        let subscription = session.subscriptions.get_mut(number)?;
        let (_, channel) = self.tables.channels.at(subscription.channel)?;
        let wanted = channel.behind(since, present);
        // Of another life of the channel the client has seen nothing of this
        // one: it gets what there is.
        subscription.cursor = wanted.unwrap_or(channel.log.first());
        let log = &channel.log;
        Some(Standing {
            again_bytes: log.bytes_from(subscription.cursor),
            position: Position {
                epoch: channel.epoch,
                offset: subscription.cursor - 1,
            },
            recovered: wanted.is_some(),
        })
    }

    /// Where a subscription stands, after it was set behind `since` if that is given.
    pub(super) fn stand(
        &mut self,
        key: SessionKey,
        number: usize,
        since: Option<Since>,
        recovered: bool,
    ) -> Option<Standing> {
        match since {
            Some(since) => self.seek(key, number, since),
            None => {
                let (_, position) = self.standing(key, number)?;
                Some(Standing {
                    position,
                    recovered,
                    again_bytes: 0,
                })
            }
        }
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
        self.all_batches_lost(key);
        let count = self
            .tables
            .sessions
            .get(key)
            .map_or(0, |s| s.subscriptions.len());
        let mut standings = Vec::with_capacity(count);
        // A peer may name many more than it has subscriptions. The first of a name counts.
        let many = positions.len() > LOOKED_THROUGH;
        let many: Option<HashMap<&str, Since>> =
            many.then(|| positions.iter().rev().copied().collect());
        let find = |name: &str| match &many {
            Some(map) => map.get(name).copied(),
            None => {
                let mut given = positions.iter();
                given.find(|(channel, _)| *channel == name).map(|it| it.1)
            }
        };
        for number in 0..count {
            let Some((channel, _)) = self.standing(key, number) else {
                continue;
            };
            let (name, epoch) = (Arc::clone(&channel.name), channel.epoch);
            let given = find(&name);
            // A poll that crosses the answer to its subscription names another
            // life of the channel yet: it acknowledges nothing.
            let given = given.filter(|at| {
                asking != Asking::Poll
                    || match at {
                        Since::Position(position) => position.epoch == epoch,
                        Since::Moment(moment) => moment.life == present.life,
                    }
            });
            // That channel begins with its first publication, of which no
            // answer tells: who lost it knows nothing of the channel.
            let unseen = (channel.direct && !positions.is_empty()).then_some(Position {
                epoch: channel.epoch,
                offset: 0,
            });
            let since = given.or(unseen.map(Since::from));
            let fresh = asking == Asking::Fresh;
            if let Some(standing) = self.stand(key, number, since, fresh) {
                if let Some(since) = since.filter(|_| asking == Asking::Poll) {
                    self.owe_gap_of(key, number, since);
                }
                standings.push((name, standing));
            }
        }
        standings
    }

    /// If what is behind `since` is gone, sets the cursor there all the same:
    /// the gap is told when it is read over. Of this life of the channel a client
    /// that names another one has seen nothing; one that names a moment at which
    /// something is missing may have seen nothing.
    pub(super) fn owe_gap_of(&mut self, key: SessionKey, number: usize, since: Since) {
        let present = self.archive.moment();
        if let Some(session) = self.tables.sessions.get_mut(key)
            && let Some(subscription) = session.subscriptions.get_mut(number)
            && let Some((_, channel)) = self.tables.channels.at(subscription.channel)
        {
            let next = match since {
                Since::Position(seen) if seen.epoch == channel.epoch => {
                    seen.offset.saturating_add(1)
                }
                Since::Position(_) => 1,
                Since::Moment(_) => channel.behind(since, present).unwrap_or(1),
            };
            subscription.cursor = subscription.cursor.min(next);
        }
    }
}
