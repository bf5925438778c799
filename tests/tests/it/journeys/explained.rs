//! Why somebody sees a customer, asked by its id: what is told is what calls are answered, a lent view included, and nobody
//! hears of a customer who is not theirs to ask about.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_core::{Failure, Kind};
use revisit_proto::{customer::v1 as pb, followup::v1 as followup, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world};

use super::{
    follow_up::{complete, store},
    who_could::lend,
};

const HOUR: Duration = Duration::from_hours(1);
const NOBODY: &str = "00000000-0000-4000-8000-000000000009";

/// Why a subject may view a customer; the caller when none is named.
async fn why(by: &Person, customer_id: &str, subject_id: &str) -> Result<pb::ExplainAccessResponse, Failure> {
    let (customer_id, subject_id) = (customer_id.to_owned(), subject_id.to_owned());
    let request = pb::ExplainAccessRequest { customer_id, subject_id, action: String::new() };
    answer(by.fresh().await.expect("a session").customers().explain_access(request).await)
}

/// Whether it is allowed, by what, and the axis that refused.
fn told(why: Result<pb::ExplainAccessResponse, Failure>) -> (bool, String, identity::Axis) {
    let why = why.expect("it is explained");
    let axis = why.refused_axis();
    let answer = why.answer.expect("an answer");
    assert!(why.explanation.contains(&answer.witness), "{}", why.explanation);
    (answer.allowed, answer.witness, axis)
}

fn refused(why: Result<pb::ExplainAccessResponse, Failure>) -> (Kind, &'static str) {
    let failure = why.expect_err("it is refused");
    (failure.kind, failure.reason)
}

/// Where the right lies that a witness names.
async fn extent(world: &World, witness: &str) -> identity::ExtentKind {
    let (_, role) = witness.split_once("/role:").expect("a role of a position");
    let (role_id, place) = role.split_once('#').expect("one of its templates");
    let request = identity::GetRoleRequest { role_id: role_id.to_owned() };
    let admin = world.admin.fresh().await.expect("a session");
    let role = answer(admin.access().get_role(request).await).expect("there is one");
    let template = &role.templates[place.parse::<usize>().expect("a number")];
    template.extent.as_ref().expect("each has one").kind()
}

/// A grant of one action over a department, or over the company.
async fn give(world: &World, to: &Person, action: &str, department: Option<&str>, basic: identity::Level) {
    use identity::ExtentKind as Extent;
    let kind = if department.is_some() { Extent::Department } else { Extent::Tenant };
    let department_id = department.unwrap_or_default().to_owned();
    let request = identity::CreateGrantRequest {
        holder_id: to.id.to_string(),
        right: Some(identity::GrantTemplate {
            actions: vec![action.to_owned()],
            extent: Some(identity::Extent { kind: kind.into(), department_id, ..Default::default() }),
            levels: Some(identity::LayerLevels { basic: basic.into(), ..Default::default() }),
            ..Default::default()
        }),
        reason: "a test".to_owned(),
        ..Default::default()
    };
    let admin = world.admin.fresh().await.expect("a session");
    answer(admin.access().create_grant(request).await).expect("it is granted");
    world.settle().await;
}

/// The department somebody is in.
async fn department(who: &Person) -> String {
    let who = who.fresh().await.expect("a session");
    answer(who.directory().get_own_profile(identity::GetOwnProfileRequest {}).await).expect("a profile").department_id
}

#[tokio::test(flavor = "multi_thread")]
async fn why_somebody_sees_a_customer_names_the_right_of_a_role_and_that_of_an_open_task() {
    use identity::{Axis, ExtentKind};
    in_each_world(async |world: &World| {
        let (manager, mei) = store(world).await;
        let lan = world.hire("lan", "sales_rep", &department(&manager).await).await;
        let shen = world.hire("shen", "auditor", &world.root).await;
        world.advance(2 * HOUR).await;
        let task = world.tasks(&mei, followup::TaskState::Open).await.remove(0);
        let (customer, lan_id) = (&task.customer_id, lan.id.to_string());
        let (allowed, witness, axis) = told(why(&shen, customer, &mei.id).await);
        assert!(allowed && axis == Axis::Unspecified, "{witness}");
        assert_eq!(extent(world, &witness).await, ExtentKind::Own);
        let (allowed, witness, axis) = told(why(&shen, customer, &lan_id).await);
        assert_eq!((allowed, axis), (false, Axis::Extent), "{witness}");
        lend(&manager, &task, &lan).await;
        world.settle().await;
        let (allowed, witness, _) = told(why(&shen, customer, &lan_id).await);
        assert!(allowed, "{witness}");
        assert_eq!(extent(world, &witness).await, ExtentKind::Task);
        assert_eq!(told(why(&lan, customer, "").await).1, witness, "the borrower is told the same");
        assert_eq!(told(why(&lan, customer, &lan_id).await).1, witness, "also by name");
        let delete = pb::ExplainAccessRequest {
            customer_id: customer.clone(),
            action: "customer.delete".to_owned(),
            ..Default::default()
        };
        let delete = answer(lan.fresh().await.expect("a session").customers().explain_access(delete).await);
        assert_eq!(told(delete).2, Axis::Operation, "a representative deletes nobody");
        complete(&lan, &task).await;
        world.settle().await;
        assert_eq!(told(why(&shen, customer, &lan_id).await).2, Axis::Extent, "it is over");
        assert_eq!(refused(why(&lan, customer, "").await), (Kind::NotFound, "CUSTOMER_NOT_FOUND"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_whom_the_asker_neither_sees_nor_explains_is_answered_like_none() {
    in_each_world(async |world: &World| {
        let (manager, mei) = store(world).await;
        let home = department(&manager).await;
        let far = world.department("杭州西湖店", &world.root).await;
        let wei = world.hire("wei", "sales_rep", &far).await;
        let tao = world.hire("tao", "sales_rep", &far).await;
        let customer = world.customer(&mei, "李强", "13800001002").await.customer_id;
        let none = (Kind::NotFound, "CUSTOMER_NOT_FOUND");
        let denied = (Kind::Denied, "PERMISSION_DENIED");
        for id in [customer.as_str(), NOBODY] {
            assert_eq!(refused(why(&wei, id, "").await), none, "about oneself it takes no right to ask");
            assert_eq!(refused(why(&wei, id, &mei.id).await), denied, "about others it does");
            assert_eq!(refused(why(&wei, id, NOBODY).await), denied, "whoever is named");
        }
        assert_eq!(refused(why(&mei, &customer, &wei.id).await), denied, "not by seeing the customer either");
        give(world, &tao, "grant.explain", Some(&far), identity::Level::Read).await;
        for id in [customer.as_str(), NOBODY] {
            for subject in [tao.id.to_string(), wei.id.to_string(), mei.id.to_string()] {
                assert_eq!(refused(why(&tao, id, &subject).await), none, "who explains elsewhere");
            }
        }
        let nearer = world.customer(&wei, "王芳", "13800001003").await.customer_id;
        assert!(told(why(&tao, &nearer, &wei.id).await).0, "hers to explain");
        let stranger = why(&tao, &nearer, &mei.id).await;
        assert_eq!(refused(stranger), (Kind::NotFound, "USER_NOT_FOUND"), "not whom she explains");
        // Whoever sees the row and none of its facts is not told them by what decided.
        give(world, &wei, "customer.view", Some(&home), identity::Level::Masked).await;
        world.ask(&wei, &customer).await.expect("he sees that there is one");
        assert_eq!(refused(why(&wei, &customer, "").await), none);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_question_why_is_refused_by_its_fields_and_one_about_who_is_gone_by_its_reason() {
    in_each_world(async |world: &World| {
        let (manager, mei) = store(world).await;
        let shen = world.hire("shen", "auditor", &world.root).await;
        let customer = world.customer(&mei, "李强", "13800001002").await.customer_id;
        let request = pb::ExplainAccessRequest {
            customer_id: "one".to_owned(),
            subject_id: "two".to_owned(),
            action: "task.view".to_owned(),
        };
        let bad = answer(shen.customers().explain_access(request).await).expect_err("nothing of it is right");
        let fields: Vec<&str> = bad.violations.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(
            (bad.kind, bad.reason, fields),
            (Kind::Invalid, "INVALID_ARGUMENT", vec!["customer_id", "subject_id", "action"])
        );
        let delete = pb::DeleteCustomerRequest { customer_id: customer.clone(), ..Default::default() };
        answer(manager.fresh().await.expect("a session").customers().delete_customer(delete).await).expect("deleted");
        let gone = (Kind::Precondition, "CUSTOMER_DELETED");
        assert_eq!(refused(why(&shen, &customer, &mei.id).await), gone);
        assert_eq!(
            refused(why(&mei, &customer, "").await),
            (Kind::NotFound, "CUSTOMER_NOT_FOUND"),
            "nor does she see it"
        );
    })
    .await;
}
