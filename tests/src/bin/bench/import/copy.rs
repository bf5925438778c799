//! The floor of an import: COPY of the very rows that it has made, from files of the server, into a fresh database with
//! the same tables and indexes.

use revisit_core::Clock;
use revisit_tests::{
    databases::{connect_to, texts},
    measure::per_second,
    world::World,
};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use sea_orm_migration::MigratorTrait;

/// The tables of a customer database that an import has filled, in files of the server. They are copied by the server's
/// own user: COPY into a table behind row security is refused to others.
pub struct Copy {
    folder: String,
    tables: Vec<String>,
}

async fn run(connection: &DatabaseConnection, statement: &str) {
    connection.execute_unprepared(statement).await.expect("the server does it");
}

impl Copy {
    /// Writes what lies in the tables of `world`'s customer database.
    pub async fn of(world: &World) -> Self {
        let source = connect_to(&world.database(revisit_customer::NAME)).await;
        let folder = texts(&source, "SHOW data_directory").await.remove(0);
        let all = "SELECT table_name::text FROM information_schema.tables
            WHERE table_schema = 'public' AND table_name <> 'seaql_migrations' ORDER BY 1";
        let mut tables = Vec::new();
        for table in texts(&source, all).await {
            if texts(&source, &format!("SELECT 'x' FROM \"{table}\" LIMIT 1")).await.is_empty() {
                continue;
            }
            run(&source, &format!("COPY \"{table}\" TO '{folder}/revisit_bench_{table}' (FORMAT binary)")).await;
            tables.push(table);
        }
        source.close().await.expect("the connection closes");
        Self { folder, tables }
    }

    /// Copies the files in and answers how many rows of the imported file that is a second.
    pub async fn run(&self, rows: u64) -> f64 {
        const TARGET: &str = "revisit_bench_copy";
        let admin = connect_to("postgres").await;
        run(&admin, &format!("DROP DATABASE IF EXISTS {TARGET} WITH (FORCE)")).await;
        run(&admin, &format!("CREATE DATABASE {TARGET} TEMPLATE template0")).await;
        let target = connect_to(TARGET).await;
        revisit_customer::Migrator::up(&target, None).await.expect("the tables are made");
        for table in &self.tables {
            // A fresh database has rows of its own, an incarnation for one. Some are never to be removed: the triggers that say
            // so are off for as long as that takes.
            let empty = format!("BEGIN; SET LOCAL session_replication_role = replica; TRUNCATE \"{table}\"; COMMIT");
            run(&target, &empty).await;
        }
        run(&target, "CHECKPOINT").await;
        let clock = Clock::system();
        let began = clock.steady();
        for table in &self.tables {
            run(&target, &format!("COPY \"{table}\" FROM '{}/revisit_bench_{table}' (FORMAT binary)", self.folder))
                .await;
        }
        let took = clock.steady().since(began);
        target.close().await.expect("the connection closes");
        run(&admin, &format!("DROP DATABASE {TARGET} WITH (FORCE)")).await;
        admin.close().await.expect("the connection closes");
        per_second(rows, took)
    }
}
