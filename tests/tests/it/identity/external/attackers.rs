//! What nobody gets at by way of registered types: rows of another company, of another type, or more than was given.

use revisit_proto::identity::v1 as pb;
use tonic::Code;

use super::{
    super::support::{on_each, refusal, refused},
    allowed, contracts, granted, named, other_company, over, register, sent,
};

fn needs_another() -> (Code, String) {
    refused(Code::FailedPrecondition, "APPROVAL_REQUIRED")
}

#[tokio::test]
async fn a_type_of_the_same_name_in_another_company_means_nothing_here() {
    on_each(async |world| {
        let rival = other_company(world).await;
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Finance").await.user_id;
        register(&rival, contracts(pb::ExternalKeeping::Sent)).await.expect("theirs");
        let given = granted(&world.admin, &mei, over(&["external.view"], pb::ExtentKind::Tenant, &["contract"])).await;
        assert_eq!(refusal(given).0, Code::InvalidArgument, "here nobody has registered it");
        granted(&world.admin, &mei, over(&["external.view"], pb::ExtentKind::Tenant, &[])).await.expect("every type");
        assert!(!allowed(&world.admin, &mei, "contract.read", sent("contract", &mei)).await);
        register(&world.admin, contracts(pb::ExternalKeeping::Sent)).await.expect("ours");
        assert!(allowed(&world.admin, &mei, "contract.read", sent("contract", &mei)).await);
        let chief = rival.tokens.subject_id.clone();
        assert!(!allowed(&rival, &chief, "contract.read", sent("contract", &chief)).await);
        let foreign = pb::CheckRequest {
            tenant_id: world.tenant.tenant_id.clone(),
            ..super::question(&mei, "contract.read", sent("contract", &mei))
        };
        assert_eq!(refusal(rival.access().check(foreign).await), refused(Code::NotFound, "USER_NOT_FOUND"));
    })
    .await;
}

#[tokio::test]
async fn the_extent_of_one_grant_and_the_type_of_another_are_never_combined() {
    on_each(async |world| {
        let admin = &world.admin;
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Finance").await.user_id;
        for name in ["contract", "invoice"] {
            register(admin, named(name, contracts(pb::ExternalKeeping::Sent))).await.expect("it is registered");
        }
        granted(admin, &mei, over(&["external.view"], pb::ExtentKind::Tenant, &["invoice"])).await.expect("wide");
        granted(admin, &mei, over(&["external.view", "external.approve"], pb::ExtentKind::Own, &["contract"]))
            .await
            .expect("narrow");
        let nobodys = |name: &str| sent(name, "");
        assert!(allowed(admin, &mei, "invoice.read", nobodys("invoice")).await);
        assert!(!allowed(admin, &mei, "contract.read", nobodys("contract")).await, "only her own contracts");
        assert!(!allowed(admin, &mei, "invoice.sign", sent("invoice", &mei)).await, "only contracts are signed");
        assert!(allowed(admin, &mei, "contract.sign", sent("contract", &mei)).await);
        // A name of one type about a row of another.
        assert!(!allowed(admin, &mei, "contract.sign", sent("invoice", &mei)).await);
    })
    .await;
}

#[tokio::test]
async fn who_may_not_manage_types_registers_none_and_who_holds_rights_gives_himself_no_names() {
    on_each(async |world| {
        let admin = &world.admin;
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales manager").await.user_id;
        let person = world.log_in("mei").await;
        let denied = refused(Code::PermissionDenied, "PERMISSION_DENIED");
        assert_eq!(refusal(register(&person, contracts(pb::ExternalKeeping::Sent)).await), denied);
        let get = pb::GetExternalTypeRequest { name: "contract".to_owned() };
        assert_eq!(refusal(person.external_types().get_external_type(get).await), denied);
        let list = pb::ListExternalTypesRequest::default();
        assert_eq!(refusal(person.external_types().list_external_types(list).await), denied);

        let manage = over(&["tenant.external_type_manage"], pb::ExtentKind::Tenant, &[]);
        let write = pb::Level::Write.into();
        let levels = pb::LayerLevels { basic: write, ..pb::LayerLevels::default() };
        granted(admin, &mei, pb::GrantTemplate { levels: Some(levels), ..manage })
            .await
            .expect("who holds it gives it");
        granted(admin, &mei, over(&["external.view"], pb::ExtentKind::Tenant, &[])).await.expect("over every type");
        assert_eq!(refusal(register(&person, contracts(pb::ExternalKeeping::Sent)).await), needs_another());
        let made = register(admin, contracts(pb::ExternalKeeping::Sent)).await.expect("a second person");
        let update = async |it: pb::ExternalType, path: &str| {
            let update_mask = Some(prost_types::FieldMask { paths: vec![path.to_owned()] });
            let request = pb::UpdateExternalTypeRequest { external_type: Some(it), update_mask, reason: String::new() };
            person.external_types().update_external_type(request).await
        };
        let mut remapped = made.clone();
        let sign = remapped.actions.iter_mut().find(|it| it.name == "sign").expect("it is there");
        sign.verb = "external.view".to_owned();
        assert_eq!(refusal(update(remapped, "actions").await), needs_another(), "she would sign");
        let to = |field: &str, layer: &str| {
            let mut moved = made.clone();
            let field = moved.fields.iter_mut().find(|it| it.name == field).expect("it is there");
            field.layer = layer.to_owned();
            moved
        };
        assert_eq!(refusal(update(to("price", "basic"), "fields").await), needs_another(), "she would read prices");
        update(to("title", "review"), "fields").await.expect("she reads less");
    })
    .await;
}

#[tokio::test]
async fn who_holds_a_right_that_waits_for_an_attribute_adds_none_of_that_kind() {
    on_each(async |world| {
        let admin = &world.admin;
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Finance").await.user_id;
        let person = world.log_in("mei").await;
        let manage = over(&["tenant.external_type_manage"], pb::ExtentKind::Tenant, &[]);
        let write = pb::LayerLevels { basic: pb::Level::Write.into(), ..pb::LayerLevels::default() };
        granted(admin, &mei, pb::GrantTemplate { levels: Some(write), ..manage }).await.expect("who holds it gives it");
        granted(admin, &mei, over(&["external.view"], pb::ExtentKind::Own, &[])).await.expect("of every type");
        let bare = |name: &str, attributes: &[&str]| pb::ExternalType {
            actions: Vec::new(),
            fields: Vec::new(),
            attributes: attributes.iter().map(|it| (*it).to_owned()).collect(),
            ..named(name, contracts(pb::ExternalKeeping::Sent))
        };
        let made = register(admin, bare("ticket", &["department"])).await.expect("a second person");
        let update = async |attributes: &[&str], etag: &str| {
            let it = pb::ExternalType { etag: etag.to_owned(), ..bare("ticket", attributes) };
            let update_mask = Some(prost_types::FieldMask { paths: vec!["attributes".to_owned()] });
            let request = pb::UpdateExternalTypeRequest { external_type: Some(it), update_mask, reason: String::new() };
            person.external_types().update_external_type(request).await.map(tonic::Response::into_inner)
        };
        let owned = update(&["department", "owner"], &made.etag).await;
        assert_eq!(refusal(owned), needs_another(), "tickets could be hers");
        update(&["department", "stage"], &made.etag).await.expect("no right of hers looks at a stage");
        assert_eq!(refusal(register(&person, bare("letter", &["owner"])).await), needs_another());

        // A guard on another type stands as it stood.
        let guard = pb::Guard {
            actions: vec!["external.view".to_owned()],
            condition: Some(pb::RowCondition { external_types: vec!["ticket".into()], ..pb::RowCondition::default() }),
            reason: "a test".to_owned(),
            ..pb::Guard::default()
        };
        let request = pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() };
        admin.access().create_guard(request).await.expect("it is put up");
        register(&person, bare("letter", &["department"])).await.expect("it gives her nothing");
    })
    .await;
}
