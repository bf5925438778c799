//! The side of identity that hears how far hand-overs are: a part ends with a pass that began late enough and left
//! nothing.

use std::sync::{Arc, Mutex};

use revisit_proto::identity::v1::{
    GetHandOverRequest, HandOver, ListHandOversRequest, ListHandOversResponse, ReportHandOverRequest,
    ReportHandOverResponse, StartHandOverRequest, hand_overs_server::HandOvers,
};
use tonic::{Request, Response, Status};

/// What was reported. Clones are one.
#[derive(Clone, Default)]
pub struct Reports(Arc<Mutex<Vec<ReportHandOverRequest>>>);

impl Reports {
    pub fn told(&self) -> Vec<ReportHandOverRequest> {
        self.0.lock().expect("no test panics while it holds the reports").clone()
    }
}

fn none<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("nobody asks for it here"))
}

#[tonic::async_trait]
impl HandOvers for Reports {
    async fn start_hand_over(&self, _: Request<StartHandOverRequest>) -> Result<Response<HandOver>, Status> {
        none()
    }

    async fn get_hand_over(&self, _: Request<GetHandOverRequest>) -> Result<Response<HandOver>, Status> {
        none()
    }

    async fn list_hand_overs(
        &self,
        _: Request<ListHandOversRequest>,
    ) -> Result<Response<ListHandOversResponse>, Status> {
        none()
    }

    async fn report_hand_over(
        &self,
        request: Request<ReportHandOverRequest>,
    ) -> Result<Response<ReportHandOverResponse>, Status> {
        let report = request.into_inner();
        // The first pass of these tests begins with the effective instant, a second one late enough.
        let done = report.pass >= 2 && report.remaining == 0;
        self.0.lock().expect("no test panics while it holds the reports").push(report);
        Ok(Response::new(ReportHandOverResponse { done }))
    }
}
