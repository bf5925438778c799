//! Previews: what is told of a proposed change is what its write does, and nothing of it is written.

use std::collections::BTreeMap;

use revisit_proto::identity::v1::{self as pb, preview_change_request::Change};
use tonic::{Code, Status};

use super::{
    access::{right, row},
    strangers::explainer_of,
    support::{Person, World, fields, on_each, refusal, refused},
};

mod directory;

const ACTIONS: [&str; 2] = ["customer.view", "customer.update"];

/// By row, subject and action: what is allowed, and at which levels.
type Answers = BTreeMap<(String, String, String), (bool, Option<pb::LayerLevels>)>;

struct Company {
    north: String,
    store: String,
    rep: String,
    lead: String,
    people: Vec<String>,
    rows: Vec<pb::RowAttributes>,
}

async fn company(world: &World) -> Company {
    let root = world.tenant.root_department_id.clone();
    let north = world.department(&root, "North").await.department_id;
    let south = world.department(&root, "South").await.department_id;
    let store = world.department(&north, "Store").await.department_id;
    let rep = world.user("rep", &store, "Sales representative").await.user_id;
    let lead = world.user("lead", &north, "Sales manager").await.user_id;
    let other = world.user("other", &south, "Sales manager").await.user_id;
    let mark = world.user("mark", &root, "Marketing").await.user_id;
    let mut rows = Vec::new();
    for (number, (owner, department)) in
        [(&rep, &store), (&lead, &north), (&other, &south), (&rep, &south)].into_iter().enumerate()
    {
        for vip in [false, true] {
            let row_id = uuid::Uuid::from_u128(10 * number as u128 + u128::from(vip) + 1).to_string();
            let department_id = department.clone();
            rows.push(pb::RowAttributes { row_id, vip, department_id, ..row(world, owner) });
        }
    }
    let people = vec![rep.clone(), lead.clone(), other, mark, world.tenant.administrator_id.clone()];
    Company { north, store, rep, lead, people, rows }
}

async fn answers(world: &World, company: &Company) -> Answers {
    let mut asked = Vec::new();
    for subject in &company.people {
        for row in &company.rows {
            asked.extend(ACTIONS.map(|action| (row.row_id.clone(), subject.clone(), action.to_owned(), row.clone())));
        }
    }
    let check = |(_, subject_id, action, row): &(String, String, String, pb::RowAttributes)| pb::CheckRequest {
        subject_id: subject_id.clone(),
        action: action.clone(),
        row: Some(row.clone()),
        ..pb::CheckRequest::default()
    };
    let checks = asked.iter().map(check).collect();
    let results = world.admin.access().batch_check(pb::BatchCheckRequest { checks }).await.expect("it is answered");
    let answer = |result: pb::BatchCheckResult| match result.result.expect("each has one") {
        pb::batch_check_result::Result::Answer(answer) => Ok((answer.allowed, answer.levels)),
        pb::batch_check_result::Result::ErrorReason(reason) => Err(reason),
    };
    let answer = |result| answer(result).expect("the administrator explains everybody");
    let results = results.into_inner().results.into_iter().map(answer);
    asked.into_iter().map(|(row, subject, action, _)| (row, subject, action)).zip(results).collect()
}

async fn preview(who: &Person, change: Change, company: &Company) -> Result<pb::PreviewChangeResponse, Status> {
    let mut told = pb::PreviewChangeResponse::default();
    let mut page_token = String::new();
    loop {
        let request = pb::PreviewChangeRequest {
            change: Some(change.clone()),
            rows: company.rows.clone(),
            actions: ACTIONS.map(str::to_owned).to_vec(),
            page_size: 1,
            page_token,
        };
        let page = who.access().preview_change(request).await?.into_inner();
        told.rights.extend(page.rights);
        told.guards.extend(page.guards);
        told.rows.extend(page.rows);
        (told.refusal_reason, told.revision) = (page.refusal_reason, page.revision);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(told);
        }
    }
}

/// Previews a change, makes it, and compares what was told with what is answered before and after.
async fn rehearse(world: &World, company: &Company, what: &str, change: Change, write: impl AsyncFnOnce()) {
    let before = answers(world, company).await;
    let told = preview(&world.admin, change, company).await.expect(what);
    assert_eq!(answers(world, company).await, before, "{what}: a preview changes nothing");
    assert_eq!(told.refusal_reason, "", "{what}");
    assert!(!told.rights.is_empty() || !told.guards.is_empty(), "{what} changes something");
    write().await;
    let after = answers(world, company).await;
    let changed: Answers =
        after.iter().filter(|(key, answer)| before[*key] != **answer).map(|(key, it)| (key.clone(), *it)).collect();
    let key = |it: &pb::RowChange| (it.row_id.clone(), it.subject_id.clone(), it.action.clone());
    let expected: Answers = told.rows.iter().map(|it| (key(it), (it.allowed_after, it.levels_after))).collect();
    assert_eq!(expected, changed, "{what}");
    assert!(!changed.is_empty(), "{what} changes the answer about some row");
    for it in &told.rows {
        assert_eq!((it.allowed_before, it.levels_before), before[&key(it)], "{what}: {it:?}");
    }
}

fn grant(holder_id: &str) -> pb::CreateGrantRequest {
    let right = Some(right(&["customer.view"], pb::ExtentKind::Tenant));
    let (holder_id, reason) = (holder_id.to_owned(), "a test".to_owned());
    pb::CreateGrantRequest { holder_id, right, reason, ..pb::CreateGrantRequest::default() }
}

fn moved(department: &str, parent: &str) -> pb::MoveDepartmentRequest {
    let (department_id, parent_id) = (department.to_owned(), parent.to_owned());
    pb::MoveDepartmentRequest { department_id, parent_id, ..pb::MoveDepartmentRequest::default() }
}

#[tokio::test]
async fn what_is_told_of_grants_guards_and_departments_is_what_their_writes_do() {
    on_each(async |world| {
        let company = company(world).await;
        let request = grant(&company.rep);
        let mut grant_id = String::new();
        rehearse(world, &company, "a grant", Change::CreateGrant(request.clone()), async || {
            grant_id = world.admin.access().create_grant(request).await.expect("it is granted").into_inner().grant_id;
        })
        .await;
        let request = pb::RevokeGrantRequest { grant_id, reason: String::new() };
        rehearse(world, &company, "a revocation", Change::RevokeGrant(request.clone()), async || {
            world.admin.access().revoke_grant(request).await.expect("it is revoked");
        })
        .await;
        let guard = pb::Guard {
            actions: vec!["customer.view".to_owned()],
            target: Some(pb::GuardTarget { except_owner: true, ..pb::GuardTarget::default() }),
            condition: Some(pb::RowCondition { vip: true, ..pb::RowCondition::default() }),
            reason: "frozen".to_owned(),
            ..pb::Guard::default()
        };
        let request = pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() };
        let mut guard_id = String::new();
        rehearse(world, &company, "a guard", Change::CreateGuard(request.clone()), async || {
            guard_id = world.admin.access().create_guard(request).await.expect("it is put up").into_inner().guard_id;
        })
        .await;
        let request = pb::DeleteGuardRequest { guard_id, reason: String::new() };
        rehearse(world, &company, "a guard's end", Change::DeleteGuard(request.clone()), async || {
            world.admin.access().delete_guard(request).await.expect("it is taken down");
        })
        .await;
        let request = moved(&company.store, &world.tenant.root_department_id);
        rehearse(world, &company, "a move", Change::MoveDepartment(request.clone()), async || {
            world.admin.directory().move_department(request).await.expect("it is moved");
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn what_is_told_of_roles_and_positions_is_what_their_writes_do() {
    on_each(async |world| {
        let company = company(world).await;
        let create = pb::CreateRoleRequest {
            key: "looker".to_owned(),
            display_name: "Looker".to_owned(),
            templates: vec![right(&["customer.view"], pb::ExtentKind::Tenant)],
            ..pb::CreateRoleRequest::default()
        };
        let role = world.admin.access().create_role(create).await.expect("it is made").into_inner();
        let give = pb::SetRoleOverrideRequest {
            user_id: company.rep.clone(),
            role_id: role.role_id.clone(),
            source: pb::RoleSource::Added.into(),
            reason: String::new(),
        };
        rehearse(world, &company, "a role more", Change::SetRoleOverride(give.clone()), async || {
            world.admin.access().set_role_override(give).await.expect("it is given");
        })
        .await;
        let update = pb::UpdateRoleRequest {
            role: Some(pb::Role {
                templates: vec![right(&["customer.update"], pb::ExtentKind::Tenant)],
                ..role.clone()
            }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["templates".to_owned()] }),
            reason: String::new(),
        };
        rehearse(world, &company, "other templates", Change::UpdateRole(update.clone()), async || {
            world.admin.access().update_role(update).await.expect("it is changed");
        })
        .await;
        let clear =
            pb::ClearRoleOverrideRequest { user_id: company.rep.clone(), role_id: role.role_id, reason: String::new() };
        rehearse(world, &company, "a role less", Change::ClearRoleOverride(clear.clone()), async || {
            world.admin.access().clear_role_override(clear).await.expect("it is cleared");
        })
        .await;
        let request = pb::GetUserRequest { user_id: company.lead.clone(), ..pb::GetUserRequest::default() };
        let user = world.admin.directory().get_user(request).await.expect("it is there").into_inner();
        let position_ids = vec![world.position("Marketing").await];
        let update = pb::UpdateUserRequest {
            user: Some(pb::User { position_ids, ..user }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["position_ids".to_owned()] }),
            reason: String::new(),
        };
        rehearse(world, &company, "another position", Change::UpdateUser(update.clone()), async || {
            world.admin.directory().update_user(update).await.expect("it is changed");
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_preview_tells_what_its_author_may_not_do_and_is_refused_by_rules() {
    on_each(async |world| {
        let company = company(world).await;
        let told = async |who: &Person, change: Change| {
            preview(who, change, &company).await.map(|told| (told.refusal_reason, told.rights.len()))
        };
        let own = told(&world.admin, Change::CreateGrant(grant(&world.tenant.administrator_id))).await;
        assert_eq!(own.expect("it is shown"), ("APPROVAL_REQUIRED".to_owned(), 1));
        let look = explainer_of(world, "look", &company.store).await;
        let may_not = told(&look, Change::CreateGrant(grant(&company.rep))).await;
        assert_eq!(may_not.expect("it is shown"), ("PERMISSION_DENIED".to_owned(), 1));
        let below_itself = told(&world.admin, Change::MoveDepartment(moved(&company.north, &company.store))).await;
        assert_eq!(refusal(below_itself), refused(Code::FailedPrecondition, "DEPARTMENT_CYCLE"));
        let nothing = pb::PreviewChangeRequest::default();
        assert_eq!(fields(world.admin.access().preview_change(nothing).await), ["change"]);
        let broken = pb::CreateGrantRequest { holder_id: "nobody".to_owned(), ..grant(&company.rep) };
        let broken = pb::PreviewChangeRequest { change: Some(Change::CreateGrant(broken)), ..Default::default() };
        assert_eq!(fields(world.admin.access().preview_change(broken).await), ["create_grant.holder_id"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_proposed_change_is_named_by_its_path_in_the_question() {
    on_each(async |world| {
        let company = company(world).await;
        let wrong = async |change: Change| fields(preview(&world.admin, change, &company).await);
        let nobody = uuid::Uuid::from_u128(7).to_string();
        let elsewhere = pb::Extent {
            kind: pb::ExtentKind::Department.into(),
            department_id: nobody.clone(),
            ..pb::Extent::default()
        };
        let template = pb::GrantTemplate { extent: Some(elsewhere), ..grant(&company.rep).right.unwrap_or_default() };
        let request = pb::CreateGrantRequest { right: Some(template.clone()), ..grant(&company.rep) };
        assert_eq!(wrong(Change::CreateGrant(request)).await, ["create_grant.right.extent.department_id"]);
        let unknown =
            pb::GrantTemplate { stages: vec!["warrenty".to_owned()], ..grant(&company.rep).right.unwrap_or_default() };
        let request = pb::CreateGrantRequest { right: Some(unknown), ..grant(&company.rep) };
        assert_eq!(wrong(Change::CreateGrant(request)).await, ["create_grant.right.stages"]);
        let own = pb::CreateRoleRequest {
            key: "mine".to_owned(),
            display_name: "Mine".to_owned(),
            templates: grant(&company.rep).right.into_iter().collect(),
            ..pb::CreateRoleRequest::default()
        };
        let own = world.admin.access().create_role(own).await.expect("it is made").into_inner();
        let request = pb::UpdateRoleRequest {
            role: Some(pb::Role { templates: vec![template], ..own }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["templates".to_owned()] }),
            reason: String::new(),
        };
        assert_eq!(wrong(Change::UpdateRole(request)).await, ["update_role.role.templates[0].extent.department_id"]);
        let request = pb::SetRoleOverrideRequest {
            user_id: company.rep.clone(),
            role_id: nobody.clone(),
            source: pb::RoleSource::Added.into(),
            reason: String::new(),
        };
        assert_eq!(wrong(Change::SetRoleOverride(request)).await, ["set_role_override.role_id"]);
        let request = pb::UpdateUserRequest {
            user: Some(pb::User { user_id: company.rep.clone(), manager_id: nobody.clone(), ..pb::User::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["manager_id".to_owned()] }),
            reason: String::new(),
        };
        assert_eq!(wrong(Change::UpdateUser(request)).await, ["update_user.user.manager_id"]);
        let guard = pb::Guard {
            target: Some(pb::GuardTarget {
                whom: Some(pb::guard_target::Whom::SubjectId(nobody)),
                ..pb::GuardTarget::default()
            }),
            actions: vec!["customer.view".to_owned()],
            reason: "a test".to_owned(),
            ..pb::Guard::default()
        };
        let request = pb::CreateGuardRequest { guard: Some(guard), ..pb::CreateGuardRequest::default() };
        assert_eq!(wrong(Change::CreateGuard(request)).await, ["create_guard.guard.target.subject_id"]);
    })
    .await;
}

#[tokio::test]
async fn a_preview_does_not_tell_which_addresses_are_taken() {
    on_each(async |world| {
        let company = company(world).await;
        let look = explainer_of(world, "look", &company.store).await;
        let request = pb::GetUserRequest { user_id: company.rep.clone(), ..pb::GetUserRequest::default() };
        let rep = world.admin.directory().get_user(request).await.expect("it is there").into_inner();
        let told = async |email: &str| {
            let update = pb::UpdateUserRequest {
                user: Some(pb::User { email: email.to_owned(), ..rep.clone() }),
                update_mask: Some(prost_types::FieldMask { paths: vec!["email".to_owned()] }),
                reason: String::new(),
            };
            preview(&look, Change::UpdateUser(update), &company).await.expect("it is shown").refusal_reason
        };
        // The first is another user's.
        assert_eq!(told("boss@acme.example").await, told("nobody@acme.example").await);
    })
    .await;
}

#[tokio::test]
async fn nobody_previews_what_they_may_not_explain() {
    on_each(async |world| {
        let company = company(world).await;
        let created =
            world.admin.access().create_grant(grant(&company.lead)).await.expect("it is granted").into_inner();
        let far = pb::RevokeGrantRequest { grant_id: created.grant_id, reason: String::new() };
        let none = pb::RevokeGrantRequest { grant_id: uuid::Uuid::from_u128(3).to_string(), reason: String::new() };
        let delete = |id: u128| {
            Change::DeleteGuard(pb::DeleteGuardRequest {
                guard_id: uuid::Uuid::from_u128(id).to_string(),
                reason: String::new(),
            })
        };
        let denied = refused(Code::PermissionDenied, "PERMISSION_DENIED");
        let rep = world.log_in("rep").await;
        for change in [
            Change::CreateGrant(grant(&company.rep)),
            Change::CreateGrant(grant(&company.lead)),
            Change::RevokeGrant(far.clone()),
            Change::MoveDepartment(moved(&company.store, &company.north)),
            delete(1),
        ] {
            assert_eq!(refusal(preview(&rep, change, &company).await), denied);
        }
        let look = explainer_of(world, "look", &company.store).await;
        let stranger = uuid::Uuid::from_u128(4).to_string();
        for change in [grant(&company.lead), grant(&stranger)] {
            let refusal = refusal(preview(&look, Change::CreateGrant(change), &company).await);
            assert_eq!(refusal, refused(Code::NotFound, "USER_NOT_FOUND"));
        }
        for change in [far, none] {
            let refusal = refusal(preview(&look, Change::RevokeGrant(change), &company).await);
            assert_eq!(refusal, refused(Code::NotFound, "GRANT_NOT_FOUND"));
        }
        for change in [Change::MoveDepartment(moved(&company.store, &company.north)), delete(1)] {
            assert_eq!(refusal(preview(&look, change, &company).await), denied, "it touches the whole company");
        }
    })
    .await;
}
