//! A client in another language: what is public is enough to work with the product.

use std::{path::Path, process::Command};

use revisit_tests::{
    databases::{Backend, python},
    world::{PASSWORD, TENANT, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_logs_in_imports_lists_and_completes_a_task() {
    let world = World::start(Backend::Sqlite).await;
    let manager = world.hire("lin", "sales_manager", &world.root).await;
    let (address, username) = (world.running.address().to_string(), manager.username.to_string());
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/client.py");
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python()).arg(client).args([address.as_str(), TENANT, &username, PASSWORD]).output()
    });
    let output = output.await.expect("the thread ends").expect("Python starts");
    let (told, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{failed}");
    assert!(told.contains("imported 4 rows, listed 1 customer, completed 1 task"), "{told}");
    world.running.stop().await.expect("it stops without a fault");
}
