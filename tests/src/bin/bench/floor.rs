//! The floors: calls behind the very same layers of the very same process, that answer nothing, or a page of customers
//! that nobody decided about.
//!
//! The page is what a service without permission would do for the same answer: the same transaction, sort and page over
//! the tenant, the same fields of each row, its sealed contact points opened and masked. It lacks the clauses of grants,
//! what open tasks lend, and the decision about each row.

use std::{
    collections::HashMap,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use revisit_bootstrap::{
    Database, Principal, Reply, Runtime, Sealer, Service, Started, Tx, authenticated, fault, reply, seal::Place, wire,
};
use revisit_core::{Failure, Timestamp};
use revisit_permission::{Action, Mask};
use revisit_proto::customer::v1 as pb;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, Value};
use serde::{Deserialize, Serialize};
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService, UnaryService},
};
use tonic_prost::ProstCodec;
use uuid::Uuid;

mod copies;

pub use copies::AT_ONCE;

/// A call that does nothing but ask who calls.
pub const EMPTY: &str = "/revisit.floor.v1.Floor/Empty";
/// A page of customers without permission.
pub const LIST: &str = "/revisit.floor.v1.Floor/List";
/// No floor: makes one copy of each customer that is named, [`AT_ONCE`] at the most.
pub const COPY: &str = "/revisit.floor.v1.Floor/Copy";

/// It has no configuration.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Nothing {}

/// The floors as a process sees them.
pub fn service() -> Service {
    Service::new("floor", "", start, async |_: Nothing, _: Runtime| Ok(()))
}

async fn start(_: Nothing, runtime: Runtime) -> Result<Started, Failure> {
    let database = runtime.of(revisit_customer::NAME).database::<revisit_customer::Migrator>().await?;
    Ok(Started::new().serve(Floor(Arc::new(Parts { database, sealer: runtime.sealer()? }))))
}

#[derive(Clone)]
struct Floor(Arc<Parts>);

struct Parts {
    database: Database,
    sealer: Sealer,
}

type Answering<T> = Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;

impl NamedService for Floor {
    const NAME: &'static str = "revisit.floor.v1.Floor";
}

impl tower::Service<tonic::codegen::http::Request<Body>> for Floor {
    type Response = tonic::codegen::http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::codegen::http::Request<Body>) -> Self::Future {
        let parts = Arc::clone(&self.0);
        Box::pin(async move {
            Ok(match request.uri().path() {
                EMPTY => Grpc::new(ProstCodec::default()).unary(Empty, request).await,
                LIST => Grpc::new(ProstCodec::default()).unary(List(parts), request).await,
                COPY => Grpc::new(ProstCodec::default()).unary(copies::Copies(parts), request).await,
                _ => Status::unimplemented("there is no such floor").into_http(),
            })
        })
    }
}

struct Empty;

impl UnaryService<()> for Empty {
    type Response = ();
    type Future = Answering<Response<()>>;

    fn call(&mut self, request: Request<()>) -> Self::Future {
        Box::pin(async move { authenticated(request).map(|_| Response::new(())) })
    }
}

struct List(Arc<Parts>);

impl UnaryService<pb::ListCustomersRequest> for List {
    type Response = pb::ListCustomersResponse;
    type Future = Answering<Response<pb::ListCustomersResponse>>;

    fn call(&mut self, request: Request<pb::ListCustomersRequest>) -> Self::Future {
        let parts = Arc::clone(&self.0);
        Box::pin(async move { list(&parts, request).await })
    }
}

async fn list(parts: &Parts, request: Request<pb::ListCustomersRequest>) -> Reply<pb::ListCustomersResponse> {
    let (who, message) = authenticated(request)?;
    reply(page(parts, &who, &message).await)
}

/// A page and the keyset token behind it, which is not made here: the floor is asked for first pages only.
async fn page(
    parts: &Parts,
    who: &Principal,
    message: &pb::ListCustomersRequest,
) -> Result<pb::ListCustomersResponse, Failure> {
    let order = match message.order_by.as_str() {
        "" => "customer_id DESC",
        "name" => "name, customer_id",
        _ => return Err(Failure::invalid_field("order_by", "has no floor")),
    };
    // Names the tenant to row security, as every transaction does; none of its clauses is in a statement.
    let scope = who.scope(Action::CustomerView)?;
    let tenant = Value::from(who.tenant().uuid());
    let read = parts.database.read(&scope, async |tx: &Tx| {
        let size = i64::from(message.page_size);
        let text = format!("{ROW} WHERE tenant_id = $1 AND deleted_at IS NULL ORDER BY {order} LIMIT $2");
        // One more than the page: it says whether another follows.
        let rows = tx.query_all_raw(statement(&text, [tenant.clone(), (size + 1).into()])).await.map_err(fault)?;
        let rows = rows.iter().take(usize::try_from(size).unwrap_or(0));
        let rows = rows.map(|row| Row::from_query_result(row, "").map_err(fault)).collect::<Result<Vec<_>, _>>()?;
        let mut customers: Vec<pb::Customer> = rows.iter().map(shown).collect();
        hang(parts, tx, who, &rows, &mut customers).await?;
        Ok(pb::ListCustomersResponse { customers, next_page_token: String::new() })
    });
    read.await
}

fn statement(text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, text, values)
}

/// Adds what hangs on the rows: teams, tags, values, contact points.
async fn hang(
    parts: &Parts,
    tx: &Tx,
    who: &Principal,
    rows: &[Row],
    customers: &mut [pb::Customer],
) -> Result<(), Failure> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.customer_id).collect();
    let place: HashMap<Uuid, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let numbered: Vec<String> = (2..ids.len() + 2).map(|number| format!("${number}")).collect();
    let of = |text: &str, order: &str| {
        let text = format!("{text} WHERE tenant_id = $1 AND customer_id IN ({}) {order}", numbered.join(", "));
        statement(&text, std::iter::once(who.tenant().uuid()).chain(ids.iter().copied()).map(Value::from))
    };
    let teams = of("SELECT customer_id, team_id::text AS text FROM customer_team", "");
    for (id, team) in pairs(tx, teams).await? {
        customers[place[&id]].team_ids.push(team);
    }
    for (id, tag) in pairs(tx, of("SELECT customer_id, tag AS text FROM customer_tag", "ORDER BY tag")).await? {
        customers[place[&id]].tags.push(tag);
    }
    let values = of("SELECT customer_id, text_value AS text FROM field_value", "AND sealed IS NULL");
    pairs(tx, values).await?;
    let points = tx.query_all_raw(of(POINT, "ORDER BY ordinal")).await.map_err(fault)?;
    let points = points.iter().map(|row| Point::from_query_result(row, "").map_err(fault));
    let points = points.collect::<Result<Vec<_>, _>>()?;
    let sealed = of("SELECT customer_id, text_value AS text FROM field_value", "AND sealed IS NOT NULL");
    pairs(tx, sealed).await?;
    let keys = parts.sealer.keys(tx, who.tenant(), &ids).await?;
    for point in points {
        let Some(plain) = keys.open(point.customer_id, point.place(), &point.sealed)? else { continue };
        customers[place[&point.customer_id]].contact_points.push(point.shown(&String::from_utf8_lossy(&plain)));
    }
    Ok(())
}

async fn pairs(tx: &Tx, statement: Statement) -> Result<Vec<(Uuid, String)>, Failure> {
    let rows = tx.query_all_raw(statement).await.map_err(fault)?;
    let pair = |row: &sea_orm::QueryResult| Ok((row.try_get("", "customer_id")?, row.try_get("", "text")?));
    rows.iter().map(pair).collect::<Result<_, sea_orm::DbErr>>().map_err(fault)
}

const ROW: &str = "SELECT tenant_id, customer_id, kind, name, owner_id, department_id, ownership_epoch, stage, grade, \
    grade_reason, graded_at, vip, pooled, city, source, birthday, contract_end, external_id, created_at, updated_at, \
    deleted_at, version, auth_rev, import_job_id FROM customer";

#[derive(FromQueryResult)]
struct Row {
    customer_id: Uuid,
    kind: i16,
    name: String,
    owner_id: Option<Uuid>,
    department_id: Option<Uuid>,
    ownership_epoch: i64,
    stage: String,
    grade: Option<String>,
    grade_reason: Option<String>,
    vip: bool,
    pooled: bool,
    city: Option<String>,
    source: Option<String>,
    birthday: Option<String>,
    contract_end: Option<String>,
    external_id: Option<String>,
    created_at: i64,
    updated_at: i64,
    version: i64,
}

fn shown(row: &Row) -> pb::Customer {
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    pb::Customer {
        customer_id: row.customer_id.to_string(),
        kind: i32::from(row.kind),
        name: row.name.clone(),
        owner_id: id(row.owner_id),
        department_id: id(row.department_id),
        ownership_epoch: row.ownership_epoch,
        stage: row.stage.clone(),
        grade: text(&row.grade),
        grade_reason: text(&row.grade_reason),
        vip: row.vip,
        pooled: row.pooled,
        city: text(&row.city),
        source: text(&row.source),
        birthday: text(&row.birthday),
        contract_end: text(&row.contract_end),
        external_id: text(&row.external_id),
        create_time: Some(wire::time(Timestamp::from_micros(row.created_at))),
        update_time: Some(wire::time(Timestamp::from_micros(row.updated_at))),
        etag: row.version.to_string(),
        ..pb::Customer::default()
    }
}

const POINT: &str = "SELECT customer_id, contact_point_id, kind, sealed, verified, is_primary FROM contact_point";

#[derive(FromQueryResult)]
struct Point {
    customer_id: Uuid,
    contact_point_id: Uuid,
    kind: i16,
    sealed: Vec<u8>,
    verified: bool,
    is_primary: bool,
}

impl Point {
    const fn place(&self) -> Place {
        Place { table: "contact_point", row: self.contact_point_id, column: "sealed" }
    }

    fn shown(&self, plain: &str) -> pb::ContactPoint {
        let normal_form = plain.split_once('\u{1f}').map_or(plain, |(_, normal_form)| normal_form);
        let kind = pb::ContactType::try_from(i32::from(self.kind)).unwrap_or_default();
        let mask = match kind {
            pb::ContactType::Phone => Mask::Phone,
            pb::ContactType::Email => Mask::Email,
            pb::ContactType::Wechat | pb::ContactType::RegistrationCode => Mask::Account,
            pb::ContactType::Company | pb::ContactType::Unspecified => Mask::Text,
        };
        pb::ContactPoint {
            contact_point_id: self.contact_point_id.to_string(),
            r#type: kind.into(),
            value: mask.apply(normal_form),
            normal_form: String::new(),
            verified: self.verified,
            primary: self.is_primary,
        }
    }
}
