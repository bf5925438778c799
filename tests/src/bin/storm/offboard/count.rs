//! What the hand-over has left: every customer and task is there once and somebody's, and the heir was told once of each
//! open task.

use std::collections::BTreeMap;

use revisit_bootstrap::status::answer;
use revisit_proto::{followup::v1 as followup, notification::v1 as notification};
use revisit_standalone::client::Person;

use super::{PAGE, People, customers, tasks};

/// What became of one kind of thing.
#[derive(Default)]
pub struct Tally {
    pub there: usize,
    pub lost: usize,
    pub doubled: usize,
    pub orphaned: usize,
}

/// What became of everything.
pub struct Count {
    pub customers: Tally,
    pub tasks: Tally,
    /// The heir's notices of open tasks.
    pub notices: Tally,
}

impl Count {
    /// Counts as the lead sees it, and in the heir's inbox.
    pub async fn of(lead: &Person, heir: &Person, people: &People, planted: usize) -> Self {
        let owned = customers(lead).await;
        let tasks = tasks(lead).await;
        let heir_id = people.heir.id.to_string();
        // An owner changes once: more epochs than two are a move that was made twice.
        let customers = Tally {
            there: owned.len(),
            lost: (planted / 2).saturating_sub(owned.len()),
            doubled: owned.len().saturating_sub(planted / 2)
                + owned.iter().filter(|customer| customer.ownership_epoch > 2).count(),
            orphaned: owned.iter().filter(|customer| customer.owner_id != heir_id).count(),
        };
        let notices = notices(heir).await;
        Self { customers, notices: told(&tasks, &notices), tasks: tally(&tasks, &heir_id, planted) }
    }

    /// Whether nothing was lost, doubled or orphaned.
    pub fn is_clean(&self) -> bool {
        [&self.customers, &self.tasks, &self.notices]
            .iter()
            .all(|tally| tally.lost + tally.doubled + tally.orphaned == 0)
    }
}

/// Each task was planted with a title of its own, and none has been ended.
fn tally(tasks: &[followup::Task], heir_id: &str, planted: usize) -> Tally {
    let mut titles: BTreeMap<&str, usize> = BTreeMap::new();
    for task in tasks.iter().filter(|task| is_live(task)) {
        *titles.entry(&task.title).or_default() += 1;
    }
    Tally {
        there: tasks.len(),
        lost: planted.saturating_sub(titles.len()),
        doubled: titles.values().map(|count| count - 1).sum(),
        orphaned: tasks.iter().filter(|task| task.assignee_id != heir_id).count(),
    }
}

fn is_live(task: &followup::Task) -> bool {
    matches!(task.state(), followup::TaskState::Open | followup::TaskState::Scheduled)
}

/// A notice for each open task, and none twice.
fn told(tasks: &[followup::Task], notices: &BTreeMap<String, usize>) -> Tally {
    let open = tasks.iter().filter(|task| task.state() == followup::TaskState::Open);
    Tally {
        there: notices.values().sum(),
        lost: open.filter(|task| !notices.contains_key(&task.task_id)).count(),
        doubled: notices.values().map(|count| count - 1).sum(),
        orphaned: 0,
    }
}

/// How often somebody was told that a task is theirs, by task.
async fn notices(who: &Person) -> BTreeMap<String, usize> {
    let (mut counts, mut page_token) = (BTreeMap::new(), String::new());
    loop {
        let request = notification::ListMessagesRequest { page_size: PAGE, page_token, ..Default::default() };
        let who = who.fresh().await.expect("a session");
        let page = answer(who.inbox().list_messages(request).await).expect("an inbox");
        let told = |message: &&notification::Message| {
            matches!(message.kind(), notification::MessageKind::TaskOpened | notification::MessageKind::TaskMoved)
        };
        for message in page.messages.iter().filter(told) {
            *counts.entry(message.task_id.clone()).or_default() += 1;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return counts;
        }
    }
}
