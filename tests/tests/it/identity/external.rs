//! Rows of other systems: types that a company registers, rights to them, and what is decided about rows that are sent.

use revisit_proto::identity::v1 as pb;
use tonic::{Code, Status};
use uuid::Uuid;

use super::{
    access::{question, right},
    support::{Person, World, fields, first_log_in, on_each, refusal, refused},
};

mod attackers;
mod fresh;
pub mod kept;
mod places;
mod previews;
mod unseen;
mod waits;
mod walls;

/// A type of contracts that another system keeps.
pub fn contracts(keeping: pb::ExternalKeeping) -> pb::ExternalType {
    let action =
        |name: &str, verb: &str| pb::ExternalAction { name: name.to_owned(), verb: format!("external.{verb}") };
    let field = |name: &str, layer: &str| pb::ExternalField { name: name.to_owned(), layer: layer.to_owned() };
    pb::ExternalType {
        name: "contract".to_owned(),
        display_name: "Contracts".to_owned(),
        actions: vec![action("read", "view"), action("sign", "approve"), action("amend", "update")],
        fields: vec![field("title", "basic"), field("price", "financial")],
        attributes: ["owner", "department", "teams", "stage", "flags"].map(ToOwned::to_owned).to_vec(),
        keeping: keeping.into(),
        ..pb::ExternalType::default()
    }
}

pub async fn register(who: &Person, it: pb::ExternalType) -> Result<pb::ExternalType, Status> {
    let request = pb::CreateExternalTypeRequest { external_type: Some(it), ..pb::CreateExternalTypeRequest::default() };
    who.external_types().create_external_type(request).await.map(tonic::Response::into_inner)
}

/// The same type under another name.
pub fn named(name: &str, it: pb::ExternalType) -> pb::ExternalType {
    pb::ExternalType { name: name.to_owned(), ..it }
}

/// A right to rows of registered types; of all when none is named.
pub fn over(verbs: &[&str], kind: pb::ExtentKind, types: &[&str]) -> pb::GrantTemplate {
    let external_types = types.iter().map(|name| (*name).to_owned()).collect();
    pb::GrantTemplate { external_types, ..right(verbs, kind) }
}

pub async fn granted(who: &Person, holder: &str, right: pb::GrantTemplate) -> Result<pb::Grant, Status> {
    let (holder_id, reason) = (holder.to_owned(), "a test".to_owned());
    let request = pb::CreateGrantRequest { holder_id, right: Some(right), reason, ..pb::CreateGrantRequest::default() };
    who.access().create_grant(request).await.map(tonic::Response::into_inner)
}

/// A row that is sent, of somebody.
pub fn sent(name: &str, owner: &str) -> pb::RowAttributes {
    pb::RowAttributes {
        row_id: Uuid::from_u128(1).to_string(),
        owner_id: owner.to_owned(),
        external_type: name.to_owned(),
        ..pb::RowAttributes::default()
    }
}

pub async fn check(who: &Person, check: pb::CheckRequest) -> pb::CheckResponse {
    who.access().check(check).await.expect("it is answered").into_inner()
}

pub async fn allowed(who: &Person, subject: &str, action: &str, row: pb::RowAttributes) -> bool {
    check(who, question(subject, action, row)).await.allowed
}

/// A second company with its administrator.
pub async fn other_company(world: &World) -> Person {
    let request = pb::CreateTenantRequest {
        key: "rival".to_owned(),
        display_name: "Rival".to_owned(),
        administrator_username: "chief".to_owned(),
        administrator_email: "chief@rival.example".to_owned(),
        ..pb::CreateTenantRequest::default()
    };
    let made = world.operator.directory().create_tenant(request).await.expect("it is founded").into_inner();
    first_log_in(&world.channel, "rival", "chief", &made.password_token).await
}

#[tokio::test]
async fn a_registered_type_is_decided_about_under_its_own_names_without_any_code() {
    on_each(async |world| {
        let admin = &world.admin;
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Finance").await.user_id;
        let lin = world.user("lin", root, "Finance").await.user_id;
        let before = check(admin, question(&mei, "contract.sign", sent("contract", &mei))).await;
        assert!(!before.allowed, "nobody has registered it yet: {before:?}");
        let made = register(admin, contracts(pb::ExternalKeeping::Sent)).await.expect("it is registered");
        assert!(!made.revision_token.is_empty() && made.etag == "1", "{made:?}");
        granted(admin, &mei, over(&["external.approve", "external.view"], pb::ExtentKind::Own, &["contract"]))
            .await
            .expect("who may grant gives it");

        let mei_may = async |action: &str, owner: &str| allowed(admin, &mei, action, sent("contract", owner)).await;
        assert!(mei_may("contract.sign", &mei).await && mei_may("external.approve", &mei).await);
        assert!(mei_may("contract.read", &mei).await);
        assert!(!mei_may("contract.sign", &lin).await, "it is not her own");
        assert!(!mei_may("contract.amend", &mei).await, "no grant has this verb");
        assert!(!mei_may("contract.shred", &mei).await, "the type has no such action");
        assert!(!mei_may("customer.view", &mei).await, "no action on rows of other systems");
        let untold = pb::RowAttributes { external_type: String::new(), ..sent("", &mei) };
        assert!(allowed(admin, &mei, "contract.sign", untold.clone()).await, "the name says the type");
        assert!(!allowed(admin, &mei, "external.approve", untold).await, "nothing says the type");
        assert!(!allowed(admin, &mei, "external.approve", sent("invoice", &mei)).await, "it is not registered");

        let ask = pb::CheckFieldsRequest {
            check: Some(question(&mei, "contract.sign", sent("contract", &mei))),
            fields: ["title", "price", "never_heard_of"].map(ToOwned::to_owned).to_vec(),
        };
        let told = admin.access().check_fields(ask).await.expect("it is answered").into_inner().fields;
        let told: Vec<_> = told.iter().map(|it| (it.layer.as_str(), it.level())).collect();
        let (read, hidden) = (pb::Level::Read, pb::Level::Hidden);
        assert_eq!(told, [("basic", read), ("financial", hidden), ("sensitive", hidden)]);

        let check = Some(question(&mei, "contract.sign", sent("contract", &lin)));
        let told = admin.access().explain_access(pb::ExplainAccessRequest { check }).await.expect("it is explained");
        assert_eq!(told.into_inner().refused_axis(), pb::Axis::Extent);
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_names_types_is_about_their_rows_and_one_that_names_none_about_all() {
    on_each(async |world| {
        let admin = &world.admin;
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Finance").await.user_id;
        for name in ["contract", "invoice"] {
            register(admin, named(name, contracts(pb::ExternalKeeping::Sent))).await.expect("it is registered");
        }
        granted(admin, &mei, over(&["external.view"], pb::ExtentKind::Tenant, &[])).await.expect("it is granted");
        granted(admin, &mei, over(&["external.update"], pb::ExtentKind::Tenant, &["invoice"])).await.expect("and this");
        let may = async |action: &str, name: &str| allowed(admin, &mei, action, sent(name, &mei)).await;
        assert!(may("external.view", "contract").await && may("external.view", "invoice").await);
        assert!(!may("external.update", "contract").await && may("external.update", "invoice").await);
        register(admin, named("ticket", contracts(pb::ExternalKeeping::Sent))).await.expect("it is registered");
        assert!(may("ticket.read", "ticket").await, "a later type is one of all");

        let guard = pb::Guard {
            actions: vec!["external.view".to_owned()],
            condition: Some(pb::RowCondition {
                external_types: vec!["contract".to_owned()],
                vip: true,
                ..pb::RowCondition::default()
            }),
            reason: "the board's".to_owned(),
            ..pb::Guard::default()
        };
        let request = pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() };
        let guard = admin.access().create_guard(request).await.expect("it is put up").into_inner();
        let vip = |name: &str| pb::RowAttributes { vip: true, ..sent(name, &mei) };
        assert!(!allowed(admin, &mei, "contract.read", vip("contract")).await);
        assert!(allowed(admin, &mei, "invoice.read", vip("invoice")).await && may("contract.read", "contract").await);

        let names = guard.condition.expect("as it was sent").external_types;
        let listed = admin.access().list_grants(pb::ListGrantsRequest::default()).await.expect("a list").into_inner();
        let of: Vec<_> = listed.grants.into_iter().filter_map(|it| it.right).map(|it| it.external_types).collect();
        assert_eq!((names, of), (vec!["contract".to_owned()], vec![vec![], vec!["invoice".to_owned()]]));

        let filter = async |name: &str| {
            let request = pb::ListFilterRequest {
                subject_id: mei.clone(),
                action: "external.update".to_owned(),
                external_type: name.to_owned(),
                ..pb::ListFilterRequest::default()
            };
            let it = admin.access().list_filter(request).await.expect("a filter").into_inner();
            (it.external_type, it.accounts[0].clauses.len())
        };
        assert_eq!(filter("invoice").await, ("invoice".to_owned(), 1));
        assert_eq!(filter("contract").await, ("contract".to_owned(), 0));

        let proposed = pb::CreateGrantRequest {
            holder_id: mei.clone(),
            right: Some(over(&["external.delete"], pb::ExtentKind::Own, &["ticket"])),
            reason: "a test".to_owned(),
            ..pb::CreateGrantRequest::default()
        };
        let change = Some(pb::preview_change_request::Change::CreateGrant(proposed));
        let request = pb::PreviewChangeRequest { change, ..pb::PreviewChangeRequest::default() };
        let told = admin.access().preview_change(request).await.expect("it is shown").into_inner().rights;
        let told: Vec<_> = told.iter().map(|it| (it.action.as_str(), it.external_type.as_str())).collect();
        assert_eq!(told, [("external.delete", "ticket")]);

        let asked = pb::ListSubjectsWithAccessRequest {
            action: "invoice.amend".to_owned(),
            row: Some(sent("invoice", "")),
            ..pb::ListSubjectsWithAccessRequest::default()
        };
        let able = admin.access().list_subjects_with_access(asked).await.expect("a list").into_inner().subjects;
        assert_eq!(able.iter().map(|it| &it.subject_id).collect::<Vec<_>>(), [&mei]);
    })
    .await;
}

#[tokio::test]
async fn what_a_type_does_not_have_is_refused_by_its_field() {
    on_each(async |world| {
        let admin = &world.admin;
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Finance").await.user_id;
        register(admin, contracts(pb::ExternalKeeping::Sent)).await.expect("it is registered");
        let graded = pb::RowAttributes { grade: "A".to_owned(), ..sent("contract", &mei) };
        let asked = admin.access().check(question(&mei, "contract.sign", graded)).await;
        assert_eq!(fields(asked), ["row.grade"], "contracts have no grade");

        let give = async |right: pb::GrantTemplate| granted(admin, &mei, right).await;
        let view = |types: &[&str]| over(&["external.view"], pb::ExtentKind::Own, types);
        assert_eq!(fields(give(view(&["invoice"])).await), ["right.external_types"], "it is not registered");
        let ours = over(&["customer.view"], pb::ExtentKind::Own, &["contract"]);
        assert_eq!(fields(give(ours).await), ["right.external_types"], "customers are of no registered type");
        let graded = pb::GrantTemplate { grades: vec!["A".to_owned()], ..view(&["contract"]) };
        assert_eq!(fields(give(graded).await), ["right.grades"], "contracts have no grade");
        let lent = over(&["external.view"], pb::ExtentKind::Task, &[]);
        assert_eq!(fields(give(lent).await), ["right.extent.kind"], "tasks lend no rows of other systems");

        let good = || contracts(pb::ExternalKeeping::Sent);
        let action = |name: &str, verb: &str| pb::ExternalAction { name: name.to_owned(), verb: verb.to_owned() };
        for (spoiled, field) in [
            (named("customer", good()), "external_type.name"),
            (named("Contract", good()), "external_type.name"),
            (named("", good()), "external_type.name"),
            (
                pb::ExternalType { actions: vec![action("look", "customer.view")], ..good() },
                "external_type.actions[0].verb",
            ),
            (
                pb::ExternalType { actions: vec![action("a.b", "external.view")], ..good() },
                "external_type.actions[0].name",
            ),
            (pb::ExternalType { attributes: vec!["task_holders".to_owned()], ..good() }, "external_type.attributes[0]"),
            (pb::ExternalType { keeping: 0, ..good() }, "external_type.keeping"),
            (pb::ExternalType { display_name: String::new(), ..good() }, "external_type.display_name"),
        ] {
            assert_eq!(fields(register(admin, spoiled).await), [field]);
        }
        let taken = refused(Code::AlreadyExists, "EXTERNAL_TYPE_TAKEN");
        assert_eq!(refusal(register(admin, good()).await), taken);
    })
    .await;
}

#[tokio::test]
async fn a_type_is_changed_and_removed_with_its_version_and_not_while_a_rule_names_it() {
    on_each(async |world| {
        let admin = &world.admin;
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Finance").await.user_id;
        let made = register(admin, contracts(pb::ExternalKeeping::Sent)).await.expect("it is registered");
        let grant = granted(admin, &mei, over(&["external.update"], pb::ExtentKind::Own, &["contract"])).await;
        let grant = grant.expect("it is granted");
        let may = async |action: &str| allowed(admin, &mei, action, sent("contract", &mei)).await;
        assert!(may("contract.amend").await && !may("contract.sign").await);

        let update = async |it: pb::ExternalType, path: &str| {
            let update_mask = Some(prost_types::FieldMask { paths: vec![path.to_owned()] });
            let request = pb::UpdateExternalTypeRequest { external_type: Some(it), update_mask, reason: String::new() };
            admin.external_types().update_external_type(request).await.map(tonic::Response::into_inner)
        };
        let mut other = made.clone();
        other.actions = vec![pb::ExternalAction { name: "sign".to_owned(), verb: "external.update".to_owned() }];
        let changed = update(other.clone(), "actions").await.expect("it is changed");
        assert!(!may("contract.amend").await && may("contract.sign").await, "decisions follow at once");
        assert_eq!(refusal(update(other, "actions").await), refused(Code::Aborted, "ETAG_STALE"));
        let fewer = pb::ExternalType { attributes: vec!["owner".to_owned()], ..changed.clone() };
        let narrowed = refused(Code::FailedPrecondition, "EXTERNAL_TYPE_NARROWED");
        assert_eq!(refusal(update(fewer, "attributes").await), narrowed);

        let delete = async |etag: &str| {
            let (name, etag) = ("contract".to_owned(), etag.to_owned());
            let request = pb::DeleteExternalTypeRequest { name, etag, reason: String::new() };
            admin.external_types().delete_external_type(request).await
        };
        let in_use = refused(Code::FailedPrecondition, "EXTERNAL_TYPE_IN_USE");
        assert_eq!(refusal(delete(&changed.etag).await), in_use);
        let request = pb::RevokeGrantRequest { grant_id: grant.grant_id, reason: String::new() };
        admin.access().revoke_grant(request).await.expect("it is revoked");
        assert_eq!(refusal(delete("7").await), refused(Code::Aborted, "ETAG_STALE"));
        granted(admin, &mei, over(&["external.view"], pb::ExtentKind::Tenant, &[])).await.expect("over every type");
        assert!(may("external.view").await);
        delete(&changed.etag).await.expect("nothing names it");
        assert!(!may("external.view").await, "of a type that is gone there are no rows");
        assert_eq!(refusal(delete("").await), refused(Code::NotFound, "EXTERNAL_TYPE_NOT_FOUND"));
        let list = admin.external_types().list_external_types(pb::ListExternalTypesRequest::default()).await;
        assert_eq!(list.expect("a list").into_inner().external_types, []);
    })
    .await;
}

#[tokio::test]
async fn types_are_listed_page_by_page_and_a_repeat_registers_once() {
    on_each(async |world| {
        let admin = &world.admin;
        for name in ["ticket", "contract", "invoice"] {
            register(admin, named(name, contracts(pb::ExternalKeeping::Sent))).await.expect("it is registered");
        }
        let (mut names, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListExternalTypesRequest { page_size: 2, page_token };
            let page = admin.external_types().list_external_types(request).await.expect("a page").into_inner();
            names.extend(page.external_types.into_iter().map(|it| it.name));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(names, ["contract", "invoice", "ticket"]);
        let request = pb::CreateExternalTypeRequest {
            external_type: Some(named("order", contracts(pb::ExternalKeeping::Kept))),
            request_id: Uuid::from_u128(77).to_string(),
            ..pb::CreateExternalTypeRequest::default()
        };
        let create = async || admin.external_types().create_external_type(request.clone()).await;
        let first = create().await.expect("it is registered").into_inner();
        assert_eq!(create().await.expect("the first answer").into_inner(), first);
    })
    .await;
}
