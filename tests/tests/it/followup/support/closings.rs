//! The sides of customer that followup asks: what is told directly of lent access that is over, and the door at which it
//! asks for a record as the reader.

use std::{
    convert::Infallible,
    future::Future,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use revisit_proto::customer::v1::{
    BatchGetCustomersResponse, CloseTaskAccessRequest, CloseTaskAccessResponse, ListCustomerFactsRequest,
    ListCustomerFactsResponse, ListSegmentMembersRequest, ListSegmentMembersResponse, ReadCustomersAsRequest,
    projections_server::Projections,
};
use tokio::sync::{RwLock, Semaphore};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::NamedService,
};

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

/// Where a record is asked for. Nobody gives one here; who asks waits while it is shut. Clones are one.
#[derive(Clone)]
pub struct Door {
    asked: Arc<Semaphore>,
    shut: Arc<RwLock<()>>,
}

impl Default for Door {
    fn default() -> Self {
        Self { asked: Arc::new(Semaphore::new(0)), shut: Arc::default() }
    }
}

impl Door {
    /// What a call answers when this happens after the call has asked and before it is answered.
    pub async fn while_shut<T>(&self, call: impl Future<Output = T>, happening: impl Future<Output = ()>) -> T {
        let shut = self.shut.write().await;
        let meanwhile = async {
            self.asked.acquire().await.expect("it is never closed").forget();
            happening.await;
            drop(shut);
        };
        futures::join!(call, meanwhile).0
    }
}

impl Service<http::Request<Body>> for Door {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        let door = self.clone();
        Box::pin(async move {
            door.asked.add_permits(1);
            drop(door.shut.read().await);
            Ok(Status::unimplemented("nobody asks for it here").into_http())
        })
    }
}

impl NamedService for Door {
    const NAME: &'static str = "revisit.customer.v1.Customers";
}
