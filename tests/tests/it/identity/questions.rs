//! Questions beyond one yes or no: fields, batches over companies, who may, and who could.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::{FileDescriptorSet, Timestamp};
use revisit_permission::{Layer, Resource};
use revisit_proto::identity::v1::{self as pb, access_client::AccessClient};
use tonic::{Code, Request, transport::Channel};

use super::{
    access::{question, right, row},
    support::{CUSTOMER_TOKEN, Person, World, fields, first_log_in, on_each, refusal, refused},
};

async fn field_answers(who: &Person, check: pb::CheckRequest, names: &[&str]) -> pb::CheckFieldsResponse {
    let fields = names.iter().map(|name| (*name).to_owned()).collect();
    let request = pb::CheckFieldsRequest { check: Some(check), fields };
    who.access().check_fields(request).await.expect("it is answered").into_inner()
}

/// Layer, level and answer to a write of each field.
fn told(answer: &pb::CheckFieldsResponse) -> Vec<(&str, pb::Level, pb::WriteAnswer)> {
    answer.fields.iter().map(|field| (field.layer.as_str(), field.level(), field.write())).collect()
}

#[tokio::test]
async fn a_field_has_the_level_of_its_layer_on_this_very_row() {
    use pb::{Level, WriteAnswer};
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let names = ["name", "contact_points", "order_amount", "never_heard_of"];
        let asked = async |action: &str, row: pb::RowAttributes| {
            field_answers(&world.admin, question(&mei, action, row), &names).await
        };
        let own = asked("customer.update", row(world, &mei)).await;
        let (write, hidden) = ((Level::Write, WriteAnswer::Accepted), (Level::Hidden, WriteAnswer::BelowWrite));
        let expected = [("basic", write), ("sensitive", write), ("financial", hidden), ("sensitive", write)];
        assert_eq!(told(&own), expected.map(|(layer, (level, answer))| (layer, level, answer)));
        let viewed = asked("customer.view", row(world, &mei)).await;
        assert!(told(&viewed).iter().all(|(_, _, write)| *write == WriteAnswer::ReadsOnly), "{viewed:?}");
        assert_eq!(viewed.fields[0].level(), Level::Write, "what the grant gives, whatever the action");
        let others = asked("customer.update", row(world, root)).await;
        assert!(told(&others).iter().all(|told| (told.1, told.2) == (Level::Hidden, WriteAnswer::Denied)));

        let guard = pb::Guard {
            actions: vec!["customer.update".to_owned()],
            condition: Some(pb::RowCondition { vip: true, ..pb::RowCondition::default() }),
            cap: Some(pb::LayerLevels { sensitive: Level::Masked.into(), ..pb::LayerLevels::default() }),
            reason: "contact values of VIPs are for few".to_owned(),
            ..pb::Guard::default()
        };
        let guard = pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() };
        world.admin.access().create_guard(guard).await.expect("it is put up");
        let vip = asked("customer.update", pb::RowAttributes { vip: true, ..row(world, &mei) }).await;
        let masked = ("sensitive", Level::Masked, WriteAnswer::BelowWrite);
        assert_eq!(told(&vip)[..2], [("basic", Level::Write, WriteAnswer::Accepted), masked]);
        assert_eq!(asked("customer.update", row(world, &mei)).await.fields, own.fields, "no other row is capped");
    })
    .await;
}

#[tokio::test]
async fn a_question_about_fields_names_what_is_wrong_with_it() {
    on_each(async |world| {
        let ask = async |action: &str, fields: Vec<String>| {
            let check = Some(question("", action, row(world, "")));
            world.admin.access().check_fields(pb::CheckFieldsRequest { check, fields }).await
        };
        assert_eq!(fields(ask("customer.view", Vec::new()).await), ["fields"]);
        assert_eq!(fields(ask("customer.view", vec!["na me".to_owned()]).await), ["fields[0]"]);
        assert_eq!(fields(ask("customer.view", vec!["name".to_owned(); 201]).await), ["fields"]);
        assert_eq!(fields(ask("customer.fly", vec!["name".to_owned()]).await), ["check.action"]);
    })
    .await;
}

#[test]
fn every_field_of_a_customer_is_in_the_layer_that_its_comment_names() {
    let set: FileDescriptorSet =
        prost::Message::decode(revisit_proto::FILE_DESCRIPTOR_SET).expect("the descriptors are whole");
    let file = set.file.iter().find(|file| file.name().ends_with("customers.proto")).expect("the contract of customer");
    let at = file.message_type.iter().position(|message| message.name() == "Customer").expect("a customer");
    let comments = file.source_code_info.iter().flat_map(|info| &info.location);
    let mut named = BTreeMap::new();
    for location in comments {
        let [4, message, 2, field] = location.path.as_slice() else { continue };
        if usize::try_from(*message) != Ok(at) {
            continue;
        }
        let field = file.message_type[at].field[usize::try_from(*field).expect("positive")].name();
        let layer = Layer::ALL.iter().find(|layer| location.leading_comments().contains(&format!("Layer `{layer}`")));
        if let Some(layer) = layer {
            named.insert(field, *layer);
        }
    }
    assert!(named.len() >= 8, "{named:?}");
    for (field, layer) in named {
        assert_eq!(Resource::Customer.layer_of(field), layer, "{field}");
    }
}

/// The address of identity as a service of ours reaches it.
fn as_service<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-revisit-caller", CUSTOMER_TOKEN.parse().expect("ASCII"));
    request
}

/// A second company with an administrator of the same name.
async fn second_company(world: &World) -> (pb::Tenant, Person) {
    let request = pb::CreateTenantRequest {
        key: "globex".to_owned(),
        display_name: "Globex".to_owned(),
        administrator_username: "hank".to_owned(),
        administrator_email: "hank@globex.example".to_owned(),
        ..pb::CreateTenantRequest::default()
    };
    let made = world.operator.directory().create_tenant(request).await.expect("it is founded").into_inner();
    let hank = first_log_in(&world.channel, "globex", "hank", &made.password_token).await;
    (made.tenant.expect("the answer holds it"), hank)
}

#[tokio::test]
async fn a_batch_over_companies_answers_what_its_questions_answer_alone() {
    on_each(async |world| {
        let (other, _) = second_company(world).await;
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let mut checks = Vec::new();
        for tenant in [&world.tenant.tenant_id, &other.tenant_id, ""] {
            for subject in [mei.as_str(), other.administrator_id.as_str(), ""] {
                for action in ["customer.view", "department.manage", "customer.fly"] {
                    for auth_rev in [0, 1, i64::MAX] {
                        let row = pb::RowAttributes { auth_rev, ..row(world, &mei) };
                        let question = question(subject, action, row);
                        checks.push(pb::CheckRequest { tenant_id: tenant.to_owned(), ..question });
                    }
                }
            }
        }
        let mut client: AccessClient<Channel> = AccessClient::new(world.channel.clone());
        let batch = as_service(pb::BatchCheckRequest { checks: checks.clone() });
        let batch = client.batch_check(batch).await.expect("it is answered").into_inner();
        let (mut allowed, mut refused) = (0, 0);
        for (check, result) in checks.into_iter().zip(batch.results) {
            use pb::batch_check_result::Result as Answer;
            let single = client.check(as_service(check.clone())).await;
            match (single, result.result.expect("each has one")) {
                (Ok(single), Answer::Answer(answer)) => {
                    let single = single.into_inner();
                    let decided = |it: &pb::CheckResponse| (it.allowed, it.levels, it.witness.clone(), it.revision);
                    assert_eq!(decided(&answer), decided(&single), "{check:?}");
                    allowed += usize::from(answer.allowed);
                }
                (Err(_), Answer::ErrorReason(reason)) => {
                    assert_eq!(reason, "INVALID_ARGUMENT", "{check:?}");
                    refused += 1;
                }
                (single, batched) => panic!("{check:?}: alone {single:?}, in a batch {batched:?}"),
            }
        }
        assert_eq!((allowed, refused), (4, 45), "mei views and hank manages, on revisions that exist");
    })
    .await;
}

async fn who_may(
    who: &Person,
    request: &pb::ListSubjectsWithAccessRequest,
) -> Result<Vec<pb::SubjectWithAccess>, tonic::Status> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListSubjectsWithAccessRequest { page_token, page_size: 2, ..request.clone() };
        let page = who.access().list_subjects_with_access(request).await?.into_inner();
        assert!(page.next_page_token.is_empty() || page.subjects.len() == 2, "a page is full or the last: {page:?}");
        found.extend(page.subjects);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(found);
        }
    }
}

fn able(row: pb::RowAttributes) -> pb::ListSubjectsWithAccessRequest {
    let action = "customer.view".to_owned();
    pb::ListSubjectsWithAccessRequest { action, row: Some(row), ..pb::ListSubjectsWithAccessRequest::default() }
}

fn ids(found: &[pb::SubjectWithAccess]) -> BTreeSet<&str> {
    found.iter().map(|it| it.subject_id.as_str()).collect()
}

#[tokio::test]
async fn who_may_are_exactly_those_whom_a_check_allows_with_its_levels_and_witness() {
    on_each(async |world| {
        let root = world.tenant.root_department_id.clone();
        let store = world.department(&root, "Store").await.department_id;
        let mei = world.user("mei", &store, "Sales representative").await.user_id;
        for (name, position) in
            [("lin", "Sales manager"), ("mark", "Marketing"), ("rep", "Sales representative"), ("fin", "Finance")]
        {
            world.user(name, &store, position).await;
        }
        let row = pb::RowAttributes { department_id: store.clone(), ..row(world, &mei) };
        let found = who_may(&world.admin, &able(row.clone())).await.expect("it is answered");
        assert!(found.is_sorted_by(|one, next| one.subject_id < next.subject_id), "{found:?}");
        let users = world.admin.directory().list_users(pb::ListUsersRequest::default()).await;
        let users = users.expect("they are listed").into_inner().users;
        let mut allowed = 0;
        for user in &users {
            let check = question(&user.user_id, "customer.view", row.clone());
            let answer = world.admin.access().check(check).await.expect("it is answered").into_inner();
            let listed = found.iter().find(|it| it.subject_id == user.user_id);
            assert_eq!(listed.is_some(), answer.allowed, "{}", user.username);
            allowed += usize::from(answer.allowed);
            if let Some(listed) = listed {
                assert_eq!((&listed.levels, &listed.witness), (&answer.levels, &answer.witness), "{}", user.username);
            }
        }
        assert_eq!((allowed, found.len()), (4, 4), "mei, lin, mark and fin of {}", users.len());
    })
    .await;
}

#[tokio::test]
async fn who_could_is_answered_on_the_rights_of_that_instant() {
    on_each(async |world| {
        let root = world.tenant.root_department_id.clone();
        let mei = world.user("mei", &root, "Sales representative").await.user_id;
        let helper = world.user("helper", &root, "Finance").await.user_id;
        let row = pb::RowAttributes { stage: "service".to_owned(), ..row(world, &mei) };
        let asked_at = async |at: Option<Timestamp>| {
            let request = pb::ListSubjectsWithAccessRequest { at_time: at, ..able(row.clone()) };
            who_may(&world.admin, &request).await
        };
        let could = async |at: Option<Timestamp>| -> bool {
            ids(&asked_at(at).await.expect("it is answered")).contains(mei.as_str())
        };
        assert!(!could(None).await, "a rep does not see what is in service");
        let grant = pb::CreateGrantRequest {
            holder_id: mei.clone(),
            right: Some(right(&["customer.view"], pb::ExtentKind::Own)),
            reason: "for a while".to_owned(),
            ..pb::CreateGrantRequest::default()
        };
        let grant = world.admin.access().create_grant(grant).await.expect("it is granted").into_inner();
        assert!(could(None).await);
        // The instants are those of the revisions themselves, to the microsecond.
        let during = grant.create_time;
        let micros = |at: Timestamp| at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000;
        let instant = |micros: i64| Timestamp {
            seconds: micros.div_euclid(1_000_000),
            nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).expect("less than a second"),
        };
        let before = during.map(|at| instant(micros(at) - 1));
        let revoke = pb::RevokeGrantRequest { grant_id: grant.grant_id, reason: String::new() };
        world.admin.access().revoke_grant(revoke).await.expect("it is revoked");
        assert_eq!((could(None).await, could(during).await, could(before).await), (false, true, false));
        let then = ids(&asked_at(during).await.expect("it is answered")).contains(helper.as_str());
        assert!(then, "finance sees every customer, then as now");

        let early = Some(Timestamp { seconds: 1_000_000, nanos: 0 });
        let late = Some(Timestamp { seconds: 9_999_999_999, nanos: 0 });
        for at in [early, late] {
            assert_eq!(fields(asked_at(at).await), ["at_time"]);
        }
        let decided = world.admin.access().list_subjects_with_access(able(row.clone())).await;
        let decided = decided.expect("it is answered").into_inner().decide_time;
        assert!(asked_at(decided).await.is_ok(), "what was told as now is no future");
    })
    .await;
}

#[tokio::test]
async fn a_page_of_subjects_belongs_to_its_question() {
    on_each(async |world| {
        let root = world.tenant.root_department_id.clone();
        let mei = world.user("mei", &root, "Sales representative").await.user_id;
        world.user("lin", &root, "Sales manager").await;
        let request = pb::ListSubjectsWithAccessRequest { page_size: 1, ..able(row(world, &mei)) };
        let page = world.admin.access().list_subjects_with_access(request.clone()).await.expect("a page").into_inner();
        let other = pb::ListSubjectsWithAccessRequest {
            page_token: page.next_page_token,
            row: Some(pb::RowAttributes { vip: true, ..row(world, &mei) }),
            ..request
        };
        assert_eq!(fields(world.admin.access().list_subjects_with_access(other).await), ["page_token"]);
        let unknown = pb::ListSubjectsWithAccessRequest { action: "customer.fly".to_owned(), ..able(row(world, &mei)) };
        assert_eq!(fields(world.admin.access().list_subjects_with_access(unknown).await), ["action"]);
        let person = world.log_in("mei").await;
        let refusal = refusal(who_may(&person, &able(row(world, &mei))).await);
        assert_eq!(refusal, refused(Code::PermissionDenied, "PERMISSION_DENIED"));
    })
    .await;
}
