//! The calls of identity: each handler reads, acts and answers.

use std::sync::Arc;

use revisit_bootstrap::Started;
use revisit_proto::identity::v1::{
    access_server::AccessServer, audit_server::AuditServer, auth_server::AuthServer, directory_server::DirectoryServer,
    external_resources_server::ExternalResourcesServer, external_types_server::ExternalTypesServer,
    hand_overs_server::HandOversServer, leases_server::LeasesServer,
};

use crate::App;

mod access;
mod audit;
mod audit_file;
mod auth;
mod directory;
mod external;
mod facts;
mod hand_overs;
mod leases;
mod modules;
mod organisation;
mod previews;
mod questions;
pub mod read;
mod rights;
mod service_accounts;
pub mod show;
mod tenants;
mod users;

/// Calls that need no token.
const PUBLIC: [&str; 5] = [
    "/revisit.identity.v1.Auth/LogIn",
    "/revisit.identity.v1.Auth/LogInServiceAccount",
    "/revisit.identity.v1.Auth/Refresh",
    "/revisit.identity.v1.Auth/SetPassword",
    "/revisit.identity.v1.Leases/ListKeys",
];

/// Answers the calls of one group.
#[derive(Clone)]
pub struct Served(Arc<App>);

/// Adds every group to what is served.
pub fn serve(started: Started, app: &Arc<App>) -> Started {
    let served = Served(Arc::clone(app));
    started
        .serve(DirectoryServer::new(served.clone()))
        .serve(AccessServer::new(served.clone()))
        .serve(AuthServer::new(served.clone()))
        .serve(AuditServer::new(served.clone()))
        .serve(HandOversServer::new(served.clone()))
        .serve(ExternalTypesServer::new(served.clone()))
        .serve(ExternalResourcesServer::new(served.clone()))
        .serve(LeasesServer::new(served))
        .public(&PUBLIC)
        .endless(&["/revisit.identity.v1.Leases/WatchChanges"])
}
