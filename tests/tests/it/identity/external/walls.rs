//! The second wall behind answers about kept rows: PostgreSQL is told of which company they are before any row is read.

use revisit_bootstrap::{Process, Shutdown, Sources};
use revisit_proto::identity::v1::{self as pb, access_client::AccessClient};
use revisit_tests::{databases::Backend, fake_identity::unknown_id};
use sea_orm::ConnectionTrait;
use tonic::Request;

use super::{
    super::{
        access::question,
        support::{COMPANY, CUSTOMER_TOKEN, World, channel, layers, log_in},
    },
    allowed, contracts, granted,
    kept::{by_id, id, ids, keeper, listed, put, row},
    over, register,
};

/// Lets a role of its own into the database, which row security binds, and hides kept rows from it where a transaction
/// spans companies.
async fn bind(world: &World, role: &str) {
    let tables = "GRANT ALL ON ALL TABLES IN SCHEMA public";
    let mut statements = vec![
        format!("CREATE ROLE {role} LOGIN"),
        format!("GRANT ALL ON SCHEMA public TO {role}"),
        format!("{tables} TO {role}"),
    ];
    for table in ["external_row", "external_row_team"] {
        let named = "current_setting('revisit.tenant', true) <> '*'";
        statements.push(format!("CREATE POLICY of_a_company ON {table} AS RESTRICTIVE USING ({named})"));
    }
    for statement in statements {
        world.database.writer.execute_unprepared(&statement).await.expect("the role is bound");
    }
}

#[tokio::test]
async fn every_answer_about_kept_rows_is_read_within_the_company_that_was_asked_about() {
    let world = World::start(Backend::Postgres).await;
    let root = world.tenant.root_department_id.clone();
    let mei = world.user("mei", &root, "Finance").await.user_id;
    register(&world.admin, contracts(pb::ExternalKeeping::Kept)).await.expect("it is registered");
    put(&keeper(&world).await, "contract", vec![row(1, &mei, &root)]).await.expect("it is kept");
    granted(&world.admin, &mei, over(&["external.view"], pb::ExtentKind::Own, &[])).await.expect("it is granted");

    // Roles belong to the whole server, which other runs use at the same time.
    let role = format!("revisit_wall_{}", unknown_id::<()>().uuid().simple());
    bind(&world, &role).await;
    let mut layers = layers(&world.database, &world.folder);
    let (_, host) = world.database.url.split_once('@').expect("a server");
    let url = format!("[database]\nurl = \"postgres://{role}@{host}\"\n");
    layers.add("the role", &url).expect("the settings are TOML");
    let process = Process::new("identity", &[revisit_identity::service()], layers).expect("the settings are valid");
    let replica = process.start(Sources::default(), Shutdown::new()).await.expect("it starts");
    let line = channel(&replica);

    let person = log_in(&line, COMPANY, "mei").await.expect("the log-in is good");
    let admin = log_in(&line, COMPANY, super::super::support::ADMINISTRATOR).await.expect("the log-in is good");
    assert!(allowed(&person, &mei, "contract.read", by_id("contract", 1)).await, "about herself");
    assert!(allowed(&admin, &mei, "contract.read", by_id("contract", 1)).await, "about somebody else");
    assert_eq!(ids(&listed(&person, ("", ""), "contract", 50).await.expect("a list")), [id(1)]);
    assert_eq!(ids(&listed(&admin, (&mei, ""), "contract", 50).await.expect("a list")), [id(1)]);
    let request = pb::GetExternalResourceRequest { external_type: "contract".to_owned(), row_id: id(1) };
    person.external_resources().get_external_resource(request).await.expect("she sees it");
    let tenant_id = world.tenant.tenant_id.clone();
    let asked = pb::CheckRequest { tenant_id, ..question(&mei, "contract.read", by_id("contract", 1)) };
    let mut asked = Request::new(asked);
    asked.metadata_mut().insert("x-revisit-caller", CUSTOMER_TOKEN.parse().expect("ASCII"));
    let told = AccessClient::new(line).check(asked).await.expect("it is answered").into_inner();
    assert!(told.allowed, "a service of ours: {told:?}");

    replica.stop().await.expect("it ends in order");
    for statement in [format!("DROP OWNED BY {role}"), format!("DROP ROLE {role}")] {
        world.database.writer.execute_unprepared(&statement).await.expect("the role goes");
    }
    world.end().await;
}
