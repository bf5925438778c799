//! The leaver's work: customers of their own, on each an open task that follows the customer and a scheduled one that
//! names the leaver.

use std::{sync::Arc, time::Duration};

use revisit_bootstrap::{status::answer, wire};
use revisit_core::{Ids, Kind, Timestamp};
use revisit_proto::{customer::v1 as customer, followup::v1 as followup};
use revisit_standalone::client::Person;
use revisit_tests::world::World;
use tokio_stream::StreamExt;

use super::{People, customers};

/// Calls under way at once.
const AT_ONCE: usize = 8;
/// Tries of one call, and the pause between them.
const TRIES_MAX: usize = 600;
const PAUSE: Duration = Duration::from_millis(100);
/// How far ahead the tasks are due: no reminder of theirs falls into the storm.
const DUE_DAYS: u64 = 30;

/// Plants so many tasks on half as many customers.
pub async fn plant(world: &World, people: &People, tasks: usize) {
    import(people, tasks / 2).await;
    world.settle().await;
    let due = world.now() + Duration::from_hours(24 * DUE_DAYS);
    let owned = Arc::new(customers(&people.leaver).await);
    assert_eq!(owned.len(), tasks / 2, "the leaver owns what was imported");
    let write = |writer| {
        let (leaver, owned) = (people.leaver.clone(), Arc::clone(&owned));
        tokio::spawn(async move {
            for customer in owned.iter().skip(writer).step_by(AT_ONCE) {
                create(&leaver, open(&customer.customer_id, due)).await;
                create(&leaver, scheduled(&customer.customer_id, due, &leaver.id)).await;
            }
        })
    };
    let writers: Vec<_> = (0..AT_ONCE).map(write).collect();
    for writer in writers {
        writer.await.expect("it does not panic");
    }
}

/// Creates a task. Under this load a projection may be too old to decide on for a moment; then it is asked again.
async fn create(who: &Person, task: followup::CreateTaskRequest) {
    let asked = Ids::random().next::<revisit_core::id::kind::Event>(who.now());
    let task = followup::CreateTaskRequest { request_id: asked.to_string(), ..task };
    for _ in 0..TRIES_MAX {
        let who = who.fresh().await.expect("a session");
        match answer(who.tasks().create_task(task.clone()).await) {
            Err(failure) if failure.kind == Kind::Unavailable => tokio::time::sleep(PAUSE).await,
            made => {
                made.expect("a task");
                return;
            }
        }
    }
    unreachable!("the services do not come to rest");
}

fn open(customer_id: &str, due: Timestamp) -> followup::CreateTaskRequest {
    followup::CreateTaskRequest {
        kind: followup::TaskKind::Todo.into(),
        title: format!("open {customer_id}"),
        customer_id: customer_id.to_owned(),
        due_time: Some(wire::time(due)),
        ..Default::default()
    }
}

fn scheduled(customer_id: &str, due: Timestamp, leaver_id: &str) -> followup::CreateTaskRequest {
    followup::CreateTaskRequest {
        kind: followup::TaskKind::NextContact.into(),
        title: format!("scheduled {customer_id}"),
        channel: followup::Channel::Phone.into(),
        assignee_id: leaver_id.to_owned(),
        ..open(customer_id, due)
    }
}

/// Imports customers of the leaver's.
async fn import(people: &People, rows: usize) {
    use customer::upload_file_request::Part;
    let mut file = "姓名,手机号,负责人ID\n".to_owned();
    for row in 0..rows {
        file.push_str(&format!("客户{row},138{row:08},{}\n", people.leaver.id));
    }
    let header = customer::UploadHeader { file_name: "customers.csv".to_owned(), ..Default::default() };
    let parts = [Part::Header(header), Part::Data(file.into_bytes())];
    let stream = tokio_stream::iter(parts.map(|part| customer::UploadFileRequest { part: Some(part) }));
    let lead = people.lead.fresh().await.expect("a session");
    let job = answer(lead.imports().upload_file(stream).await).expect("the file is taken");
    let start = customer::StartImportRequest { job_id: job.job_id.clone(), ..Default::default() };
    answer(lead.imports().start_import(start).await).expect("it starts");
    let watch = lead.imports().watch_import(customer::GetImportRequest { job_id: job.job_id }).await;
    let mut watched = answer(watch).expect("it can be watched");
    let mut created = 0;
    while let Some(job) = watched.next().await {
        created = job.expect("the import goes on").created_count;
    }
    assert_eq!(usize::try_from(created), Ok(rows), "every row is a customer");
}
