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
use revisit_permission::Action;
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

/// The calls that belong to a module, by the action that each is for.
const OF_MODULES: [(&str, Action); 2] = [
    ("/revisit.notification.v1.Templates/UpdateTemplate", Action::TemplateManage),
    ("/revisit.notification.v1.Preferences/UpdatePolicy", Action::TemplateManage),
];

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
        .of_modules(&OF_MODULES)
}
