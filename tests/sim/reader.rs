//! What one session is owed and what it got: the promise, checked delivery by
//! delivery, and once more when everything has come to rest.

use std::collections::BTreeMap;

use serde_json::Value;

use super::shadow::{Place, Publication, Shadow};

/// How the session's own channel is called where positions are listed.
pub const SESSION: &str = "/session";

/// A channel that the session reads.
#[derive(Debug, Default)]
pub struct Interest {
    /// Where its reader stands; unknown before the first delivery or answer.
    pub place: Option<Place>,
    /// The offset of the first delivery, if that came before any answer.
    first: Option<u64>,
    /// What is accepted behind this is owed; unknown while nothing is certain.
    pub from: Option<u64>,
    /// What is accepted up to here may come late: it was asked for again.
    replay: u64,
    /// Before the answer to that came, a poll showed that something is missing:
    /// then the answer has to tell so.
    jumped: bool,
    /// Before that answer came, this was taken for seen; it may be of another life.
    passed: u64,
    /// The server has told that this session reads it.
    pub sure: bool,
    /// It has asked to leave, and is not sure whether it has.
    pub leaving: bool,
}

/// One session's reader.
pub struct Reader {
    pub name: String,
    /// It is told of gaps.
    pub modern: bool,
    /// History is short: some may be gone before they are read.
    pub tight: bool,
    pub interests: BTreeMap<String, Interest>,
    /// The channels it has left, and how much had been accepted by then.
    left: BTreeMap<String, u64>,
    last: u64,
    pub got: u64,
    pub gaps: u64,
}

impl Reader {
    pub fn new(name: String, modern: bool, tight: bool) -> Reader {
        Reader {
            name,
            modern,
            tight,
            interests: BTreeMap::new(),
            left: BTreeMap::new(),
            last: 0,
            got: 0,
            gaps: 0,
        }
    }

    /// It asks to read `channel`.
    pub fn join(&mut self, channel: &str) {
        let interest = self.interests.entry(channel.to_owned()).or_default();
        if interest.leaving {
            *interest = Interest::default();
        }
        self.left.remove(channel);
    }

    /// It asks for what came behind its place: that may come behind what is newer.
    pub fn catch_up(&mut self, channel: &str) {
        if let Some(interest) = self.interests.get_mut(channel) {
            interest.replay = u64::MAX;
        }
    }

    /// It certainly reads `channel` from now on, if it did not before.
    pub fn joined(&mut self, shadow: &Shadow, channel: &str) {
        if let Some(interest) = self.interests.get_mut(channel) {
            interest.from.get_or_insert(shadow.count);
        }
    }

    /// It asks to leave `channel`.
    pub fn leave(&mut self, channel: &str) {
        if let Some(interest) = self.interests.get_mut(channel) {
            *interest = Interest {
                leaving: true,
                ..Interest::default()
            };
        }
    }

    /// It has left `channel`.
    pub fn left(&mut self, shadow: &Shadow, channel: &str) {
        if self.interests.get(channel).is_some_and(|i| i.leaving) {
            self.interests.remove(channel);
            self.left.insert(channel.to_owned(), shadow.count);
        }
    }

    /// A session of its own begins: nothing of the one before is owed directly.
    pub fn begin(&mut self) {
        self.interests.remove(SESSION);
        for interest in self.interests.values_mut() {
            interest.sure = false;
            // Of which life an offset was, nobody told in time.
            interest.place.take_if(|place| place.epoch.is_none());
            interest.first = None;
        }
        let own = Interest {
            from: Some(0),
            ..Interest::default()
        };
        self.interests.insert(SESSION.to_owned(), own);
    }

    /// The positions as a client sends them.
    pub fn positions(&self) -> Value {
        let known = self.interests.iter().filter_map(|(channel, interest)| {
            let place = interest.place.as_ref()?;
            let epoch = place.epoch.as_ref()?;
            Some((channel.clone(), format!("{epoch}:{}", place.offset).into()))
        });
        Value::Object(known.collect())
    }

    /// Whether it never read `channel`, nor asked to: what came before it left may still
    /// be under way, in the answer to a poll.
    pub fn knows_nothing_of(&self, channel: &str) -> bool {
        !self.interests.contains_key(channel) && !self.left.contains_key(channel)
    }

    /// An answer tells where `channel` stands, in this life of the server. `asked` is
    /// the position given.
    pub fn settle(
        &mut self,
        shadow: &Shadow,
        channel: &str,
        told: &Value,
        asked: Option<&str>,
        life: usize,
    ) {
        let name = self.name.clone();
        let tight = self.tight;
        let Some(interest) = self.interests.get_mut(channel) else {
            return;
        };
        if interest.leaving {
            return;
        }
        interest.sure = true;
        let position = told["position"].as_str().expect("a position");
        let (epoch, offset) = position.split_once(':').expect("epoch:offset");
        let offset: u64 = offset.parse().expect("an offset");
        let recovered = told["recovered"].as_bool().expect("recovered");
        let moment = asked.and_then(|asked| shadow.moments.of(asked));
        let same_life = match moment {
            Some(moment) => moment.life == life,
            None => asked.is_some_and(|asked| asked.starts_with(epoch)),
        };
        assert!(
            recovered || !same_life || tight || (moment.is_some() && shadow.crowded),
            "{name}: {channel} is said to be lost behind {asked:?}: {told}"
        );
        assert!(
            !recovered || asked.is_none() || same_life,
            "{name}: {channel} is said to be whole behind {asked:?}: {told}"
        );
        let jumped = std::mem::take(&mut interest.jumped);
        let passed = std::mem::take(&mut interest.passed);
        assert!(
            !(jumped && recovered),
            "{name}: {channel} is said to be whole, and something was missing: {told}"
        );
        if let Some(first) = interest.first.take() {
            assert!(
                first <= offset + 1 || tight || moment.is_some(),
                "{name}: {channel} began at {first}, and is said to be at {offset}"
            );
        }
        // A delivery may overtake the answer that names its epoch; or it is the
        // rest of a subscription that ended, and then it is behind that answer.
        let ours = interest.place.as_ref().is_some_and(|place| {
            if jumped && place.offset >= offset {
                // What it jumped to was of this life.
                return true;
            }
            let same = place.epoch.as_deref() == Some(epoch);
            let overtook = (same || place.epoch.is_none()) && place.offset >= offset;
            overtook || (recovered && same)
        });
        if let Some(place) = interest.place.as_mut().filter(|_| ours) {
            place.epoch = Some(epoch.to_owned());
        } else {
            interest.place = Some(Place {
                epoch: Some(epoch.to_owned()),
                offset: offset.max(passed),
            });
            // What is behind the position comes in order; what was missed was told.
            interest.from = Some(shadow.count);
        }
        if asked.is_some() && !recovered || !ours || interest.replay == u64::MAX {
            interest.replay = shadow.count;
        }
        if let Some(moment) = moment.filter(|_| recovered) {
            shadow.check_moment(moment, channel, epoch, offset);
            // What came behind it is owed, though it was accepted before this answer.
            interest.from = Some(moment.after);
        }
        interest.from.get_or_insert(shadow.count);
    }

    /// A delivery came.
    pub fn deliver(&mut self, shadow: &mut Shadow, json: &Value) {
        let name = &self.name;
        assert_eq!(json["version"], 1, "{name}: {json}");
        let data = json["data"].as_str().expect("data is a string");
        let label = json["channel"].as_str().expect("a channel");
        let place = Place {
            epoch: json["epoch"].as_str().map(str::to_owned),
            offset: json["offset"].as_u64().expect("an offset"),
        };
        let count = shadow.count;
        let publication = shadow.delivered(data, label, &place);
        let sequence = publication.sequence.unwrap_or(count);
        let direct = json["direct"] == true;
        assert_eq!(publication.direct.is_some(), direct, "{name}: {json}");
        let channel = if direct { SESSION } else { label };
        let Some(interest) = self.interests.get_mut(channel) else {
            let until = self.left.get(channel).copied().unwrap_or(0);
            assert!(
                sequence <= until,
                "{name}: {json} is of a channel it has left"
            );
            return;
        };
        if interest.leaving {
            return;
        }
        if self.tight && interest.is_stale(sequence, &place) {
            return;
        }
        if !interest.take(name, direct, self.tight, self.modern, &place, json) {
            return;
        }
        self.got += 1;
        if sequence > interest.replay {
            assert!(
                sequence > self.last,
                "{name}: {json}, accepted as {sequence}, comes behind {}",
                self.last
            );
        }
        self.last = self.last.max(sequence);
    }

    /// A gap was told.
    pub fn gap(&mut self, json: &Value) {
        let name = &self.name;
        assert!(self.tight, "{name}: {json}, and history is ample");
        assert!(self.modern, "{name}: {json} to a client of old");
        self.gaps += 1;
        let channel = json["channel"].as_str().expect("a channel");
        let position = json["position"].as_str().expect("a position");
        let (epoch, offset) = position.split_once(':').expect("epoch:offset");
        let offset: u64 = offset.parse().expect("an offset");
        let missed = json["missed"].as_u64().expect("missed");
        let Some(interest) = self.interests.get_mut(channel).filter(|i| !i.leaving) else {
            return;
        };
        let another = interest
            .place
            .as_ref()
            .and_then(|place| place.epoch.as_deref());
        if another.is_some_and(|another| another != epoch) {
            if interest.sure && interest.replay != u64::MAX {
                // A poll that was under way while the channel was left and joined again.
                return;
            }
        } else if let Some(place) = &interest.place {
            // Asked for again, some of it may have been read before.
            assert!(
                place.offset + missed >= offset,
                "{name}: {json} at {place:?}"
            );
            if place.offset >= offset {
                return;
            }
        }
        interest.place = Some(Place {
            epoch: Some(epoch.to_owned()),
            offset,
        });
    }

    /// Why the publication is still owed.
    pub fn misses(
        &self,
        shadow: &Shadow,
        session: Option<&str>,
        publication: &Publication,
    ) -> bool {
        let Some(sequence) = publication.sequence.filter(|_| publication.confirmed) else {
            return false;
        };
        if self.tight && !self.modern {
            // It may be gone, and is not told so.
            return false;
        }
        if sequence <= shadow.forgotten {
            // Its server died; the session that it was for has been told to begin anew.
            return false;
        }
        let channel = match &publication.direct {
            None => publication.channel.as_str(),
            Some(direct) if Some(direct.as_str()) == session => SESSION,
            Some(_) => return false,
        };
        let Some(interest) = self.interests.get(channel).filter(|i| !i.leaving) else {
            return false;
        };
        if interest.from.is_none_or(|from| sequence <= from) {
            return false;
        }
        let (Some(place), Some(at)) = (&publication.place, &interest.place) else {
            return true;
        };
        let same = at.epoch.is_none() || place.epoch.is_none() || at.epoch == place.epoch;
        same && at.offset < place.offset
    }
}

impl Interest {
    /// Whether a delivery is the rest of a subscription that ended, to another
    /// life of the channel: it was accepted before this one began.
    fn is_stale(&self, sequence: u64, place: &Place) -> bool {
        let jumps = self
            .place
            .as_ref()
            .is_some_and(|at| place.offset > at.offset + 1);
        self.sure && sequence <= self.replay && self.replay != u64::MAX && jumps
    }

    /// Whether a delivery at `place` is new; panics if it is none that may come now.
    fn take(
        &mut self,
        name: &str,
        direct: bool,
        tight: bool,
        modern: bool,
        place: &Place,
        json: &Value,
    ) -> bool {
        // Clients of old are not told of gaps.
        let excused = tight && !modern;
        match &mut self.place {
            None => {
                let whole = !direct || place.offset == 1 || excused || tight;
                assert!(whole, "{name}: {json} is the first, and not the first");
                self.first = Some(place.offset);
                self.place = Some(place.clone());
            }
            // A poll may bring the first of another life before the answer to
            // the subscription tells of it.
            Some(at) if modern && !self.sure && place.offset == 1 && place.epoch.is_some() => {
                *at = place.clone();
            }
            Some(at) => {
                let same = at.epoch.is_none() || place.epoch.is_none() || at.epoch == place.epoch;
                assert!(same, "{name}: {json} is of another life than {at:?}");
                if place.offset <= at.offset {
                    assert!(modern, "{name}: {json} is doubled, after {at:?}");
                    if self.replay == u64::MAX {
                        self.passed = self.passed.max(place.offset);
                    }
                    return false;
                }
                let whole = place.offset == at.offset + 1;
                // A poll may overtake the answer that tells of a loss.
                self.jumped |= !whole && tight && self.replay == u64::MAX;
                assert!(
                    whole || excused || self.jumped,
                    "{name}: {json} comes after {at:?}: lost in between"
                );
                at.offset = place.offset;
                if place.epoch.is_some() {
                    at.epoch.clone_from(&place.epoch);
                }
            }
        }
        true
    }
}
