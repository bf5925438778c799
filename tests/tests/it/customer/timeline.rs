//! What happened with a customer: in order, by whom and by which channel, and no more of it than its reader may know.

use std::time::Duration;

use revisit_bootstrap::{status::answer, wire};
use revisit_core::Kind;
use revisit_permission::{Action, ActionSet, Extent, Layer, Level, Levels, Template};
use revisit_proto::{customer::v1 as pb, followup::v1 as followup};

use super::{
    person,
    support::{Office, Seat, in_each_office},
};

fn right(actions: &[Action], extent: Extent, levels: Levels) -> Template {
    Template { actions: ActionSet::of(actions), extent, stages: None, grades: None, external: None, levels }
}

async fn note(who: &Seat, customer_id: &str, text: &str) -> Result<pb::TimelineEntry, revisit_core::Failure> {
    let request =
        pb::AddNoteRequest { customer_id: customer_id.to_owned(), text: text.to_owned(), ..Default::default() };
    answer(who.timeline().add_note(request).await)
}

/// Kinds of entries, the newest first.
fn kinds(entries: &[pb::TimelineEntry]) -> Vec<pb::EntryKind> {
    entries.iter().map(pb::TimelineEntry::kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_tells_everything_in_order_with_who_and_how_and_each_reader_their_layers() {
    use pb::EntryKind::{FollowUp, Note, Order, Owner, Record, Stage, Touch};
    in_each_office(async |office: &Office| {
        let (rep, director, boss) = (office.seat("rep"), office.seat("director"), office.seat("boss"));
        let amounts = Levels::HIDDEN.with(Layer::Basic, Level::Write).with(Layer::Financial, Level::Write);
        office.grant("boss", vec![right(&[Action::CustomerOrderRecord], Extent::Tenant, amounts)]).await;
        let customer_id = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let later = async || office.advance(Duration::from_secs(60)).await;
        later().await;
        note(&rep, &customer_id, "周末看样板间").await.expect("noted");
        later().await;
        let touch = pb::RecordTouchRequest {
            customer_id: customer_id.clone(),
            channel: "wechat".to_owned(),
            direction: pb::Direction::Outbound.into(),
            text: "发了户型图".to_owned(),
            ..Default::default()
        };
        answer(rep.timeline().record_touch(touch).await).expect("recorded");
        later().await;
        rep.move_stage(&customer_id, "contacted").await.expect("moved");
        later().await;
        let order = pb::Order {
            customer_id: customer_id.clone(),
            amount: Some(pb::Money { minor_units: 12_345, currency: "CNY".to_owned() }),
            place_time: Some(wire::time(office.now())),
            ..Default::default()
        };
        let order = answer(
            boss.orders().record_order(pb::RecordOrderRequest { order: Some(order), ..Default::default() }).await,
        );
        let order = order.expect("recorded");
        later().await;
        let key = customer_id.parse::<revisit_core::id::CustomerId>().expect("an id").uuid();
        let outcome = followup::OutcomeRecorded {
            task_id: office.new_id::<revisit_core::id::kind::Task>().to_string(),
            customer_id: customer_id.clone(),
            result: "interested".to_owned(),
            channel: "phone".to_owned(),
            recorded_by_id: rep.id.to_string(),
            time_micros: office.now().micros(),
            ..Default::default()
        };
        office.event("followup", key, &outcome).await;
        office.event("followup", key, &outcome).await;
        later().await;
        let sensitive = followup::OutcomeRecorded {
            sensitive: true,
            result: "complains".to_owned(),
            time_micros: office.now().micros(),
            ..outcome
        };
        office.event("followup", key, &sensitive).await;
        // That an order moves the grade in the same moment is another test's.
        let seen = async |who: &Seat| {
            let entries = who.entries(&customer_id).await.expect("a timeline").into_iter();
            entries.filter(|it| it.kind() != pb::EntryKind::Grade).collect::<Vec<_>>()
        };
        let all = seen(&boss).await;
        assert_eq!(kinds(&all), [FollowUp, FollowUp, Order, Stage, Touch, Note, Record], "one entry for one outcome");
        let (rep_id, boss_id) = (rep.id.to_string(), boss.id.to_string());
        let told: Vec<_> =
            all.iter().map(|it| (it.actor_id.as_str(), it.channel.as_str(), it.layer.as_str())).collect();
        let (rep_id, boss_id) = (rep_id.as_str(), boss_id.as_str());
        let expected = [
            (rep_id, "phone", "review"),
            (rep_id, "phone", "history"),
            (boss_id, "", "financial"),
            (rep_id, "", "basic"),
            (rep_id, "wechat", "history"),
            (rep_id, "", "history"),
            (rep_id, "", "basic"),
        ];
        assert_eq!(told, expected);
        assert_eq!((all[2].from.as_str(), all[2].reference_id.as_str()), ("123.45 CNY", order.order_id.as_str()));
        assert_eq!((all[3].from.as_str(), all[3].to.as_str()), ("lead", "contacted"));
        assert_eq!((all[1].to.as_str(), all[5].text.as_str()), ("interested", "周末看样板间"));
        assert!(all.windows(2).all(|two| {
            let at = |it: &pb::TimelineEntry| it.event_time.as_ref().map(|time| (time.seconds, time.nanos));
            at(&two[0]) > at(&two[1])
        }));
        // The seller reads no amounts and no supervisors' results, finance no talk, marketing neither.
        assert_eq!(kinds(&seen(&rep).await), [FollowUp, Stage, Touch, Note, Record]);
        assert_eq!(kinds(&seen(&office.seat("finance")).await), [Order, Stage, Record]);
        assert_eq!(kinds(&seen(&office.seat("marketing")).await), [Stage, Record]);
        assert_eq!(office.seat("colleague").entries(&customer_id).await.expect_err("not his").kind, Kind::NotFound);
        // Who follows has the permitted history at the moment of transfer, and who goes has none.
        later().await;
        let transfer = pb::TransferCustomerRequest {
            customer_id: customer_id.clone(),
            owner_id: office.who("colleague").to_string(),
            ..Default::default()
        };
        answer(director.ownership().transfer_customer(transfer).await).expect("moved");
        let handed = seen(&office.seat("colleague")).await;
        assert_eq!(kinds(&handed), [Owner, FollowUp, Stage, Touch, Note, Record]);
        assert_eq!(
            (handed[0].from.as_str(), handed[0].to.as_str()),
            (rep_id, office.who("colleague").to_string().as_str())
        );
        assert_eq!(handed[4].text, "周末看样板间");
        assert_eq!(rep.entries(&customer_id).await.expect_err("no longer his").kind, Kind::NotFound);
        let (mut paged, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListTimelineRequest {
                customer_id: customer_id.clone(),
                page_size: 2,
                page_token,
                ..Default::default()
            };
            let page = answer(office.seat("colleague").timeline().list_timeline(request).await).expect("a page");
            assert!(page.entries.len() == 2 || page.next_page_token.is_empty(), "a page is full or the last");
            paged.extend(page.entries);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        paged.retain(|it| it.kind() != pb::EntryKind::Grade);
        assert_eq!(paged, handed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_needs_the_right_to_note_alone_and_is_read_by_who_reads_the_customer() {
    in_each_office(async |office: &Office| {
        let customer_id = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let history = Levels::HIDDEN.with(Layer::History, Level::Write);
        office.grant("outsider", vec![right(&[Action::CustomerNote], Extent::Tenant, history)]).await;
        let outsider = office.seat("outsider");
        note(&outsider, &customer_id, "门店来电").await.expect("he may note");
        assert_eq!(outsider.get(&customer_id).await.expect_err("and nothing else").kind, Kind::NotFound);
        assert_eq!(outsider.entries(&customer_id).await.expect_err("not even read it").kind, Kind::NotFound);
        let read = office.seat("manager").entries(&customer_id).await.expect("hers");
        assert!(read.iter().any(|it| it.text == "门店来电" && it.actor_id == outsider.id.to_string()), "{read:?}");
        let boss = note(&office.seat("boss"), &customer_id, "看看").await.expect_err("reads everything, notes nothing");
        assert_eq!(boss.kind, Kind::Denied);
        let stranger = note(&office.seat("colleague"), &customer_id, "看看").await.expect_err("not his");
        assert_eq!(stranger.kind, Kind::NotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sensitive_values_in_what_people_write_are_flagged_and_masked_for_who_does_not_read_that_layer() {
    use pb::SensitiveKind::{Email, IdentityCard, Phone};
    in_each_office(async |office: &Office| {
        let (rep, finance) = (office.seat("rep"), office.seat("finance"));
        let talk = Levels::of(&[
            (Layer::Basic, Level::Read),
            (Layer::Sensitive, Level::Masked),
            (Layer::History, Level::Read),
        ]);
        office.grant("finance", vec![right(&[Action::CustomerView], Extent::Tenant, talk)]).await;
        office.seat("admin").field("remark", pb::FieldType::Text, "basic").await;
        let remark = pb::field_value::Value::Text("发票寄到 li.mei@example.com".to_owned());
        let fields = vec![pb::FieldValue { key: "remark".to_owned(), value: Some(remark) }];
        let made = rep.create(pb::Customer { fields, ..person("王芳", "13800001001") }).await.expect("made");
        let found: Vec<_> =
            made.sensitive_findings.iter().map(|it| (it.field.as_str(), it.kinds().collect::<Vec<_>>())).collect();
        assert_eq!(found, [("fields.remark", vec![Email])], "a basic field that holds an address");
        let text = "她先生13912345678，身份证11010519491231002X";
        let noted = note(&rep, &made.customer_id, text).await.expect("noted");
        let kinds: Vec<_> = noted.sensitive_kinds().collect();
        let masked = "她先生139****5678，身份证11****2X";
        assert_eq!((noted.text.as_str(), kinds.as_slice()), (masked, &[Phone, IdentityCard][..]));
        let clear = async |who: &Seat| {
            let read_mask = Some(prost_types::FieldMask { paths: vec!["text".to_owned()] });
            let customer_id = made.customer_id.clone();
            let request = pb::ListTimelineRequest { customer_id, read_mask, ..Default::default() };
            let entries = answer(who.timeline().list_timeline(request).await).expect("a timeline").entries;
            entries.into_iter().find(|it| it.kind() == pb::EntryKind::Note).map(|it| it.text)
        };
        assert_eq!(clear(&rep).await.as_deref(), Some(text), "who may read it, and asks");
        assert_eq!(clear(&finance).await.as_deref(), Some(masked), "asking lifts no level");
        let read = office.audited("customer.view").await;
        let read: Vec<_> = read.iter().filter(|it| it.fields == ["timeline.text"]).map(|it| &it.subject_id).collect();
        assert_eq!(read, [&rep.id.to_string()], "and is in the log");
        let read = finance.entries(&made.customer_id).await.expect("a timeline");
        let read = read.iter().find(|it| it.kind() == pb::EntryKind::Note).expect("the history is theirs to read");
        assert_eq!(read.text, masked);
        assert_eq!(read.sensitive_kinds().collect::<Vec<_>>(), kinds);
        let plain = note(&rep, &made.customer_id, "订单13912345678已发货").await.expect("noted");
        assert!(plain.sensitive_kinds.is_empty(), "an order is none: {plain:?}");
        // Who reads the history masked is not even told what kinds there were.
        let less = Levels::of(&[(Layer::Basic, Level::Read), (Layer::History, Level::Masked)]);
        office.grant("marketing", vec![right(&[Action::CustomerView], Extent::Tenant, less)]).await;
        let read = office.seat("marketing").entries(&made.customer_id).await.expect("a timeline");
        assert!(read.iter().all(|it| it.sensitive_kinds.is_empty() && !it.text.contains("139")), "{read:?}");
    })
    .await;
}
