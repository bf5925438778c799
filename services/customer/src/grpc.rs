//! The calls of this service. A handler reads, acts and answers; it decides nothing.

mod customers;
mod read;
mod show;

use std::sync::Arc;

use revisit_bootstrap::Started;
use revisit_proto::customer::v1::customers_server::CustomersServer;

use crate::App;

/// Serves every group of calls.
pub fn serve(started: Started, app: &Arc<App>) -> Started {
    started.serve(CustomersServer::new(customers::Served(Arc::clone(app))))
}
