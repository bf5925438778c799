//! Kept rows that are newer than what a replica knows are waited for, and names mean what they meant.

use prost_types::FieldMask;
use revisit_proto::identity::v1 as pb;
use revisit_tests::databases::Backend;
use sea_orm::ConnectionTrait;
use tonic::Request;

use super::{
    super::{
        access::question,
        support::{COMPANY, World, on_each},
    },
    contracts, granted,
    kept::{by_id, id, ids, keeper, listed, put, row},
    over, register, sent,
};

/// What another replica has just done, and nobody has told of: a revision, and kept rows that were put under it.
async fn overtake(world: &World) {
    let tenant = format!("(SELECT tenant_id FROM tenant WHERE key = '{COMPANY}')");
    let no_changes = match world.database.backend {
        Backend::Sqlite => "CAST('[]' AS BLOB)",
        Backend::Postgres => "'[]'::bytea",
    };
    let statements = [
        "BEGIN".to_owned(),
        format!(
            "INSERT INTO revision (tenant_id, revision, changes, created_at) SELECT tenant_id, revision + 1, \
             {no_changes}, (SELECT max(created_at) FROM revision) FROM tenant WHERE tenant_id = {tenant}"
        ),
        format!("UPDATE tenant SET revision = revision + 1 WHERE tenant_id = {tenant}"),
        format!(
            "UPDATE external_row SET auth_rev = (SELECT revision FROM tenant WHERE tenant_id = {tenant}) \
             WHERE tenant_id = {tenant}"
        ),
        "COMMIT".to_owned(),
    ];
    world.database.writer.execute_unprepared(&statements.join("; ")).await.expect("it is written");
}

#[tokio::test]
async fn a_row_that_is_newer_than_the_reading_is_waited_for_by_every_answer() {
    on_each(async |world| {
        let admin = &world.admin;
        let root = world.tenant.root_department_id.clone();
        let mei = world.user("mei", &root, "Finance").await.user_id;
        register(admin, contracts(pb::ExternalKeeping::Kept)).await.expect("it is registered");
        let keeper = keeper(world).await;
        put(&keeper, "contract", vec![row(1, &mei, &root)]).await.expect("it is kept");
        granted(admin, &mei, over(&["external.view"], pb::ExtentKind::Own, &[])).await.expect("it is granted");
        let person = world.log_in("mei").await;
        // Each of them by itself: whoever waits first brings the revision for all.
        for _ in 0..3 {
            overtake(world).await;
            assert_eq!(ids(&listed(&person, ("", ""), "contract", 50).await.expect("a list")), [id(1)], "her own");
            overtake(world).await;
            assert_eq!(ids(&listed(admin, (&mei, ""), "contract", 50).await.expect("a list")), [id(1)], "about her");
            overtake(world).await;
            let request = pb::GetExternalResourceRequest { external_type: "contract".to_owned(), row_id: id(1) };
            person.external_resources().get_external_resource(request).await.expect("she sees it");
            overtake(world).await;
            put(&keeper, "contract", vec![row(1, &mei, &root)]).await.expect("it is there, and the same");
        }
        overtake(world).await;
        let (external_type, row_ids) = ("contract".to_owned(), vec![id(1)]);
        let request = pb::BatchDeleteExternalResourcesRequest { external_type, row_ids };
        let gone = keeper.external_resources().batch_delete_external_resources(request).await.expect("it goes");
        assert_eq!(gone.into_inner().deleted_count, 1);
    })
    .await;
}

#[tokio::test]
async fn a_put_answers_the_revision_on_which_its_rows_are_decided() {
    on_each(async |world| {
        let root = world.tenant.root_department_id.clone();
        let mei = world.user("mei", &root, "Finance").await.user_id;
        register(&world.admin, contracts(pb::ExternalKeeping::Kept)).await.expect("it is registered");
        granted(&world.admin, &mei, over(&["external.view"], pb::ExtentKind::Own, &[])).await.expect("it is granted");
        let keeper = keeper(world).await;
        let (external_type, resources) = ("contract".to_owned(), vec![row(1, &mei, &root)]);
        let request = pb::BatchPutExternalResourcesRequest { external_type, resources };
        let answer = keeper.external_resources().batch_put_external_resources(request).await.expect("it is kept");
        let answer = answer.into_inner();
        let mut asked = Request::new(question(&mei, "contract.read", by_id("contract", 1)));
        let token = answer.revision_token.parse().expect("ASCII");
        asked.metadata_mut().insert("x-revisit-at-least", token);
        let told = world.admin.access().check(asked).await.expect("it is answered").into_inner();
        let auth_rev = answer.resources[0].attributes.as_ref().expect("it has some").auth_rev;
        assert!(told.allowed && auth_rev > 0 && told.revision >= auth_rev, "{told:?}");
    })
    .await;
}

#[tokio::test]
async fn who_could_do_what_a_name_stood_for_then_is_told_and_not_what_it_stands_for_now() {
    on_each(async |world| {
        let admin = &world.admin;
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Finance").await.user_id;
        let lin = world.user("lin", root, "Finance").await.user_id;
        let made = register(admin, contracts(pb::ExternalKeeping::Sent)).await.expect("it is registered");
        granted(admin, &lin, over(&["external.view"], pb::ExtentKind::Tenant, &["contract"])).await.expect("granted");
        let then = granted(admin, &mei, over(&["external.approve"], pb::ExtentKind::Tenant, &["contract"])).await;
        let then = then.expect("it is granted").create_time;
        let mut changed = made;
        changed.actions.retain(|it| it.name != "sign");
        changed.actions.push(pb::ExternalAction { name: "sign".to_owned(), verb: "external.view".to_owned() });
        let update_mask = Some(FieldMask { paths: vec!["actions".to_owned()] });
        let request =
            pb::UpdateExternalTypeRequest { external_type: Some(changed), update_mask, reason: String::new() };
        admin.external_types().update_external_type(request).await.expect("it is changed");
        let able = async |at_time| {
            let request = pb::ListSubjectsWithAccessRequest {
                action: "contract.sign".to_owned(),
                row: Some(sent("contract", "")),
                at_time,
                ..pb::ListSubjectsWithAccessRequest::default()
            };
            let found = admin.access().list_subjects_with_access(request).await.expect("a list").into_inner();
            found.subjects.into_iter().map(|it| it.subject_id).collect::<Vec<_>>()
        };
        assert_eq!((able(then).await, able(None).await), (vec![mei], vec![lin]));
    })
    .await;
}
