//! The side of customer that is told directly that what a task lent is over.

use std::sync::{Arc, Mutex};

use revisit_proto::customer::v1::{
    BatchGetCustomersResponse, CloseTaskAccessRequest, CloseTaskAccessResponse, ListCustomerFactsRequest,
    ListCustomerFactsResponse, ListSegmentMembersRequest, ListSegmentMembersResponse, ReadCustomersAsRequest,
    projections_server::Projections,
};
use tonic::{Request, Response, Status};

/// What was told. Clones are one.
#[derive(Clone, Default)]
pub struct Closings(Arc<Mutex<Vec<CloseTaskAccessRequest>>>);

impl Closings {
    pub fn told(&self) -> Vec<CloseTaskAccessRequest> {
        self.0.lock().expect("no test panics while it holds them").clone()
    }
}

fn none<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("nobody asks for it here"))
}

#[tonic::async_trait]
impl Projections for Closings {
    async fn list_customer_facts(
        &self,
        _: Request<ListCustomerFactsRequest>,
    ) -> Result<Response<ListCustomerFactsResponse>, Status> {
        none()
    }

    async fn list_segment_members(
        &self,
        _: Request<ListSegmentMembersRequest>,
    ) -> Result<Response<ListSegmentMembersResponse>, Status> {
        none()
    }

    async fn read_customers_as(
        &self,
        _: Request<ReadCustomersAsRequest>,
    ) -> Result<Response<BatchGetCustomersResponse>, Status> {
        none()
    }

    async fn close_task_access(
        &self,
        request: Request<CloseTaskAccessRequest>,
    ) -> Result<Response<CloseTaskAccessResponse>, Status> {
        self.0.lock().expect("no test panics while it holds them").push(request.into_inner());
        Ok(Response::new(CloseTaskAccessResponse::default()))
    }
}
