//! Ending a world and starting it again on its data, of which a service may have lost some in between.

use std::{fs, path::Path, time::Duration};

use revisit_bootstrap::Shutdown;
use revisit_standalone::client::Person;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::World;

/// How often, and how many times, a file is looked at before somebody is said to have forgotten it.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const LOOKS_MAX: u32 = 1_000;

/// What becomes of a service's database while nothing runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is gone.
    Lost,
    /// A backup is made of it.
    Kept,
    /// The backup takes its place.
    PutBack,
}

impl World {
    /// Ends everything, lets a service's database meet its fate, and starts again. People have to log in anew.
    ///
    /// # Panics
    /// When it does not end, or does not start again.
    pub async fn restart(self, service: &str, fate: Fate) -> Self {
        let (place, kept) = (self.database(service), format!("{}_kept", self.database(service)));
        let Self { running, sink, receiver, admin, operator, root, positions, databases, setup, manual, _folder } =
            self;
        running.stop().await.expect("it stops without a fault");
        if databases.name.is_empty() {
            file(&_folder.path().join(format!("{service}.sqlite")), fate).await;
        } else {
            let server = sea_orm::Database::connect(crate::databases::postgres_server()).await.expect("it answers");
            let statements = match fate {
                Fate::Lost => vec![gone(&place), format!("CREATE DATABASE {place} TEMPLATE template0")],
                Fate::Kept => vec![gone(&kept), format!("CREATE DATABASE {kept} TEMPLATE {place}")],
                Fate::PutBack => vec![gone(&place), format!("CREATE DATABASE {place} TEMPLATE {kept}"), gone(&kept)],
            };
            for statement in statements {
                server.execute_unprepared(&statement).await.expect("the server of the tests lets us make databases");
            }
        }
        let running = setup.clone().start(manual.clone(), Shutdown::new()).await.expect("it starts again");
        let again = async |former: &Person| former.over(running.channel()).await.expect("they log in again");
        let (admin, operator) = (again(&admin).await, again(&operator).await);
        Self { running, sink, receiver, admin, operator, root, positions, databases, setup, manual, _folder }
    }
}

fn gone(database: &str) -> String {
    format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")
}

/// The same for a file.
async fn file(path: &Path, fate: Fate) {
    at_rest(path).await;
    let kept = path.with_extension("kept");
    let done = match fate {
        Fate::Lost => fs::remove_file(path),
        Fate::Kept => fs::copy(path, kept).map(|_| ()),
        Fate::PutBack => fs::rename(kept, path),
    };
    done.expect("the file is there");
}

/// Waits until nobody has the file open and all that was written lies in it: connections end on threads of their own,
/// which would write into a copy, and remove the log of whatever lies there next.
async fn at_rest(path: &Path) {
    let database = sea_orm::Database::connect(format!("sqlite:{}?mode=rw", path.display())).await;
    let database = database.expect("the file is there");
    // Only who is alone with a file can leave the write-ahead log.
    let leave = Statement::from_string(DbBackend::Sqlite, "PRAGMA journal_mode = DELETE");
    let mut looks = 0;
    loop {
        let mode = database.query_one_raw(leave.clone()).await.ok().flatten();
        if mode.and_then(|mode| mode.try_get_by_index::<String>(0).ok()).as_deref() == Some("delete") {
            break;
        }
        looks += 1;
        assert!(looks < LOOKS_MAX, "somebody still has {} open", path.display());
        tokio::time::sleep(LOOK_EVERY).await;
    }
    database.close().await.expect("it closes");
}
