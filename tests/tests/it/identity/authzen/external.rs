//! Registered types over AuthZEN: evaluated and searched like ours.

use revisit_proto::identity::v1 as pb;
use serde_json::{Value, json};

use super::{
    super::external::{contracts, granted, named, over, register},
    decisions, ids, on_each,
};

#[tokio::test]
async fn registered_types_take_part_in_evaluations_and_in_every_search() {
    on_each("", async |listener| {
        let (world, admin) = (&listener.world, &listener.world.admin);
        register(admin, contracts(pb::ExternalKeeping::Sent)).await.expect("it is registered");
        register(admin, named("record", contracts(pb::ExternalKeeping::Kept))).await.expect("it is registered");
        let keeper = world.user("keeper", &listener.store, "Finance").await.user_id;
        let write = pb::LayerLevels { basic: pb::Level::Write.into(), ..pb::LayerLevels::default() };
        let manage = over(&["external.manage"], pb::ExtentKind::Tenant, &[]);
        granted(admin, &keeper, pb::GrantTemplate { levels: Some(write), ..manage }).await.expect("it is granted");
        granted(admin, &listener.mei, over(&["external.view", "external.approve"], pb::ExtentKind::Own, &[]))
            .await
            .expect("it is granted");
        let keeper = world.log_in("keeper").await;
        let id = |number: u128| uuid::Uuid::from_u128(number).to_string();
        let kept = |number: u128| pb::ExternalResource {
            attributes: Some(pb::RowAttributes {
                row_id: id(number),
                owner_id: if number.is_multiple_of(2) { listener.mei.clone() } else { String::new() },
                ..pb::RowAttributes::default()
            }),
            ..pb::ExternalResource::default()
        };
        let request = pb::BatchPutExternalResourcesRequest {
            external_type: "record".to_owned(),
            resources: (1..=9).map(kept).collect(),
        };
        keeper.external_resources().batch_put_external_resources(request).await.expect("they are kept");

        let sent = json!({ "type": "contract", "id": id(1), "properties": { "owner_id": listener.mei } });
        let kept = |number: u128| json!({ "type": "record", "id": id(number) });
        let ask = async |action: &str, resource: Value| {
            let body = json!({ "subject": listener.user(), "action": { "name": action }, "resource": resource });
            let answer = listener.post("/access/v1/evaluation", &body).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.body["decision"].as_bool().expect("it decides")
        };
        assert!(ask("contract.sign", sent.clone()).await && ask("external.approve", sent.clone()).await);
        assert!(
            ask("record.sign", kept(2)).await
                && !ask("record.sign", kept(1)).await
                && !ask("record.sign", kept(99)).await
        );
        assert!(!ask("record.sign", sent.clone()).await, "an action of another type");
        assert!(!ask("contract.amend", sent.clone()).await && !ask("customer.view", sent.clone()).await);
        assert!(!ask("ghost.sign", json!({ "type": "ghost", "id": id(1) })).await, "nobody has registered it");
        let evaluations = json!({ "subject": listener.user(), "action": { "name": "record.read" },
            "evaluations": [{ "resource": kept(2) }, { "resource": kept(3) }, { "resource": sent.clone() }] });
        let several = listener.post("/access/v1/evaluations", &evaluations).await;
        assert_eq!(decisions(&several), [true, false, false]);

        let actions = async |resource: Value| {
            let body = json!({ "subject": listener.user(), "resource": resource });
            ids(&listener.post("/access/v1/search/action", &body).await, "name")
        };
        assert_eq!(actions(sent.clone()).await, ["contract.read", "contract.sign"]);
        assert_eq!(actions(kept(2)).await, ["record.read", "record.sign"]);
        assert_eq!((actions(kept(1)).await, actions(kept(99)).await), (vec![], vec![]));

        let subjects = async |resource: Value| {
            let body =
                json!({ "subject": { "type": "user" }, "action": { "name": "record.read" }, "resource": resource });
            ids(&listener.post("/access/v1/search/subject", &body).await, "id")
        };
        assert_eq!(subjects(kept(4)).await, [listener.mei.as_str()]);
        assert_eq!((subjects(kept(3)).await, subjects(kept(99)).await), (vec![], vec![]));

        let rows = async |kind: &str, action: &str, token: &str| {
            let body = json!({ "subject": listener.user(), "action": { "name": action }, "resource": { "type": kind },
                "page": { "token": token, "limit": 3 } });
            listener.post("/access/v1/search/resource", &body).await
        };
        let first = rows("record", "record.read", "").await;
        let token = first.body["page"]["next_token"].as_str().expect("there are more").to_owned();
        let second = rows("record", "record.read", &token).await;
        assert_eq!(second.body["page"]["next_token"], json!(""));
        let found: Vec<_> = [&first, &second].into_iter().flat_map(|page| ids(page, "id")).collect();
        assert_eq!(found, [2, 4, 6, 8].map(id), "every row that an evaluation permits");
        assert_eq!(ids(&rows("record", "record.amend", "").await, "id"), Vec::<String>::new());
        assert_eq!(ids(&rows("record", "contract.read", "").await, "id"), Vec::<String>::new());
        assert_eq!(rows("contract", "contract.read", "").await.status, 400, "identity keeps none of them");
        assert_eq!(rows("ghost", "external.view", "").await.status, 400);
    })
    .await;
}

#[tokio::test]
async fn an_evaluation_of_oneself_does_not_tell_which_rows_are_kept_nor_what_is_wrong_with_them() {
    on_each("", async |listener| {
        let (world, admin) = (&listener.world, &listener.world.admin);
        register(admin, contracts(pb::ExternalKeeping::Kept)).await.expect("it is registered");
        let drafts = over(&["external.view"], pb::ExtentKind::Own, &[]);
        let drafts = pb::GrantTemplate { stages: vec!["draft".to_owned()], ..drafts };
        granted(admin, &listener.mei, drafts).await.expect("it is granted");
        let mut signed = super::super::external::kept::row(1, &listener.mei, &listener.store);
        signed.attributes.as_mut().expect("it has some").stage = "signed".to_owned();
        let keeper = super::super::external::kept::keeper(world).await;
        super::super::external::kept::put(&keeper, "contract", vec![signed]).await.expect("it is kept");
        let mei = world.log_in("mei").await.tokens.access_token;
        let ask = async |token: &str, properties: Value| {
            let of = |number: u128| {
                json!({ "resource": { "type": "contract", "id": uuid::Uuid::from_u128(number).to_string(),
                    "properties": properties } })
            };
            let body = json!({ "subject": listener.user(), "action": { "name": "contract.read" },
                "evaluations": [of(1), of(2)] });
            let answer = listener.post_as(token, "/access/v1/evaluations", &body.to_string()).await;
            (answer.body["evaluations"][0].clone(), answer.body["evaluations"][1].clone())
        };
        let (kept, missing) = ask(&mei, json!({})).await;
        assert_eq!((&kept, &kept["context"]["reason"]), (&missing, &json!("extent")));
        let (told, _) = ask(&admin.tokens.access_token, json!({})).await;
        assert_eq!(told["context"]["reason"], json!("stage"), "who may explain her hears why");
        let (wrong, _) = ask(&mei, json!({ "stage": "draft" })).await;
        let message = wrong["context"]["error"]["message"].as_str().expect("it says what is wrong");
        assert!(message.contains("resource.properties.stage"), "{message}");
    })
    .await;
}
