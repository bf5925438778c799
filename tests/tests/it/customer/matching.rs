//! One customer, one profile: repeats are found in the whole company, and asking is not a way to see what is masked.

use revisit_bootstrap::status::answer;
use revisit_core::Kind;
use revisit_proto::customer::v1 as pb;
use revisit_tests::world::{World, in_each_world};

use super::{
    create, person, point,
    support::{Office, in_each_office},
};

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
        // That there is nobody would be an answer as well, also to who tries by creating.
        let nobody = answer(mei.customers().check_duplicates(question("13800001002")).await).expect_err("enough");
        assert_eq!(nobody.reason, "DUPLICATE_BUDGET");
        let made = create(&mei, person("李强", "13800001002")).await.expect_err("the same question");
        assert_eq!(made.reason, "DUPLICATE_BUDGET");
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

#[tokio::test(flavor = "multi_thread")]
async fn two_weak_keys_match_however_many_share_the_name() {
    /// More than are ever looked at for one weak key.
    const NAMESAKES: usize = 201;
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let one =
            |number: usize| pb::Customer { city: "上海".to_owned(), ..person("王芳", &format!("138{number:08}")) };
        for number in 0..NAMESAKES {
            create(&jun, one(number)).await.expect("a namesake");
        }
        let of_company = |number: usize| {
            let mut row = one(number);
            row.contact_points.push(point(pb::ContactType::Company, "上海华信贸易有限公司"));
            row
        };
        create(&jun, of_company(NAMESAKES)).await.expect("the last of them");
        let same = create(&jun, of_company(NAMESAKES + 1)).await.expect_err("the same, by name and company");
        assert_eq!(same.details.get("matched_keys").map(String::as_str), Some("company,person"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_key_by_key_and_every_answer_about_others_is_audited() {
    in_each_office(async |office: &Office| {
        let (rep, colleague) = (office.seat("rep"), office.seat("colleague"));
        let mut row = person("王芳", "13800001001");
        row.contact_points.push(point(pb::ContactType::Wechat, "wx_wangfang"));
        row.contact_points.push(point(pb::ContactType::Company, "上海华信贸易有限公司"));
        let row = rep.create(row).await.expect("made");
        let question = pb::CheckDuplicatesRequest {
            name: "王女士".to_owned(),
            contact_points: vec![
                point(pb::ContactType::Phone, "+86 138 0000 1001"),
                point(pb::ContactType::Wechat, "wx_somebody_else"),
                point(pb::ContactType::Company, "上海华信贸易 Co., Ltd."),
            ],
            kind: pb::CustomerKind::Person.into(),
            ..Default::default()
        };
        let expected = [("phone", true, true), ("wechat", true, false), ("company", false, true)];
        for (who, owner_team, knows) in [(&colleague, "徐汇店", false), (&rep, "", true)] {
            let told = answer(who.customers().check_duplicates(question.clone()).await).expect("an answer");
            let keys: Vec<_> = told.keys.iter().map(|it| (it.key.as_str(), it.strong, it.found)).collect();
            assert_eq!(keys, expected);
            assert_eq!(told.matches[0].matched_keys, ["phone", "company"]);
            assert_eq!((told.matches[0].owner_team.as_str(), told.matches[0].customer.is_some()), (owner_team, knows));
            let shown = told.matches[0].customer.as_ref().map(|it| it.contact_points[0].value.as_str());
            assert_eq!(shown, knows.then_some("138****1001"), "masked, also to who may read it");
        }
        let weak = pb::CheckDuplicatesRequest { contact_points: question.contact_points[2..].to_vec(), ..question };
        let hint = answer(colleague.customers().check_duplicates(weak).await).expect("an answer");
        assert!(hint.matches.is_empty() && hint.keys[0].found, "one weak key is no match: {hint:?}");
        let entries = office.audited("customer.duplicate_answer").await;
        let mut counts: Vec<_> = entries.iter().map(|entry| (entry.count, entry.resource_ids.len())).collect();
        counts.sort_unstable();
        assert_eq!(counts, [(1, 1), (2, 1)], "what is answered about others costs, also a hint");
        assert!(entries.iter().all(|entry| entry.subject_id == colleague.id.to_string()));
        assert!(entries.iter().any(|entry| entry.resource_ids == [row.customer_id.clone()]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_question_about_many_costs_as_many_and_a_key_that_one_reads_oneself_costs_nothing() {
    in_each_office(async |office: &Office| {
        let (rep, outsider) = (office.seat("rep"), office.seat("outsider"));
        let phone = |number: i32| format!("13800001{number:03}");
        let company = || point(pb::ContactType::Company, "上海华信贸易有限公司");
        for number in 0..12 {
            let mut row = person("王芳", &phone(number));
            row.contact_points.push(company());
            rep.create(row).await.expect("made");
        }
        let mut own = person("李强", "13900001000");
        own.contact_points.push(company());
        outsider.create(own).await.expect("made");
        let free = pb::CheckDuplicatesRequest { contact_points: vec![company()], ..Default::default() };
        let told = answer(outsider.customers().check_duplicates(free).await).expect("an answer");
        assert!(told.keys[0].found && told.matches.is_empty(), "{told:?}");
        assert!(office.audited("customer.duplicate_answer").await.is_empty(), "it is in a customer of one's own");
        let contact_points = (0..12).map(|number| point(pb::ContactType::Phone, &phone(number))).collect();
        let question = pb::CheckDuplicatesRequest { contact_points, ..Default::default() };
        for _ in 0..2 {
            let told = answer(outsider.customers().check_duplicates(question.clone()).await).expect("an answer");
            assert_eq!(told.matches.len(), 12);
        }
        let spent = answer(outsider.customers().check_duplicates(question).await).expect_err("thirty an hour");
        assert_eq!(spent.reason, "DUPLICATE_BUDGET");
        let entries = office.audited("customer.duplicate_answer").await;
        let mut counts: Vec<_> = entries.iter().map(|entry| (entry.count, entry.resource_ids.len())).collect();
        counts.sort_unstable();
        assert_eq!(counts, [(12, 12), (24, 12)], "each is counted and named");
        let refused = office.refused("Customers/CheckDuplicates").await;
        let refused: Vec<_> =
            refused.iter().map(|it| (it.reason_code.as_str(), it.resource_ids.len(), it.count)).collect();
        assert_eq!(refused, [("DUPLICATE_BUDGET", 12, 0)], "asked about, not told: one refusal");
    })
    .await;
}
