//! The morning digest: one timer per active user, and what the day holds.

use std::{collections::BTreeMap, time::Duration};

use revisit_bootstrap::{Tx, answer};
use revisit_core::{
    Failure, Timestamp,
    id::{EventId, TenantId},
};
use revisit_proto::followup::v1::{CountTodayRequest, TodayCount, TodayQuestion, today_client::TodayClient};

use super::intake::{self, Told};
use crate::{
    App, NAME,
    domain::{
        Error, Fact, MessageKind, Value,
        fact::facts,
        morning::{self, Day},
    },
    store::{
        digests::{self, Timer},
        people::{self, Person},
        preferences,
    },
};

/// Timers of one round: as many as one question to followup may name.
const ROUND_MAX: u64 = 100;
/// How long to wait when followup cannot be asked.
const PAUSE: Duration = Duration::from_secs(60);
/// A digest later than this after its time is worth nothing.
const LATE_MAX: Duration = Duration::from_secs(4 * 3_600);
/// Time for one question.
const ASK_MAX: Duration = Duration::from_secs(3);

/// Sets or removes the timer of a user whose state or zone has changed.
pub async fn set_timer(app: &App, tx: &Tx, tenant: TenantId, person: &Person) -> Result<(), Failure> {
    if !person.active || person.email.is_none() {
        return digests::clear(tx, tenant, person.user).await;
    }
    let now = crate::store::now(tx).await?;
    digests::set(tx, Timer { tenant, user: person.user, due_at: next(app, person, now) }).await
}

fn next(app: &App, person: &Person, after: Timestamp) -> Timestamp {
    app.config.digest_time().map_or(Timestamp::MAX, |time| morning::next(person.zone, after, time))
}

/// One round over the timers that are due; answers whether there was one.
pub async fn round(app: &App) -> Result<bool, Error> {
    let worker = &app.workers.digest;
    let due = app
        .store
        .read(worker, async |tx| {
            let now = crate::store::now(tx).await?;
            Ok(digests::due(tx, now, ROUND_MAX).await?)
        })
        .await?;
    let mut tenants: BTreeMap<TenantId, Vec<Timer>> = BTreeMap::new();
    for timer in &due {
        tenants.entry(timer.tenant).or_default().push(*timer);
    }
    for (tenant, timers) in tenants {
        morning_of(app, tenant, timers).await?;
    }
    Ok(!due.is_empty())
}

/// Everything that is due for the users of one tenant.
async fn morning_of(app: &App, tenant: TenantId, timers: Vec<Timer>) -> Result<(), Error> {
    let worker = &app.workers.digest;
    let users = timers.iter().map(|timer| timer.user.uuid()).collect();
    let (people, policy) = app
        .store
        .read(worker, async |tx| {
            Ok((people::find_all(tx, tenant, users).await?, preferences::policy(tx, tenant).await?))
        })
        .await?;
    let mornings: Vec<(Timer, Person, Day)> = timers
        .into_iter()
        .filter_map(|timer| {
            let person = people.iter().find(|person| person.user == timer.user)?.clone();
            let day = morning::day_of(person.zone, timer.due_at);
            Some((timer, person, day))
        })
        .collect();
    let counts = if policy.digest { ask(app, tenant, &mornings).await } else { Ok(Vec::new()) };
    app.store
        .write(worker, async |tx| {
            for (index, (timer, person, day)) in mornings.iter().enumerate() {
                match &counts {
                    Ok(counts) => settle(app, tx, (*timer, person, *day), counts.get(index)).await?,
                    Err(_) => wait(app, tx, *timer, person).await?,
                }
            }
            Ok(())
        })
        .await
}

async fn ask(app: &App, tenant: TenantId, mornings: &[(Timer, Person, Day)]) -> Result<Vec<TodayCount>, Failure> {
    let questions = mornings
        .iter()
        .map(|(_, person, day)| TodayQuestion {
            assignee_id: person.user.to_string(),
            from_micros: day.from.micros(),
            until_micros: day.until.micros(),
        })
        .collect();
    let request = CountTodayRequest { tenant_id: tenant.to_string(), questions };
    let mut client = TodayClient::new(app.peers.channel("followup").within(ASK_MAX));
    let counts = answer(client.count_today(request).await).inspect_err(|failure| {
        tracing::warn!(%failure, "the digest waits: followup cannot be asked");
    });
    Ok(counts?.counts)
}

/// Moves the timer to the next morning and plans the digest, in one transaction: neither is there without the other.
async fn settle(
    app: &App,
    tx: &Tx,
    (timer, person, day): (Timer, &Person, Day),
    count: Option<&TodayCount>,
) -> Result<(), Error> {
    let now = crate::store::now(tx).await?;
    if !digests::postpone(tx, timer, next(app, person, now.max(timer.due_at))).await? {
        return Ok(());
    }
    let Some(count) = count.filter(|count| count.due_count > 0 || count.overdue_count > 0) else { return Ok(()) };
    let date = day.date.to_string();
    let user = person.user.uuid();
    let digest = Told {
        tenant: timer.tenant,
        source: NAME.to_owned(),
        // The same morning is the same event on every replica and after every restart.
        event: EventId::derived("revisit notification digest", &[user.as_bytes(), date.as_bytes()]),
        kind: MessageKind::Digest,
        occurrence: String::new(),
        customer: None,
        task: None,
        facts: facts([
            (Fact::Date, Value::Text(date.clone())),
            (Fact::DueCount, Value::Number(count.due_count.into())),
            (Fact::OverdueCount, Value::Number(count.overdue_count.into())),
        ]),
        expires_at: day.until,
        traceparent: String::new(),
    };
    Ok(intake::tell(app, tx, &digest, person.user).await?)
}

/// Tries again in a minute, as long as it is still morning.
async fn wait(app: &App, tx: &Tx, timer: Timer, person: &Person) -> Result<(), Error> {
    let now = crate::store::now(tx).await?;
    let day = morning::day_of(person.zone, timer.due_at);
    let nominal = app
        .config
        .digest_time()
        .map_or(day.until, |time| morning::next(person.zone, Timestamp::from_micros(day.from.micros() - 1), time));
    let again = now + PAUSE;
    let to = if again.since(nominal) > LATE_MAX { next(app, person, now) } else { again };
    digests::postpone(tx, timer, to).await?;
    Ok(())
}
