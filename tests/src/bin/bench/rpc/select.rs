//! The bare SQL that a read needs, on as many connections as there are callers: no call, no permission, no row security,
//! nothing opened.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use revisit_core::Clock;
use revisit_standalone::client::Person;
use revisit_tests::{
    databases::{connect_to, texts},
    measure::per_second,
};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, Value};
use uuid::Uuid;

use super::company::Company;
use crate::{callers::Callers, rows::TAGS};

/// What one page of today holds, and keys that are looked up in turns.
const PAGE: i64 = 50;
const DRAWN: i64 = 2_000;
const DAY_MICROS: i64 = 86_400_000_000;
/// The company's zone, Shanghai: eight hours ahead, without summer time.
const AHEAD_MICROS: i64 = 28_800_000_000;

/// Open and planned tasks of a person's day with their customers and keys.
const TODAY: &str = "SELECT t.*, c.owner_id, c.department_id, c.stage, c.grade, c.vip, c.pooled, c.auth_rev, k.wrapped \
    FROM task t LEFT JOIN customer c ON c.tenant_id = t.tenant_id AND c.customer_id = t.customer_id \
    LEFT JOIN sealing_key k ON k.tenant_id = t.tenant_id AND k.owner = COALESCE(t.customer_id, t.task_id) \
    WHERE t.tenant_id = $1 AND t.state IN ('open', 'scheduled') \
    AND COALESCE(t.assignee_id, t.named_id, c.owner_id) = $2 \
    AND (t.due_at < $4 OR t.open_at >= $3 AND t.open_at < $4) ORDER BY t.due_at, t.task_id LIMIT $5";

/// Who has a key, with contact points and sealing key.
const DUPLICATES: &str = "SELECT c.*, p.*, k.wrapped FROM strong_key s \
    JOIN customer c ON c.tenant_id = s.tenant_id AND c.customer_id = s.customer_id \
    JOIN contact_point p ON p.tenant_id = s.tenant_id AND p.customer_id = s.customer_id \
    JOIN sealing_key k ON k.tenant_id = s.tenant_id AND k.owner = s.customer_id \
    WHERE s.tenant_id = $1 AND s.kind = 1 AND s.digest = $2";

/// Customers with a tag.
const PREVIEW: &str = "SELECT COUNT(*) FROM customer c WHERE c.tenant_id = $1 AND c.deleted_at IS NULL AND EXISTS \
    (SELECT 1 FROM customer_tag t WHERE t.tenant_id = c.tenant_id AND t.customer_id = c.customer_id AND t.tag = $2)";

/// A statement and what is asked in turns.
pub struct Select {
    connections: Vec<DatabaseConnection>,
    text: &'static str,
    values: Vec<Vec<Value>>,
}

impl Select {
    /// The day of every representative.
    pub async fn today(company: &Company, callers: &Callers, width: usize) -> Arc<Self> {
        let day = (company.world.now().micros() + AHEAD_MICROS).div_euclid(DAY_MICROS) * DAY_MICROS - AHEAD_MICROS;
        let of = |rep: &Person| {
            let ids = [&rep.tenant_id, &rep.id].map(|id| Value::from(uuid(id)));
            ids.into_iter().chain([day, day + DAY_MICROS, PAGE].map(Value::from)).collect()
        };
        let values = company.people.reps.iter().map(of).collect();
        let connections = connections(company, revisit_followup::NAME, callers, width).await;
        Arc::new(Self { connections, text: TODAY, values })
    }

    /// Phone numbers of some customers.
    pub async fn duplicates(company: &Company, callers: &Callers, width: usize) -> Arc<Self> {
        let connections = connections(company, revisit_customer::NAME, callers, width).await;
        let source = connect_to(&company.world.database(revisit_customer::NAME)).await;
        let some = format!("SELECT encode(digest, 'hex') FROM strong_key WHERE kind = 1 ORDER BY digest LIMIT {DRAWN}");
        let digests = texts(&source, &some).await;
        source.close().await.expect("the connection closes");
        let tenant = uuid(&company.world.admin.tenant_id);
        let values = digests.iter().map(|digest| vec![tenant.into(), bytes(digest).into()]).collect();
        Arc::new(Self { connections, text: DUPLICATES, values })
    }

    /// Customers with a tag of all.
    pub async fn preview(company: &Company, callers: &Callers, width: usize) -> Arc<Self> {
        let connections = connections(company, revisit_customer::NAME, callers, width).await;
        let values = vec![vec![uuid(&company.world.admin.tenant_id).into(), TAGS[0].into()]];
        Arc::new(Self { connections, text: PREVIEW, values })
    }

    /// Asks as fast as the answers come, for a span; answers how often a second.
    pub async fn rate(self: &Arc<Self>, callers: &Callers, span: Duration) -> f64 {
        let clock = Clock::system();
        let stop = Arc::new(AtomicBool::new(false));
        let began = clock.steady();
        let streams = 0..self.connections.len();
        let streams: Vec<_> =
            streams.map(|number| callers.spawn(stream(Arc::clone(self), number, Arc::clone(&stop)))).collect();
        tokio::time::sleep(span).await;
        stop.store(true, Ordering::Relaxed);
        let mut count = 0;
        for stream in streams {
            count += stream.await.expect("it does not panic");
        }
        per_second(count, clock.steady().since(began))
    }
}

async fn stream(select: Arc<Select>, number: usize, stop: Arc<AtomicBool>) -> u64 {
    let width = select.connections.len();
    let mut count = 0;
    for values in select.values.iter().cycle().skip(number).step_by(width) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, select.text, values.iter().cloned());
        let rows = select.connections[number].query_all_raw(statement).await.expect("the server answers");
        assert!(!rows.is_empty(), "nothing found measures nothing: {}", select.text);
        count += 1;
    }
    count
}

async fn connections(company: &Company, service: &str, callers: &Callers, width: usize) -> Vec<DatabaseConnection> {
    let mut connections = Vec::new();
    for _ in 0..width {
        let name = company.world.database(service);
        connections.push(callers.spawn(async move { connect_to(&name).await }).await.expect("it does not panic"));
    }
    connections
}

fn uuid(text: &str) -> Uuid {
    Uuid::parse_str(text).expect("an id")
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect()
}
