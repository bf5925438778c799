//! What the audit log is told when people change follow-ups: one entry for each change, with what decided it.

use std::collections::BTreeSet;

use revisit_core::id::kind::Event;
use revisit_proto::identity::v1::{AuditEntry, AuditOutcome};

use super::{
    repeats::{CALLS, Sent, Things, send},
    support::{Company, in_each_company},
};

/// What an entry says: who, the action, what it was done to, and which fields. Those of a new row are not named.
type Said = (&'static str, &'static str, &'static str, &'static [&'static str]);

fn said(call: &str) -> Option<Said> {
    let said: Said = match call {
        "Calendars/CreateCalendar" => ("admin", "calendar.manage", "calendar", &[]),
        "Calendars/UpdateCalendar" => {
            ("admin", "calendar.manage", "calendar", &["name", "base", "intervals", "days", "is_default"])
        }
        "Plans/CreatePlan" => ("admin", "plan.manage", "plan", &[]),
        "Plans/UpdatePlan" => ("admin", "plan.manage", "plan", &["name"]),
        // The layers that it lends.
        "Plans/PublishPlan" => ("admin", "plan.publish", "plan", &["basic", "sensitive", "history"]),
        "Plans/RetirePlan" => ("admin", "plan.publish", "plan", &["state"]),
        "Plans/PauseEnrolment" | "Plans/ResumeEnrolment" => {
            ("manager", "plan.enrolment_manage", "enrolment", &["state"])
        }
        "Plans/MigrateEnrolments" => ("manager", "plan.enrolment_manage", "plan", &["enrolments"]),
        "Tasks/CreateTask" => ("rep", "task.create", "task", &[]),
        "Tasks/SnoozeTask" => ("rep", "task.update", "task", &["due_time", "reason"]),
        "Tasks/ReassignTask" => ("manager", "task.update", "task", &["assignee_id", "reason"]),
        "Tasks/CancelTask" => ("manager", "task.cancel", "task", &["state", "reason"]),
        "Tasks/SkipTask" => ("manager", "task.update", "task", &["state", "reason"]),
        "Tasks/CompleteTask" => ("rep", "task.complete", "task", &["state"]),
        "Tasks/ReviewOutcome" => ("manager", "task.review", "task", &["review"]),
        _ => return None,
    };
    Some(said)
}

/// What the call is about, if that was there before it.
fn about<'a>(things: &'a Things, call: &str) -> Option<&'a str> {
    match call {
        "Calendars/UpdateCalendar" => Some(&things.calendar.calendar_id),
        "Plans/UpdatePlan" => Some(&things.drawn.plan_id),
        "Plans/PublishPlan" | "Plans/RetirePlan" => Some(&things.draft.plan_id),
        "Plans/PauseEnrolment" | "Plans/ResumeEnrolment" => Some(&things.enrolment.enrolment_id),
        "Plans/MigrateEnrolments" => Some(&things.running.plan_id),
        "Tasks/SnoozeTask" | "Tasks/CompleteTask" | "Tasks/ReviewOutcome" => Some(&things.tasks[0].task_id),
        "Tasks/ReassignTask" => Some(&things.tasks[1].task_id),
        "Tasks/CancelTask" => Some(&things.tasks[2].task_id),
        "Tasks/SkipTask" => Some(&things.tasks[3].task_id),
        _ => None,
    }
}

/// Entries that were not there before.
async fn new(company: &Company, known: &mut BTreeSet<String>) -> Vec<AuditEntry> {
    let mut entries = company.heard::<AuditEntry>().await;
    entries.retain(|entry| known.insert(entry.entry_id.clone()));
    entries
}

#[tokio::test]
async fn each_change_by_a_person_is_one_entry_and_a_repeat_and_what_follows_by_itself_is_none() {
    in_each_company(async |company: &Company| {
        let things = Things::make(company).await;
        let mut known = BTreeSet::new();
        new(company, &mut known).await;
        for call in CALLS {
            let sent = Sent { request_id: company.new_id::<Event>().to_string(), other: false };
            for _ in 0..2 {
                send(company, &things, call, &sent).await.expect(call);
            }
            company.settle().await;
            let entries = new(company, &mut known).await;
            assert_eq!(entries.len(), 1, "{call}: {entries:?}");
            let (entry, (who, action, resource, fields)) = (&entries[0], said(call).expect(call));
            assert_eq!((&*entry.subject_id, &*entry.action), (&*company.who(who).to_string(), action), "{call}");
            assert_eq!((entry.resource.as_str(), entry.resource_ids.len()), (resource, 1), "{call}");
            assert!(about(&things, call).is_none_or(|id| entry.resource_ids == [id]), "{call}: {entry:?}");
            assert_eq!(entry.fields, fields, "{call}");
            assert!(entry.witness.starts_with("role:") && entry.revision > 0, "{call}: {entry:?}");
            assert_eq!((entry.outcome(), entry.why.as_str()), (AuditOutcome::Done, ""), "{call}");
        }
        company.advance_to(company.now() + std::time::Duration::from_hours(24 * 7)).await;
        assert_eq!(new(company, &mut known).await, [], "what timers do has nobody who did it");
    })
    .await;
}
