//! Reading what other services know, page by page: what a projection is rebuilt from when events are gone.

use revisit_core::{
    Failure,
    id::{TaskId, TenantId},
};
use revisit_proto::{
    customer::v1::{self as customer, projections_client::ProjectionsClient},
    followup::v1::{self as followup, projections_client::ProjectionsClient as TasksClient},
    identity::v1::{self as identity, directory_client::DirectoryClient},
};

use crate::{client::Peers, status::answer};

/// Rows of a page: whoever takes them in does so in one transaction.
const PAGE: i32 = 500;
/// Pages of one list: a bound against a peer that never ends.
const PAGES_MAX: usize = 100_000;

/// A walk over the pages of one list, all tenants together. Each method is one list and answers its next page, or
/// nothing behind the last; a walk keeps to one of them.
pub struct Pages<'a> {
    peers: &'a Peers,
    /// What the next page is asked for with; none behind the last.
    token: Option<String>,
    left: usize,
}

impl<'a> Pages<'a> {
    /// From the first page on.
    #[must_use]
    pub const fn of(peers: &'a Peers) -> Self {
        Self { peers, token: Some(String::new()), left: PAGES_MAX }
    }

    /// The users that identity knows.
    ///
    /// # Errors
    /// When identity cannot be asked.
    pub async fn users(&mut self) -> Result<Option<Vec<identity::UserFact>>, Failure> {
        let Some(page_token) = self.next()? else { return Ok(None) };
        let request = identity::ListUserFactsRequest { page_size: PAGE, page_token, ..Default::default() };
        let mut client = DirectoryClient::new(self.peers.channel("identity"));
        let page = answer(client.list_user_facts(request).await)?;
        Ok(self.turned(page.next_page_token, page.users))
    }

    /// The departments that identity knows.
    ///
    /// # Errors
    /// When identity cannot be asked.
    pub async fn departments(&mut self) -> Result<Option<Vec<identity::DepartmentFact>>, Failure> {
        let Some(page_token) = self.next()? else { return Ok(None) };
        let request = identity::ListDepartmentFactsRequest { page_size: PAGE, page_token, ..Default::default() };
        let mut client = DirectoryClient::new(self.peers.channel("identity"));
        let page = answer(client.list_department_facts(request).await)?;
        Ok(self.turned(page.next_page_token, page.departments))
    }

    /// The customers that customer knows.
    ///
    /// # Errors
    /// When customer cannot be asked.
    pub async fn customers(&mut self) -> Result<Option<Vec<customer::TenantFacts>>, Failure> {
        let Some(page_token) = self.next()? else { return Ok(None) };
        let request = customer::ListCustomerFactsRequest { page_size: PAGE, page_token, ..Default::default() };
        let mut client = ProjectionsClient::new(self.peers.channel("customer"));
        let page = answer(client.list_customer_facts(request).await)?;
        Ok(self.turned(page.next_page_token, page.customers))
    }

    /// The present members of the segments that customer knows.
    ///
    /// # Errors
    /// When customer cannot be asked.
    pub async fn members(&mut self) -> Result<Option<Vec<customer::SegmentMember>>, Failure> {
        let Some(page_token) = self.next()? else { return Ok(None) };
        let request = customer::ListSegmentMembersRequest { page_size: PAGE, page_token, ..Default::default() };
        let mut client = ProjectionsClient::new(self.peers.channel("customer"));
        let page = answer(client.list_segment_members(request).await)?;
        Ok(self.turned(page.next_page_token, page.members))
    }

    /// The open tasks on customers that followup knows.
    ///
    /// # Errors
    /// When followup cannot be asked.
    pub async fn open_tasks(&mut self) -> Result<Option<Vec<followup::OpenTask>>, Failure> {
        self.tasks(followup::ListOpenTasksRequest::default()).await
    }

    /// Those of some tasks of a tenant that are still open: the next page of them.
    ///
    /// # Errors
    /// When followup cannot be asked.
    pub async fn still_open(
        &mut self,
        tenant: TenantId,
        tasks: &[TaskId],
    ) -> Result<Option<Vec<followup::OpenTask>>, Failure> {
        self.tasks(followup::ListOpenTasksRequest {
            tenant_id: tenant.to_string(),
            task_ids: tasks.iter().map(ToString::to_string).collect(),
            ..Default::default()
        })
        .await
    }

    async fn tasks(
        &mut self,
        request: followup::ListOpenTasksRequest,
    ) -> Result<Option<Vec<followup::OpenTask>>, Failure> {
        let Some(page_token) = self.next()? else { return Ok(None) };
        let request = followup::ListOpenTasksRequest { page_size: PAGE, page_token, ..request };
        let mut client = TasksClient::new(self.peers.channel("followup"));
        let page = answer(client.list_open_tasks(request).await)?;
        Ok(self.turned(page.next_page_token, page.tasks))
    }

    fn next(&mut self) -> Result<Option<String>, Failure> {
        self.left = self.left.checked_sub(1).ok_or_else(|| Failure::internal("a snapshot never ends"))?;
        Ok(self.token.take())
    }

    fn turned<T>(&mut self, next_page_token: String, rows: T) -> Option<T> {
        self.token = Some(next_page_token).filter(|token| !token.is_empty());
        Some(rows)
    }
}
