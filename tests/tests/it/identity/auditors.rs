//! Who reads the audit log: appointed by who may grant, never by oneself, never by way of a program.

use revisit_proto::identity::v1 as pb;
use tonic::Code;

use super::support::{World, on_each, refusal, refused};

fn seeing_the_log() -> pb::GrantTemplate {
    pb::GrantTemplate {
        actions: vec!["audit.view".to_owned()],
        extent: Some(pb::Extent { kind: pb::ExtentKind::Tenant.into(), ..pb::Extent::default() }),
        levels: Some(pb::LayerLevels { basic: pb::Level::Read.into(), ..pb::LayerLevels::default() }),
        ..pb::GrantTemplate::default()
    }
}

fn grant(holder: &str) -> pb::CreateGrantRequest {
    let (holder_id, right) = (holder.to_owned(), Some(seeing_the_log()));
    pb::CreateGrantRequest { holder_id, right, reason: "to look".to_owned(), ..pb::CreateGrantRequest::default() }
}

fn added(user: &str, role: &str) -> pb::SetRoleOverrideRequest {
    let source = pb::RoleSource::Added.into();
    pb::SetRoleOverrideRequest { user_id: user.to_owned(), role_id: role.to_owned(), source, reason: String::new() }
}

fn own_role(key: &str, templates: Vec<pb::GrantTemplate>) -> pb::CreateRoleRequest {
    let (key, display_name) = (key.to_owned(), key.to_owned());
    pb::CreateRoleRequest { key, display_name, templates, ..pb::CreateRoleRequest::default() }
}

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

async fn reads_the_log(world: &World, username: &str) -> bool {
    let person = world.log_in(username).await;
    person.audit().list_entries(pb::ListEntriesRequest::default()).await.is_ok()
}

#[tokio::test]
async fn an_administrator_appoints_an_auditor_by_position_role_and_grant() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        world.user("by-position", root, "Auditor").await;
        let by_role = world.user("by-role", root, "Sales representative").await.user_id;
        let role = world.role("auditor").await;
        world.admin.access().set_role_override(added(&by_role, &role)).await.expect("it is given");
        let by_grant = world.user("by-grant", root, "Sales representative").await.user_id;
        world.admin.access().create_grant(grant(&by_grant)).await.expect("it is granted");
        for username in ["by-position", "by-role", "by-grant"] {
            assert!(reads_the_log(world, username).await, "{username}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_administrator_does_not_become_an_auditor_on_any_way_of_the_own() {
    on_each(async |world| {
        let needs_another = refused(Code::FailedPrecondition, "APPROVAL_REQUIRED");
        let (access, directory) = (|| world.admin.access(), || world.admin.directory());
        let me = &world.tenant.administrator_id;
        let auditor = world.role("auditor").await;
        assert_eq!(refusal(access().create_grant(grant(me)).await), needs_another);
        assert_eq!(refusal(access().set_role_override(added(me, &auditor)).await), needs_another);
        let positions = vec![world.position("Administrator").await, world.position("Auditor").await];
        let user = pb::User { user_id: me.clone(), position_ids: positions, ..pb::User::default() };
        let update =
            pb::UpdateUserRequest { user: Some(user), update_mask: mask(&["position_ids"]), reason: String::new() };
        assert_eq!(refusal(directory().update_user(update).await), needs_another);
        // By way of a position or a role that the administrator holds already.
        let position = pb::Position {
            position_id: world.position("Administrator").await,
            role_ids: vec![world.role("admin").await, auditor],
            ..pb::Position::default()
        };
        let update = pb::UpdatePositionRequest {
            position: Some(position),
            update_mask: mask(&["role_ids"]),
            reason: String::new(),
        };
        assert_eq!(refusal(directory().update_position(update).await), needs_another);
        let harmless = pb::GrantTemplate { actions: vec!["role.view".to_owned()], ..seeing_the_log() };
        let mine = access().create_role(own_role("mine", vec![harmless])).await.expect("it is made").into_inner();
        access().set_role_override(added(me, &mine.role_id)).await.expect("nothing new");
        let wider = pb::Role { templates: vec![seeing_the_log()], ..mine };
        let update =
            pb::UpdateRoleRequest { role: Some(wider), update_mask: mask(&["templates"]), reason: String::new() };
        assert_eq!(refusal(access().update_role(update).await), needs_another);
        assert!(!reads_the_log(world, super::support::ADMINISTRATOR).await);
    })
    .await;
}

#[tokio::test]
async fn a_program_whose_secret_the_administrator_knows_does_not_read_the_log() {
    on_each(async |world| {
        let too_wide = refused(Code::PermissionDenied, "GRANT_EXCEEDS_GRANTOR");
        let root = &world.tenant.root_department_id;
        let program = |role: &str| pb::CreateServiceAccountRequest {
            display_name: format!("program-{role}"),
            department_id: root.clone(),
            role_ids: vec![role.to_owned()],
            ..pb::CreateServiceAccountRequest::default()
        };
        let auditor = world.role("auditor").await;
        assert_eq!(refusal(world.admin.directory().create_service_account(program(&auditor)).await), too_wide);
        let harmless = pb::GrantTemplate { actions: vec!["role.view".to_owned()], ..seeing_the_log() };
        let role = world.admin.access().create_role(own_role("robot", vec![harmless])).await.expect("it is made");
        let role = role.into_inner();
        let made = world.admin.directory().create_service_account(program(&role.role_id)).await.expect("it is made");
        let account = made.into_inner().service_account.expect("the account").service_account_id;
        assert_eq!(refusal(world.admin.access().create_grant(grant(&account)).await), too_wide);
        let wider = pb::Role { templates: vec![seeing_the_log()], ..role };
        let update =
            pb::UpdateRoleRequest { role: Some(wider), update_mask: mask(&["templates"]), reason: String::new() };
        assert_eq!(refusal(world.admin.access().update_role(update).await), too_wide);
    })
    .await;
}
