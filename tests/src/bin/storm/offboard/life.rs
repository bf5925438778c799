//! Where the lives of the services end: at seeded points of the work, in process or by SIGKILL.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use revisit_bootstrap::Shutdown;
use revisit_core::Ids;
use revisit_standalone::Setup;
use revisit_tests::{
    databases::{connect_to, texts},
    world::World,
};
use sea_orm::DatabaseConnection;
use tokio::runtime::{Builder, Runtime};

use super::{People, SETTINGS};

/// How often the databases are asked how far the work is.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// Time for the work of one life.
const LIFE_MAX: Duration = Duration::from_secs(120);
/// A life ends up to this long after its point was reached, so that no crash waits for a commit.
const THEN_MICROS_MAX: u32 = 40_000;
/// Up to so long lasts a life that ends before anything was moved.
const SHORT_MICROS_MAX: u32 = 900_000;
/// Of so many lives one ends before the work begins.
const SHORT_EVERY: usize = 20;

/// How a life has ended.
pub struct Crash {
    /// What was moved by then.
    pub moved: u64,
    pub killed: bool,
}

/// Where a life ends: so much of the work was moved, and a moment later.
pub struct Point {
    moved: u64,
    then: Duration,
    /// Whether it is the binary that lives, and is killed.
    pub kills: bool,
}

/// All of them, in order.
pub struct Plan {
    pub points: Vec<Point>,
}

impl Plan {
    /// Draws the points: some before anything was moved, most in between, up to the very last row.
    pub fn draw(dice: &Ids, (inside, kills): (usize, usize), total: u64) -> Self {
        let draw = |below: u64| u64::from_le_bytes(dice.bytes()) % below.max(1);
        let count = inside + kills;
        let short = count.div_ceil(SHORT_EVERY);
        let mut states: Vec<u64> = (0..count - short).map(|_| draw(total)).collect();
        states.extend(std::iter::repeat_n(0, short));
        states.sort_unstable();
        let mut kinds: Vec<(u64, bool)> = (0..count).map(|place| (draw(u64::MAX), place < kills)).collect();
        kinds.sort_unstable();
        let point = |(moved, (_, kills)): (u64, (u64, bool))| {
            let micros = if moved == 0 { SHORT_MICROS_MAX } else { THEN_MICROS_MAX };
            Point { moved, then: Duration::from_micros(draw(u64::from(micros))), kills }
        };
        Self { points: states.into_iter().zip(kinds).map(point).collect() }
    }
}

/// How far the hand-over is, as the databases say.
pub struct Progress {
    customers: DatabaseConnection,
    tasks: DatabaseConnection,
    leaver: String,
    total: u64,
}

impl Progress {
    /// Looks into the databases of `world`, in which nothing has been moved yet.
    pub async fn of(world: &World, people: &People) -> Self {
        let mut progress = Self {
            customers: connect_to(&world.database("customer")).await,
            tasks: connect_to(&world.database("followup")).await,
            leaver: people.leaver.id.to_string(),
            total: 0,
        };
        progress.total = progress.left().await;
        progress
    }

    /// Customers and tasks that are to be moved.
    pub const fn total(&self) -> u64 {
        self.total
    }

    async fn left(&self) -> u64 {
        let leaver = &self.leaver;
        let owned = format!("SELECT count(*)::text FROM customer WHERE owner_id = '{leaver}'");
        let held = format!(
            "SELECT count(*)::text FROM task WHERE state = 'open' AND assignee_id = '{leaver}'
                OR state = 'scheduled' AND named_id = '{leaver}'"
        );
        number(&self.customers, &owned).await + number(&self.tasks, &held).await
    }

    /// Customers and tasks that were moved.
    pub async fn moved(&self) -> u64 {
        self.total - self.left().await
    }

    /// Whether both parts have written down that they are done.
    pub async fn is_done(&self) -> bool {
        let done = "SELECT count(*)::text FROM hand_over WHERE done";
        number(&self.customers, done).await + number(&self.tasks, done).await == 2
    }

    /// Waits until the work has come to a point.
    pub async fn reach(&self, point: &Point) {
        let reaching = async {
            while self.moved().await < point.moved {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(LIFE_MAX, reaching).await.expect("the hand-over goes on after a crash");
        tokio::time::sleep(point.then).await;
    }
}

async fn number(database: &DatabaseConnection, statement: &str) -> u64 {
    texts(database, statement).await.first().and_then(|text| text.parse().ok()).expect("it is a number")
}

/// One life of the four services.
pub enum Life {
    Inside(Runtime),
    Process(Child),
}

impl Life {
    /// Begins it; it is not ready yet.
    pub fn begin(point: &Point, config: &Path, binary: &Path) -> Self {
        if point.kills {
            let binary = Command::new(binary).arg("--config").arg(config).stdout(Stdio::null()).spawn();
            return Self::Process(binary.expect("the binary was built beside this one"));
        }
        let threads = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads can be made");
        let setup = setup(config);
        threads.spawn(async move {
            let running = setup.start(None, Shutdown::new()).await.expect("it starts");
            running.ended().await.expect("it ends by a crash only");
        });
        Self::Inside(threads)
    }

    /// Ends it as it is, without a word.
    pub fn crash(self) {
        match self {
            Self::Inside(threads) => threads.shutdown_background(),
            Self::Process(mut child) => {
                child.kill().expect("it runs still");
                child.wait().expect("it has ended");
            }
        }
    }
}

/// Writes down with what every life begins: the data of `world`, on a free port.
pub fn settings(world: &World) -> PathBuf {
    let folder = world.folder();
    let text = format!(
        "{}[identity]\nkeys_folder = \"{}/keys\"\n[server]\nlisten = \"127.0.0.1:0\"\n[telemetry]\nlog = \"warn\"\n{SETTINGS}",
        world.database_settings(),
        folder.display()
    );
    let path = folder.join("storm.toml");
    std::fs::write(&path, text).expect("the folder is ours");
    path
}

/// The four services with those settings.
pub fn setup(config: &Path) -> Setup {
    let text = std::fs::read_to_string(config).expect("it was written");
    Setup::from_manuals().and_then(|setup| setup.with(&text)).expect("the settings are valid")
}
