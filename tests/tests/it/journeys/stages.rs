//! Grants name the stages that customer knows: what a company declares there may be named here.

use revisit_bootstrap::status::answer;
use revisit_core::Failure;
use revisit_proto::{customer::v1 as customer, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::{
    databases::{Backend, connect_to},
    world::{World, in_each_world},
};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use uuid::Uuid;

async fn in_stage(admin: &Person, holder: &Person, stage: &str) -> Result<identity::Grant, Failure> {
    let right = identity::GrantTemplate {
        actions: vec!["customer.view".to_owned()],
        extent: Some(identity::Extent { kind: identity::ExtentKind::Own.into(), ..Default::default() }),
        levels: Some(identity::LayerLevels { basic: identity::Level::Read.into(), ..Default::default() }),
        stages: vec![stage.to_owned()],
        ..Default::default()
    };
    let (holder_id, reason) = (holder.id.to_string(), "a test".to_owned());
    let request = identity::CreateGrantRequest { holder_id, right: Some(right), reason, ..Default::default() };
    answer(admin.access().create_grant(request).await)
}

/// Declares a stage beside those that are there.
async fn declare(world: &World, name: &str) {
    let admin = world.admin.fresh().await.expect("a session");
    let request = customer::GetStagesRequest::default();
    let mut scheme = answer(admin.catalogue().get_stages(request).await).expect("those of now");
    let etag = scheme.etag.clone();
    scheme.stages.push(customer::Stage { name: name.to_owned(), title: name.to_owned(), ..Default::default() });
    let request = customer::SetStagesRequest { scheme: Some(scheme), etag, ..Default::default() };
    answer(admin.catalogue().set_stages(request).await).expect("declared");
    world.settle().await;
}

/// identity's database, for what no call does.
async fn identity_of(world: &World, backend: Backend) -> DatabaseConnection {
    match backend {
        Backend::Sqlite => {
            let file = world.folder().join("identity.sqlite");
            sea_orm::Database::connect(format!("sqlite://{}?mode=rw", file.display())).await.expect("it is a database")
        }
        Backend::Postgres => connect_to(&world.database("identity")).await,
    }
}

/// Lets identity have been told of the stages by another life of the customer service.
async fn told_by(world: &World, backend: Backend, (life, version): (Uuid, i64)) {
    let life = match backend {
        Backend::Sqlite => format!("x'{}'", life.simple()),
        Backend::Postgres => format!("'{life}'"),
    };
    let identity = identity_of(world, backend).await;
    let change = format!("UPDATE known_stages SET version = {version}, incarnation = {life}");
    assert_eq!(identity.execute_unprepared(&change).await.expect("it is another one").rows_affected(), 1);
    identity.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_service_that_begins_anew_is_believed_although_its_versions_are_lower() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let world = World::start(backend).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        declare(&world, "warranty").await;
        // The life before had come further.
        told_by(&world, backend, (Uuid::from_u128(1), 1_000)).await;
        declare(&world, "recall").await;
        in_stage(&world.admin, &mei, "recall").await.expect("the one that is there now has told of it");
        world.running.stop().await.expect("it stops without a fault");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_former_life_of_the_customer_service_told_is_not_believed_when_it_comes_late() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let world = World::start(backend).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        declare(&world, "warranty").await;
        // The life that has begun since counts from one again.
        told_by(&world, backend, (Uuid::max(), 1)).await;
        declare(&world, "recall").await;
        in_stage(&world.admin, &mei, "recall").await.expect_err("it was told by the life before");
        in_stage(&world.admin, &mei, "warranty").await.expect("the one that is there now has told of it");
        world.running.stop().await.expect("it stops without a fault");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_is_named_by_grants_from_its_declaration_on() {
    in_each_world(async |world: &World| {
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let unknown = in_stage(&world.admin, &mei, "warranty").await.expect_err("nobody has declared it");
        assert_eq!(unknown.violations.first().map(|it| it.field.as_str()), Some("right.stages"));
        declare(world, "warranty").await;
        in_stage(&world.admin, &mei, "warranty").await.expect("customer has told of it");
        in_stage(&world.admin, &mei, "warrenty").await.expect_err("misspelt");
    })
    .await;
}
