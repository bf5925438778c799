//! The subcommand `audit verify`: says of every company whether its audit log is whole, and who was asked.

use revisit_bootstrap::{
    Database, Peers, Settings,
    command::{Invocation, print},
    settings::SERVICES,
};
use revisit_core::{Clock, Failure, Ids, Kind};
use revisit_event::Outbox;
use revisit_permission::Worker;

use crate::{
    Config, NAME,
    domain::verifier::{Broken, Doubt},
    operations::verify::{Answer, Keepers, Neighbour, Verdict, verify},
    store::{Store, migration::Migrator},
};

/// What was found, for people.
pub struct Findings {
    /// One for each service that was to be asked, then one for each company and each doubt.
    pub lines: Vec<String>,
    /// Chains that are broken, checkpoints that are doubtful, and services that remember more.
    pub faults: usize,
    /// Services whose address is known and that could not be asked.
    pub away: usize,
}

/// Whether the databases of the other services lie where identity's lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beside {
    /// One process serves all four: their databases are read.
    Yes,
    /// They run elsewhere and are asked.
    No,
}

/// Fails when something is not whole, and when a service could not be asked whose address is known.
pub async fn command(mut invocation: Invocation) -> Result<(), Failure> {
    if invocation.arguments != ["verify"] {
        return Err(Failure::invalid_field("command line", "usage: identity audit verify"));
    }
    let _: Config = invocation.layers.take(NAME)?;
    let settings: Settings = invocation.layers.finish()?;
    settings.check()?;
    tell(&verify_audit(&settings, Beside::No).await?)
}

/// Prints what was found; fails when something is not whole, or not proven.
pub fn tell(findings: &Findings) -> Result<(), Failure> {
    for line in &findings.lines {
        print(&format!("{line}\n"))?;
    }
    match (findings.faults, findings.away) {
        (0, 0) => Ok(()),
        (0, away) => Err(Failure::unavailable("AUDIT_UNPROVEN", format!("{away} services could not be asked"))),
        (faults, _) => Err(Failure::new(
            Kind::Precondition,
            "AUDIT_BROKEN",
            format!("the audit log is not whole: {faults} faults"),
        )),
    }
}

/// Follows every chain of the database that the settings name, and compares it with what the other services keep.
pub async fn verify_audit(settings: &Settings, beside: Beside) -> Result<Findings, Failure> {
    let open = async |service: &str| Database::open_existing(&settings.database.of(service), Clock::system()).await;
    let own = open(NAME).await?;
    // In a wrong place there may be a database, and no log in it.
    own.require_migrated::<Migrator>().await?;
    let store = Store::new(own);
    let keepers = match beside {
        Beside::No => Keepers::Peers(Peers::from_outside(settings, NAME)?),
        Beside::Yes => {
            let mut databases = Vec::new();
            for keeper in SERVICES.into_iter().filter(|service| *service != NAME) {
                let outbox = Outbox::new(keeper, Clock::system(), Ids::random());
                databases.push(Neighbour { database: open(keeper).await?, outbox });
            }
            Keepers::Databases(databases)
        }
    };
    let report = verify(&store, &Worker::declare("verify"), &keepers).await?;
    let mut findings = Findings { lines: Vec::new(), faults: 0, away: 0 };
    for (keeper, answer) in &report.keepers {
        findings.lines.push(match answer {
            Answer::Compared { waiting: 0 } => format!("{keeper}: its checkpoints were compared"),
            Answer::Compared { waiting } => format!(
                "{keeper}: its checkpoints were compared; {waiting} events of it have not reached identity yet, and what \
                 they tell is in no chain"
            ),
            Answer::Unknown => format!("{keeper}: NOT ASKED: peers.{keeper} is empty"),
            Answer::Ahead => {
                findings.faults += 1;
                format!("{keeper}: identity has forgotten what it had applied of it: it was brought back from a backup")
            }
            Answer::Away(failure) => {
                findings.away += 1;
                format!("{keeper}: NOT ASKED: {failure}")
            }
        });
    }
    for Verdict { tenant, entries, broken, doubts } in &report.verdicts {
        findings.faults += usize::from(broken.is_some()) + doubts.len();
        let what = broken.as_ref().map_or_else(|| "whole".to_owned(), told);
        findings.lines.push(format!("{tenant} {entries} entries {what}"));
        findings.lines.extend(doubts.iter().map(|doubt| format!("{tenant} DOUBTFUL: {}", doubted(doubt))));
    }
    Ok(findings)
}

fn told(broken: &Broken) -> String {
    let first = broken.first();
    match broken {
        Broken::Missing(_) => format!("BROKEN: entry {first} is missing or out of place"),
        Broken::Edited(_) => format!("BROKEN: entry {first} was edited"),
        Broken::Late(_) => format!("BROKEN: entry {first} comes from a place that had been passed"),
        Broken::Cut(after) => format!("BROKEN: the log does not end after entry {after}, or its mark is forged"),
        Broken::Gone { keeper } => format!("BROKEN: identity does not know it, and {keeper} keeps checkpoints of it"),
        Broken::Miscounted(_) => format!("BROKEN: the checkpoint at entry {first} counts other entries"),
        Broken::Another { until, keeper, .. } => format!(
            "BROKEN: entry {first} to {until} are signed and are not those that {keeper} remembers: the log was brought \
             back from a backup, or somebody has the key"
        ),
    }
}

fn doubted(doubt: &Doubt) -> String {
    match doubt {
        Doubt::Forged { keeper, number } => format!("checkpoint {number} that {keeper} keeps is not signed by us"),
        Doubt::Lost { number } => format!("checkpoint {number} is gone from identity"),
        Doubt::Disordered { keeper, number } => {
            format!("checkpoint {number} that {keeper} keeps comes after one that covers more")
        }
    }
}
