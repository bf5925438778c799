//! Repeated requests: a write that is sent again with the same `request_id` does nothing more and answers what it
//! answered first, for a day. The row is written in the transaction of the write, so that both are there or neither. Of
//! the request it keeps a keyed digest, and the answer sealed.

use std::time::Duration;

use prost::Message;
use revisit_core::{
    Failure, Input, Kind,
    id::{SubjectId, TenantId},
};
use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

use crate::{
    auth::Principal,
    database::{Tx, fault},
};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Rows of one sweep.
const SWEEP_MAX: u64 = 1_000;

/// A request that may be repeated.
#[derive(Clone, Debug)]
pub struct Repeatable {
    id: Uuid,
    rpc: &'static str,
    /// Hash of the whole message: in memory only.
    body: [u8; 32],
}

impl Repeatable {
    /// Reads `request_id`; empty text means that the request is not to be repeated. `message` is the whole request.
    pub fn read(input: &mut Input, request_id: &str, rpc: &'static str, message: &impl Message) -> Option<Self> {
        if request_id.is_empty() {
            return None;
        }
        let id = input.id::<revisit_core::id::kind::Event>("request_id", request_id).uuid();
        Some(Self { id, rpc, body: *blake3::hash(&message.encode_to_vec()).as_bytes() })
    }

    /// The same request with what follows its first message.
    #[must_use]
    pub fn followed_by(mut self, rest: &Rest) -> Self {
        let body = [self.body, *rest.0.finalize().as_bytes()].concat();
        self.body = *blake3::hash(&body).as_bytes();
        self
    }

    /// The first answer, if this is a repeat. Another request under the same id is refused. A transaction that may write
    /// waits for one that is at work on the same request: what it would find on the way is what that one has done.
    pub async fn first_answer(
        &self,
        tx: &Tx,
        tenant: TenantId,
        subject: SubjectId,
    ) -> Result<Option<Vec<u8>>, Failure> {
        if tx.may_write() {
            tx.lock(self.lock_key(tenant, subject)).await.map_err(fault)?;
        }
        let now = tx.now().await.map_err(fault)?;
        let text = "SELECT rpc, body_digest, answer FROM request
            WHERE tenant_id = $1 AND subject = $2 AND request_id = $3 AND expires_at > $4";
        let values = [tenant.uuid().into(), subject.uuid().into(), self.id.into(), now.micros().into()];
        let row = tx.query_one_raw(statement(tx, text, values)).await.map_err(fault)?;
        let Some(row) = row else { return Ok(None) };
        let rpc: String = row.try_get("", "rpc").map_err(fault)?;
        let digest: Vec<u8> = row.try_get("", "body_digest").map_err(fault)?;
        if rpc != self.rpc || !self.digests(tx, tenant)?.iter().any(|known| digest == *known) {
            let message = "this request_id was used for another request";
            return Err(Failure::new(Kind::Precondition, "REQUEST_ID_REUSED", message));
        }
        let sealed: Vec<u8> = row.try_get("", "answer").map_err(fault)?;
        Ok(Some(tx.request_keys()?.open(tenant, &self.place(subject), &sealed)?.to_vec()))
    }

    /// Keeps the answer. A lost race against the same request answers ABORTED; tried again, it finds the first answer.
    pub async fn keep(&self, tx: &Tx, tenant: TenantId, subject: SubjectId, answer: Vec<u8>) -> Result<(), Failure> {
        let now = tx.now().await.map_err(fault)?;
        let text = "INSERT INTO request (tenant_id, subject, request_id, rpc, body_digest, answer, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (tenant_id, subject, request_id) DO UPDATE
            SET rpc = excluded.rpc, body_digest = excluded.body_digest, answer = excluded.answer,
                expires_at = excluded.expires_at
            WHERE request.expires_at <= $8";
        let digest = self.digests(tx, tenant)?.first().map(|newest| newest.to_vec()).unwrap_or_default();
        let values: [Value; 8] = [
            tenant.uuid().into(),
            subject.uuid().into(),
            self.id.into(),
            self.rpc.into(),
            digest.into(),
            tx.request_keys()?.seal(tenant, &self.place(subject), &answer)?.into(),
            (now + KEPT).micros().into(),
            now.micros().into(),
        ];
        let written = tx.execute_raw(statement(tx, text, values)).await.map_err(fault)?;
        if written.rows_affected() == 0 {
            return Err(Failure::new(Kind::Conflict, "REQUEST_IN_PROGRESS", "the same request came first; try again"));
        }
        Ok(())
    }

    fn digests(&self, tx: &Tx, tenant: TenantId) -> Result<Vec<[u8; 32]>, Failure> {
        tx.request_keys()?.digests(tenant, &self.body)
    }

    fn lock_key(&self, tenant: TenantId, subject: SubjectId) -> i64 {
        let all = [tenant.uuid().as_bytes().as_slice(), subject.uuid().as_bytes(), self.id.as_bytes()].concat();
        let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(&all).as_bytes();
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// What a kept answer is bound to.
    fn place(&self, subject: SubjectId) -> Vec<u8> {
        [subject.uuid().as_bytes().as_slice(), self.id.as_bytes(), self.rpc.as_bytes()].concat()
    }
}

/// What follows the first message of a request that comes in several: part of the request, however it was cut.
#[derive(Default)]
pub struct Rest(Box<blake3::Hasher>);

impl Rest {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// A write by somebody, which is done once however often it is sent.
#[derive(Clone, Copy)]
pub struct Once<'a> {
    who: &'a Principal,
    repeat: Option<&'a Repeatable>,
}

impl<'a> Once<'a> {
    /// A write of `who`; without `repeat` it is not to be repeated.
    pub const fn new(who: &'a Principal, repeat: Option<&'a Repeatable>) -> Self {
        Self { who, repeat }
    }

    /// Whose write it is.
    pub const fn who(self) -> &'a Principal {
        self.who
    }

    /// Whether it may be sent again.
    pub const fn is_kept(self) -> bool {
        self.repeat.is_some()
    }

    /// Does the work, and keeps which row it wrote. A repeat has the row found instead, as it is now: for answers that
    /// hold values under a permission, which the caller may have lost since.
    ///
    /// Versions are to be compared within `work`: a repeat names the one that the first request has replaced.
    pub async fn row<T, E: From<Failure>>(
        self,
        tx: &Tx,
        find: impl AsyncFnOnce(Uuid) -> Result<T, E>,
        work: impl AsyncFnOnce() -> Result<(Uuid, T), E>,
    ) -> Result<T, E> {
        if let Some(kept) = self.first(tx).await? {
            return find(Uuid::from_slice(&kept).map_err(Failure::internal)?).await;
        }
        let (row, answer) = work().await?;
        self.keep(tx, row.as_bytes()).await?;
        Ok(answer)
    }

    /// Does the work, and keeps its whole answer. For answers that hold nothing but what is decided before they are
    /// asked for.
    pub async fn message<M: Message + Default, E: From<Failure>>(
        self,
        tx: &Tx,
        work: impl AsyncFnOnce() -> Result<M, E>,
    ) -> Result<M, E> {
        if let Some(kept) = self.first(tx).await? {
            return Ok(M::decode(kept.as_slice()).map_err(Failure::internal)?);
        }
        let answer = work().await?;
        self.keep(tx, &answer.encode_to_vec()).await?;
        Ok(answer)
    }

    /// What was kept of the first answer, if this is a repeat.
    pub async fn first(self, tx: &Tx) -> Result<Option<Vec<u8>>, Failure> {
        match self.repeat {
            Some(repeat) => repeat.first_answer(tx, self.who.tenant(), self.who.subject()).await,
            None => Ok(None),
        }
    }

    /// Keeps the answer, or what it can be found again by.
    pub async fn keep(self, tx: &Tx, answer: &[u8]) -> Result<(), Failure> {
        match self.repeat {
            Some(repeat) => repeat.keep(tx, self.who.tenant(), self.who.subject(), answer.to_vec()).await,
            None => Ok(()),
        }
    }
}

/// Whether there are answers that are no longer kept.
pub async fn any_expired(tx: &Tx) -> Result<bool, Failure> {
    let now = tx.now().await.map_err(fault)?;
    let text = "SELECT 1 AS expired FROM request WHERE expires_at <= $1 LIMIT 1";
    Ok(tx.query_one_raw(statement(tx, text, [now.micros().into()])).await.map_err(fault)?.is_some())
}

/// Removes answers that are no longer kept; answers whether there may be more.
pub async fn sweep(tx: &Tx) -> Result<bool, Failure> {
    let now = tx.now().await.map_err(fault)?;
    let text = format!(
        "DELETE FROM request WHERE (tenant_id, subject, request_id) IN
            (SELECT tenant_id, subject, request_id FROM request WHERE expires_at <= $1 LIMIT {SWEEP_MAX})"
    );
    let swept = tx.execute_raw(statement(tx, &text, [now.micros().into()])).await.map_err(fault)?;
    Ok(swept.rows_affected() == SWEEP_MAX)
}

fn statement(tx: &Tx, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(tx.get_database_backend(), text, values)
}
