//! From a batch to what came of it: all of it is checked, then all is published.
//!
//! What is known by a key is not published again, but answered as it was. It
//! knows no requests and writes no answers. Called by `send`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::names::{Epoch, Offset};
use crate::base::time::Time;
use crate::hub::SessionKey;
use crate::transport::contract::Problem;
use crate::wire::envelope;

use super::authorize::Signed;
use super::publication::{Batch, Publication, check_key};
use crate::server::core::Core;
use crate::server::session::idempotency::{Key, Kind, Known, Outcome, Receipt};

/// The keys of a whole request.
pub struct RequestKeys<'a> {
    /// `Idempotency-Key`.
    pub chosen: Option<&'a str>,
    /// The signature that it came with.
    pub signed: Option<Signed<'a>>,
    /// Tells its content from another's.
    pub fingerprint: u64,
}

/// What came of a batch.
pub struct Done {
    /// For each publication.
    pub outcomes: Arc<[Outcome]>,
    /// The request is the repetition of another, and nothing was published.
    pub repeated: bool,
}

/// What is to be done with a publication.
enum Step {
    /// To be published, and remembered by the key.
    Fresh(Option<SessionKey>, Option<Key>),
    /// It was before.
    Known(Outcome),
    /// It was, by this batch itself: the publication of this index.
    Again(usize),
}

impl RequestKeys<'_> {
    /// What came of the request when it came before.
    ///
    /// # Errors
    /// When a key is no key, was used for something else, or is too old to be known.
    pub fn known(&self, core: &mut Core, now: Time) -> Result<Option<Arc<[Outcome]>>, Problem> {
        let mut known = None;
        for (key, signed_s) in self.keys()? {
            match core.idempotency.find(now, &key, self.fingerprint) {
                Known::Same(outcomes) => known = Some(outcomes),
                Known::Other => return Err(reused(&key)),
                Known::Nothing => {
                    if signed_s.is_some_and(|at| core.idempotency.may_be_forgotten(at)) {
                        return Err(forgotten());
                    }
                }
            }
        }
        Ok(known)
    }

    /// Takes note of what came of the request, under those of its keys that are new.
    fn note(&self, core: &mut Core, now: Time, outcomes: &Arc<[Outcome]>) -> Result<(), Problem> {
        let table = &mut core.idempotency;
        for (key, signed_s) in self.keys()? {
            if table.find(now, &key, self.fingerprint) == Known::Nothing {
                table.note(now, key, self.fingerprint, Arc::clone(outcomes), signed_s);
            }
        }
        Ok(())
    }

    fn keys(&self) -> Result<impl Iterator<Item = (Key, Option<u64>)> + use<>, Problem> {
        let key = |kind, text: &str| {
            check_key(text).map(|()| Key {
                kind,
                text: text.into(),
            })
        };
        let chosen = self.chosen.map(|text| key(Kind::Request, text));
        let signed = self.signed.map(|signed| key(Kind::Webhook, signed.id));
        let signed_s = self.signed.map(|signed| signed.signed_s);
        // The signed id first: its refusal must not depend on what is not signed.
        let signed = signed.transpose()?.map(|key| (key, signed_s));
        let chosen = chosen.transpose()?.map(|key| (key, None));
        Ok(signed.into_iter().chain(chosen))
    }
}

/// Publishes a batch in its order, or nothing of it.
///
/// # Errors
/// The first thing for which the server would not take it.
pub fn publish(
    core: &mut Core,
    now: Time,
    batch: &Batch<'_>,
    keys: &RequestKeys<'_>,
) -> Result<Done, Problem> {
    if let Some(outcomes) = keys.known(core, now)? {
        // Under a key that is new, too: who strips the other must not get it sent.
        keys.note(core, now, &outcomes)?;
        let repeated = true;
        return Ok(Done { outcomes, repeated });
    }
    let steps = plan(core, now, batch)?;
    let fresh = steps.iter().any(|step| matches!(step, Step::Fresh(..)));
    let repeated = !fresh && !steps.is_empty();
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(steps.len());
    for (publication, step) in batch.publications.iter().zip(steps) {
        let outcome = match step {
            Step::Known(outcome) => outcome,
            Step::Again(index) => Arc::clone(&outcomes[index]),
            Step::Fresh(session, key) => {
                let outcome = append(core, now, publication, session)?;
                if let Some(key) = key {
                    let alone = Arc::from([Arc::clone(&outcome)]);
                    let fingerprint = publication.fingerprint();
                    core.idempotency.note(now, key, fingerprint, alone, None);
                }
                outcome
            }
        };
        outcomes.push(outcome);
    }
    let outcomes: Arc<[Outcome]> = outcomes.into();
    keys.note(core, now, &outcomes)?;
    Ok(Done { outcomes, repeated })
}

/// Says what is to be done with each publication, if all of it can be done.
fn plan(core: &mut Core, now: Time, batch: &Batch<'_>) -> Result<Vec<Step>, Problem> {
    let mut first = HashMap::new();
    let mut steps = Vec::with_capacity(batch.publications.len());
    for (index, publication) in batch.publications.iter().enumerate() {
        let step = match publication.id.as_deref() {
            Some(id) => match first.get(id) {
                Some(&before) if batch.publications[before] == *publication => {
                    Ok(Step::Again(before))
                }
                Some(_) => Err(reused(&publication_key(id))),
                None => {
                    first.insert(id, index);
                    keyed(core, now, publication, id)
                }
            },
            None => session_of(core, publication).map(|session| Step::Fresh(session, None)),
        };
        steps.push(step.map_err(|problem| batch.about(index, problem))?);
    }
    let channels = steps.iter().zip(&batch.publications);
    let channels = channels.filter(|(step, _)| matches!(step, Step::Fresh(None, _)));
    let channels = channels.flat_map(|(_, publication)| &publication.channels);
    core.hub.check(channels.map(|channel| &**channel))?;
    Ok(steps)
}

fn keyed(
    core: &mut Core,
    now: Time,
    publication: &Publication<'_>,
    id: &str,
) -> Result<Step, Problem> {
    let key = publication_key(id);
    match core.idempotency.find(now, &key, publication.fingerprint()) {
        Known::Same(outcomes) => Ok(Step::Known(Arc::clone(&outcomes[0]))),
        Known::Other => Err(reused(&key)),
        Known::Nothing => Ok(Step::Fresh(session_of(core, publication)?, Some(key))),
    }
}

fn publication_key(id: &str) -> Key {
    Key {
        kind: Kind::Publication,
        text: id.into(),
    }
}

/// The session that a publication is for. Checks the names of one that is for channels.
fn session_of(core: &Core, publication: &Publication<'_>) -> Result<Option<SessionKey>, Problem> {
    let Some(session) = &publication.session else {
        let names = publication.channels.iter();
        core.hub.check(names.map(|channel| &**channel))?;
        return Ok(None);
    };
    let key = session.parse().ok().and_then(|id| core.hub.find(id));
    let key = key.ok_or_else(|| {
        Problem::new(
            404,
            "unknown_session",
            "There is no such session: its browser has left.",
        )
    })?;
    Ok(Some(key))
}

fn append(
    core: &mut Core,
    now: Time,
    publication: &Publication<'_>,
    session: Option<SessionKey>,
) -> Result<Outcome, Problem> {
    let data = publication.data.as_ref();
    let mut receipts = Vec::with_capacity(publication.channels.len());
    for channel in &publication.channels {
        let direct = session.is_some();
        let encode = |out: &mut Vec<u8>, offset: Offset, epoch: Option<Epoch>| {
            out.push(b'{');
            envelope::encode_delivery(out, data, channel, offset, epoch, direct);
        };
        let published = match session {
            Some(session) => core.hub.publish_to(now, session, encode),
            None => Some(core.hub.publish(now, channel, encode)?),
        };
        core.stats.publications += 1;
        receipts.push(Receipt {
            channel: (&**channel).into(),
            published: published.ok_or_else(Problem::unknown_session)?,
        });
    }
    Ok(receipts.into())
}

fn reused(key: &Key) -> Problem {
    let what = match key.kind {
        Kind::Request => "Idempotency-Key",
        Kind::Webhook => "webhook-id",
        Kind::Publication => "id",
    };
    Problem::new(
        422,
        "key_reused",
        format!(
            "This {what} was used before, for something else: give each thing that you publish one of its own."
        ),
    )
}

fn forgotten() -> Problem {
    Problem::new(
        401,
        "signature",
        "The webhook-timestamp is older than what is remembered here, so this may be a replay: sign again with the present time, or raise idempotency_keys_max.",
    )
}
