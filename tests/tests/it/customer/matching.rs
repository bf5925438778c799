//! One customer, one profile: repeats are found in the whole company, and asking is not a way to see what is masked.

use revisit_bootstrap::status::answer;
use revisit_core::Kind;
use revisit_proto::customer::v1 as pb;
use revisit_tests::world::{World, in_each_world};

use super::{create, person, point};

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_named_to_who_may_read_it_and_only_placed_for_who_may_not() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let mei = world.hire("mei", "sales_rep", &store).await;
        let mut first = person("王芳", "13800001001");
        first.contact_points.push(point(pb::ContactType::Wechat, "WX_wangfang"));
        let first = create(&jun, first).await.expect("made");
        let own = create(&jun, person("王女士", "+86 138-0000-1001")).await.expect_err("his own repeat");
        assert_eq!((own.kind, own.reason), (Kind::Exists, "DUPLICATE"));
        assert_eq!(own.details.get("customer_id"), Some(&first.customer_id));
        let mut other = person("王总", "13900009999");
        other.contact_points.push(point(pb::ContactType::Wechat, "ｗｘ_wangfang"));
        let other = create(&mei, other).await.expect_err("somebody else's");
        assert_eq!(other.reason, "DUPLICATE");
        assert_eq!(other.details.get("customer_id"), None);
        assert_eq!(other.details.get("owner_team").map(String::as_str), Some("上海徐汇店"));
        assert_eq!(other.details.get("matched_keys").map(String::as_str), Some("wechat"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_about_customers_of_others_have_a_budget() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let mei = world.hire("mei", "sales_rep", &store).await;
        create(&jun, person("王芳", "13800001001")).await.expect("made");
        let question = |phone: &str| pb::CheckDuplicatesRequest {
            contact_points: vec![point(pb::ContactType::Phone, phone)],
            ..Default::default()
        };
        for _ in 0..30 {
            let found = answer(mei.customers().check_duplicates(question("13800001001")).await).expect("an answer");
            assert_eq!(found.matches.len(), 1);
            assert!(found.matches[0].customer.is_none());
        }
        let spent = answer(mei.customers().check_duplicates(question("13800001001")).await).expect_err("enough");
        assert_eq!((spent.kind, spent.reason), (Kind::Exhausted, "DUPLICATE_BUDGET"));
        let nobody = answer(mei.customers().check_duplicates(question("13800001002")).await).expect("free of charge");
        assert!(nobody.matches.is_empty());
        let own = answer(jun.customers().check_duplicates(question("13800001001")).await).expect("his own");
        assert!(own.matches[0].customer.is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_weak_keys_match_and_one_does_not() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let company = |name: &str, person: &str, city: &str| pb::Customer {
            kind: pb::CustomerKind::Person as i32,
            name: person.to_owned(),
            city: city.to_owned(),
            contact_points: vec![point(pb::ContactType::Company, name)],
            ..Default::default()
        };
        create(&jun, company("上海华信贸易有限公司", "王芳", "上海")).await.expect("made");
        create(&jun, company("上海华信贸易有限公司", "李强", "上海")).await.expect("a colleague of hers");
        let same = create(&jun, company("上海华信贸易 Co., Ltd.", "王 芳", "上海市")).await.expect_err("the same");
        assert_eq!(same.details.get("matched_keys").map(String::as_str), Some("company,person"));
    })
    .await;
}
