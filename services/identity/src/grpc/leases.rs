//! The calls of Leases: for the services that answer from a tenant's permission state.

use std::{collections::BTreeSet, sync::Arc};

use futures::{Stream, StreamExt, stream};
use revisit_bootstrap::{Reply, Streamed, internal, reply, reply_stream, settings::SERVICES};
use revisit_core::{Failure, Input, id::TenantId};
use revisit_permission::Holder;
use revisit_proto::identity::v1::{self as pb, leases_server::Leases};
use tokio_stream::wrappers::BroadcastStream;
use tonic::{Request, async_trait};

use super::{Served, read};
use crate::{
    domain::{Error, lease::TENANTS_MAX},
    operations::{
        leases::{self, encode},
        pushes::Push,
    },
    store::log::Revision,
};

/// Changes of one part of a snapshot.
const PART_MAX: usize = 1_000;
/// Bytes of a replica's name.
const NAME_MAX: usize = 128;

fn revision(served: &Served, tenant: TenantId, it: &Revision) -> Result<pb::WatchChangesResponse, Failure> {
    let changes = encode(&it.changes)?;
    Ok(pb::WatchChangesResponse { changes, ..number(served, (tenant, it.number)) })
}

fn number(served: &Served, (tenant, revision): (TenantId, i64)) -> pb::WatchChangesResponse {
    let (tenant_id, incarnation) = (tenant.to_string(), served.0.authority.incarnation.to_string());
    pb::WatchChangesResponse { tenant_id, revision, incarnation, changes: Vec::new() }
}

/// A replica's row, and the incarnation that it speaks of.
fn holder(message: pb::RenewLeaseRequest) -> Result<(Holder, String), Failure> {
    let mut input = Input::default();
    let name = input.text("holder", &message.holder, 1..=NAME_MAX);
    let epoch = input.text("epoch", &message.epoch, 1..=NAME_MAX);
    let incarnation = input.text("incarnation", &message.incarnation, 0..=NAME_MAX);
    input.require(message.number > 0, "number", "must be 1 or more");
    input.require(message.tenants.len() <= TENANTS_MAX, "tenants", "must have at most 10,000 entries");
    let mut tenants = Vec::new();
    for (index, it) in message.tenants.iter().take(TENANTS_MAX).enumerate() {
        input.require(it.revision >= 0, &format!("tenants[{index}].revision"), "must not be negative");
        tenants.push((input.id(&format!("tenants[{index}].tenant_id"), &it.tenant_id), it.revision));
    }
    input.finish()?;
    Ok((Holder { name, epoch, number: message.number, tenants }, incarnation))
}

#[async_trait]
impl Leases for Served {
    type GetSnapshotStream = Streamed<pb::GetSnapshotResponse>;
    type WatchChangesStream = Streamed<pb::WatchChangesResponse>;

    async fn renew_lease(&self, request: Request<pb::RenewLeaseRequest>) -> Reply<pb::RenewLeaseResponse> {
        let (_, message) = internal(request, &SERVICES)?;
        reply(
            async {
                let (holder, incarnation) = holder(message)?;
                let renewed = leases::renew(&self.0, holder, &incarnation).await?;
                let tenant = |(tenant, revision): (TenantId, i64)| pb::TenantRevision {
                    tenant_id: tenant.to_string(),
                    revision,
                };
                Ok::<_, Error>(pb::RenewLeaseResponse {
                    ttl_millis: i64::try_from(self.0.config.lease_ttl_millis).unwrap_or(0),
                    database_time_micros: renewed.database_time.micros(),
                    tenants: renewed.tenants.into_iter().map(tenant).collect(),
                    incarnation: self.0.authority.incarnation.to_string(),
                })
            }
            .await,
        )
    }

    async fn get_snapshot(&self, request: Request<pb::GetSnapshotRequest>) -> Reply<Self::GetSnapshotStream> {
        let (_, message) = internal(request, &SERVICES)?;
        reply_stream(
            async {
                let tenant = read::id("tenant_id", &message.tenant_id)?;
                let (revision, changes) = leases::snapshot(&self.0, tenant).await?;
                let incarnation = self.0.authority.incarnation.to_string();
                // Each part is written when its turn comes: a million grants take longer than an answer may until it begins.
                let parts = (0..changes.len()).step_by(PART_MAX).map(move |from| {
                    let part = &changes[from..changes.len().min(from + PART_MAX)];
                    let (changes, incarnation) = (encode(part)?, incarnation.clone());
                    Ok::<_, Error>(pb::GetSnapshotResponse { revision, changes, incarnation })
                });
                Ok::<_, Error>(stream::iter(parts))
            }
            .await,
        )
    }

    async fn watch_changes(&self, request: Request<pb::WatchChangesRequest>) -> Reply<Self::WatchChangesStream> {
        let (_, message) = internal(request, &SERVICES)?;
        reply_stream(
            async {
                let mut input = Input::default();
                let tenants = input.ids("tenant_ids", &message.tenant_ids, TENANTS_MAX);
                input.finish()?;
                Ok::<_, Error>(watch(self.clone(), tenants.into_iter().collect()))
            }
            .await,
        )
    }

    async fn list_changes(&self, request: Request<pb::ListChangesRequest>) -> Reply<pb::ListChangesResponse> {
        let (_, message) = internal(request, &SERVICES)?;
        reply(
            async {
                let mut input = Input::default();
                let tenant = input.id("tenant_id", &message.tenant_id);
                input.require(message.after_revision >= 0, "after_revision", "must not be negative");
                input.finish()?;
                let found = leases::changes(&self.0, tenant, message.after_revision).await?;
                let revisions = found.iter().map(|it| revision(self, tenant, it)).collect::<Result<_, _>>()?;
                Ok::<_, Error>(pb::ListChangesResponse { revisions })
            }
            .await,
        )
    }

    async fn list_keys(&self, _: Request<pb::ListKeysRequest>) -> Reply<pb::ListKeysResponse> {
        reply(leases::key_set(&self.0).await.map(|jwks_json| pb::ListKeysResponse { jwks_json }))
    }
}

/// The revisions of watched tenants as they are committed. When some may have been missed, the newest numbers are told:
/// who is behind asks for the changes.
fn watch(served: Served, tenants: BTreeSet<TenantId>) -> impl Stream<Item = Result<pb::WatchChangesResponse, Error>> {
    // Ten thousand tenants, and a push of any of them comes by each watcher.
    let tenants = Arc::new(tenants);
    let pushed = BroadcastStream::new(served.0.pushes.watch());
    let told = pushed.then(move |push| {
        let (served, tenants) = (served.clone(), Arc::clone(&tenants));
        async move { tell(&served, &tenants, push.unwrap_or(Push::Missed)).await }
    });
    told.flat_map(stream::iter)
}

async fn tell(
    served: &Served,
    tenants: &BTreeSet<TenantId>,
    push: Push,
) -> Vec<Result<pb::WatchChangesResponse, Error>> {
    match push {
        Push::Revision(tenant, it) if tenants.contains(&tenant) => {
            let changes = it.changes.clone();
            vec![Ok(pb::WatchChangesResponse { changes, ..number(served, (tenant, it.number)) })]
        }
        Push::Revision(..) => Vec::new(),
        Push::Missed => match leases::newest(&served.0, tenants).await {
            Ok(newest) => newest.into_iter().map(|it| Ok(number(served, it))).collect(),
            Err(error) => vec![Err(error)],
        },
    }
}
