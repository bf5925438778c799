//! Whoever steals the database reads no number, no account, no mail and no word that anybody wrote.

use std::collections::BTreeSet;

use revisit_bootstrap::{status::answer, wire};
use revisit_proto::customer::v1::{self as pb, field_value::Value};

use super::{
    dump::{dump, found},
    person, point,
    support::{Office, in_each_office},
};

const SECRETS: [&str; 14] = [
    "13800001001",
    "138 0000 1001",
    "wang.fang@secret.example",
    "wx_very_secret",
    "91310000MA1FL0000X",
    "她想在周末看样板间",
    "电话里说下月再谈",
    "十二把椅子送到三楼",
    "E12345678",
    "不吃花生,对猫过敏",
    "12345坏号码",
    "坏行的备注也不能看",
    "138****1001",
    "未开始的文件里的备注",
];
/// A name and a basic field are no secrets: the same search must find them.
const IN_CLEAR: [&str; 2] = ["显名13799999999", "上海市徐汇区"];

#[tokio::test(flavor = "multi_thread")]
async fn no_number_mail_or_word_lies_in_clear_in_the_database_and_the_search_finds_what_does() {
    in_each_office(async |office: &Office| {
        let (admin, rep, manager) = (office.seat("admin"), office.seat("rep"), office.seat("manager"));
        admin.field("passport", pb::FieldType::Text, "sensitive").await;
        admin.field("habits", pb::FieldType::Text, "history").await;
        let text =
            |key: &str, text: &str| pb::FieldValue { key: key.to_owned(), value: Some(Value::Text(text.to_owned())) };
        let mut row = pb::Customer { city: IN_CLEAR[1].to_owned(), ..person(IN_CLEAR[0], SECRETS[1]) };
        row.contact_points.push(point(pb::ContactType::Email, SECRETS[2]));
        row.contact_points.push(point(pb::ContactType::Wechat, SECRETS[3]));
        row.contact_points.push(point(pb::ContactType::RegistrationCode, SECRETS[4]));
        row.fields = vec![text("passport", SECRETS[8]), text("habits", SECRETS[9])];
        let customer_id = rep.create(row).await.expect("made").customer_id;
        let note =
            pb::AddNoteRequest { customer_id: customer_id.clone(), text: SECRETS[5].to_owned(), ..Default::default() };
        answer(rep.timeline().add_note(note).await).expect("noted");
        let touch = pb::RecordTouchRequest {
            customer_id: customer_id.clone(),
            channel: "phone".to_owned(),
            direction: pb::Direction::Inbound.into(),
            event_time: Some(wire::time(office.now())),
            text: SECRETS[6].to_owned(),
            ..Default::default()
        };
        answer(rep.timeline().record_touch(touch).await).expect("recorded");
        for stage in ["contacted", "qualified", "negotiating", "won"] {
            rep.move_stage(&customer_id, stage).await.expect("moved");
        }
        let order = pb::Order {
            customer_id: customer_id.clone(),
            amount: Some(pb::Money { minor_units: 1, currency: "CNY".to_owned() }),
            place_time: Some(wire::time(office.now())),
            description: SECRETS[7].to_owned(),
            ..Default::default()
        };
        let request = pb::RecordOrderRequest { order: Some(order), ..Default::default() };
        answer(office.seat("service").orders().record_order(request).await).expect("recorded");
        let file = format!("姓名,手机号,备注\n王芳,{},{}\n", SECRETS[10], SECRETS[11]);
        let done = manager.import(office, file.as_bytes()).await;
        assert_eq!(done.rejected_count, 1);
        let waiting = format!("姓名,手机号,备注\n王芳,13800001001,{}\n", SECRETS[13]);
        manager.upload("later.csv", waiting.as_bytes()).await.expect("a job that nobody starts");
        rep.ask(&customer_id).await.expect("a clear read, which the audit names");
        let wanted: BTreeSet<&str> = SECRETS.into_iter().chain(IN_CLEAR).collect();
        assert_eq!(found(&dump(office).await, &wanted), BTreeSet::from(IN_CLEAR));
        let entries = rep.entries(&customer_id).await.expect("a timeline");
        for word in [SECRETS[5], SECRETS[6]] {
            assert!(entries.iter().any(|entry| entry.text == word), "and who may read it does: {entries:?}");
        }
    })
    .await;
}
