//! A client in another language: what is public is enough to work with the product.

use std::{path::Path, process::Command, time::Duration};

use revisit_bootstrap::status::answer;
use revisit_proto::identity::v1 as identity;
use revisit_tests::{
    databases::{Backend, python},
    world::{PASSWORD, TENANT, World},
};

/// What a script says that ends well. It is told where the server is, who logs in, and `more`.
async fn told(world: &World, script: &str, username: &str, more: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
    let mut command = Command::new(python());
    command.arg(script).args([&world.running.address().to_string(), TENANT, username, PASSWORD]).args(more);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("the thread ends").expect("Python starts");
    let (told, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{failed}");
    told.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_logs_in_imports_lists_and_completes_a_task() {
    let world = World::start(Backend::Sqlite).await;
    let manager = world.hire("lin", "sales_manager", &world.root).await;
    let told = told(&world, "client.py", &manager.username, &[]).await;
    assert!(told.contains("imported 4 rows, listed 1 customer, completed 1 task"), "{told}");
    world.running.stop().await.expect("it stops without a fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_program_registers_a_type_and_asks_about_rows_of_its_own() {
    let world = World::start(Backend::Sqlite).await;
    let mei = world.hire("mei", "sales_rep", &world.root).await;
    let told = told(&world, "registered_type.py", &world.admin.username, &[&*mei.id]).await;
    assert!(told.contains("registered 1 type, she signs 2 of 4 contracts"), "{told}");
    world.running.stop().await.expect("it stops without a fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_the_permissions_page_tell_why_a_rep_sees_a_customer() {
    let world = World::start(Backend::Sqlite).await;
    let mei = world.hire("mei", "sales_rep", &world.root).await;
    let shen = world.hire("shen", "auditor", &world.root).await;
    let ours = world.customer(&mei, "王芳", "13800001001").await;
    world.ask(&mei, &ours.customer_id).await.expect("it is hers");
    let extent = identity::Extent { kind: identity::ExtentKind::Tenant.into(), ..Default::default() };
    let levels = identity::LayerLevels { basic: identity::Level::Read.into(), ..Default::default() };
    let right = identity::GrantTemplate {
        actions: vec!["department.view".to_owned()],
        extent: Some(extent),
        levels: Some(levels),
        ..Default::default()
    };
    let (holder_id, reason) = (mei.id.to_string(), "a project".to_owned());
    let request = identity::CreateGrantRequest { holder_id, right: Some(right), reason, ..Default::default() };
    let grant = answer(world.admin.access().create_grant(request).await).expect("granted").grant_id;
    // What the customer is at an instant is known from when it was made on.
    world.advance(Duration::from_secs(60)).await;
    let told = told(&world, "walkthrough.py", &mei.username, &[&*shen.username, &*world.admin.username, &*grant]).await;
    assert!(told.contains("sent 9 calls; she sees it by position:"), "{told}");
    world.running.stop().await.expect("it stops without a fault");
}
