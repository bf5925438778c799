//! What the notification service stands on in a test: its settings, a place for each service, and peers that publish
//! what the test says.

use std::sync::Arc;

use revisit_bootstrap::{Database, Runtime, Service, Started};
use revisit_core::Failure;
use revisit_proto::{
    customer::v1::projections_server::ProjectionsServer, followup::v1::today_server::TodayServer,
    identity::v1::leases_server::LeasesServer,
};
use revisit_standalone::mail_sink::MailSink;
use revisit_tests::{
    databases::{Backend, TestDatabase},
    fake_identity::FakeIdentity,
};
use sea_orm::ConnectionTrait;
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use serde::{Deserialize, Serialize};

use crate::notification::played::{Answering, Played};

/// What a service needs that only publishes.
struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        revisit_bootstrap::database::migrations()
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Config {}

pub(super) fn settings(sink: &MailSink) -> String {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    format!(
        "server.listen = '127.0.0.1:0'
        server.drain_seconds_max = 5
        telemetry.log = 'warn'
        database.durable = false
        database.migrate = 'always'
        database.connections_max = 6
        consumers.identity = ['notification']
        consumers.customer = ['notification']
        consumers.followup = ['notification']
        consumers.notification = []
        seal.current = 'k1'
        seal.index_current = 'k1'
        [seal.keys]
        k1 = '{key}'
        [seal.index_keys]
        k1 = '{key}'
        [notification.mail]
        host = '127.0.0.1'
        port = {}
        tls = 'none'
        timeout_seconds = 3
        [notification.webhook]
        timeout_seconds = 3
        [notification.outbound]
        allow = ['127.0.0.0/8']",
        sink.address().port()
    )
}

/// A place for each service: a file, or a schema of one PostgreSQL database.
pub(super) async fn place(database: &TestDatabase) -> String {
    let url = match database.backend {
        Backend::Sqlite => database.url.trim_start_matches("sqlite://").replace("test.db", "{service}.db"),
        Backend::Postgres => {
            for service in ["identity", "customer", "followup", "notification"] {
                let schema = format!("CREATE SCHEMA {service}");
                database.writer.execute_unprepared(&schema).await.expect("the schema is made");
            }
            return format!("database.url = '{}?options[search_path]={{service}}'", database.url);
        }
    };
    format!("database.url = 'sqlite:{url}'")
}

pub(super) type Give = std::sync::mpsc::Sender<(&'static str, Database)>;

pub(super) fn services(identity: &FakeIdentity, played: &Arc<Played>, give: Give) -> Vec<Service> {
    let mut notification = revisit_standalone::services();
    notification.retain(|service| service.name == "notification");
    let (leases, names, counts) = (identity.clone(), Answering(played.clone()), Answering(played.clone()));
    let leases = producer("identity", "[identity]", give.clone(), move |started| {
        started.serve(LeasesServer::new(leases.clone())).public(&["/revisit.identity.v1.Leases/ListKeys"])
    });
    let names = producer("customer", "[customer]", give.clone(), move |started| {
        started.serve(ProjectionsServer::new(names.clone()))
    });
    let counts =
        producer("followup", "[followup]", give, move |started| started.serve(TodayServer::new(counts.clone())));
    let mut services = vec![leases, names, counts];
    services.append(&mut notification);
    services
}

/// A service that publishes what a test says.
fn producer(
    name: &'static str,
    manual: &'static str,
    give: Give,
    serve: impl Fn(Started) -> Started + Clone + Send + Sync + 'static,
) -> Service {
    Service::new(
        name,
        manual,
        move |_: Config, runtime: Runtime| {
            let (give, serve) = (give.clone(), serve.clone());
            async move {
                let database = runtime.database::<Migrator>().await?;
                give.send((name, database.clone())).map_err(Failure::internal)?;
                Ok(serve(Started::new()).outbox(&database, &runtime))
            }
        },
        |_: Config, runtime: Runtime| async move { runtime.migrate::<Migrator>().await },
    )
}
