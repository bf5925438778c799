//! More customers than anybody waits for an import to make: copies of those that it has made, each under an id and a key of
//! its own, with all that a page shows of it.
//!
//! Nothing else of a customer is copied: no blind index, history or event. What looks for duplicates is not to be asked.

use std::{collections::HashMap, sync::Arc};

use revisit_bootstrap::{Principal, Reply, Tx, authenticated, fault, reply};
use revisit_core::{Clock, Failure, Ids};
use revisit_permission::Action;
use revisit_proto::customer::v1 as pb;
use sea_orm::{ConnectionTrait, FromQueryResult};
use tonic::{Request, Response, server::UnaryService};
use uuid::Uuid;

use super::{Answering, POINT, Parts, Point, statement};

/// Customers of one call, which is one transaction.
pub const AT_ONCE: usize = 1_000;

/// One copy of each customer that is named.
pub(super) struct Copies(pub(super) Arc<Parts>);

impl UnaryService<pb::BatchGetCustomersRequest> for Copies {
    type Response = ();
    type Future = Answering<Response<()>>;

    fn call(&mut self, request: Request<pb::BatchGetCustomersRequest>) -> Self::Future {
        let parts = Arc::clone(&self.0);
        Box::pin(async move { copy(&parts, request).await })
    }
}

async fn copy(parts: &Parts, request: Request<pb::BatchGetCustomersRequest>) -> Reply<()> {
    let (who, message) = authenticated(request)?;
    let read = |id: &String| Uuid::parse_str(id).map_err(|_| Failure::invalid_field("customer_ids", "is no UUID"));
    let ids = message.customer_ids.iter().map(read).collect::<Result<Vec<_>, _>>();
    reply(match ids {
        Ok(ids) => copied(parts, &who, ids).await,
        Err(failure) => Err(failure),
    })
}

/// The rows of a table that `old` customers have, under `new` ones.
const ROWS: &str = "INSERT INTO {} SELECT copy.* FROM unnest($2::uuid[], $3::uuid[]) AS pair (old, new)
    JOIN {} AS row ON row.tenant_id = $1 AND row.customer_id = pair.old
    CROSS JOIN LATERAL jsonb_populate_record(row, jsonb_build_object('customer_id', pair.new)) AS copy";
const POINTS: &str = "INSERT INTO contact_point SELECT copy.*
    FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bytea[])
        AS pair (old_customer, old, customer, new, sealed)
    JOIN contact_point AS row ON row.tenant_id = $1 AND row.customer_id = pair.old_customer
        AND row.contact_point_id = pair.old
    CROSS JOIN LATERAL jsonb_populate_record(row, jsonb_build_object(
        'customer_id', pair.customer, 'contact_point_id', pair.new, 'sealed', pair.sealed)) AS copy";

async fn copied(parts: &Parts, who: &Principal, old: Vec<Uuid>) -> Result<(), Failure> {
    // Names the tenant to row security, as on the floor.
    let scope = who.scope(Action::CustomerView)?;
    let (ids, now) = (Ids::random(), Clock::system().wall());
    let id = || ids.next::<()>(now).uuid();
    let new: Vec<Uuid> = old.iter().map(|_| id()).collect();
    let copy_of: HashMap<Uuid, Uuid> = old.iter().copied().zip(new.iter().copied()).collect();
    let tenant = who.tenant().uuid();
    let write = parts.database.write(&scope, async |tx: &Tx| {
        for table in ["customer", "customer_tag"] {
            let rows = statement(&ROWS.replace("{}", table), [tenant.into(), old.clone().into(), new.clone().into()]);
            tx.execute_raw(rows).await.map_err(fault)?;
        }
        let text = format!("{POINT} WHERE tenant_id = $1 AND customer_id = ANY ($2)");
        let points = tx.query_all_raw(statement(&text, [tenant.into(), old.clone().into()])).await.map_err(fault)?;
        let opened = parts.sealer.keys(tx, who.tenant(), &old).await?;
        let sealed = parts.sealer.keys_to_write(tx, who.tenant(), &new).await?;
        let (mut owners, mut from) = (Vec::new(), Vec::new());
        let (mut customers, mut to, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for point in points {
            let point = Point::from_query_result(&point, "").map_err(fault)?;
            let Some(plain) = opened.open(point.customer_id, point.place(), &point.sealed)? else { continue };
            owners.push(point.customer_id);
            from.push(point.contact_point_id);
            let copy = Point { customer_id: copy_of[&point.customer_id], contact_point_id: id(), ..point };
            customers.push(copy.customer_id);
            to.push(copy.contact_point_id);
            values.push(sealed.seal(copy.customer_id, copy.place(), &plain)?);
        }
        let rows = [tenant.into(), owners.into(), from.into(), customers.into(), to.into(), values.into()];
        tx.execute_raw(statement(POINTS, rows)).await.map_err(fault)?;
        Ok(())
    });
    write.await
}
