//! Many customers in one job: moved, each with its result, and taken back to whose they were.

use std::{collections::BTreeMap, time::Duration};

use revisit_bootstrap::status::answer;
use revisit_core::Clock;
use revisit_proto::customer::v1 as pb;
use revisit_standalone::client::Person;
use revisit_tests::measure::{Size, per_second};

use super::company::{Company, fresh};
use crate::rows;

/// Customers of one job, as many as one takes.
const ROWS: usize = 10_000;
/// Rows of a page of customers and of results.
const PAGE: i32 = 1_000;
/// How often a job is looked at, and how often at the most.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS_MAX: usize = 60_000;

/// What the job and the one that took it back have shown.
pub struct Transfer {
    pub rows: usize,
    pub rows_per_second: f64,
    pub undo_rows_per_second: f64,
}

/// Moves the customers of everybody to one person, and back.
pub async fn measure(company: &Company, size: Size) -> Transfer {
    let (who, heir) = (&company.people.importer, &company.people.reps[0]);
    let wanted = size.pick(500, ROWS, ROWS);
    let before = owners(who, wanted, |customer| *customer.owner_id != *heir.id).await;
    let rows = before.len();
    assert_eq!(rows, wanted, "customers of others");
    let order = pb::CreateBulkTransferRequest {
        customer_ids: before.keys().cloned().collect(),
        owner_id: heir.id.to_string(),
        reason: "重新分配".to_owned(),
        ..Default::default()
    };
    let clock = Clock::system();
    let began = clock.steady();
    let job = answer(fresh(who).await.ownership().create_bulk_transfer(order).await).expect("a job");
    let job = done(who, job).await;
    let moved = clock.steady().since(began);
    require_all(who, &job, rows).await;
    rows::settle(&company.world).await;
    let request = pb::UndoBulkTransferRequest { job_id: job.job_id, ..Default::default() };
    let began = clock.steady();
    let job = answer(fresh(who).await.ownership().undo_bulk_transfer(request).await).expect("a job");
    let job = done(who, job).await;
    let undone = clock.steady().since(began);
    require_all(who, &job, rows).await;
    let after = owners(who, rows, |customer| before.contains_key(&customer.customer_id)).await;
    assert!(after == before, "not everybody is whose they were");
    let count = rows as u64;
    Transfer { rows, rows_per_second: per_second(count, moved), undo_rows_per_second: per_second(count, undone) }
}

/// The first customers by age that are looked for, and whose they are.
async fn owners(who: &Person, wanted: usize, is_one: impl Fn(&pb::Customer) -> bool) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    let mut request =
        pb::ListCustomersRequest { page_size: PAGE, order_by: "create_time".to_owned(), ..Default::default() };
    while owners.len() < wanted {
        let page = answer(fresh(who).await.customers().list_customers(request.clone()).await).expect("a page");
        let found = page.customers.into_iter().filter(&is_one).take(wanted - owners.len());
        owners.extend(found.map(|customer| (customer.customer_id, customer.owner_id)));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    owners
}

async fn done(who: &Person, mut job: pb::BulkTransfer) -> pb::BulkTransfer {
    for _ in 0..LOOKS_MAX {
        if job.state() != pb::JobState::Running {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        let request = pb::GetBulkTransferRequest { job_id: job.job_id };
        job = answer(fresh(who).await.ownership().get_bulk_transfer(request).await).expect("the job");
    }
    job
}

/// Every row has been moved, and says so itself.
async fn require_all(who: &Person, job: &pb::BulkTransfer, rows: usize) {
    assert_eq!(job.state(), pb::JobState::Done, "{job:?}");
    let mut moved = 0;
    let mut request =
        pb::ListBulkTransferRowsRequest { job_id: job.job_id.clone(), page_size: PAGE, ..Default::default() };
    loop {
        let page = answer(fresh(who).await.ownership().list_bulk_transfer_rows(request.clone()).await).expect("a page");
        moved += page.rows.iter().filter(|row| row.result == "moved").count();
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!((moved, job.moved_count), (rows, i64::try_from(rows).unwrap_or(0)), "{job:?}");
}
