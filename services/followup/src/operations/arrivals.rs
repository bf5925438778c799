//! Customers who were made a moment ago: a call that names one waits for the news of it, which is on its way.
//!
//! customer is not asked: that its event has come is all that there is to learn. A customer's id says when it was made.
//! Nobody waits for one that is older than what is known of customers, clocks that differ allowed for, and nobody
//! longer than a second.

use std::time::Duration;

use revisit_bootstrap::Principal;
use revisit_core::{Timestamp, id::CustomerId};

use super::enrolments;
use crate::{
    App,
    domain::{Error, people::Customer},
};

/// How long a call waits at most. All being well the news takes a fifth of it.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How far customer's clock may be behind the time of the lease.
const SKEW_MAX: Duration = Duration::from_secs(2);
/// How far a customer may be ahead of what is known: the age at which no call is decided on it, and the skew.
const AHEAD_MAX: Duration = Duration::from_secs(4);

/// A customer that the caller may view, be it one that is not known here yet.
pub async fn viewed_customer(app: &App, who: &Principal, id: CustomerId) -> Result<Customer, Error> {
    let arriving = async {
        loop {
            // Noted before the look: what comes while it looks is not slept through.
            let known = app.freshness.known("customer", who.tenant(), id.uuid());
            match enrolments::viewed_customer(app, who, id).await {
                Err(Error::NoSuchCustomer) if may_come(id, known.until) => {}
                answer => return answer,
            }
            app.freshness.more("customer", known).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, arriving).await.unwrap_or(Err(Error::NoSuchCustomer))
}

/// Whether the news of a customer may still be on its way.
fn may_come(id: CustomerId, known_until: Option<Timestamp>) -> bool {
    // Without a time in it an id is a derived one, or of somebody's invention.
    let Some(made) = id.uuid().get_timestamp() else { return false };
    let (seconds, nanos) = made.to_unix();
    let made = Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    let made = made + Duration::from_nanos(u64::from(nanos));
    known_until.is_none_or(|known| known.since(made) <= SKEW_MAX && made.since(known) <= AHEAD_MAX)
}
