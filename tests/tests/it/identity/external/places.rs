//! What is wrong with a kept row is told at its place in the request, and whose rows are left behind in the offboarding.

use revisit_proto::identity::v1 as pb;
use uuid::Uuid;

use super::{
    super::support::{fields, on_each},
    contracts,
    kept::{by_id, id, keeper, put, row},
    named, register,
};

#[tokio::test]
async fn what_is_wrong_with_a_row_is_told_where_it_was_sent() {
    on_each(async |world| {
        let admin = &world.admin;
        let north = world.department(&world.tenant.root_department_id, "North").await.department_id;
        register(admin, contracts(pb::ExternalKeeping::Kept)).await.expect("it is registered");
        register(admin, named("ticket", contracts(pb::ExternalKeeping::Sent))).await.expect("it is registered");
        let keeper = keeper(world).await;
        let unknown = row(6, &Uuid::from_u128(99).to_string(), &north);
        assert_eq!(fields(put(&keeper, "contract", vec![unknown]).await), ["resources[0].attributes.owner_id"]);
        let mut shared = row(6, "", &north);
        shared.attributes.as_mut().expect("it has some").team_ids = vec![id(99)];
        let shared = put(&keeper, "contract", vec![row(7, "", &north), shared]).await;
        assert_eq!(fields(shared), ["resources[1].attributes.team_ids"], "a team that nobody has");
        let graded = pb::ExternalResource {
            attributes: Some(pb::RowAttributes { grade: "A".to_owned(), ..by_id("", 6) }),
            ..pb::ExternalResource::default()
        };
        assert_eq!(fields(put(&keeper, "contract", vec![graded]).await), ["resources[0].attributes.grade"]);
        let get = |external_type: &str, row_id: &str| pb::GetExternalResourceRequest {
            external_type: external_type.to_owned(),
            row_id: row_id.to_owned(),
        };
        let unread = keeper.external_resources().get_external_resource(get("Contract", "x")).await;
        assert_eq!(fields(unread), ["external_type", "row_id"]);
        assert_eq!(fields(put(&keeper, "contract", vec![row(6, "", ""), row(6, "", "")]).await), ["resources"]);
        assert_eq!(fields(put(&keeper, "ticket", vec![row(6, "", "")]).await), ["external_type"]);
        let many = (0..501).map(|number| row(1_000 + number, "", "")).collect();
        assert_eq!(fields(put(&keeper, "contract", many).await), ["resources"]);
    })
    .await;
}

#[tokio::test]
async fn an_offboarding_names_the_kept_rows_that_the_leaver_owns() {
    on_each(async |world| {
        let root = world.tenant.root_department_id.clone();
        let mei = world.user("mei", &root, "Finance").await.user_id;
        for name in ["contract", "invoice", "ticket"] {
            register(&world.admin, named(name, contracts(pb::ExternalKeeping::Kept))).await.expect("it is registered");
        }
        let keeper = keeper(world).await;
        let contracts = vec![row(1, &mei, &root), row(2, &mei, ""), row(3, "", &root)];
        put(&keeper, "contract", contracts).await.expect("they are kept");
        put(&keeper, "invoice", vec![row(1, &mei, &root)]).await.expect("it is kept");
        let request = pb::StartHandOverRequest {
            user_id: mei,
            kind: pb::HandOverKind::Leave.into(),
            reason: "leaves".to_owned(),
            ..pb::StartHandOverRequest::default()
        };
        let begun = world.admin.hand_overs().start_hand_over(request).await.expect("it begins").into_inner();
        let told: Vec<_> = begun.external_rows.iter().map(|it| (it.external_type.as_str(), it.count)).collect();
        assert_eq!(told, [("contract", 2), ("invoice", 1)]);
        let request = pb::GetHandOverRequest { hand_over_id: begun.hand_over_id };
        let later = world.admin.hand_overs().get_hand_over(request).await.expect("it is there").into_inner();
        assert_eq!(later.external_rows, begun.external_rows, "it is said later, too");
    })
    .await;
}
