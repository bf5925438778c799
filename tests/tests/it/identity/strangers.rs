//! What somebody learns by asking about others: nothing, not even whether they exist.

use revisit_proto::identity::v1 as pb;
use tonic::{Code, Status};

use super::{
    access::{question, right, row},
    support::{Person, World, on_each, refusal, refused},
};

const NOBODY: &str = "0190a0a0-0000-7000-8000-000000000001";

/// Every question about one subject, with what it answers.
async fn asked(who: &Person, tenant_id: &str, check: &pb::CheckRequest) -> Vec<(&'static str, Result<(), Status>)> {
    let check = pb::CheckRequest { tenant_id: tenant_id.to_owned(), ..check.clone() };
    let (subject_id, action) = (check.subject_id.clone(), check.action.clone());
    let fields = pb::CheckFieldsRequest { check: Some(check.clone()), fields: vec!["name".to_owned()] };
    let filter = pb::ListFilterRequest {
        tenant_id: check.tenant_id.clone(),
        subject_id,
        action,
        ..pb::ListFilterRequest::default()
    };
    let explain = pb::ExplainAccessRequest { check: Some(check.clone()) };
    vec![
        ("Check", who.access().check(check).await.map(drop)),
        ("CheckFields", who.access().check_fields(fields).await.map(drop)),
        ("ListFilter", who.access().list_filter(filter).await.map(drop)),
        ("ExplainAccess", who.access().explain_access(explain).await.map(drop)),
    ]
}

/// What the questions of a batch answer, each by itself.
async fn batch_reasons(who: &Person, checks: Vec<pb::CheckRequest>) -> Vec<String> {
    use pb::batch_check_result::Result as Answer;
    let answered = who.access().batch_check(pb::BatchCheckRequest { checks }).await.expect("each has an answer");
    let reason = |result: pb::BatchCheckResult| match result.result.expect("each has one") {
        Answer::Answer(answer) => format!("{}", answer.allowed),
        Answer::ErrorReason(reason) => reason,
    };
    answered.into_inner().results.into_iter().map(reason).collect()
}

/// Every refusal is the same one, word for word.
fn all_alike(answers: &[(&str, Result<(), Status>)], expected: &(Code, String)) {
    let message = |answer: &Result<(), Status>| answer.as_ref().err().map(|status| status.message().to_owned());
    for (call, answer) in answers {
        assert_eq!(refusal(answer.clone()), *expected, "{call}");
        assert_eq!(message(answer), message(&answers[0].1), "{call}");
    }
}

pub async fn explainer_of(world: &World, username: &str, department_id: &str) -> Person {
    let holder_id = world.user(username, department_id, "Finance").await.user_id;
    let explain = right(&["grant.explain"], pb::ExtentKind::Subtree);
    let extent = pb::Extent {
        kind: pb::ExtentKind::Subtree.into(),
        department_id: department_id.to_owned(),
        ..pb::Extent::default()
    };
    let right = Some(pb::GrantTemplate { extent: Some(extent), ..explain });
    let reason = "looks after the store".to_owned();
    let request = pb::CreateGrantRequest { holder_id, right, reason, ..pb::CreateGrantRequest::default() };
    world.admin.access().create_grant(request).await.expect("it is granted");
    world.log_in(username).await
}

#[tokio::test]
async fn who_may_explain_nobody_hears_the_same_of_everybody_and_of_nobody() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let person = world.log_in("mei").await;
        let (boss, operators) = (&world.tenant.administrator_id, &world.operator.tokens.tenant_id);
        let own = question("", "customer.view", row(world, &mei));
        for (call, answer) in asked(&person, "", &own).await {
            // To be explained to oneself takes no right either: it is about oneself.
            answer.unwrap_or_else(|status| panic!("{call} about oneself: {status}"));
        }
        let denied = refused(Code::PermissionDenied, "PERMISSION_DENIED");
        let (mut answers, mut checks) = (Vec::new(), Vec::new());
        for (tenant, subject) in [
            ("", boss.as_str()),
            ("", NOBODY),
            (operators.as_str(), ""),
            (operators, boss),
            (NOBODY, ""),
            (NOBODY, boss),
        ] {
            let check = question(subject, "customer.view", row(world, &mei));
            answers.extend(asked(&person, tenant, &check).await);
            checks.push(pb::CheckRequest { tenant_id: tenant.to_owned(), ..check });
        }
        all_alike(&answers, &denied);
        assert_eq!(batch_reasons(&person, checks).await, vec!["PERMISSION_DENIED"; 6]);
    })
    .await;
}

#[tokio::test]
async fn who_may_explain_one_department_cannot_tell_others_from_nobody() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let store = world.department(root, "Store").await.department_id;
        let mei = world.user("mei", &store, "Sales representative").await.user_id;
        let far = world.user("far", root, "Marketing").await.user_id;
        let person = explainer_of(world, "look", &store).await;
        let check = |subject: &str| question(subject, "customer.view", row(world, &mei));
        for (call, answer) in asked(&person, "", &check(&mei)).await {
            answer.unwrap_or_else(|status| panic!("{call} about the own department: {status}"));
        }
        let operators = &world.operator.tokens.tenant_id;
        let mut answers = Vec::new();
        for (tenant, subject) in [("", far.as_str()), ("", NOBODY), (operators.as_str(), mei.as_str()), (NOBODY, &mei)]
        {
            answers.extend(asked(&person, tenant, &check(subject)).await);
        }
        all_alike(&answers, &refused(Code::NotFound, "USER_NOT_FOUND"));

        let request = pb::ListSubjectsWithAccessRequest {
            action: "customer.view".to_owned(),
            row: Some(pb::RowAttributes { department_id: store.clone(), ..row(world, &mei) }),
            ..pb::ListSubjectsWithAccessRequest::default()
        };
        let listed = async |request: pb::ListSubjectsWithAccessRequest| {
            person
                .access()
                .list_subjects_with_access(request)
                .await
                .map(|page| page.into_inner().subjects.into_iter().map(|it| it.subject_id).collect::<Vec<_>>())
        };
        let look = person.tokens.subject_id.clone();
        assert_eq!(listed(request.clone()).await.expect("the own department"), [mei.clone(), look], "not far's");
        let other = pb::ListSubjectsWithAccessRequest { tenant_id: operators.clone(), ..request };
        assert_eq!(refusal(listed(other).await), refused(Code::NotFound, "TENANT_NOT_FOUND"));
    })
    .await;
}
