//! A client in another language: what is public is enough to work with the product.

use std::{path::Path, process::Command};

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
