//! Deleting several customers: each is deleted for itself, and what came of each is kept together.

use revisit_bootstrap::{
    Principal,
    idempotency::{Once, Repeatable},
};
use revisit_core::{Failure, id::CustomerId};

use super::{View, change::Asked, lifecycle, once};
use crate::{App, domain::Error};

/// What came of one: the deleted customer, or the stable reason why it is not.
pub type Answer = (CustomerId, Result<View, String>);

/// Between reasons in what is kept; for a deletion the version that it made stands there.
const BETWEEN: char = ',';

/// Deletes several; each answer stands alone. The typed number guards against a slip.
pub async fn delete_all(
    app: &App,
    who: &Principal,
    (ids, expected): (Vec<CustomerId>, usize),
    repeat: Option<Repeatable>,
) -> Result<Vec<Answer>, Error> {
    if ids.len() != expected {
        return Err(Error::CountMismatch { expected: ids.len() });
    }
    let once = Once::new(who, repeat.as_ref());
    // What one has asked is one's own, whatever it was about.
    let permit = who.caller.own(&who.leases)?;
    let first = app.store.database.read(&permit, async |tx| Ok::<_, Error>(once.first(tx).await?)).await?;
    if let Some(first) = first {
        return again(app, once, ids, &String::from_utf8(first).map_err(Failure::internal)?).await;
    }
    let (mut answers, mut reasons, mut is_whole) = (Vec::new(), Vec::new(), true);
    for id in ids.iter().copied() {
        let answer = lifecycle::delete(app, who, id, Asked::default()).await;
        let kept = |view: &View| view.etag();
        reasons.push(answer.as_ref().map_or_else(|error| error.reason().to_owned(), kept));
        let answer = answer.map_err(|error| {
            let reason = error.reason().to_owned();
            is_whole &= !Failure::from(error).is_transient();
            reason
        });
        answers.push((id, answer));
    }
    // What passes by itself is no answer for a day: such a batch is not kept, and its repeat goes on with the rest. So
    // does one whose process has died on the way, because who was deleted before is answered like who is deleted now.
    if is_whole {
        let kept = reasons.join(&BETWEEN.to_string());
        let write = app.store.database.write(&permit, async |tx| {
            // The same batch may have run beside this one: what it kept is the first answer.
            let first = once.first(tx).await?;
            if first.is_none() {
                once.keep(tx, kept.as_bytes()).await?;
            }
            Ok::<_, Error>(first)
        });
        if let Some(first) = write.await? {
            return again(app, once, ids, &String::from_utf8(first).map_err(Failure::internal)?).await;
        }
    }
    Ok(answers)
}

/// The first answers, in the order of the request, which is the same.
async fn again(app: &App, once: Once<'_>, ids: Vec<CustomerId>, reasons: &str) -> Result<Vec<Answer>, Error> {
    let mut answers = Vec::new();
    for (id, reason) in ids.into_iter().zip(reasons.split(BETWEEN)) {
        let answer = match reason.parse() {
            Ok(version) => Ok(once::seen(app, once, id, version).await?),
            Err(_) => Err(reason.to_owned()),
        };
        answers.push((id, answer));
    }
    Ok(answers)
}
