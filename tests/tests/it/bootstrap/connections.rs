//! What a connection is opened with.

use revisit_bootstrap::{Database, Secret, Tx, database::fault, settings::DatabaseConfig};
use revisit_core::{Clock, Failure};
use revisit_tests::databases::{Backend, TestDatabase};
use sea_orm::{ConnectionTrait, Statement};

use super::database::{WORKER, config};

#[tokio::test]
async fn a_connection_to_postgresql_is_opened_with_all_that_is_said_of_it_at_once() {
    let home = TestDatabase::new(Backend::Postgres).await;
    let said = DatabaseConfig { durable: false, password: Secret::new("secret".to_owned()), ..config(&home.url) };
    let database = Database::open(&said, Clock::system()).await.expect("it opens");
    let read = database.read(&WORKER, async |tx: &Tx| {
        let text = "SELECT current_setting('plan_cache_mode') AS plans, current_setting('synchronous_commit') AS waits";
        let row = tx.query_one_raw(Statement::from_string(tx.get_database_backend(), text)).await.map_err(fault)?;
        let row = row.expect("a row");
        let column = |name| row.try_get::<String>("", name).map_err(fault);
        Ok::<_, Failure>((column("plans")?, column("waits")?))
    });
    let (plans, waits) = read.await.expect("it is read");
    assert_eq!((plans.as_str(), waits.as_str()), ("force_custom_plan", "off"));
    drop(database);
    home.close().await;
}
