//! The calls of this service. A handler reads, acts and answers; it decides nothing.

mod catalogue;
mod customers;
mod orders;
mod read;
mod show;
mod timeline;

use std::sync::Arc;

use revisit_bootstrap::Started;
use revisit_proto::customer::v1::{
    catalogue_server::CatalogueServer, customers_server::CustomersServer, orders_server::OrdersServer,
    timeline_server::TimelineServer,
};

use crate::App;

/// Serves every group of calls.
pub fn serve(started: Started, app: &Arc<App>) -> Started {
    started
        .serve(CustomersServer::new(customers::Served(Arc::clone(app))))
        .serve(CatalogueServer::new(catalogue::Served(Arc::clone(app))))
        .serve(OrdersServer::new(orders::Served(Arc::clone(app))))
        .serve(TimelineServer::new(timeline::Served(Arc::clone(app))))
}
