//! Previews of registered types: who gains and loses what by a new type, by another meaning of its names, by its end.

use std::collections::BTreeSet;

use revisit_proto::identity::v1::{self as pb, preview_change_request::Change};
use tonic::{Code, Status};

use super::{
    super::support::{Person, World, on_each, refusal, refused},
    allowed, contracts, granted, named, over, register, sent,
};

async fn pages(who: &Person, change: Change) -> Result<Vec<pb::PreviewChangeResponse>, Status> {
    let (mut pages, mut page_token) = (Vec::new(), String::new());
    loop {
        let change = Some(change.clone());
        let request =
            pb::PreviewChangeRequest { change, page_size: 100, page_token: page_token.clone(), ..Default::default() };
        let page = who.access().preview_change(request).await?.into_inner();
        page_token.clone_from(&page.next_page_token);
        pages.push(page);
        if page_token.is_empty() {
            return Ok(pages);
        }
    }
}

/// Who gains (true) or loses what.
type Told = BTreeSet<(String, String, bool)>;

async fn told(who: &Person, change: &Change) -> Told {
    let pages = pages(who, change.clone()).await.expect("it is shown");
    assert!(pages.iter().all(|page| page.refusal_reason.is_empty()), "{pages:?}");
    let rights = pages.into_iter().flat_map(|page| page.rights);
    let told = rights.map(|it| {
        assert_eq!(it.external_type, "contract", "{it:?}");
        assert_ne!(it.before.is_some(), it.after.is_some(), "{it:?}");
        (it.subject_id, it.action, it.after.is_some())
    });
    told.collect()
}

fn expected(lines: &[(&str, &str, bool)]) -> Told {
    lines.iter().map(|(who, what, gains)| ((*who).to_owned(), (*what).to_owned(), *gains)).collect()
}

async fn holder(world: &World, name: &str, verb: &str) -> String {
    let user = world.user(name, &world.tenant.root_department_id, "Finance").await.user_id;
    granted(&world.admin, &user, over(&[verb], pb::ExtentKind::Own, &[])).await.expect("who may grant gives it");
    user
}

fn create(it: pb::ExternalType) -> pb::CreateExternalTypeRequest {
    pb::CreateExternalTypeRequest { external_type: Some(it), ..Default::default() }
}

#[tokio::test]
async fn what_is_told_of_registered_types_is_what_their_writes_do() {
    on_each(async |world| {
        let admin = &world.admin;
        let (mei, lin) =
            (holder(world, "mei", "external.approve").await, holder(world, "lin", "external.update").await);
        let signs = async |who: &str| allowed(admin, who, "contract.sign", sent("contract", who)).await;
        let request = create(contracts(pb::ExternalKeeping::Sent));
        let new = told(admin, &Change::CreateExternalType(request.clone())).await;
        assert_eq!(new, expected(&[(&mei, "external.approve", true), (&lin, "external.update", true)]));
        assert!(!signs(&mei).await, "a preview registers nothing");
        let made = admin.external_types().create_external_type(request.clone()).await.expect("registered").into_inner();
        assert!(signs(&mei).await && !signs(&lin).await);
        let again = pages(admin, Change::CreateExternalType(request)).await;
        assert_eq!(refusal(again), refused(Code::AlreadyExists, "EXTERNAL_TYPE_TAKEN"));

        let mut other = made.clone();
        other
            .actions
            .iter_mut()
            .filter(|it| it.name == "sign")
            .for_each(|it| "external.update".clone_into(&mut it.verb));
        let update = pb::UpdateExternalTypeRequest {
            external_type: Some(other),
            update_mask: Some(prost_types::FieldMask { paths: vec!["actions".to_owned()] }),
            reason: String::new(),
        };
        let renamed = told(admin, &Change::UpdateExternalType(update.clone())).await;
        assert_eq!(renamed, expected(&[(&mei, "contract.sign", false), (&lin, "contract.sign", true)]));
        assert!(signs(&mei).await && !signs(&lin).await, "a preview renames nothing");
        admin.external_types().update_external_type(update).await.expect("changed");
        assert!(!signs(&mei).await && signs(&lin).await);

        let delete = pb::DeleteExternalTypeRequest { name: "contract".to_owned(), ..Default::default() };
        let gone = told(admin, &Change::DeleteExternalType(delete.clone())).await;
        assert_eq!(gone, expected(&[(&mei, "external.approve", false), (&lin, "external.update", false)]));
        assert!(signs(&lin).await, "a preview removes nothing");
        admin.external_types().delete_external_type(delete.clone()).await.expect("removed");
        assert!(!signs(&lin).await);
        let none = pages(admin, Change::DeleteExternalType(delete)).await;
        assert_eq!(refusal(none), refused(Code::NotFound, "EXTERNAL_TYPE_NOT_FOUND"));
    })
    .await;
}

#[tokio::test]
async fn a_preview_of_a_type_says_that_its_author_may_not_and_is_for_who_explains_the_whole_company() {
    on_each(async |world| {
        let change = Change::CreateExternalType(create(contracts(pb::ExternalKeeping::Sent)));
        world.user("eye", &world.tenant.root_department_id, "Auditor").await;
        let shown = pages(&world.log_in("eye").await, change.clone()).await.expect("it is shown");
        assert!(shown.iter().all(|page| page.refusal_reason == "PERMISSION_DENIED"), "{shown:?}");
        world.user("mei", &world.tenant.root_department_id, "Finance").await;
        let denied = pages(&world.log_in("mei").await, change.clone()).await;
        assert_eq!(refusal(denied), refused(Code::PermissionDenied, "PERMISSION_DENIED"));
        // A type concerns everybody: who explains a part of the company is not shown it.
        let south = world.department(&world.tenant.root_department_id, "south").await.department_id;
        let leo = world.user("leo", &south, "Finance").await.user_id;
        let explain = over(&["grant.explain"], pb::ExtentKind::Subtree, &[]);
        granted(&world.admin, &leo, explain).await.expect("who may grant gives it");
        let denied = pages(&world.log_in("leo").await, change).await;
        assert_eq!(refusal(denied), refused(Code::PermissionDenied, "PERMISSION_DENIED"));
    })
    .await;
}

/// As the tests' settings say: `identity.preview_policies_max`.
const POLICIES_MAX: usize = 100;
const TYPES: usize = 12;
const HOLDERS: usize = 7;

#[tokio::test]
async fn a_page_of_a_preview_ends_when_enough_was_compiled_and_all_pages_tell_of_everybody() {
    on_each(async |world| {
        for number in 0..TYPES {
            let it = named(&format!("type_{number}"), contracts(pb::ExternalKeeping::Sent));
            register(&world.admin, it).await.expect("it is registered");
        }
        let mut holders = BTreeSet::new();
        for number in 0..HOLDERS {
            holders.insert(holder(world, &format!("holder_{number}"), "external.view").await);
        }
        let change = Change::CreateExternalType(create(contracts(pb::ExternalKeeping::Sent)));
        let pages = pages(&world.admin, change).await.expect("it is shown");
        let subjects = |page: &pb::PreviewChangeResponse| -> BTreeSet<String> {
            page.rights.iter().map(|it| it.subject_id.clone()).collect()
        };
        // Each has a policy for every type on both sides, and the one that ends a page is on it.
        let most = POLICIES_MAX / (2 * TYPES) + 1;
        assert!(pages.len() > 1 && pages.iter().all(|page| subjects(page).len() <= most), "{} pages", pages.len());
        let told: BTreeSet<String> = pages.iter().flat_map(subjects).collect();
        assert_eq!(told, holders);
    })
    .await;
}
