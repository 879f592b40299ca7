//! `/send` by a form, as curl, HTML and the apps of old send it (protocol A.10).
//!
//! Reads fields and nothing else; a form is one publication. Called by `send`.

use std::borrow::Cow;

use crate::base::names::ALL_CHANNEL;
use crate::transport::contract::Problem;
use crate::wire::urlencoded::form_pairs;

use super::publication::{Batch, Data, Publication};

/// The fields of a form.
#[derive(Default)]
pub struct Form<'a> {
    pub data: Option<Cow<'a, str>>,
    channels: Vec<Cow<'a, str>>,
    session: Option<Cow<'a, str>>,
    pub signature: Option<Cow<'a, str>>,
}

impl<'a> Form<'a> {
    /// The fields in `body`; those that nobody knows are skipped.
    pub fn read(body: &'a [u8]) -> Form<'a> {
        let mut form = Form::default();
        for (name, value) in form_pairs(body) {
            match &*name {
                "data" => form.data = Some(value),
                // Protocol A.3: without a channel it is for everybody.
                "channel" if !value.is_empty() => form.channels.push(value),
                "session" => form.session = Some(value),
                "sig" => form.signature = Some(value),
                _ => {}
            }
        }
        form
    }

    /// The one publication that it asks for.
    ///
    /// # Errors
    /// When it has no data, or several channels for one session.
    pub fn into_batch(self) -> Result<Batch<'a>, Problem> {
        let data = self.data.ok_or_else(|| {
            Problem::new(
                400,
                "no_data",
                "The form has no data: add data=..., which may be empty.",
            )
        })?;
        let mut channels = self.channels;
        if channels.is_empty() {
            channels.push(ALL_CHANNEL.into());
        }
        let publication = Publication {
            data: Data::Text(data),
            channels,
            session: self.session,
            id: None,
        };
        Ok(Batch {
            publications: vec![publication.checked()?],
            list: false,
        })
    }
}
