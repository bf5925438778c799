//! The second wall behind the permits: what PostgreSQL itself shows to a transaction.

use revisit_bootstrap::{Database, Tx};
use revisit_core::{Clock, ManualClock, Timestamp, id::TenantId};
use revisit_permission::Caller;
use revisit_tests::{
    databases::{Backend, TestDatabase},
    fake_identity::unknown_id,
};
use sea_orm::{ConnectionTrait, DbErr, Statement};

use super::database::{Error, Migrator, WORKER, config, insert, leased};

#[tokio::test]
async fn row_security_hides_the_rows_of_other_tenants() {
    let home = TestDatabase::new(Backend::Postgres).await;
    let database = Database::open(&config(&home.url), Clock::system()).await.expect("it opens");
    database.migrate::<Migrator>().await.expect("it migrates");
    let (ours, theirs): (TenantId, TenantId) = (unknown_id(), unknown_id());
    let user = unknown_id();
    let manual = ManualClock::frozen(Timestamp::from_seconds(1_000));
    let permit = Caller::named(ours, user).own(&leased(&manual, ours, user)).expect("the lease holds");
    // Roles belong to the whole server, which other runs use at the same time.
    let role = format!("revisit_test_{}", unknown_id::<()>().uuid().simple());
    let both = database.write(&WORKER, async |tx: &Tx| {
        insert(tx, ours, "ours").await?;
        insert(tx, theirs, "theirs").await?;
        // A superuser, as which the tests connect, sees everything; an ordinary role of the service does not.
        tx.execute_unprepared(&format!("CREATE ROLE {role}")).await?;
        tx.execute_unprepared(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")).await?;
        Ok::<_, Error>(())
    });
    both.await.map_err(|Error(failure)| failure).expect("it is written");
    let seen = async |tx: &Tx| {
        let text = Statement::from_string(tx.get_database_backend(), "SELECT text FROM note ORDER BY text");
        let rows = tx.query_all_raw(text).await?;
        let texts: Result<Vec<String>, DbErr> = rows.iter().map(|row| row.try_get("", "text")).collect();
        Ok::<_, Error>(texts?)
    };
    let as_role = async |tx: &Tx| tx.execute_unprepared(&format!("SET LOCAL ROLE {role}")).await;
    let named = database.read(&permit, async |tx: &Tx| {
        as_role(tx).await?;
        let named = seen(tx).await?;
        // What a pooled connection has once the transaction that named a tenant has ended.
        tx.execute_unprepared("SET LOCAL revisit.tenant = ''").await?;
        Ok::<_, Error>((named, seen(tx).await?))
    });
    let (named, unnamed) = named.await.map_err(|Error(failure)| failure).expect("it is read");
    assert_eq!((named, unnamed.len()), (vec!["ours".to_owned()], 0));
    // A worker that answers about one company, asked about another by mistake.
    let ours_alone = WORKER.within(ours);
    let within = database.read(&ours_alone, async |tx: &Tx| {
        as_role(tx).await?;
        let theirs = format!("SELECT text FROM note WHERE tenant_id = '{theirs}'");
        let theirs = tx.query_all_raw(Statement::from_string(tx.get_database_backend(), theirs)).await?;
        Ok::<_, Error>((seen(tx).await?, theirs.len()))
    });
    let within = within.await.map_err(|Error(failure)| failure).expect("it is read");
    assert_eq!(within, (vec!["ours".to_owned()], 0));
    let all = database.read(&WORKER, async |tx: &Tx| {
        as_role(tx).await?;
        seen(tx).await
    });
    assert_eq!(all.await.map_err(|Error(failure)| failure).expect("it is read"), ["ours", "theirs"]);
    let foreign = database.write(&permit, async |tx: &Tx| {
        as_role(tx).await?;
        Ok::<_, Error>(insert(tx, theirs, "smuggled").await?)
    });
    assert!(foreign.await.is_err(), "a row of another tenant is not written either");
    let dropped = database.write(&WORKER, async |tx: &Tx| {
        tx.execute_unprepared(&format!("DROP OWNED BY {role}")).await?;
        tx.execute_unprepared(&format!("DROP ROLE {role}")).await?;
        Ok::<_, Error>(())
    });
    dropped.await.map_err(|Error(failure)| failure).expect("it is dropped");
    drop(database);
    home.close().await;
}
