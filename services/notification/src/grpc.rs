//! The gRPC face: each handler reads, acts and answers.

mod deliveries;
mod endpoints;
mod inbox;
mod preferences;
mod read;
mod show;
mod templates;

use std::sync::Arc;

use revisit_bootstrap::Started;
use revisit_proto::notification::v1::{
    deliveries_server::DeliveriesServer, endpoints_server::EndpointsServer, inbox_server::InboxServer,
    preferences_server::PreferencesServer, templates_server::TemplatesServer,
};

use crate::App;

/// What every handler holds.
#[derive(Clone)]
struct Served {
    app: Arc<App>,
}

/// Serves every call of this service; all need a token.
pub fn serve(started: Started, app: &Arc<App>) -> Started {
    let served = Served { app: Arc::clone(app) };
    started
        .serve(DeliveriesServer::new(served.clone()))
        .serve(InboxServer::new(served.clone()))
        .serve(TemplatesServer::new(served.clone()))
        .serve(PreferencesServer::new(served.clone()))
        .serve(EndpointsServer::new(served))
        .endless(&["/revisit.notification.v1.Inbox/WatchMessages"])
}
