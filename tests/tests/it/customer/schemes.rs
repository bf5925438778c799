//! What a company declares for itself: stages and the ways between them, grades and their rules, fields that everybody
//! must fill.

use std::time::Duration;

use revisit_bootstrap::{status::answer, wire};
use revisit_core::Kind;
use revisit_permission::{Action, Layer, Level, Levels};
use revisit_proto::customer::v1::{self as pb, field_value::Value};

use super::{
    fields, person,
    support::{Office, everywhere, in_each_office},
};

fn stage(name: &str, next: &[&str]) -> pb::Stage {
    let next = next.iter().map(|next| (*next).to_owned()).collect();
    pb::Stage { name: name.to_owned(), title: name.to_owned(), next, active: true }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_declares_its_stages_and_each_move_is_told_with_where_it_came_from() {
    in_each_office(async |office: &Office| {
        let (admin, director) = (office.seat("admin"), office.seat("director"));
        let early = director.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let shipped = answer(admin.catalogue().get_stages(pb::GetStagesRequest {}).await).expect("what ships");
        let set = |stages: Vec<pb::Stage>, etag: &str| pb::SetStagesRequest {
            scheme: Some(pb::StageScheme { stages, ..Default::default() }),
            etag: etag.to_owned(),
            ..Default::default()
        };
        let own = || vec![stage("visited", &["quoted"]), stage("quoted", &["visited", "lead"]), stage("lead", &[])];
        let denied = answer(director.catalogue().set_stages(set(own(), &shipped.etag)).await).expect_err("not his");
        assert_eq!(denied.kind, Kind::Denied);
        let gone = own().into_iter().take(1).map(|it| pb::Stage { next: Vec::new(), ..it }).collect();
        let kept = answer(admin.catalogue().set_stages(set(gone, &shipped.etag)).await).expect_err("it is in use");
        assert_eq!((kept.kind, kept.reason), (Kind::Precondition, "STAGE_IN_USE"));
        let nowhere = vec![stage("visited", &["paid"])];
        let refused =
            answer(admin.catalogue().set_stages(set(nowhere, &shipped.etag)).await).expect_err("no such stage");
        assert_eq!(fields(&refused), ["scheme.stages[0].next[0]"]);
        answer(admin.catalogue().set_stages(set(own(), &shipped.etag)).await).expect("declared");
        let stale = answer(admin.catalogue().set_stages(set(own(), &shipped.etag)).await).expect_err("already done");
        assert_eq!((stale.kind, stale.reason), (Kind::Conflict, "ETAG_STALE"));
        let late = director.create(person("李强", "13800001002")).await.expect("made");
        assert_eq!(late.stage, "visited", "the first stage is where customers begin");
        let stuck = director.move_stage(&early, "visited").await.expect_err("lead leads nowhere now");
        assert_eq!(stuck.reason, "STAGE_TRANSITION_ILLEGAL");
        assert_eq!(stuck.details.get("from").map(String::as_str), Some("lead"));
        for next in ["quoted", "visited", "quoted", "lead"] {
            director.move_stage(&late.customer_id, next).await.expect("declared");
        }
        let told = office.heard::<pb::CustomerChanged>().await.into_iter().filter_map(|it| {
            let facts = it.facts.filter(|facts| facts.customer_id == late.customer_id)?;
            Some((it.former_stage, facts.stage))
        });
        let moves = [("visited", "quoted"), ("quoted", "visited"), ("visited", "quoted"), ("quoted", "lead")];
        assert_eq!(told.collect::<Vec<_>>(), moves.map(|(from, to)| (from.to_owned(), to.to_owned())));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_declares_its_grades_and_who_they_are_is_judged_by_amount_repurchase_and_recency() {
    in_each_office(async |office: &Office| {
        let (admin, boss) = (office.seat("admin"), office.seat("boss"));
        let records = everywhere(
            &[Action::CustomerOrderRecord],
            Levels::HIDDEN.with(Layer::Basic, Level::Write).with(Layer::Financial, Level::Write),
        );
        office.grant("boss", vec![records]).await;
        let rule = |grade: &str, amount_min: i64, orders_min: i32, recency_days_max: i32| pb::GradeRule {
            grade: grade.to_owned(),
            amount_min,
            orders_min,
            recency_days_max,
        };
        let rules = vec![rule("gold", 10_000, 2, 30), rule("silver", 10_000, 1, 0), rule("bronze", 0, 0, 0)];
        let known = answer(admin.catalogue().get_grades(pb::GetGradesRequest {}).await).expect("what ships");
        assert_eq!(known.rules.iter().map(|rule| rule.grade.as_str()).collect::<Vec<_>>(), ["A", "B", "C"]);
        let scheme = pb::GradeScheme { rules, window_days: 60, currency: "CNY".to_owned(), ..Default::default() };
        let twice = vec![rule("gold", 1, 0, 0), rule("gold", 0, 0, 0)];
        let twice = pb::GradeScheme { rules: twice, ..scheme.clone() };
        let set = |scheme: pb::GradeScheme| pb::SetGradesRequest {
            scheme: Some(scheme),
            etag: known.etag.clone(),
            ..Default::default()
        };
        let refused = answer(admin.catalogue().set_grades(set(twice)).await).expect_err("one name, two rules");
        assert_eq!(fields(&refused), ["scheme.rules[1].grade"]);
        answer(admin.catalogue().set_grades(set(scheme)).await).expect("declared");
        let id = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made");
        assert_eq!(id.grade, "bronze");
        let order = async |minor_units: i64, currency: &str| {
            let order = pb::Order {
                customer_id: id.customer_id.clone(),
                amount: Some(pb::Money { minor_units, currency: currency.to_owned() }),
                place_time: Some(wire::time(office.now())),
                ..Default::default()
            };
            answer(
                boss.orders().record_order(pb::RecordOrderRequest { order: Some(order), ..Default::default() }).await,
            )
            .expect("recorded");
            boss.get(&id.customer_id).await.expect("there").grade
        };
        assert_eq!(order(900_000, "USD").await, "bronze", "another currency does not count");
        assert_eq!(order(10_000, "CNY").await, "silver", "never came back");
        assert_eq!(order(1, "CNY").await, "gold");
        for (days, grade) in [(31, "silver"), (30, "bronze")] {
            office.advance(Duration::from_hours(24 * days)).await;
            office.until(&format!("SELECT count(*) AS n FROM customer WHERE grade = '{grade}'"), 1).await;
        }
        let reason = boss.get(&id.customer_id).await.expect("there").grade_reason;
        assert!(reason.starts_with("0 orders, 0.00 CNY in 60 days"), "{reason}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_field_is_asked_of_every_new_customer_whatever_the_way_and_a_new_choice_is_taken_at_once() {
    in_each_office(async |office: &Office| {
        let (admin, rep, manager) = (office.seat("admin"), office.seat("rep"), office.seat("manager"));
        let early = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let mut field = admin.field("taste", pb::FieldType::Choice, "basic").await;
        field.required = true;
        field.choices = vec![pb::Choice { key: "green".to_owned(), title: "绿".to_owned() }];
        let update = |field: &pb::Field| pb::UpdateFieldRequest {
            field: Some(field.clone()),
            etag: field.etag.clone(),
            ..Default::default()
        };
        let changed = answer(admin.catalogue().update_field(update(&field)).await).expect("changed");
        assert_eq!(changed.choices.len(), 3, "choices are added, none goes away");
        let stale = answer(admin.catalogue().update_field(update(&field)).await).expect_err("it has changed since");
        assert_eq!((stale.kind, stale.reason), (Kind::Conflict, "ETAG_STALE"));
        let refused = rep.create(person("李强", "13800001002")).await.expect_err("it is required");
        assert_eq!(fields(&refused), ["fields.taste"]);
        let file = "姓名,手机号,taste\n李强,13800001002,\n张敏,13800001003,绿\n";
        let done = manager.import(office, file.as_bytes()).await;
        assert_eq!((done.created_count, done.rejected_count), (1, 1));
        let told = manager.import_rows(&done.job_id, "rejected").await;
        assert_eq!(told[0].violations[0].field, "fields.taste");
        let green = Value::Choices(pb::Choices { keys: vec!["green".to_owned()] });
        let green = vec![pb::FieldValue { key: "taste".to_owned(), value: Some(green) }];
        rep.create(pb::Customer { fields: green, ..person("李强", "13800001002") }).await.expect("with it");
        let change = pb::Customer { customer_id: early, city: "上海".to_owned(), ..Default::default() };
        rep.update(change, &["city"]).await.expect("who was there before is asked for nothing");
    })
    .await;
}
