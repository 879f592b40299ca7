//! Where subscriptions stand, and where those go on whose clients say what they saw.
//!
//! A client names a position of the channel, or a moment of the server. Moves
//! cursors; `cursors` finds what is pending behind them. Called by the hub alone.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::names::{Moment, Position, Since};

use super::channel::Channel;
use super::session::SessionKey;
use super::tables::Tables;
use super::values::{Asking, Standing};

/// So many positions are looked through for each subscription; more are put in a map.
const LOOKED_THROUGH: usize = 8;

impl Tables {
    /// Where a subscription stands.
    pub fn standing(&self, key: SessionKey, number: usize) -> Option<(&Channel, Position)> {
        let subscription = self.sessions.get(key)?.subscriptions.get(number)?;
        let (_, channel) = self.channels.at(subscription.channel)?;
        let position = Position {
            epoch: channel.epoch,
            offset: subscription.cursor - 1,
        };
        Some((channel, position))
    }

    /// Sets a cursor behind `since`, or as near as the log allows.
    fn seek(
        &mut self,
        key: SessionKey,
        number: usize,
        since: Since,
        present: Moment,
    ) -> Option<Standing> {
        let session = self.sessions.get_mut(key)?;
        let subscription = session.subscriptions.get_mut(number)?;
        let (_, channel) = self.channels.at(subscription.channel)?;
        let wanted = channel.behind(since, present);
        // Of another life of the channel the client has seen nothing of this
        // one: it gets what there is.
        subscription.cursor = wanted.unwrap_or(channel.log.first());
        let log = &channel.log;
        Some(Standing {
            again_bytes: log.frames(subscription.cursor, log.next()).len(),
            position: Position {
                epoch: channel.epoch,
                offset: subscription.cursor - 1,
            },
            recovered: wanted.is_some(),
        })
    }

    /// Where a subscription stands, after it was set behind `since` if that is given.
    pub fn stand(
        &mut self,
        key: SessionKey,
        number: usize,
        since: Option<Since>,
        present: Moment,
        recovered: bool,
    ) -> Option<Standing> {
        match since {
            Some(since) => self.seek(key, number, since, present),
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

    /// As [`Tables::stand`], for each subscription, by what was seen of its channel.
    pub fn resume(
        &mut self,
        key: SessionKey,
        positions: &[(&str, Since)],
        present: Moment,
        asking: Asking,
    ) -> Vec<(Arc<str>, Standing)> {
        self.rewind_all(key);
        let count = self.sessions.get(key).map_or(0, |s| s.subscriptions.len());
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
            if let Some(standing) = self.stand(key, number, since, present, fresh) {
                if let Some(since) = since.filter(|_| asking == Asking::Poll) {
                    self.owe_gap(key, number, since, present);
                }
                standings.push((name, standing));
            }
        }
        standings
    }

    /// As [`Tables::owe_gap`], for the subscription to the channel `name`, if there is one.
    pub fn owe_gap_of(&mut self, key: SessionKey, name: &str, since: Since, present: Moment) {
        let channel = self.names.get(name).copied();
        let session = self.sessions.get(key);
        let known = channel.and_then(|channel| session?.find(channel.index()));
        if let Some(number) = known {
            self.owe_gap(key, number, since, present);
        }
    }

    /// If what is behind `since` is gone, sets the cursor there all the same:
    /// the gap is told when it is read over. Of this life of the channel a client
    /// that names another one has seen nothing; one that names a moment at which
    /// something is missing may have seen nothing.
    pub fn owe_gap(&mut self, key: SessionKey, number: usize, since: Since, present: Moment) {
        if let Some(session) = self.sessions.get_mut(key)
            && let Some(subscription) = session.subscriptions.get_mut(number)
            && let Some((_, channel)) = self.channels.at(subscription.channel)
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
