//! What the services tell each other: every event that was ever written to the outbox of customer, of followup and of
//! identity.

use std::fmt::Debug;

use prost::{Message, Name};
use revisit_event::kind_of;
use revisit_proto::{customer::v1 as customer, followup::v1 as followup, identity::v1 as identity};
use revisit_tests::{
    databases::{Backend, connect_to},
    heard,
    world::World,
};
use sea_orm::{Database, DatabaseConnection};

use super::{
    book::Book,
    trail::{placed_alike, placeless},
};

/// Whose events are listened to.
const TELLERS: [&str; 3] = ["customer", "followup", "identity"];

/// Databases that keep a copy of each event, because the outbox forgets what everybody has applied.
pub struct Heard(Vec<(&'static str, DatabaseConnection)>);

impl Heard {
    pub async fn listen(world: &World, backend: Backend) -> Self {
        let mut databases = Vec::new();
        for teller in TELLERS {
            let database = match backend {
                Backend::Sqlite => {
                    let file = format!("sqlite:{}/{teller}.sqlite?mode=rw", world.folder().display());
                    Database::connect(file).await.expect("the file is there")
                }
                Backend::Postgres => connect_to(&world.database(teller)).await,
            };
            heard::listen(&database).await;
            databases.push((teller, database));
        }
        Self(databases)
    }

    /// Notes all of it, whatever the order.
    pub async fn note(&self, book: &mut Book) {
        book.opened_for("bus");
        for (teller, database) in &self.0 {
            let told = heard::told(database).await;
            assert!(!told.is_empty(), "{teller} has told something");
            let texts = told.iter().flat_map(|(kind, data)| match read::<identity::AuditEntry>(kind, data) {
                Some(entry) if is_note(&entry) => Vec::new(),
                Some(entry) => each(entry).map(|entry| text(kind, &entry.encode_to_vec())).collect(),
                // How far the log had come when one was made follows the order in which entries arrived.
                None if read::<identity::AuditCheckpoint>(kind, data).is_some() => Vec::new(),
                None => vec![text(kind, data)],
            });
            book.sorted(teller, "", texts.collect());
        }
    }
}

/// Whether an entry says that somebody noted something. The log is there to tell who did what, so it tells that a note of a
/// customer was made, and not what it says; the two companies differ in whether there are any.
pub fn is_note(entry: &identity::AuditEntry) -> bool {
    entry.action == "customer.note"
}

/// A count of refusals as so many: into how many counts they fall is a matter of time. Any other entry as it is.
pub fn each(entry: identity::AuditEntry) -> impl Iterator<Item = identity::AuditEntry> {
    let counted = entry.outcome() == identity::AuditOutcome::Denied && entry.count > 0;
    let (times, count) = if counted { (entry.count, 1) } else { (1, entry.count) };
    std::iter::repeat_n(identity::AuditEntry { count, ..entry }, usize::try_from(times).expect("a few"))
}

/// A message, if it is of this kind.
fn read<M: Message + Name + Default>(kind: &str, data: &[u8]) -> Option<M> {
    (kind == kind_of::<M>()).then(|| M::decode(data).expect("a message of its kind"))
}

fn shown<M: Message + Name + Default + Debug>(kind: &str, data: &[u8]) -> Option<String> {
    Some(format!("{kind} {:?}", read::<M>(kind, data)?))
}

type Reader = fn(&str, &[u8]) -> Option<String>;

/// Every kind of event: one that is not listed fails the test.
const KINDS: [Reader; 19] = [
    shown::<customer::CustomerCreated>,
    shown::<customer::CustomerChanged>,
    shown::<customer::OwnerChanged>,
    shown::<customer::SegmentEntered>,
    shown::<customer::SegmentLeft>,
    shown::<customer::FactChanged>,
    shown::<customer::InboundReceived>,
    shown::<customer::OrderRecorded>,
    shown::<followup::PlanPublished>,
    shown::<followup::PlanRetired>,
    shown::<followup::TaskOpened>,
    shown::<followup::TaskClosed>,
    shown::<followup::ReminderDue>,
    shown::<identity::DepartmentChanged>,
    shown::<identity::PasswordLinkDrawn>,
    user,
    alert,
    outcome,
    audit,
];

/// The mail address is entrusted to notification, which writes to it.
fn user(kind: &str, data: &[u8]) -> Option<String> {
    let user = read::<identity::UserChanged>(kind, data)?;
    Some(format!("{kind} {:?}", identity::UserChanged { email: String::new(), ..user }))
}

fn alert(kind: &str, data: &[u8]) -> Option<String> {
    Some(format!("{kind} {:?}", placeless(read::<identity::AlertRaised>(kind, data)?)))
}

/// The result is entrusted to customer and notification, which show it to who reads the history.
fn outcome(kind: &str, data: &[u8]) -> Option<String> {
    let recorded = read::<followup::OutcomeRecorded>(kind, data)?;
    Some(format!("{kind} {:?}", followup::OutcomeRecorded { result: String::new(), ..recorded }))
}

/// An entry of the log.
fn audit(kind: &str, data: &[u8]) -> Option<String> {
    let entry = read::<identity::AuditEntry>(kind, data)?;
    Some(format!("{kind} {:?}", placed_alike(entry)))
}

fn text(kind: &str, data: &[u8]) -> String {
    let known = KINDS.iter().find_map(|reader| reader(kind, data));
    assert!(known.is_some(), "{kind} is told to other services, and nobody looks at it here");
    known.unwrap_or_default()
}
