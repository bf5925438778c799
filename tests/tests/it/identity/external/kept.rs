//! Rows of other systems that identity keeps: put, listed and searched as they are checked.

use std::collections::BTreeMap;

use revisit_proto::identity::v1 as pb;
use tonic::{Code, Status};
use uuid::Uuid;

use super::{
    super::{
        access::question,
        support::{Person, World, fields, on_each, refusal, refused},
    },
    allowed, check, contracts, granted, named, other_company, over, register,
};

pub fn levels(level: pb::Level) -> Option<pb::LayerLevels> {
    Some(pb::LayerLevels { basic: level.into(), ..pb::LayerLevels::default() })
}

pub fn id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

/// A row as it is put.
pub fn row(number: u128, owner: &str, department: &str) -> pb::ExternalResource {
    let attributes = pb::RowAttributes {
        row_id: id(number),
        owner_id: owner.to_owned(),
        department_id: department.to_owned(),
        ..pb::RowAttributes::default()
    };
    pb::ExternalResource {
        attributes: Some(attributes),
        display_name: format!("Contract {number}"),
        ..pb::ExternalResource::default()
    }
}

pub async fn put(
    who: &Person,
    name: &str,
    resources: Vec<pb::ExternalResource>,
) -> Result<Vec<pb::ExternalResource>, Status> {
    let external_type = name.to_owned();
    let request = pb::BatchPutExternalResourcesRequest { external_type, resources };
    Ok(who.external_resources().batch_put_external_resources(request).await?.into_inner().resources)
}

/// Every row of a list, read in pages of a size.
pub async fn listed(
    who: &Person,
    (subject, action): (&str, &str),
    name: &str,
    page_size: i32,
) -> Result<Vec<pb::ExternalResource>, Status> {
    let (mut rows, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListExternalResourcesRequest {
            external_type: name.to_owned(),
            action: action.to_owned(),
            subject_id: subject.to_owned(),
            page_size,
            page_token,
        };
        let page = who.external_resources().list_external_resources(request).await?.into_inner();
        let full = i32::try_from(page.resources.len()).expect("few") == page_size;
        assert!(full || page.next_page_token.is_empty(), "a page is full or the last");
        rows.extend(page.resources);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(rows);
        }
    }
}

pub fn ids(rows: &[pb::ExternalResource]) -> Vec<String> {
    rows.iter().map(|it| it.attributes.clone().expect("it has an id").row_id).collect()
}

/// A row that is named by its id alone.
pub fn by_id(name: &str, number: u128) -> pb::RowAttributes {
    pb::RowAttributes { row_id: id(number), external_type: name.to_owned(), ..pb::RowAttributes::default() }
}

/// Somebody who keeps the rows of all types: what a program of the other system is given.
pub async fn keeper(world: &World) -> Person {
    let root = &world.tenant.root_department_id;
    let keeper = world.user("keeper", root, "Finance").await.user_id;
    let right = over(&["external.manage"], pb::ExtentKind::Tenant, &[]);
    let right = pb::GrantTemplate { levels: levels(pb::Level::Write), ..right };
    granted(&world.admin, &keeper, right).await.expect("it is granted");
    world.log_in("keeper").await
}

#[tokio::test]
async fn a_list_of_kept_rows_is_what_checks_by_id_allow_for_every_reach_and_guard() {
    on_each(async |world| {
        let admin = &world.admin;
        let root = world.tenant.root_department_id.clone();
        let north = world.department(&root, "North").await.department_id;
        let south = world.department(&root, "South").await.department_id;
        register(admin, contracts(pb::ExternalKeeping::Kept)).await.expect("it is registered");
        register(admin, named("invoice", contracts(pb::ExternalKeeping::Kept))).await.expect("it is registered");
        let keeper = keeper(world).await;
        let mut subjects = Vec::new();
        for (name, at) in [("mei", &north), ("lin", &south), ("kai", &root)] {
            subjects.push(world.user(name, at, "Finance").await.user_id);
        }
        let (mei, lin, kai) = (&subjects[0], &subjects[1], &subjects[2]);
        let mut rows = Vec::new();
        for number in 1..=48_u128 {
            let owner = [mei.as_str(), lin, ""][usize::try_from(number % 3).expect("small")];
            let at = [north.as_str(), &south, &root, ""][usize::try_from(number % 4).expect("small")];
            let mut row = row(number, owner, at);
            let attributes = row.attributes.as_mut().expect("it has some");
            attributes.stage = ["draft", "signed", ""][usize::try_from(number / 3 % 3).expect("small")].to_owned();
            (attributes.vip, attributes.pooled) = (number % 5 == 0, number % 6 == 2);
            rows.push(row);
        }
        put(&keeper, "contract", rows.clone()).await.expect("they are kept");
        // The same ids, all without an owner: another type.
        let bare = (1..=48).map(|number| row(number, "", "")).collect();
        put(&keeper, "invoice", bare).await.expect("they are kept");

        let view = |kind| over(&["external.view"], kind, &["contract"]);
        let at = |department: &str, kind: pb::ExtentKind| {
            let extent = pb::Extent { kind: kind.into(), department_id: department.to_owned(), ..Default::default() };
            pb::GrantTemplate { extent: Some(extent), ..view(kind) }
        };
        let drafts = pb::GrantTemplate { stages: vec!["draft".to_owned()], ..view(pb::ExtentKind::Tenant) };
        let named_rows = pb::Extent {
            kind: pb::ExtentKind::Ids.into(),
            row_ids: vec![id(3), id(7), id(9_999)],
            ..pb::Extent::default()
        };
        let named_rows = pb::GrantTemplate { extent: Some(named_rows), ..view(pb::ExtentKind::Ids) };
        for (holder, right) in [
            (mei, view(pb::ExtentKind::Own)),
            (mei, at(&north, pb::ExtentKind::Department)),
            (mei, at(&south, pb::ExtentKind::PooledDepartment)),
            (lin, drafts),
            (lin, named_rows),
            (kai, at(&root, pb::ExtentKind::Subtree)),
        ] {
            granted(admin, holder, right).await.expect("it is granted");
        }
        let guard = pb::Guard {
            target: Some(pb::GuardTarget { except_owner: true, ..pb::GuardTarget::default() }),
            actions: vec!["external.view".to_owned()],
            condition: Some(pb::RowCondition { vip: true, ..pb::RowCondition::default() }),
            reason: "the board's".to_owned(),
            ..pb::Guard::default()
        };
        let guard = pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() };
        admin.access().create_guard(guard).await.expect("it is put up");

        for subject in [mei, lin, kai] {
            let checks: Vec<_> =
                (1..=48).map(|number| question(subject, "contract.read", by_id("contract", number))).collect();
            let answers = admin.access().batch_check(pb::BatchCheckRequest { checks }).await.expect("answers");
            let mut permitted = BTreeMap::new();
            for (number, result) in (1..).zip(answers.into_inner().results) {
                let Some(pb::batch_check_result::Result::Answer(answer)) = result.result else { panic!("no answer") };
                if answer.allowed {
                    permitted.insert(id(number), answer.levels);
                }
            }
            for size in [7, 1_000] {
                let rows = listed(admin, (subject, "contract.read"), "contract", size).await.expect("a list");
                let told: BTreeMap<_, _> = ids(&rows).into_iter().zip(rows.into_iter().map(|it| it.levels)).collect();
                assert_eq!(told, permitted, "{subject}");
            }
            assert!((10..48).contains(&permitted.len()), "{}", permitted.len());
        }
        let invoices = listed(admin, (mei, "external.view"), "invoice", 50).await.expect("a list");
        assert_eq!(ids(&invoices), Vec::<String>::new(), "no grant is about invoices, whatever their ids");
    })
    .await;
}

#[tokio::test]
async fn a_kept_row_is_decided_as_it_is_kept_and_attributes_beside_its_id_are_refused() {
    on_each(async |world| {
        let admin = &world.admin;
        let root = world.tenant.root_department_id.clone();
        let mei = world.user("mei", &root, "Finance").await.user_id;
        let lin = world.user("lin", &root, "Finance").await.user_id;
        register(admin, contracts(pb::ExternalKeeping::Kept)).await.expect("it is registered");
        let keeper = keeper(world).await;
        put(&keeper, "contract", vec![row(1, &lin, &root)]).await.expect("it is kept");
        granted(admin, &mei, over(&["external.approve"], pb::ExtentKind::Own, &["contract"])).await.expect("granted");
        granted(admin, &lin, over(&["external.approve"], pb::ExtentKind::Tenant, &["contract"]))
            .await
            .expect("granted");
        assert!(!allowed(admin, &mei, "contract.sign", by_id("contract", 1)).await);
        let claimed = pb::RowAttributes { owner_id: mei.clone(), ..by_id("contract", 1) };
        assert_eq!(fields(admin.access().check(question(&mei, "contract.sign", claimed)).await), ["row.owner_id"]);

        put(&keeper, "contract", vec![row(1, &mei, &root)]).await.expect("it has another owner");
        assert!(allowed(admin, &mei, "contract.sign", by_id("contract", 1)).await);
        let asked = pb::ListSubjectsWithAccessRequest {
            action: "contract.sign".to_owned(),
            row: Some(by_id("contract", 1)),
            ..pb::ListSubjectsWithAccessRequest::default()
        };
        let able = async |asked| {
            let found = admin.access().list_subjects_with_access(asked).await.expect("a list").into_inner().subjects;
            found.into_iter().map(|it| it.subject_id).collect::<Vec<_>>()
        };
        assert_eq!(able(asked.clone()).await, [mei.clone(), lin.clone()]);
        let nowhere = pb::ListSubjectsWithAccessRequest { row: Some(by_id("contract", 2)), ..asked };
        assert_eq!(able(nowhere).await, Vec::<String>::new(), "to a row that is not there nobody may do anything");

        // Whoever reaches everything hears that it is not there; whoever does not hears what it hears of every other row.
        let gone = check(admin, question(&lin, "contract.sign", by_id("contract", 2))).await;
        assert_eq!((gone.allowed, gone.witness.as_str()), (false, "there is no such row"));
        put(&keeper, "contract", vec![row(3, &lin, &root)]).await.expect("it is kept");
        let unknown = check(admin, question(&mei, "contract.sign", by_id("contract", 2))).await;
        let elsewhere = check(admin, question(&mei, "contract.sign", by_id("contract", 3))).await;
        assert_eq!((unknown.allowed, unknown.witness), (elsewhere.allowed, elsewhere.witness));

        let delete = async |numbers: &[u128]| {
            let (external_type, row_ids) = ("contract".to_owned(), numbers.iter().map(|number| id(*number)).collect());
            let request = pb::BatchDeleteExternalResourcesRequest { external_type, row_ids };
            keeper.external_resources().batch_delete_external_resources(request).await.expect("gone").into_inner()
        };
        let in_use = pb::DeleteExternalTypeRequest { name: "contract".to_owned(), ..Default::default() };
        assert_eq!(refusal(admin.external_types().delete_external_type(in_use).await).1, "EXTERNAL_TYPE_IN_USE");
        assert_eq!(delete(&[1, 2]).await.deleted_count, 1);
        assert_eq!(delete(&[1, 2]).await.deleted_count, 0, "a repeat finds nothing more");
        assert!(!allowed(admin, &mei, "contract.sign", by_id("contract", 1)).await);
    })
    .await;
}

#[tokio::test]
async fn who_puts_rows_holds_the_right_over_them_before_and_after() {
    on_each(async |world| {
        let admin = &world.admin;
        let root = world.tenant.root_department_id.clone();
        let north = world.department(&root, "North").await.department_id;
        let south = world.department(&root, "South").await.department_id;
        let mei = world.user("mei", &north, "Finance").await.user_id;
        for name in ["contract", "invoice"] {
            register(admin, named(name, contracts(pb::ExternalKeeping::Kept))).await.expect("it is registered");
        }
        let everything = keeper(world).await;
        put(&everything, "contract", vec![row(1, "", &south)]).await.expect("it is kept");
        let right = over(&["external.manage", "external.view"], pb::ExtentKind::Department, &["contract"]);
        granted(admin, &mei, pb::GrantTemplate { levels: levels(pb::Level::Write), ..right }).await.expect("her own");
        let person = world.log_in("mei").await;
        let denied = refused(Code::PermissionDenied, "PERMISSION_DENIED");
        put(&person, "contract", vec![row(2, "", &north)]).await.expect("it lies in her department");
        assert_eq!(refusal(put(&person, "contract", vec![row(2, "", &south)]).await), denied, "she gives it away");
        assert_eq!(refusal(put(&person, "contract", vec![row(1, "", &north)]).await), denied, "she takes it");
        assert_eq!(refusal(put(&person, "invoice", vec![row(2, "", &north)]).await), denied, "another type");
        let mixed = vec![row(4, "", &north), row(5, "", &south)];
        assert_eq!(refusal(put(&person, "contract", mixed).await), denied);
        let get = |number| pb::GetExternalResourceRequest { external_type: "contract".to_owned(), row_id: id(number) };
        let got = async |number| person.external_resources().get_external_resource(get(number)).await;
        assert_eq!(got(2).await.expect("hers").into_inner().display_name, "Contract 2");
        let missing = refused(Code::NotFound, "EXTERNAL_RESOURCE_NOT_FOUND");
        assert_eq!(
            (refusal(got(1).await), refusal(got(4).await)),
            (missing.clone(), missing),
            "all of a batch or none"
        );
        assert_eq!(ids(&listed(&person, ("", ""), "contract", 50).await.expect("a list")), [id(2)]);
        let delete = async |numbers: &[u128]| {
            let (external_type, row_ids) = ("contract".to_owned(), numbers.iter().map(|number| id(*number)).collect());
            let request = pb::BatchDeleteExternalResourcesRequest { external_type, row_ids };
            let gone = person.external_resources().batch_delete_external_resources(request).await;
            gone.expect("what is out of reach is not there").into_inner().deleted_count
        };
        assert_eq!((delete(&[1]).await, delete(&[1, 2, 99]).await), (0, 1), "only hers goes");
        put(&everything, "contract", vec![pb::ExternalResource { etag: "1".to_owned(), ..row(1, "", &south) }])
            .await
            .expect("the other one is still there");
    })
    .await;
}

#[tokio::test]
async fn a_repeated_put_changes_nothing_and_a_stale_version_is_refused() {
    on_each(async |world| {
        let root = world.tenant.root_department_id.clone();
        register(&world.admin, contracts(pb::ExternalKeeping::Kept)).await.expect("it is registered");
        let keeper = keeper(world).await;
        let rows = vec![row(2, "", &root), row(1, "", "")];
        let first = put(&keeper, "contract", rows.clone()).await.expect("they are kept");
        assert_eq!(ids(&first), [id(2), id(1)], "in the order of the request");
        assert_eq!(put(&keeper, "contract", rows).await.expect("a repeat"), first);
        let changed = pb::ExternalResource { display_name: "Renamed".to_owned(), ..first[0].clone() };
        let second = put(&keeper, "contract", vec![changed.clone()]).await.expect("it is changed");
        assert_eq!((first[0].etag.as_str(), second[0].etag.as_str()), ("1", "2"));
        let again = pb::ExternalResource { display_name: "Again".to_owned(), ..changed };
        let stale = refused(Code::Aborted, "ETAG_STALE");
        assert_eq!(refusal(put(&keeper, "contract", vec![again.clone()]).await), stale);

        // A row that is removed and put again is another one, whatever was seen of the first.
        let (external_type, row_ids) = ("contract".to_owned(), vec![id(1), id(2)]);
        let request = pb::BatchDeleteExternalResourcesRequest { external_type, row_ids };
        keeper.external_resources().batch_delete_external_resources(request).await.expect("they are gone");
        assert_eq!(refusal(put(&keeper, "contract", vec![again.clone()]).await), stale, "there is none");
        let anew = put(&keeper, "contract", vec![row(1, "", ""), row(2, "", &root)]).await.expect("they are kept anew");
        assert_eq!(refusal(put(&keeper, "contract", vec![again]).await), stale);
        assert!(!["1", "2"].contains(&anew[0].etag.as_str()) && anew[0].etag == anew[1].etag, "{anew:?}");
    })
    .await;
}

#[tokio::test]
async fn a_row_of_another_company_with_the_same_type_and_id_is_not_seen() {
    on_each(async |world| {
        let rival = other_company(world).await;
        let root = world.tenant.root_department_id.clone();
        let mei = world.user("mei", &root, "Finance").await.user_id;
        for who in [&world.admin, &rival] {
            register(who, contracts(pb::ExternalKeeping::Kept)).await.expect("it is registered");
        }
        let keeper = keeper(world).await;
        put(&keeper, "contract", vec![row(1, "", &root)]).await.expect("it is kept");
        granted(&world.admin, &mei, over(&["external.view"], pb::ExtentKind::Tenant, &[])).await.expect("granted");
        // Somebody of the other company with a right to everything there.
        let tenant =
            rival.directory().get_tenant(pb::GetTenantRequest { tenant_id: rival.tokens.tenant_id.clone() }).await;
        let there = tenant.expect("the own company").into_inner().root_department_id;
        let request = pb::CreateServiceAccountRequest {
            display_name: "Spy".to_owned(),
            department_id: there,
            ..pb::CreateServiceAccountRequest::default()
        };
        let spy = rival.directory().create_service_account(request).await.expect("it is made").into_inner();
        let spy = spy.service_account.expect("the account").service_account_id;
        granted(&rival, &spy, over(&["external.view"], pb::ExtentKind::Tenant, &[])).await.expect("granted");
        assert!(allowed(&world.admin, &mei, "contract.read", by_id("contract", 1)).await);
        let theirs = check(&rival, question(&spy, "contract.read", by_id("contract", 1))).await;
        assert_eq!((theirs.allowed, theirs.witness.as_str()), (false, "there is no such row"));
        assert_eq!(ids(&listed(&rival, (&spy, ""), "contract", 50).await.expect("a list")), Vec::<String>::new());
        assert_eq!(refusal(listed(&rival, (&mei, ""), "contract", 50).await).1, "USER_NOT_FOUND");
        let mei = world.log_in("mei").await;
        let own = listed(&mei, ("", ""), "contract", 50).await.expect("a list");
        assert_eq!((ids(&own), own[0].display_name.as_str()), (vec![id(1)], "Contract 1"));
    })
    .await;
}
