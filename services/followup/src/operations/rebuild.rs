//! Building the projection anew from what identity and customer know: for a database that has lost, or never had, events
//! that their outboxes have let go. Events that arrive meanwhile are newer or the same, and versions tell.

use revisit_bootstrap::{answer, database::Tx};
use revisit_core::Failure;
use revisit_permission::Worker;
use revisit_proto::{
    customer::v1::{self as customer, projections_client::ProjectionsClient},
    identity::v1::{self as identity, directory_client::DirectoryClient},
};

use super::{
    consume::{department, facts_of, learn, required},
    customers, planner,
};
use crate::{
    App,
    store::{people, plans, projection},
};

/// Rows of one page and one transaction.
const PAGE: i32 = 500;
/// Pages of one list: a bound against a peer that never ends.
const PAGES_MAX: usize = 100_000;

/// Reads anew what is known of a source.
pub async fn from_source(app: &App, worker: &Worker, source: &str) -> Result<(), Failure> {
    if source == "identity" {
        users(app, worker).await?;
        departments(app, worker).await
    } else {
        customers(app, worker).await?;
        members(app, worker).await
    }
}

/// A walk over the pages of a list.
struct Pages {
    /// What the next page is asked for with; none after the last.
    token: Option<String>,
    left: usize,
}

impl Pages {
    const fn new() -> Self {
        Self { token: Some(String::new()), left: PAGES_MAX }
    }

    /// The token of the next page, unless the last was read.
    fn next(&mut self) -> Result<Option<String>, Failure> {
        self.left = self.left.checked_sub(1).ok_or_else(|| Failure::internal("a snapshot never ends"))?;
        Ok(self.token.take())
    }

    /// A page was taken in; it names the next one, unless it is the last.
    fn turn(&mut self, next_page_token: String) {
        self.token = Some(next_page_token).filter(|token| !token.is_empty());
    }
}

async fn users(app: &App, worker: &Worker) -> Result<(), Failure> {
    let mut pages = Pages::new();
    while let Some(page_token) = pages.next()? {
        let request = identity::ListUserFactsRequest { page_size: PAGE, page_token, ..Default::default() };
        let mut client = DirectoryClient::new(app.peers.channel("identity"));
        let page = answer(client.list_user_facts(request).await)?;
        let write = app.database.write(worker, async |tx: &Tx| {
            for fact in &page.users {
                if let Some(user) = &fact.user {
                    learn(app, tx, required(&fact.tenant_id)?, user).await?;
                }
            }
            Ok::<_, Failure>(())
        });
        write.await?;
        pages.turn(page.next_page_token);
    }
    Ok(())
}

async fn departments(app: &App, worker: &Worker) -> Result<(), Failure> {
    let mut pages = Pages::new();
    while let Some(page_token) = pages.next()? {
        let request = identity::ListDepartmentFactsRequest { page_size: PAGE, page_token, ..Default::default() };
        let mut client = DirectoryClient::new(app.peers.channel("identity"));
        let page = answer(client.list_department_facts(request).await)?;
        let write = app.database.write(worker, async |tx: &Tx| {
            for fact in &page.departments {
                if let Some(found) = &fact.department {
                    people::save_department(tx, required(&fact.tenant_id)?, &department(found)?).await?;
                }
            }
            Ok::<_, Failure>(())
        });
        write.await?;
        pages.turn(page.next_page_token);
    }
    Ok(())
}

async fn customers(app: &App, worker: &Worker) -> Result<(), Failure> {
    let mut pages = Pages::new();
    while let Some(page_token) = pages.next()? {
        let request = customer::ListCustomerFactsRequest { page_size: PAGE, page_token, ..Default::default() };
        let mut client = ProjectionsClient::new(app.peers.channel("customer"));
        let page = answer(client.list_customer_facts(request).await)?;
        let write = app.database.write(worker, async |tx: &Tx| {
            for fact in &page.customers {
                if let Some(facts) = &fact.facts {
                    customers::take_in(app, tx, facts_of(required(&fact.tenant_id)?, facts)?, "").await?;
                }
            }
            Ok::<_, Failure>(())
        });
        write.await?;
        pages.turn(page.next_page_token);
    }
    Ok(())
}

async fn members(app: &App, worker: &Worker) -> Result<(), Failure> {
    let mut pages = Pages::new();
    while let Some(page_token) = pages.next()? {
        let request = customer::ListSegmentMembersRequest { page_size: PAGE, page_token, ..Default::default() };
        let mut client = ProjectionsClient::new(app.peers.channel("customer"));
        let page = answer(client.list_segment_members(request).await)?;
        let write = app.database.write(worker, async |tx: &Tx| {
            for member in &page.members {
                join(app, tx, member).await?;
            }
            Ok::<_, Failure>(())
        });
        write.await?;
        pages.turn(page.next_page_token);
    }
    Ok(())
}

async fn join(app: &App, tx: &Tx, member: &customer::SegmentMember) -> Result<(), Failure> {
    let (tenant, segment) = (required(&member.tenant_id)?, required(&member.segment_id)?);
    let id = required(&member.customer_id)?;
    let known = projection::customer(tx, tenant, id, projection::Hold::Change).await?;
    let news = projection::cross(tx, tenant, (segment, id), (member.crossing, true)).await?;
    let (Some(customer), true) = (known, news) else { return Ok(()) };
    let now = app.now(tx).await?;
    for plan in plans::of_segment(tx, tenant, segment).await? {
        planner::enrol(app, tx, &plan, &customer, now).await?;
    }
    Ok(())
}
