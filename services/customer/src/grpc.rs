//! The calls of this service. A handler reads, acts and answers; it decides nothing.

mod catalogue;
mod customers;
mod exports;
mod files;
mod internal;
mod orders;
mod ownership;
mod read;
mod segments;
mod show;
mod timeline;

use std::sync::Arc;

use revisit_bootstrap::Started;
use revisit_permission::Action;
use revisit_proto::{
    customer::v1::{
        catalogue_server::CatalogueServer, customers_server::CustomersServer, export_server::ExportServer,
        import_server::ImportServer, orders_server::OrdersServer, ownership_server::OwnershipServer,
        projections_server::ProjectionsServer, segments_server::SegmentsServer, timeline_server::TimelineServer,
    },
    identity::v1::customer_hand_over_server::CustomerHandOverServer,
};

use crate::App;

/// The calls that belong to a module, by the action that each is for. Whoever looks at segments uses what marketing makes.
const OF_MODULES: [(&str, Action); 19] = [
    ("/revisit.customer.v1.Customers/CountCustomers", Action::CustomerAggregate),
    ("/revisit.customer.v1.Customers/MoveStage", Action::CustomerStage),
    ("/revisit.customer.v1.Customers/TagCustomer", Action::CustomerTag),
    ("/revisit.customer.v1.Orders/RecordOrder", Action::CustomerOrderRecord),
    ("/revisit.customer.v1.Orders/CancelOrder", Action::CustomerOrderRecord),
    ("/revisit.customer.v1.Orders/ListOrders", Action::CustomerOrderView),
    ("/revisit.customer.v1.Ownership/AssignCustomer", Action::CustomerAssign),
    ("/revisit.customer.v1.Ownership/TransferCustomer", Action::CustomerTransfer),
    ("/revisit.customer.v1.Ownership/CreateBulkTransfer", Action::CustomerTransfer),
    ("/revisit.customer.v1.Ownership/GetBulkTransfer", Action::CustomerTransfer),
    ("/revisit.customer.v1.Ownership/ListBulkTransferRows", Action::CustomerTransfer),
    ("/revisit.customer.v1.Ownership/UndoBulkTransfer", Action::CustomerTransfer),
    ("/revisit.customer.v1.Ownership/GetOrphanReport", Action::CustomerAggregate),
    ("/revisit.customer.v1.Segments/CreateSegment", Action::SegmentManage),
    ("/revisit.customer.v1.Segments/GetSegment", Action::SegmentManage),
    ("/revisit.customer.v1.Segments/ListSegments", Action::SegmentManage),
    ("/revisit.customer.v1.Segments/UpdateSegment", Action::SegmentManage),
    ("/revisit.customer.v1.Segments/DeleteSegment", Action::SegmentManage),
    ("/revisit.customer.v1.Segments/PreviewSegment", Action::SegmentManage),
];

/// Serves every group of calls.
pub fn serve(started: Started, app: &Arc<App>) -> Started {
    let internal = internal::Served(Arc::clone(app));
    started
        .serve(CustomersServer::new(customers::Served(Arc::clone(app))))
        .serve(CatalogueServer::new(catalogue::Served(Arc::clone(app))))
        .serve(OrdersServer::new(orders::Served(Arc::clone(app))))
        .serve(TimelineServer::new(timeline::Served(Arc::clone(app))))
        .serve(OwnershipServer::new(ownership::Served(Arc::clone(app))))
        .serve(SegmentsServer::new(segments::Served(Arc::clone(app))))
        .serve(ImportServer::new(files::Served(Arc::clone(app))))
        .serve(ExportServer::new(exports::Served(Arc::clone(app))))
        .serve(ProjectionsServer::new(internal.clone()))
        .serve(CustomerHandOverServer::new(internal))
        .long(&["/revisit.customer.v1.Import/UploadFile"])
        .of_modules(&OF_MODULES)
}
