//! Grants name the stages that customer knows: what a company declares there may be named here.

use revisit_bootstrap::status::answer;
use revisit_core::Failure;
use revisit_proto::{customer::v1 as customer, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world};

async fn in_stage(admin: &Person, holder: &Person, stage: &str) -> Result<identity::Grant, Failure> {
    let right = identity::GrantTemplate {
        actions: vec!["customer.view".to_owned()],
        extent: Some(identity::Extent { kind: identity::ExtentKind::Own.into(), ..Default::default() }),
        levels: Some(identity::LayerLevels { basic: identity::Level::Read.into(), ..Default::default() }),
        stages: vec![stage.to_owned()],
        ..Default::default()
    };
    let (holder_id, reason) = (holder.id.to_string(), "a test".to_owned());
    let request = identity::CreateGrantRequest { holder_id, right: Some(right), reason, ..Default::default() };
    answer(admin.access().create_grant(request).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_is_named_by_grants_from_its_declaration_on() {
    in_each_world(async |world: &World| {
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let unknown = in_stage(&world.admin, &mei, "warranty").await.expect_err("nobody has declared it");
        assert_eq!(unknown.violations.first().map(|it| it.field.as_str()), Some("right.stages"));
        let request = customer::GetStagesRequest::default();
        let mut scheme = answer(world.admin.catalogue().get_stages(request).await).expect("the shipped ones");
        let etag = scheme.etag.clone();
        scheme.stages.push(customer::Stage {
            name: "warranty".to_owned(),
            title: "保修".to_owned(),
            ..Default::default()
        });
        let request = customer::SetStagesRequest { scheme: Some(scheme), etag, ..Default::default() };
        answer(world.admin.catalogue().set_stages(request).await).expect("declared");
        world.settle().await;
        in_stage(&world.admin, &mei, "warranty").await.expect("customer has told of it");
        in_stage(&world.admin, &mei, "warrenty").await.expect_err("misspelt");
    })
    .await;
}
