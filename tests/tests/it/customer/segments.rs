//! Who is in a segment, and what is told when somebody crosses its border: once, whoever notices it.

use std::{collections::BTreeMap, time::Duration};

use revisit_bootstrap::status::{answer, failure};
use revisit_core::Kind;
use revisit_permission::{Action, Layer, Level, Levels};
use revisit_proto::{customer::v1 as pb, followup::v1 as followup};
use revisit_tests::{databases::Backend, held::while_held};
use sea_orm::ConnectionTrait;

use super::{
    fields, person,
    support::{Office, everywhere, in_each_office},
};

/// What was told of each customer of one segment: entered or left, with its number, in the order of the numbers.
async fn crossings(office: &Office, segment: &pb::Segment) -> BTreeMap<String, Vec<(i64, bool)>> {
    let mut told: BTreeMap<String, Vec<(i64, bool)>> = BTreeMap::new();
    let entered = office.heard::<pb::SegmentEntered>().await.into_iter();
    let entered = entered.map(|it| (it.segment_id, it.customer_id, it.crossing, true));
    let left = office.heard::<pb::SegmentLeft>().await.into_iter();
    let left = left.map(|it| (it.segment_id, it.customer_id, it.crossing, false));
    for (_, customer, number, inside) in entered.chain(left).filter(|(of, ..)| *of == segment.segment_id) {
        told.entry(customer).or_default().push((number, inside));
    }
    told.values_mut().for_each(|crossings| crossings.sort_unstable());
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn each_crossing_is_told_once_whether_a_change_or_the_sweep_finds_it() {
    in_each_office(async |office: &Office| {
        let (rep, admin, director) = (office.seat("rep"), office.seat("admin"), office.seat("director"));
        let first = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let second = rep.create(person("李强", "13800001002")).await.expect("made").customer_id;
        let leads = admin.segment("stage == \"lead\"").await.expect("a segment");
        office.settle().await;
        let expected = BTreeMap::from([(first.clone(), vec![(1, true)]), (second.clone(), vec![(1, true)])]);
        assert_eq!(crossings(office, &leads).await, expected, "the first sweep tells of everybody once");
        for stage in ["contacted", "churned", "lead"] {
            director.move_stage(&first, stage).await.expect("moved");
        }
        let delete = pb::DeleteCustomerRequest { customer_id: second.clone(), ..Default::default() };
        answer(director.customers().delete_customer(delete).await).expect("deleted");
        let restore = pb::RestoreCustomerRequest { customer_id: second.clone(), ..Default::default() };
        answer(director.customers().restore_customer(restore).await).expect("restored");
        rep.update(
            pb::Customer { customer_id: first.clone(), name: "王芳芳".to_owned(), ..Default::default() },
            &["name"],
        )
        .await
        .expect("a change that crosses no border");
        let there_and_back = vec![(1, true), (2, false), (3, true)];
        let expected = BTreeMap::from([(first.clone(), there_and_back.clone()), (second.clone(), there_and_back)]);
        assert_eq!(crossings(office, &leads).await, expected);
        // A change that nobody compared, as a race between a new segment and a new customer could leave it.
        let unseen = "UPDATE customer SET stage = 'won' WHERE name = '李强'";
        office.database.writer.execute_unprepared(unseen).await.expect("written");
        office.advance(Duration::from_hours(169)).await;
        office.until("SELECT count(*) AS n FROM segment_member WHERE present", 1).await;
        office.settle().await;
        let mut expected = expected;
        expected.get_mut(&second).expect("hers").push((4, false));
        assert_eq!(
            crossings(office, &leads).await,
            expected,
            "the net beneath tells what was missed, and nothing else"
        );
        let update = pb::UpdateSegmentRequest {
            segment: Some(pb::Segment { filter: "stage == \"won\"".to_owned(), ..leads.clone() }),
            etag: leads.etag.clone(),
            ..Default::default()
        };
        answer(admin.segments().update_segment(update).await).expect("another filter");
        office.settle().await;
        expected.get_mut(&first).expect("his").push((4, false));
        expected.get_mut(&second).expect("hers").push((5, true));
        assert_eq!(crossings(office, &leads).await, expected);
        let delete = pb::DeleteSegmentRequest { segment_id: leads.segment_id.clone(), ..Default::default() };
        answer(admin.segments().delete_segment(delete).await).expect("nobody watches it");
        office.settle().await;
        expected.get_mut(&second).expect("hers").push((6, false));
        assert_eq!(crossings(office, &leads).await, expected, "all leave a segment that is deleted");
    })
    .await;
}

async fn publish(office: &Office, version: i32, segment: &pb::Segment, watched: &[&str]) -> followup::PlanPublished {
    let plan = office.new_id::<revisit_core::id::kind::Plan>();
    let published = followup::PlanPublished {
        plan_id: plan.to_string(),
        plan_version: version,
        segment_id: segment.segment_id.clone(),
        watched_fields: watched.iter().map(|field| (*field).to_owned()).collect(),
    };
    office.event("followup", plan.uuid(), &published).await;
    published
}

/// Every fact that was told: customer, field and value, in the order of the customers' versions.
async fn facts(office: &Office) -> Vec<(String, String, String)> {
    let mut facts = office.heard::<pb::FactChanged>().await;
    facts.sort_by(|one, other| (one.version, &one.field).cmp(&(other.version, &other.field)));
    facts.into_iter().map(|it| (it.customer_id, it.field, it.value)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_plan_hears_the_dates_it_names_of_its_members_first_and_then_at_every_change() {
    in_each_office(async |office: &Office| {
        let (rep, admin) = (office.seat("rep"), office.seat("admin"));
        admin.field("signed", pb::FieldType::Date, "basic").await;
        admin.field("lawsuit", pb::FieldType::Date, "sensitive").await;
        admin.field("visited", pb::FieldType::Date, "history").await;
        let date = |key: &str, date: &str| pb::FieldValue {
            key: key.to_owned(),
            value: Some(pb::field_value::Value::Date(date.to_owned())),
        };
        let mut member = pb::Customer { birthday: "1992-02-29".to_owned(), ..person("王芳", "13800001001") };
        member.fields =
            vec![date("signed", "2026-12-01"), date("lawsuit", "2026-11-11"), date("visited", "2026-11-12")];
        let member = rep.create(member).await.expect("made").customer_id;
        rep.create(person("李强", "13800001002")).await.expect("a member without a date");
        let outside = pb::Customer { birthday: "1990-05-06".to_owned(), ..person("张敏", "13800001003") };
        let outside = rep.create(outside).await.expect("made").customer_id;
        rep.move_stage(&outside, "contacted").await.expect("moved");
        let leads = admin.segment("stage == \"lead\"").await.expect("a segment");
        let everybody = admin.segment("stage != \"won\"").await.expect("a segment");
        office.settle().await;
        let published =
            publish(office, 1, &leads, &["birthday", "fields.signed", "fields.lawsuit", "fields.visited"]).await;
        let told = |field: &str, value: &str| (member.clone(), field.to_owned(), value.to_owned());
        let first = vec![told("birthday", "1992-02-29"), told("fields.signed", "2026-12-01")];
        assert_eq!(facts(office).await, first, "those of present members, and no layer but the basic one");
        let change =
            pb::Customer { customer_id: member.clone(), birthday: "1993-03-01".to_owned(), ..Default::default() };
        rep.update(change.clone(), &["birthday"]).await.expect("changed");
        rep.update(pb::Customer { city: "上海".to_owned(), ..change }, &["city"]).await.expect("another field");
        let mut secret = pb::Customer { customer_id: member.clone(), ..Default::default() };
        secret.fields = vec![date("lawsuit", "2026-11-13"), date("visited", "2026-11-14")];
        rep.update(secret, &["fields.lawsuit", "fields.visited"]).await.expect("changed, and nobody's business");
        let mut expected = first;
        expected.push(told("birthday", "1993-03-01"));
        assert_eq!(facts(office).await, expected);
        // A second plan that watches the same field on a segment with everybody.
        publish(office, 1, &everybody, &["birthday"]).await;
        let heard = facts(office).await;
        assert_eq!(heard.len(), 5, "{heard:?}");
        assert!(heard.contains(&(outside.clone(), "birthday".to_owned(), "1990-05-06".to_owned())), "{heard:?}");
        let gone = pb::Customer { customer_id: member.clone(), ..Default::default() };
        rep.update(gone, &["birthday"]).await.expect("taken away");
        let heard = facts(office).await;
        assert_eq!(heard.len(), 6, "one change is told once, however many watch: {heard:?}");
        assert_eq!(heard.last(), Some(&told("birthday", "")), "that there is none any more is told too");
        let retired = followup::PlanRetired { plan_id: published.plan_id, segment_id: leads.segment_id.clone() };
        let key = retired.plan_id.parse().expect("an id");
        office.event("followup", key, &retired).await;
        let mut later = pb::Customer { customer_id: member.clone(), ..Default::default() };
        later.fields = vec![date("signed", "2026-12-02")];
        rep.update(later, &["fields.signed"]).await.expect("changed");
        assert_eq!(facts(office).await.len(), 6, "nobody reads it any more");
        let delete = pb::DeleteSegmentRequest { segment_id: everybody.segment_id, ..Default::default() };
        let kept = answer(admin.segments().delete_segment(delete).await).expect_err("a plan uses it");
        assert_eq!(kept.reason, "SEGMENT_WATCHED");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_counts_what_its_caller_may_view_and_a_segment_asks_about_basic_fields_only() {
    in_each_office(async |office: &Office| {
        office.seat("admin").field("income", pb::FieldType::Number, "financial").await;
        for (owner, phone) in [("rep", "13800001001"), ("rep", "13800001002"), ("outsider", "13800001003")] {
            office.seat(owner).create(person("王芳", phone)).await.expect("made");
        }
        for (who, expected) in [("rep", 2), ("manager", 2), ("outsider", 1), ("boss", 3), ("colleague", 0)] {
            let request = pb::PreviewSegmentRequest { filter: "stage == \"lead\"".to_owned() };
            let preview = answer(office.seat(who).segments().preview_segment(request).await).expect("a count");
            assert_eq!(preview.count, expected, "{who}");
        }
        let refused = office.seat("admin").segment("fields.income > 5").await.expect_err("amounts are not basic");
        assert_eq!(fields(&refused), ["segment.filter"]);
        let refused = office.seat("admin").segment("stage ==").await.expect_err("half a filter");
        assert_eq!(fields(&refused), ["segment.filter"]);
        let segment = office.seat("manager").segment("stage == \"lead\"").await.expect("a segment");
        office.settle().await;
        for (who, expected) in [("boss", 3), ("manager", 0)] {
            let request = pb::GetSegmentRequest { segment_id: segment.segment_id.clone() };
            let seen = answer(office.seat(who).segments().get_segment(request).await).expect("the segment");
            assert_eq!(seen.member_count, expected, "{who}: the count is over the whole company");
        }
    })
    .await;
}

/// On PostgreSQL alone, where a lock makes the wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_segment_does_not_outlive_the_right_to_see_it_while_it_is_counted() {
    let office = Office::start(Backend::Postgres, "").await;
    let segment = office.seat("admin").segment("stage == \"lead\"").await.expect("a segment");
    office.settle().await;
    let levels = Levels::of(&[(Layer::Basic, Level::Read)]);
    office.grant("director", vec![everywhere(&[Action::CustomerView, Action::CustomerAggregate], levels)]).await;
    let director = office.seat("director");
    let request = pb::GetSegmentRequest { segment_id: segment.segment_id };
    let get = async || director.segments().get_segment(request.clone()).await;
    get().await.expect("they may so far");
    let connections = (&office.database.writer, &office.database.reader);
    let gone = office.deny("director", Action::CustomerView);
    let told = while_held(connections, "segment_member", get(), gone).await;
    let refused = failure(&told.expect_err("it was told all the same"));
    // Whoever asks again is answered by the newest rights.
    assert_eq!((refused.kind, refused.reason), (Kind::Unavailable, "LEASE_EXPIRED"), "{refused:?}");
    office.stop().await;
}
