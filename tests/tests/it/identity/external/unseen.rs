//! What nobody hears of kept rows: neither that there is one, nor what it looks like, nor whom it is kept for.

use revisit_proto::identity::v1 as pb;

use super::{
    super::{
        access::question,
        support::{Person, World, on_each},
    },
    contracts, granted,
    kept::{by_id, id, keeper, put, row},
    over, register,
};

/// A row that is kept, and one that is not.
const KEPT: u128 = 1;
const MISSING: u128 = 2;

/// A type whose rows have every attribute.
fn records() -> pb::ExternalType {
    let attributes = ["owner", "department", "teams", "stage", "grade", "flags"].map(ToOwned::to_owned).to_vec();
    pb::ExternalType { attributes, ..contracts(pb::ExternalKeeping::Kept) }
}

/// Mei with rights that are each refused on another axis on a row of hers, and the row.
async fn refused_everywhere(world: &World) -> String {
    let admin = &world.admin;
    let root = world.tenant.root_department_id.clone();
    let mei = world.user("mei", &root, "Finance").await.user_id;
    register(admin, records()).await.expect("it is registered");
    let of = |verb: &str, kind| over(&[verb], kind, &["contract"]);
    let (own, all) = (pb::ExtentKind::Own, pb::ExtentKind::Tenant);
    let stages = vec!["draft".to_owned()];
    let grades = vec!["A".to_owned()];
    let later = Some(prost_types::Timestamp { seconds: 9_000_000_000, nanos: 0 });
    for (right, start_time) in [
        (pb::GrantTemplate { stages: stages.clone(), ..of("external.approve", own) }, None),
        (pb::GrantTemplate { grades, ..of("external.update", own) }, None),
        (of("external.delete", own), later),
        (of("external.export", all), None),
        (of("external.create", own), None),
        (pb::GrantTemplate { stages, ..of("external.manage", all) }, None),
    ] {
        let (right, reason, holder_id) = (Some(right), "a test".to_owned(), mei.clone());
        let request =
            pb::CreateGrantRequest { holder_id, right, reason, start_time, ..pb::CreateGrantRequest::default() };
        admin.access().create_grant(request).await.expect("it is granted");
    }
    let guard = pb::Guard {
        actions: ["external.export", "external.create"].map(ToOwned::to_owned).to_vec(),
        condition: Some(pb::RowCondition { vip: true, ..pb::RowCondition::default() }),
        reason: "kept for the board".to_owned(),
        ..pb::Guard::default()
    };
    let guard = pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() };
    admin.access().create_guard(guard).await.expect("it is put up");
    let mut kept = row(KEPT, &mei, &root);
    let attributes = kept.attributes.as_mut().expect("it has some");
    (attributes.stage, attributes.grade, attributes.vip) = ("signed".to_owned(), "B".to_owned(), true);
    put(&keeper(world).await, "contract", vec![kept]).await.expect("it is kept");
    mei
}

const VERBS: [&str; 6] = ["approve", "update", "delete", "export", "create", "manage"];

/// What somebody hears about mei and two rows, in one answer.
async fn heard(who: &Person, mei: &str, verb: &str, auth_rev: i64) -> [pb::CheckResponse; 2] {
    let asked = |number| {
        let row = pb::RowAttributes { auth_rev, ..by_id("contract", number) };
        question(mei, &format!("external.{verb}"), row)
    };
    let request = pb::BatchCheckRequest { checks: vec![asked(KEPT), asked(MISSING)] };
    let results = who.access().batch_check(request).await.expect("answers").into_inner().results;
    let answers = results.into_iter().filter_map(|it| match it.result {
        Some(pb::batch_check_result::Result::Answer(answer)) => Some(answer),
        Some(pb::batch_check_result::Result::ErrorReason(_)) | None => None,
    });
    let answers: Vec<_> = answers.collect();
    answers.try_into().expect("one for each")
}

async fn explained(who: &Person, mei: &str, verb: &str, number: u128) -> (pb::Axis, String) {
    let check = Some(question(mei, &format!("external.{verb}"), by_id("contract", number)));
    let told = who.access().explain_access(pb::ExplainAccessRequest { check }).await.expect("told").into_inner();
    (told.refused_axis(), told.explanation)
}

#[tokio::test]
async fn a_kept_row_is_denied_like_one_that_is_not_kept_whatever_denies_it() {
    on_each(async |world| {
        let mei = refused_everywhere(world).await;
        let person = world.log_in("mei").await;
        for verb in VERBS {
            for auth_rev in [0, i64::MAX] {
                let [kept, missing] = heard(&person, &mei, verb, auth_rev).await;
                assert!(!kept.allowed, "{verb}");
                assert_eq!(kept, missing, "{verb} at {auth_rev}");
            }
            let kept = explained(&person, &mei, verb, KEPT).await;
            assert_eq!(kept, explained(&person, &mei, verb, MISSING).await, "{verb}");
            let check = |number| Some(question(&mei, &format!("external.{verb}"), by_id("contract", number)));
            let fields = async |number| {
                let request = pb::CheckFieldsRequest { check: check(number), fields: vec!["title".to_owned()] };
                person.access().check_fields(request).await.expect("told").into_inner().fields
            };
            assert_eq!(fields(KEPT).await, fields(MISSING).await, "{verb}");
        }
    })
    .await;
}

#[tokio::test]
async fn who_explains_the_subject_or_views_the_row_hears_why_it_is_denied() {
    on_each(async |world| {
        let mei = refused_everywhere(world).await;
        let why = async |who: &Person| {
            let mut axes = Vec::new();
            for verb in VERBS {
                axes.push(explained(who, &mei, verb, KEPT).await.0);
            }
            axes
        };
        let (extent, guard) = (pb::Axis::Extent, pb::Axis::Guard);
        let truth = [pb::Axis::Stage, pb::Axis::Grade, pb::Axis::Time, guard, guard, pb::Axis::Stage];
        assert_eq!(why(&world.admin).await, truth);
        let person = world.log_in("mei").await;
        let unseen = [extent, extent, extent, extent, extent, pb::Axis::Stage];
        assert_eq!(why(&person).await, unseen, "she may do nothing to it");
        granted(&world.admin, &mei, over(&["external.view"], pb::ExtentKind::Own, &[])).await.expect("it is granted");
        assert_eq!(why(&person).await, truth, "she sees the row");
        let [kept, _] = heard(&person, &mei, "export", 0).await;
        assert!(kept.witness.starts_with("guard:"), "{}", kept.witness);
        assert!(explained(&person, &mei, "export", KEPT).await.1.contains("kept for the board"));
    })
    .await;
}

#[tokio::test]
async fn who_puts_and_removes_rows_is_in_the_log_and_a_repeat_that_changes_nothing_is_not() {
    on_each(async |world| {
        let root = world.tenant.root_department_id.clone();
        world.user("eyes", &root, "Auditor").await;
        let eyes = world.log_in("eyes").await;
        register(&world.admin, contracts(pb::ExternalKeeping::Kept)).await.expect("it is registered");
        let keeper = keeper(world).await;
        for rows in [vec![row(1, "", &root), row(2, "", "")], vec![row(1, "", &root)], vec![row(1, "", "")]] {
            put(&keeper, "contract", rows).await.expect("they are kept");
        }
        let (external_type, row_ids) = ("contract".to_owned(), vec![id(1), id(2), id(3)]);
        let request = pb::BatchDeleteExternalResourcesRequest { external_type, row_ids };
        for _ in 0..2 {
            keeper.external_resources().batch_delete_external_resources(request.clone()).await.expect("they are gone");
        }
        let about = async |number| {
            let request = pb::ListEntriesRequest { resource_id: id(number), ..pb::ListEntriesRequest::default() };
            let listed = eyes.audit().list_entries(request).await.expect("an auditor sees it").into_inner().entries;
            let mut entries: Vec<_> = listed.into_iter().filter_map(|it| it.entry).collect();
            entries.sort_by_key(|it| it.time_micros);
            entries
        };
        let removed = |entries: &[pb::AuditEntry]| entries.last().is_some_and(|it| it.action.contains("delete"));
        let first =
            world.eventually("the removal is in the log", async || Some(about(1).await).filter(|it| removed(it))).await;
        let acts: Vec<_> = first.iter().map(|it| it.action.as_str()).collect();
        assert_eq!(acts, ["external.put_rows", "external.put_rows", "external.delete_rows"]);
        let named: Vec<_> = first.iter().map(|it| it.resource_ids.clone()).collect();
        assert_eq!(named, [vec![id(1), id(2)], vec![id(1)], vec![id(1), id(2)]], "what was changed, and nothing else");
        for entry in &first {
            assert_eq!((entry.resource.as_str(), &entry.subject_id), ("contract", &keeper.tokens.subject_id));
            assert!(entry.witness.starts_with("grant:") && entry.revision > 0, "by what right: {entry:?}");
        }
        assert_eq!((about(2).await.len(), about(3).await.len()), (2, 0));
    })
    .await;
}
