//! One publication as the app asked for it, whatever way it was spelled.
//!
//! Plain values, and the few rules that are the same for forms and JSON. Called
//! by their readers and by what publishes.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::base::names::ALL_CHANNEL;
use crate::config::nearest;
use crate::transport::contract::Problem;
use crate::wire::envelope::DataRef;

use crate::server::session::idempotency::{KEY_BYTES_MAX, fingerprint};

/// What is to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    Text(Cow<'a, str>),
    /// One complete JSON value that is no string.
    Json(&'a str),
}

impl Data<'_> {
    /// As the envelope's writer takes it.
    pub fn as_ref(&self) -> DataRef<'_> {
        match self {
            Data::Text(text) => DataRef::Str(text),
            Data::Json(value) => DataRef::Raw(value),
        }
    }
}

/// One publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication<'a> {
    pub data: Data<'a>,
    /// At least one, none of them twice; with a session exactly one, the name
    /// under which it arrives there.
    pub channels: Vec<Cow<'a, str>>,
    /// To this session and no other.
    pub session: Option<Cow<'a, str>>,
    /// What makes a repetition known as one.
    pub id: Option<Cow<'a, str>>,
}

impl Publication<'_> {
    /// Puts the channels in order and checks what can be checked without a look
    /// at the server.
    ///
    /// # Errors
    /// What does not go together, or is too long.
    pub fn checked(mut self) -> Result<Self, Problem> {
        if self.channels.len() > 1 {
            let mut seen = HashSet::new();
            self.channels.retain(|channel| seen.insert(channel.clone()));
        }
        if self.session.is_some() && self.channels.len() > 1 {
            return Err(Problem::new(
                400,
                "several_channels",
                "With session name one channel at most: it is only the name under which the message arrives.",
            ));
        }
        self.id.as_deref().map_or(Ok(()), check_key)?;
        Ok(self)
    }

    /// Tells it from another with the same id.
    pub fn fingerprint(&self) -> u64 {
        let (kind, data) = match &self.data {
            Data::Text(text) => ("text", &**text),
            Data::Json(value) => ("json", *value),
        };
        let whom = match &self.session {
            Some(session) => ["session", session],
            None => ["channels", ""],
        };
        let parts = [kind, data].into_iter().chain(whom);
        let channels = self.channels.iter().map(|channel| &**channel);
        fingerprint(parts.chain(channels).map(str::as_bytes))
    }
}

/// Whether `key` may be remembered.
///
/// # Errors
/// When it is empty or too long.
pub fn check_key(key: &str) -> Result<(), Problem> {
    if (1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(Problem::new(
        400,
        "bad_key",
        format!(
            "An idempotency key, or id, has 1 to {KEY_BYTES_MAX} bytes: send a name of that length, such as a UUID."
        ),
    ))
}

/// What one request asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    pub publications: Vec<Publication<'a>>,
    /// It came as a list, and is answered as one.
    pub list: bool,
}

impl Batch<'_> {
    /// Whether it makes no more than `most` publications, each channel counted.
    ///
    /// # Errors
    /// When it makes more.
    pub fn check_size(&self, most: usize) -> Result<(), Problem> {
        let sizes = self.publications.iter().map(|one| one.channels.len());
        match sizes.sum::<usize>() > most {
            true => Err(too_many(most)),
            false => Ok(()),
        }
    }

    /// `problem`, with the number of the publication that it is about.
    pub fn about(&self, index: usize, problem: Problem) -> Problem {
        about(self.list, index, problem)
    }
}

/// Where a publication goes that names no target (protocol A.3).
pub fn everyone<'a>() -> Vec<Cow<'a, str>> {
    vec![ALL_CHANNEL.into()]
}

/// The refusal of a target that is there and empty. Left out it would be for everyone.
pub fn empty_target(key: &str) -> Problem {
    let message = match key {
        "session" => "\"session\" is empty: name the session that it is for.".to_owned(),
        key => format!("{key:?} is empty: name a channel, or leave it out to publish to everyone."),
    };
    // The code of other names that cannot be, where there is one.
    let code = if key == "channel" {
        "channel_name"
    } else {
        "bad_value"
    };
    Problem::new(400, code, message)
}

/// The refusal of a key that nobody knows: a misspelled target would reach everyone.
/// `what` has the keys `known`; `hint` ends the sentence.
pub fn unknown_key(what: &str, key: &str, known: &[&str], hint: &str) -> Problem {
    // A key may be as long as the body; the sentence is not.
    let shown: String = key.chars().take(40).collect();
    let meant = match nearest(key, known.iter().copied()) {
        Some(meant) => format!(": did you mean {meant}?"),
        None => ".".to_owned(),
    };
    let known = known.join(", ");
    let message = format!("There is no key {shown:?}{meant} {what} has {known}{hint}.");
    Problem::new(400, "unknown_key", message)
}

/// The refusal of a request that publishes more than `most`.
pub fn too_many(most: usize) -> Problem {
    Problem::new(
        413,
        "too_many_publications",
        format!(
            "The request makes more than {most} publications, each channel counted: send them in several requests, or raise send_publications_max."
        ),
    )
}

/// `problem`, with its place in a list, counted from 1, if it was one.
pub fn about(list: bool, index: usize, problem: Problem) -> Problem {
    if !list {
        return problem;
    }
    let message = format!("Number {} of the batch: {}", index + 1, problem.message);
    Problem {
        message: message.into(),
        ..problem
    }
}
