//! `/send` by a form, as curl, HTML and the apps of 2011 send it (protocol A.10).
//!
//! Reads fields and nothing else; a form is one publication. What is wrong is
//! told by [`Form::into_batch`], once it is known who asks: the form may hold
//! its own signature. Called by `send`.

use std::borrow::Cow;

use crate::transport::contract::Problem;
use crate::wire::urlencoded::{Pair, form_pairs};

use super::publication::{Batch, Data, Publication, empty_target, everyone, unknown_key};

/// The fields of a form.
#[derive(Default)]
pub struct Form<'a> {
    pub data: Option<Cow<'a, str>>,
    channels: Vec<Cow<'a, str>>,
    session: Option<Cow<'a, str>>,
    pub signature: Option<Cow<'a, str>>,
    /// The first field that is wrong.
    problem: Option<Problem>,
}

/// The names of all fields.
const NAMES: [&str; 4] = ["data", "channel", "session", "sig"];

impl<'a> Form<'a> {
    /// The fields in `body`.
    pub fn read(body: &'a [u8]) -> Form<'a> {
        let mut form = Form::default();
        for pair in form_pairs(body) {
            if let Err(problem) = form.take(pair) {
                form.problem.get_or_insert(problem);
            }
        }
        form
    }

    fn take(&mut self, pair: Pair<'a>) -> Result<(), Problem> {
        let Pair { name, value, utf8 } = pair;
        if !utf8 && name != "data" {
            return Err(not_utf8(&name));
        }
        let field = match &*name {
            "data" => &mut self.data,
            "sig" => &mut self.signature,
            "channel" | "session" if value.is_empty() => return Err(empty_target(&name)),
            "channel" => {
                self.channels.push(value);
                return Ok(());
            }
            "session" => &mut self.session,
            _ => return Err(not_a_field(&name)),
        };
        match field.replace(value) {
            None => Ok(()),
            Some(_) => Err(twice(&name)),
        }
    }

    /// The one publication that it asks for.
    ///
    /// # Errors
    /// The first field that is wrong; or it has no data, or several channels for
    /// one session.
    pub fn into_batch(self) -> Result<Batch<'a>, Problem> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let data = self.data.ok_or_else(|| {
            Problem::new(
                400,
                "no_data",
                "The form has no data: add data=..., which may be empty.",
            )
        })?;
        let channels = match self.channels.is_empty() {
            true => everyone(),
            false => self.channels,
        };
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

fn not_a_field(name: &str) -> Problem {
    let hint = match name {
        _ if name.starts_with(['{', '[']) => {
            "; the body looks like JSON, which needs Content-Type: application/json"
        }
        "channels" | "channel[]" => "; for several channels repeat channel",
        "id" => "; a form has its key in the header Idempotency-Key",
        _ => "",
    };
    unknown_key("A form", name, &NAMES, hint)
}

fn not_utf8(name: &str) -> Problem {
    let shown: String = name.chars().take(40).collect();
    let message =
        format!("The field {shown:?} is not UTF-8: encode it as encodeURIComponent does.");
    Problem::new(400, "bad_utf8", message)
}

fn twice(name: &str) -> Problem {
    let message =
        format!("The field {name} occurs twice: send it once. Only channel may be repeated.");
    Problem::new(400, "key_twice", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Publication<'_>, Problem> {
        let batch = Form::read(body.as_bytes()).into_batch()?;
        Ok(batch.publications.into_iter().next().unwrap())
    }

    #[test]
    fn only_what_names_no_target_is_for_everyone() {
        for (body, channels, session) in [
            ("data=a", &["/all"][..], None),
            ("&data=&&sig=x", &["/all"], None),
            ("channel=a&data=x&channel=b&channel=a", &["a", "b"], None),
            ("data=x&session=7", &["/all"], Some("7")),
            ("data=%FF&session=7&channel=+", &[" "], Some("7")),
            ("data=x&channel=%EF%BF%BD", &["\u{fffd}"], None),
        ] {
            let read = read(body).unwrap();
            assert_eq!(read.channels, channels, "{body}");
            assert_eq!(read.session.as_deref(), session, "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = format!("data=x&{}=1", "k".repeat(100_000));
        for (body, code, said) in [
            ("", "no_data", "add data=..."),
            ("data=x&channel=", "channel_name", "\"channel\" is empty"),
            ("data=x&channel", "channel_name", "\"channel\" is empty"),
            ("data=x&channel=a&channel=", "channel_name", "\"channel\""),
            ("data=x&session=", "bad_value", "\"session\" is empty"),
            (
                "chanel=room&data=x",
                "unknown_key",
                "\"chanel\": did you mean channel?",
            ),
            (
                "Channel=a&data=x",
                "unknown_key",
                "\"Channel\": did you mean channel?",
            ),
            ("channels=a&data=x", "unknown_key", "repeat channel"),
            ("channel%5B%5D=a&data=x", "unknown_key", "\"channel[]\""),
            ("channel[]=a&data=x", "unknown_key", "\"channel[]\""),
            (
                "sessionId=a&data=x",
                "unknown_key",
                "\"sessionId\": did you mean session?",
            ),
            ("data=x&user=a", "unknown_key", "\"user\""),
            ("data=x&=a", "unknown_key", "\"\""),
            ("data=x&id=1", "unknown_key", "Idempotency-Key"),
            ("{\"data\":1}", "unknown_key", "application/json"),
            ("data=x&data=y", "key_twice", "data occurs twice"),
            (
                "data=x&session=1&session=1",
                "key_twice",
                "session occurs twice",
            ),
            ("data=x&sig=a&sig=b", "key_twice", "sig occurs twice"),
            ("data=x&channel=%FF", "bad_utf8", "\"channel\" is not UTF-8"),
            ("data=x&session=%FF", "bad_utf8", "\"session\""),
            ("data=x&chann%FFel=a", "bad_utf8", "is not UTF-8"),
            (
                &long,
                "unknown_key",
                "A form has data, channel, session, sig",
            ),
        ] {
            let problem = read(body).unwrap_err();
            assert_eq!((problem.status, problem.code), (400, code), "{body}");
            assert!(problem.message.contains(said), "{}", problem.message);
            assert!(problem.message.len() < 300);
        }
    }
}
