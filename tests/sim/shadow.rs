//! The shadow: what was accepted, in which order. It is told by the network
//! when a publication's last byte has reached the server.

use std::collections::HashMap;

use serde_json::Value;

use super::moments::{Moment, Moments};

/// Where a publication stands in its channel, as the server told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Unknown as long as the server had no reason to name it.
    pub epoch: Option<String>,
    pub offset: u64,
}

/// One publication in one channel.
pub struct Publication {
    pub data: String,
    pub channel: String,
    /// The session it is for alone.
    pub direct: Option<String>,
    /// Its number in the order of acceptance.
    pub sequence: Option<u64>,
    pub place: Option<Place>,
    /// The publisher was told so.
    pub confirmed: bool,
    /// The publisher was told that it was not accepted.
    pub refused: bool,
    request: usize,
}

/// Everything published in a run.
#[derive(Default)]
pub struct Shadow {
    pub publications: Vec<Publication>,
    index: HashMap<(String, String), usize>,
    /// How many were accepted.
    pub count: u64,
    /// Positions of the server itself.
    pub moments: Moments,
    /// Channels are let go that hold something, because there are too many.
    pub crowded: bool,
    /// How many of them nobody knows of any more.
    pub forgotten: u64,
    requests: usize,
}

impl Shadow {
    /// A request is going to be sent; its number.
    pub fn publish(&mut self, data: &str, channels: &[String], direct: Option<&str>) -> usize {
        for channel in channels {
            let number = self.publications.len();
            self.index
                .insert((data.to_owned(), channel.clone()), number);
            self.publications.push(Publication {
                data: data.to_owned(),
                channel: channel.clone(),
                direct: direct.map(str::to_owned),
                sequence: None,
                place: None,
                confirmed: false,
                refused: false,
                request: self.requests,
            });
        }
        self.requests += 1;
        self.requests - 1
    }

    fn of_request(&mut self, request: usize) -> impl Iterator<Item = &mut Publication> {
        let first = self
            .publications
            .partition_point(|publication| publication.request < request);
        let ours = self.publications[first..].iter_mut();
        ours.take_while(move |publication| publication.request == request)
    }

    /// The server has the whole request.
    pub fn accept(&mut self, request: usize) {
        let mut count = self.count;
        for publication in self.of_request(request) {
            count += 1;
            publication.sequence = Some(count);
        }
        self.count = count;
    }

    /// The server has answered the request.
    pub fn confirm(&mut self, request: usize, answer: &Value) {
        for publication in self.of_request(request) {
            assert!(
                publication.sequence.is_some(),
                "{} is answered before it was sent",
                publication.data
            );
            let told = &answer["channels"][&publication.channel];
            let place = Place {
                epoch: told["epoch"].as_str().map(str::to_owned),
                offset: told["offset"].as_u64().expect("an offset"),
            };
            check_place(publication, &place);
            publication.place = Some(place);
            publication.confirmed = true;
        }
    }

    /// Everything in `channel` up to `offset` is said to be from before `moment`, and
    /// nothing behind it.
    pub fn check_moment(&self, moment: Moment, channel: &str, epoch: &str, offset: u64) {
        for publication in &self.publications {
            let (Some(place), Some(sequence)) = (&publication.place, publication.sequence) else {
                continue;
            };
            let there = publication.channel == channel && publication.direct.is_none();
            if !there || place.epoch.as_deref() != Some(epoch) {
                continue;
            }
            let lost = sequence > moment.after && place.offset <= offset;
            let again = sequence <= moment.before && place.offset > offset;
            assert!(
                !lost && !again,
                "{moment:?} is said to be at {offset} of {channel}, where {} is {sequence}, at {place:?}",
                publication.data
            );
        }
    }

    /// The server has refused the request.
    pub fn refuse(&mut self, request: usize) {
        for publication in self.of_request(request) {
            assert!(
                publication.direct.is_some(),
                "{} is refused",
                publication.data
            );
            assert!(
                publication.place.is_none(),
                "{} was delivered",
                publication.data
            );
            publication.refused = true;
        }
    }

    /// The publication that a delivery is of.
    pub fn delivered(&mut self, data: &str, channel: &str, place: &Place) -> &Publication {
        let key = (data.to_owned(), channel.to_owned());
        let number = self.index.get(&key);
        let number = *number.unwrap_or_else(|| panic!("{data} was never sent to {channel}"));
        let publication = &mut self.publications[number];
        assert!(
            publication.sequence.is_some(),
            "{data} is delivered before it was sent"
        );
        assert!(!publication.refused, "{data} was refused");
        check_place(publication, place);
        if publication.place.is_none() {
            publication.place = Some(place.clone());
        }
        publication
    }
}

fn check_place(publication: &Publication, place: &Place) {
    if let Some(known) = &publication.place {
        let same = known.offset == place.offset
            && (known.epoch == place.epoch || known.epoch.is_none() || place.epoch.is_none());
        assert!(
            same,
            "{} in {} is at {known:?} and at {place:?}",
            publication.data, publication.channel
        );
    }
}
