//! Sensitive values in what people write about follow-ups: titles, reasons, notes.

use revisit_permission::{Action, Effect, Layer, Level, Levels};
use revisit_proto::{customer::v1::SensitiveKind, followup::v1 as pb, identity::v1::AuditEntry};
use tonic::Code;

use super::support::{Company, fields, in_each_company, instant, wire};

pub const WRITTEN: &str = "打13812345678找王姐";
const MASKED: &str = "打138****5678找王姐";

pub fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

/// From now on somebody sees contact values of customers masked, and tasks as before.
pub async fn cap(company: &Company, who: &str) {
    let ceiling = Levels::WRITE.with(Layer::Sensitive, Level::Masked);
    company.guard(who, Action::CustomerView, Effect::Cap(ceiling)).await;
}

/// A request that waits for all that was committed so far.
fn fresh<T>(company: &Company, who: &str, message: T) -> tonic::Request<T> {
    let revision = i64::try_from(company.identity.state().log.len()).expect("few");
    let token = company.identity.revision_token(company.identity.tenant, revision);
    let mut request = company.by(who, message);
    request.metadata_mut().insert("x-revisit-at-least", token.parse().expect("a token is ASCII"));
    request
}

async fn get(company: &Company, who: &str, id: &str, clear: &[&str]) -> pb::Task {
    let request = pb::GetTaskRequest { task_id: id.to_owned(), read_mask: mask(clear) };
    company.freshly(async || company.tasks().get_task(fresh(company, who, request.clone())).await).await.expect("seen")
}

/// Clear reads in the log: whose, and of what. Each says by what right.
pub async fn disclosures(company: &Company) -> Vec<(String, Vec<String>)> {
    let entries = company.heard::<AuditEntry>().await;
    let read = entries.into_iter().filter(|entry| entry.action == "task.view" && !entry.fields.is_empty());
    let mut read: Vec<_> = read
        .map(|entry| {
            assert!(entry.witness.starts_with("role:") && entry.revision > 0, "what decided is not told: {entry:?}");
            (entry.subject_id, entry.fields)
        })
        .collect();
    read.sort();
    read
}

#[tokio::test]
async fn a_number_in_a_title_or_a_reason_is_masked_and_clear_to_who_may_read_it_there_and_asks() {
    in_each_company(async |company: &Company| {
        cap(company, "manager").await;
        let customer = company.customer("rep").await;
        company.settle().await;
        let request = pb::CreateTaskRequest {
            kind: pb::TaskKind::NextContact.into(),
            title: WRITTEN.into(),
            customer_id: customer.to_string(),
            due_time: wire(company.now() + std::time::Duration::from_secs(7_200)),
            channel: pb::Channel::Phone.into(),
            ..Default::default()
        };
        let made = company.tasks().create_task(company.by("rep", request)).await.expect("made").into_inner();
        assert_eq!(made.title, MASKED, "whoever wrote it is told what was found");
        assert_eq!(made.sensitive_kinds().collect::<Vec<_>>(), [SensitiveKind::Phone]);
        let snoozed = pb::SnoozeTaskRequest {
            task_id: made.task_id.clone(),
            due_time: wire(instant(made.due_time) + std::time::Duration::from_secs(60)),
            reason: "写信到 li.mei@example.com".into(),
            ..Default::default()
        };
        let snoozed = company.tasks().snooze_task(company.by("rep", snoozed)).await.expect("moved").into_inner();
        assert_eq!(snoozed.reason, "写信到 l****@example.com");
        assert_eq!(snoozed.sensitive_kinds().count(), 2);
        let listed = company.list("rep", &[]).await;
        assert!(listed.iter().all(|task| task.title == MASKED), "{listed:?}");
        assert_eq!(disclosures(company).await, [], "nothing was clear so far");

        let read = get(company, "rep", &made.task_id, &["title"]).await;
        assert_eq!((read.title.as_str(), read.reason.as_str()), (WRITTEN, "写信到 l****@example.com"));
        let capped = get(company, "manager", &made.task_id, &["title", "reason"]).await;
        assert_eq!((capped.title.as_str(), capped.reason.as_str()), (MASKED, "写信到 l****@example.com"));
        let rep = company.who("rep").to_string();
        assert_eq!(disclosures(company).await, [(rep, vec!["title".to_owned()])], "and the log says who");

        let strange = pb::GetTaskRequest { task_id: made.task_id.clone(), read_mask: mask(&["channel"]) };
        let refused = company.tasks().get_task(company.by("rep", strange)).await.expect_err("no such text");
        assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["read_mask".to_owned()]));
    })
    .await;
}

#[tokio::test]
async fn a_number_in_a_note_of_any_layer_and_in_an_issue_is_masked_until_it_is_asked_for() {
    in_each_company(async |company: &Company| {
        cap(company, "manager").await;
        let (_, task) = company.with_open_task().await;
        let note = |layer: &str| pb::Note { layer: layer.into(), text: WRITTEN.into(), ..Default::default() };
        let issue = pb::Issue { title: WRITTEN.into(), due_within_minutes: 60, ..Default::default() };
        let record = pb::CompleteTaskRequest {
            task_id: task.task_id.clone(),
            result: "reached".into(),
            channel: pb::Channel::Phone.into(),
            notes: vec![note("history"), note("sensitive")],
            issues: vec![issue],
            ..Default::default()
        };
        let done = company.tasks().complete_task(company.by("rep", record)).await.expect("done").into_inner();
        let told = done.outcome.expect("an outcome");
        assert_eq!((told.notes[0].text.as_str(), told.notes[1].text.as_str()), (MASKED, "打****"));
        assert_eq!(told.notes[0].sensitive_kinds().collect::<Vec<_>>(), [SensitiveKind::Phone]);
        assert!(told.notes[1].sensitive_kinds.is_empty(), "of what is masked whole nothing is flagged");
        assert_eq!((told.issues[0].title.as_str(), told.issues[0].sensitive_kinds.len()), (MASKED, 1));

        let read = async |who: &str| {
            let request = pb::GetOutcomeRequest { task_id: task.task_id.clone(), read_mask: mask(&["notes"]) };
            let read =
                company.tasks().get_outcome(fresh(company, who, request)).await.expect("an outcome").into_inner();
            read.notes.into_iter().map(|note| note.text).collect::<Vec<_>>()
        };
        assert_eq!(read("rep").await, [WRITTEN, WRITTEN]);
        assert_eq!(read("manager").await, [MASKED, "打****"], "asking lifts no level");
        let raised = get(company, "rep", &told.issues[0].task_id, &["title"]).await;
        assert_eq!(raised.title, WRITTEN);
        let rep = company.who("rep").to_string();
        let told: Vec<_> = ["notes", "title"].map(|field| (rep.clone(), vec![field.to_owned()])).into();
        assert_eq!(disclosures(company).await, told);
    })
    .await;
}

#[tokio::test]
async fn what_was_said_is_told_to_who_records_it_as_to_who_reads_it() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        let unread = Levels::WRITE.with(Layer::History, Level::Hidden);
        company.guard("rep", Action::CustomerView, Effect::Cap(unread)).await;
        let note = pb::Note { layer: "history".into(), text: "likes the blue one".into(), ..Default::default() };
        let record = pb::CompleteTaskRequest {
            task_id: task.task_id.clone(),
            result: "reached".into(),
            channel: pb::Channel::Phone.into(),
            notes: vec![note],
            ..Default::default()
        };
        let done = company.tasks().complete_task(company.by("rep", record)).await.expect("done").into_inner();
        let told = done.outcome.expect("an outcome");
        let request = pb::GetOutcomeRequest { task_id: task.task_id, read_mask: None };
        let read = company.tasks().get_outcome(company.by("rep", request)).await.expect("an outcome").into_inner();
        assert_eq!(told, read);
        assert!(!format!("{told:?}").contains("blue"), "the customer's history is not theirs to read: {told:?}");
    })
    .await;
}
