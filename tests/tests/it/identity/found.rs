//! What entries about rights are found by: whose they are and what was beyond somebody, whether it was done or refused.

use std::collections::{BTreeMap, BTreeSet};

use revisit_proto::identity::v1 as pb;
use tonic::{Code, Status};

use super::support::{Person, SESSIONS_MAX, World, on_each, refusal, refused};

fn view(actions: &[&str], extent: pb::Extent) -> pb::GrantTemplate {
    let write = pb::Level::Write.into();
    pb::GrantTemplate {
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        extent: Some(extent),
        levels: Some(pb::LayerLevels {
            basic: write,
            sensitive: write,
            history: write,
            financial: write,
            review: write,
        }),
        ..pb::GrantTemplate::default()
    }
}

fn everywhere() -> pb::Extent {
    pb::Extent { kind: pb::ExtentKind::Tenant.into(), ..pb::Extent::default() }
}

async fn granted(who: &Person, holder: &str, right: pb::GrantTemplate) -> Result<String, Status> {
    let (holder_id, right, reason) = (holder.to_owned(), Some(right), "a test".to_owned());
    let request = pb::CreateGrantRequest { holder_id, right, reason, ..pb::CreateGrantRequest::default() };
    Ok(who.access().create_grant(request).await?.into_inner().grant_id)
}

async fn overridden(who: &Person, user: &str, role: &str) -> Result<(), Status> {
    let (user_id, role_id) = (user.to_owned(), role.to_owned());
    let source = pb::RoleSource::Added.into();
    let request = pb::SetRoleOverrideRequest { user_id, role_id, source, reason: String::new() };
    who.access().set_role_override(request).await.map(drop)
}

/// An auditor.
async fn eyes(world: &World) -> (String, Person) {
    let user = world.user("eyes", &world.tenant.root_department_id, "Auditor").await;
    (user.user_id, world.log_in("eyes").await)
}

/// Entries that an id finds.
async fn about(eyes: &Person, id: &str) -> Vec<pb::AuditEntry> {
    let request = pb::ListEntriesRequest { resource_id: id.to_owned(), ..pb::ListEntriesRequest::default() };
    let listed = eyes.audit().list_entries(request).await.expect("an auditor sees it").into_inner();
    listed.entries.into_iter().filter_map(|it| it.entry).collect()
}

/// The refusal of a call that an id finds.
async fn refusal_of(world: &World, eyes: &Person, (id, call): (&str, &str)) -> pb::AuditEntry {
    let denied = |it: &pb::AuditEntry| it.outcome() == pb::AuditOutcome::Denied && it.action == call;
    world.eventually(call, async || about(eyes, id).await.into_iter().find(denied)).await
}

/// Somebody who may look after all people, and grant within one department.
async fn lead(world: &World, branch: &str) -> (String, Person) {
    let lead = world.user("lead", branch, "Sales manager").await.user_id;
    let below =
        pb::Extent { kind: pb::ExtentKind::Subtree.into(), department_id: branch.to_owned(), ..pb::Extent::default() };
    let rights = ["user.view", "user.manage"].map(|action| view(&[action], everywhere()));
    for right in rights.into_iter().chain([view(&["grant.manage"], below)]) {
        granted(&world.admin, &lead, right).await.expect("the administrator may");
    }
    let person = world.log_in("lead").await;
    (lead, person)
}

#[tokio::test]
async fn who_tried_to_hand_out_what_stands_in_the_log_with_for_whom_and_which_right() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let branch = world.department(root, "Branch").await.department_id;
        let rep = world.user("rep", &branch, "Sales representative").await.user_id;
        let (auditor, eyes) = eyes(world).await;
        let (lead, person) = lead(world, &branch).await;
        let beyond = refused(Code::PermissionDenied, "GRANT_EXCEEDS_GRANTOR");
        let needs_another = refused(Code::FailedPrecondition, "APPROVAL_REQUIRED");

        let wide = granted(&person, &rep, view(&["customer.view"], everywhere())).await;
        assert_eq!(refusal(wide), beyond);
        let entry = refusal_of(world, &eyes, (&rep, "Access/CreateGrant")).await;
        assert_eq!((entry.subject_id.as_str(), entry.reason_code.as_str()), (lead.as_str(), "GRANT_EXCEEDS_GRANTOR"));
        assert_eq!((entry.resource.as_str(), entry.resource_ids), ("user", vec![rep.clone()]));
        assert_eq!(entry.fields, ["customer.view"]);

        let marketing = world.role("marketing").await;
        assert_eq!(refusal(overridden(&person, &rep, &marketing).await), beyond);
        let entry = refusal_of(world, &eyes, (&rep, "Access/SetRoleOverride")).await;
        assert_eq!((entry.resource_ids, entry.fields.len()), (vec![rep.clone(), marketing], 1));

        let me = &world.tenant.administrator_id;
        let own = granted(&world.admin, me, view(&["audit.view"], everywhere())).await;
        assert_eq!(refusal(own), needs_another);
        let entry = refusal_of(world, &eyes, (me, "Access/CreateGrant")).await;
        assert_eq!((entry.resource.as_str(), entry.resource_ids), ("grant", vec![me.clone()]), "and no grant");
        assert_eq!(entry.fields, ["audit.view"]);

        let link = pb::CreatePasswordLinkRequest { user_id: auditor.clone() };
        assert_eq!(refusal(world.admin.directory().create_password_link(link).await), needs_another);
        let entry = refusal_of(world, &eyes, (&auditor, "Directory/CreatePasswordLink")).await;
        assert_eq!((entry.resource_ids, entry.fields), (vec![auditor], vec!["audit.view".to_owned()]));

        let request = pb::CreateServiceAccountRequest {
            display_name: "Warehouse".to_owned(),
            department_id: root.clone(),
            role_ids: vec![world.role("auditor").await],
            ..pb::CreateServiceAccountRequest::default()
        };
        let role = request.role_ids.clone();
        assert_eq!(refusal(world.admin.directory().create_service_account(request).await), beyond);
        let entry = refusal_of(world, &eyes, (&role[0], "Directory/CreateServiceAccount")).await;
        assert_eq!(
            (entry.resource_ids, entry.fields),
            (role, vec!["audit.view".to_owned()]),
            "whom it would be is made up"
        );
    })
    .await;
}

#[tokio::test]
async fn for_whom_and_which_right_somebody_tried_second_is_found_too() {
    on_each(async |world| {
        let branch = world.department(&world.tenant.root_department_id, "Branch").await.department_id;
        let one = world.user("one", &branch, "Sales representative").await.user_id;
        let other = world.user("other", &branch, "Sales representative").await.user_id;
        let (_, eyes) = eyes(world).await;
        let (_, person) = lead(world, &branch).await;
        let beyond = refused(Code::PermissionDenied, "GRANT_EXCEEDS_GRANTOR");
        for (holder, action) in [(&one, "customer.view"), (&other, "customer.view"), (&one, "customer.export")] {
            assert_eq!(refusal(granted(&person, holder, view(&[action], everywhere())).await), beyond);
        }
        for (holder, expected) in [(one, &["customer.export", "customer.view"][..]), (other, &["customer.view"])] {
            let expected: BTreeSet<String> = expected.iter().map(|action| (*action).to_owned()).collect();
            let denied = |it: &pb::AuditEntry| it.reason_code == "GRANT_EXCEEDS_GRANTOR";
            let tried = async || {
                let found = about(&eyes, &holder).await.into_iter().filter(denied);
                Some(found.flat_map(|it| it.fields).collect::<BTreeSet<_>>()).filter(|tried| *tried == expected)
            };
            world.eventually("all that was tried is found by whom it was for", tried).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_refusal_to_widen_ones_own_rights_names_what_would_have_been_gained() {
    on_each(async |world| {
        let (_, eyes) = eyes(world).await;
        let (admin, me) = (&world.admin, &world.tenant.administrator_id);
        let needs_another = refused(Code::FailedPrecondition, "APPROVAL_REQUIRED");
        let auditor = world.role("auditor").await;
        assert_eq!(refusal(overridden(admin, me, &auditor).await), needs_another);
        let entry = refusal_of(world, &eyes, (&auditor, "Access/SetRoleOverride")).await;
        assert_eq!((entry.resource.as_str(), entry.resource_ids), ("user", vec![me.clone(), auditor]));
        assert_eq!(entry.fields, ["audit.view"], "the rest of the role is held");

        let request = pb::CreateRoleRequest {
            key: "mine".to_owned(),
            display_name: "Mine".to_owned(),
            templates: vec![view(&["role.view"], everywhere())],
            ..pb::CreateRoleRequest::default()
        };
        let mine = admin.access().create_role(request).await.expect("it is made").into_inner();
        overridden(admin, me, &mine.role_id).await.expect("nothing new");
        let role_id = mine.role_id.clone();
        let wider = pb::Role { templates: vec![view(&["audit.view"], everywhere())], ..mine };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["templates".to_owned()] });
        let update = pb::UpdateRoleRequest { role: Some(wider), update_mask, reason: String::new() };
        assert_eq!(refusal(admin.access().update_role(update).await), needs_another);
        let entry = refusal_of(world, &eyes, (&role_id, "Access/UpdateRole")).await;
        assert_eq!((entry.resource.as_str(), entry.resource_ids), ("role", vec![role_id]));
        assert_eq!(entry.fields, ["audit.view"]);
    })
    .await;
}

#[tokio::test]
async fn sessions_that_end_by_themselves_new_positions_and_exceptions_are_found_by_whose_they_are() {
    on_each(async |world| {
        let (_, eyes) = eyes(world).await;
        let mei = world.user("mei", &world.tenant.root_department_id, "Sales representative").await.user_id;
        let person = world.log_in("mei").await;
        person.auth().log_out(pb::LogOutRequest {}).await.expect("it ends");
        let mut sessions = Vec::new();
        for _ in 0..=SESSIONS_MAX {
            sessions.push(world.log_in("mei").await.tokens.session_id);
        }
        let (had, new) = (world.position("Sales representative").await, world.position("Auditor").await);
        let position_ids = vec![had, new.clone()];
        let user = pb::User { user_id: mei.clone(), position_ids, ..pb::User::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["position_ids".to_owned()] });
        let update = pb::UpdateUserRequest { user: Some(user), update_mask, reason: String::new() };
        world.admin.directory().update_user(update).await.expect("it is given");
        let guard = pb::Guard {
            target: Some(pb::GuardTarget { except_subject_ids: vec![mei.clone()], ..pb::GuardTarget::default() }),
            actions: vec!["customer.view".to_owned()],
            reason: "a test".to_owned(),
            ..pb::Guard::default()
        };
        let request = pb::CreateGuardRequest { guard: Some(guard), ..pb::CreateGuardRequest::default() };
        let guard_id = world.admin.access().create_guard(request).await.expect("it is put up").into_inner().guard_id;
        let expected = [
            ("auth.log_out", vec![person.tokens.session_id, mei.clone()]),
            ("auth.session_replaced", vec![sessions.remove(0), mei.clone()]),
            ("user.manage", vec![mei.clone(), new]),
            ("grant.guard_manage", vec![guard_id, mei.clone()]),
        ];
        for (action, ids) in expected {
            let named = |it: &pb::AuditEntry| it.action == action && it.resource_ids == ids;
            world.eventually(action, async || about(&eyes, &mei).await.into_iter().find(named)).await;
        }
    })
    .await;
}

/// Changes that somebody is about, each with what it is found by beside; answers them by the reason that was given.
async fn changes(world: &World, mei: &str) -> BTreeMap<&'static str, Vec<String>> {
    let admin = &world.admin;
    let grant_id = granted(admin, mei, view(&["customer.view"], everywhere())).await.expect("it is granted");
    let request = pb::RevokeGrantRequest { grant_id: grant_id.clone(), reason: "grant ends".to_owned() };
    admin.access().revoke_grant(request).await.expect("it is revoked");
    let role_id = world.role("marketing").await;
    let (user_id, source) = (mei.to_owned(), pb::RoleSource::Added.into());
    let given = pb::SetRoleOverrideRequest {
        user_id: user_id.clone(),
        role_id: role_id.clone(),
        source,
        reason: "role begins".to_owned(),
    };
    admin.access().set_role_override(given).await.expect("it is given");
    let ended = pb::ClearRoleOverrideRequest {
        user_id: user_id.clone(),
        role_id: role_id.clone(),
        reason: "role ends".to_owned(),
    };
    admin.access().clear_role_override(ended).await.expect("it ends");
    let guard = pb::Guard {
        target: Some(pb::GuardTarget {
            whom: Some(pb::guard_target::Whom::SubjectId(mei.to_owned())),
            ..pb::GuardTarget::default()
        }),
        actions: vec!["customer.view".to_owned()],
        reason: "guard begins".to_owned(),
        ..pb::Guard::default()
    };
    let request = pb::CreateGuardRequest { guard: Some(guard), ..pb::CreateGuardRequest::default() };
    let guard_id = admin.access().create_guard(request).await.expect("it is put up").into_inner().guard_id;
    let request = pb::DeleteGuardRequest { guard_id: guard_id.clone(), reason: "guard ends".to_owned() };
    admin.access().delete_guard(request).await.expect("it is lifted");
    let session_id = world.log_in("mei").await.tokens.session_id;
    let request = pb::RevokeSessionRequest { session_id: session_id.clone(), reason: "session ends".to_owned() };
    admin.auth().revoke_session(request).await.expect("it ends");
    BTreeMap::from([
        ("a test", vec![grant_id.clone()]),
        ("grant ends", vec![grant_id]),
        ("role begins", vec![role_id.clone()]),
        ("role ends", vec![role_id]),
        ("guard begins", vec![guard_id.clone()]),
        ("guard ends", vec![guard_id]),
        ("session ends", vec![session_id]),
    ])
}

#[tokio::test]
async fn each_change_of_rights_is_found_by_whom_it_is_about_and_by_what_it_writes() {
    on_each(async |world| {
        let (_, eyes) = eyes(world).await;
        let mei = world.user("mei", &world.tenant.root_department_id, "Sales representative").await.user_id;
        let expected = changes(world, &mei).await;
        let by_reason = |entries: Vec<pb::AuditEntry>| -> BTreeMap<String, Vec<String>> {
            entries.into_iter().map(|it| (it.why, it.resource_ids)).collect()
        };
        let last = |found: &BTreeMap<String, Vec<String>>| found.contains_key("session ends");
        let found = world
            .eventually("the last one is found by her", async || Some(by_reason(about(&eyes, &mei).await)).filter(last))
            .await;
        for (why, ids) in expected {
            let named = found.get(why).unwrap_or_else(|| panic!("{why} is not found by her: {found:?}"));
            assert!(named.contains(&mei) && named.len() == ids.len() + 1, "{why}: {named:?}");
            for id in ids {
                assert!(named.contains(&id), "{why}: {named:?}");
                assert!(by_reason(about(&eyes, &id).await).contains_key(why), "{why} is found by {id}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_used_refresh_token_that_is_shown_again_names_whose_it_was() {
    on_each(async |world| {
        let (_, eyes) = eyes(world).await;
        let mei = world.user("mei", &world.tenant.root_department_id, "Sales representative").await.user_id;
        let tokens = world.log_in("mei").await.tokens;
        let request = || pb::RefreshRequest { refresh_token: tokens.refresh_token.clone() };
        world.auth().refresh(request()).await.expect("it is the current one");
        assert_eq!(refusal(world.auth().refresh(request()).await), refused(Code::Unauthenticated, "REFRESH_REFUSED"));
        let reused = |it: &pb::AuditEntry| it.action == "auth.refresh_reused";
        let entry =
            world.eventually("it is found by her", async || about(&eyes, &mei).await.into_iter().find(reused)).await;
        assert_eq!((entry.subject_id, entry.session_id), (mei.clone(), tokens.session_id.clone()));
        assert_eq!(entry.resource_ids, [tokens.session_id, mei]);
    })
    .await;
}

#[tokio::test]
async fn a_clear_read_of_a_colleague_names_what_was_read_and_by_what_right() {
    on_each(async |world| {
        let lei = world.user("lei", &world.tenant.root_department_id, "Sales representative").await.user_id;
        let (_, eyes) = eyes(world).await;
        let paths = vec!["email".to_owned()];
        let read_mask = Some(prost_types::FieldMask { paths });
        let get = pb::GetUserRequest { user_id: lei.clone(), read_mask };
        world.admin.directory().get_user(get).await.expect("it is seen");
        let read = |it: &pb::AuditEntry| it.action == "user.view";
        let entry = world.eventually("the read", async || about(&eyes, &lei).await.into_iter().find(read)).await;
        assert_eq!((entry.resource.as_str(), entry.fields.as_slice()), ("user", &["email".to_owned()][..]));
        assert!(entry.witness.starts_with("position:") && entry.revision > 0, "{entry:?}");
        assert_eq!(entry.outcome(), pb::AuditOutcome::Done);
    })
    .await;
}
