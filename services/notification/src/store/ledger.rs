//! The book of changes of one transaction: each is a compare-and-set on (state, version) with one history row.

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use revisit_bootstrap::database::Tx;
use revisit_core::{Failure, Timestamp, id::AttemptId};
use revisit_event::Draft;
use revisit_proto::notification::v1::DeliverySettled;
use sea_orm::Value;

use super::{deliveries::Delivery, entity, execute, insert_all};
use crate::domain::{Progress, State};

/// Collects the history of one transaction; [`Ledger::close`] writes it.
pub struct Ledger<'a> {
    tx: &'a Tx,
    now: Timestamp,
    history: Mutex<Vec<entity::delivery_history::Model>>,
}

/// What a change of state leaves on the row beside the state.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// The provider's answer.
    pub code: Option<String>,
    /// The sealed words, kept while an answer is missing.
    pub rendered: Option<Vec<u8>>,
}

impl<'a> Ledger<'a> {
    pub const fn open(tx: &'a Tx, now: Timestamp) -> Self {
        Self { tx, now, history: Mutex::new(Vec::new()) }
    }

    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Notes a change that is written with its row.
    pub fn note(&self, delivery: &Delivery, from: State, next: &Progress) {
        let row = entity::delivery_history::Model {
            tenant_id: delivery.tenant.uuid(),
            delivery_id: delivery.id.uuid(),
            version: next.version,
            from_state: from.name().to_owned(),
            to_state: next.state.name().to_owned(),
            reason: next.reason.clone().into_owned(),
            changed_at: self.now.micros(),
        };
        self.history.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    }

    /// Moves a delivery on; answers false, and changes nothing, when somebody else has moved it.
    pub async fn advance(&self, delivery: &mut Delivery, next: Progress, marks: Marks) -> Result<bool, Failure> {
        let keeps = matches!(next.state, State::Calling | State::Unknown | State::Claimed);
        let rendered = if keeps { marks.rendered.or_else(|| delivery.rendered.take()) } else { None };
        let accepted = matches!(next.state, State::Accepted | State::Delivered).then_some(self.now);
        let accepted_at = delivery.accepted_at.or(accepted);
        let read_at = delivery.read_at.or((next.state == State::Read).then_some(self.now));
        let code = marks.code.unwrap_or_else(|| mem::take(&mut delivery.last_code));
        let text = "UPDATE delivery SET state = $1, reason = $2, version = $3, tries = $4, due_at = $5,
                accepted_at = $6, read_at = $7, last_code = $8, rendered = $9
            WHERE tenant_id = $10 AND delivery_id = $11 AND state = $12 AND version = $13";
        let values: [Value; 13] = [
            next.state.name().into(),
            next.reason.clone().into_owned().into(),
            next.version.into(),
            i32::try_from(next.tries).unwrap_or(i32::MAX).into(),
            next.due_at.map(Timestamp::micros).into(),
            accepted_at.map(Timestamp::micros).into(),
            read_at.map(Timestamp::micros).into(),
            code.clone().into(),
            rendered.clone().into(),
            delivery.tenant.uuid().into(),
            delivery.id.uuid().into(),
            delivery.progress.state.name().into(),
            delivery.progress.version.into(),
        ];
        if execute(self.tx, text, values).await? == 0 {
            return Ok(false);
        }
        self.note(delivery, delivery.progress.state, &next);
        self.tell(delivery, &next);
        (delivery.rendered, delivery.last_code) = (rendered, code);
        (delivery.accepted_at, delivery.read_at) = (accepted_at, read_at);
        delivery.progress = next;
        Ok(true)
    }

    /// Other services hear of what did not arrive; what did is the rule and is asked for here.
    fn tell(&self, delivery: &Delivery, next: &Progress) {
        let reported = match next.state {
            State::Rejected | State::Dead | State::Expired => true,
            State::Unknown => next.due_at.is_none(),
            State::Planned
            | State::Held
            | State::Ready
            | State::Claimed
            | State::Calling
            | State::Accepted
            | State::Delivered
            | State::Read
            | State::Suppressed
            | State::Cancelled => false,
        };
        if reported {
            let settled = DeliverySettled {
                delivery_id: delivery.id.to_string(),
                recipient_id: delivery.recipient.to_string(),
                channel: delivery.channel.name().to_owned(),
                state: next.state.name().to_owned(),
            };
            self.tx.emit(Draft::new(delivery.tenant, delivery.id.uuid(), next.version, &settled));
        }
    }

    /// Writes the history. A transaction that forgets this would lose it, so every user of a ledger ends with it.
    pub async fn close(self) -> Result<(), Failure> {
        insert_all(self.tx, self.history.into_inner().unwrap_or_else(PoisonError::into_inner)).await
    }
}

/// A call that is about to be made.
#[derive(Clone, Debug)]
pub struct Call {
    pub attempt: AttemptId,
    pub request_hash: [u8; 32],
}

/// Writes the calls that are about to be made: without this row no provider is called.
pub async fn begin_calls(tx: &Tx, calls: &[(&Delivery, &Call)], now: Timestamp) -> Result<(), Failure> {
    let row = |(delivery, call): &(&Delivery, &Call)| entity::attempt::Model {
        tenant_id: delivery.tenant.uuid(),
        delivery_id: delivery.id.uuid(),
        // The version is unique per call, also after an attempt that was not called gave its try back.
        number: i32::try_from(delivery.progress.version).unwrap_or(i32::MAX),
        attempt_id: call.attempt.uuid(),
        outcome: CALLING,
        code: String::new(),
        request_hash: call.request_hash.to_vec(),
        started_at: now.micros(),
        latency_micros: 0,
    };
    insert_all(tx, calls.iter().map(row).collect()).await
}

/// The outcome of an attempt that is under way.
const CALLING: i32 = 1;

/// Writes what a call came to, on its own attempt.
pub async fn end_call(
    tx: &Tx,
    delivery: &Delivery,
    call: &Call,
    (outcome, code): (i32, &str),
    latency_micros: i64,
) -> Result<(), Failure> {
    let text = "UPDATE attempt SET outcome = $1, code = $2, latency_micros = $3
        WHERE tenant_id = $4 AND delivery_id = $5 AND attempt_id = $6";
    let values: [Value; 6] = [
        outcome.into(),
        code.into(),
        latency_micros.into(),
        delivery.tenant.uuid().into(),
        delivery.id.uuid().into(),
        call.attempt.uuid().into(),
    ];
    execute(tx, text, values).await?;
    Ok(())
}

impl Ledger<'_> {
    /// Takes a delivery off the workers' list without a change of state: nothing more will be done about it.
    pub async fn leave(&self, delivery: &mut Delivery, left: Progress) -> Result<(), Failure> {
        let text = "UPDATE delivery SET due_at = NULL WHERE tenant_id = $1 AND delivery_id = $2 AND version = $3";
        let values: [Value; 3] =
            [delivery.tenant.uuid().into(), delivery.id.uuid().into(), delivery.progress.version.into()];
        execute(self.tx, text, values).await?;
        self.tell(delivery, &left);
        delivery.progress = left;
        Ok(())
    }
}
