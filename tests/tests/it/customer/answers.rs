//! What is answered and written down about an answer: by what right, how many, once, and about whom it costs.

use std::time::Duration;

use revisit_bootstrap::{status::answer, wire};
use revisit_core::Kind;
use revisit_permission::{
    Action, ActionSet, Change, Effect, Extent, Guard, Layer, Level, Levels, RowCondition, Template, Whom,
};
use revisit_proto::customer::v1 as pb;
use revisit_tests::rights::guard;

use super::{
    fields, person,
    support::{Office, Seat, everywhere, in_each_office},
};

/// Tries of what happens at once.
const RACES: i32 = 15;

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_says_by_which_right_values_were_read_and_customers_moved() {
    in_each_office(async |office: &Office| {
        let (rep, manager) = (office.seat("rep"), office.seat("manager"));
        let customer_id = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        manager.ask(&customer_id).await.expect("in reach");
        let order = pb::CreateBulkTransferRequest {
            customer_ids: vec![customer_id],
            owner_id: office.who("colleague").to_string(),
            ..Default::default()
        };
        answer(manager.ownership().create_bulk_transfer(order).await).expect("a job");
        office.settle().await;
        for action in ["customer.view", "customer.transfer"] {
            let mut entries = office.audited(action).await;
            entries.retain(|entry| entry.resource == "customer");
            assert!(entries.len() == 1 && entries[0].witness.starts_with("role:"), "{action}: {entries:?}");
            assert!(entries[0].revision > 0, "{entries:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_is_a_right_of_its_own_and_counts_no_row_that_a_guard_denies() {
    in_each_office(async |office: &Office| {
        let rep = office.seat("rep");
        rep.create(person("王芳", "13800001001")).await.expect("made");
        rep.create(pb::Customer { vip: true, ..person("李强", "13800001002") }).await.expect("made");
        let looks = everywhere(&[Action::CustomerView], Levels::HIDDEN.with(Layer::Basic, Level::Read));
        office.grant("admin", vec![looks]).await;
        let (admin, boss) = (office.seat("admin"), office.seat("boss"));
        assert_eq!(admin.list("").await.expect("a list").len(), 2);
        let request = pb::CountCustomersRequest::default();
        let denied = answer(admin.customers().count_customers(request.clone()).await).expect_err("may look only");
        assert_eq!(denied.kind, Kind::Denied);
        let segment = admin.segment("stage == \"lead\"").await.expect("a segment").segment_id;
        office.settle().await;
        let counts = async || {
            let counted = answer(boss.customers().count_customers(request.clone()).await).expect("a count").count;
            let segment = pb::GetSegmentRequest { segment_id: segment.clone() };
            (counted, answer(boss.segments().get_segment(segment).await).expect("the segment").member_count)
        };
        assert_eq!(counts().await, (2, 2));
        let uncounted = Guard {
            condition: RowCondition { vip: true, ..RowCondition::default() },
            ..guard(Whom::Everyone, &[Action::CustomerAggregate], Effect::Deny)
        };
        office.commit(vec![Change::Guard(uncounted)]).await;
        assert_eq!(counts().await, (1, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_counts_the_customers_of_all_sites_sees_none_of_them_until_that_is_granted_too() {
    in_each_office(async |office: &Office| {
        let made = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
        office.seat("colleague").create(person("李强", "13800001002")).await.expect("made");
        let basic = Levels::HIDDEN.with(Layer::Basic, Level::Read);
        office.strip("director").await;
        office.grant("director", vec![everywhere(&[Action::CustomerAggregate], basic)]).await;
        let head_office = office.seat("director");
        let count = async || {
            let request = pb::CountCustomersRequest { filter: "stage == \"lead\"".to_owned() };
            answer(head_office.customers().count_customers(request).await).expect("a count").count
        };
        assert_eq!(count().await, 2);
        assert_eq!(head_office.list("").await.expect_err("rows are another right").kind, Kind::Denied);
        assert_eq!(head_office.ask(&made).await.expect_err("nor is one there").kind, Kind::NotFound);
        office.grant("director", vec![everywhere(&[Action::CustomerAggregate, Action::CustomerView], basic)]).await;
        assert_eq!((count().await, head_office.list("").await.expect("a list").len()), (2, 2));
        assert_eq!(head_office.ask(&made).await.expect("in sight").name, "王芳");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_id_of_a_customer_of_others_costs_like_any_question_about_them() {
    in_each_office(async |office: &Office| {
        let known = pb::Customer { external_id: "E-1".to_owned(), ..person("王芳", "13800001001") };
        let known = office.seat("rep").create(known).await.expect("made").customer_id;
        let (outsider, director) = (office.seat("outsider"), office.seat("director"));
        let asks = |external: &str| pb::Customer {
            external_id: external.to_owned(),
            name: "试探".to_owned(),
            ..person("", "13900001000")
        };
        let own = director.create(asks("E-1")).await.expect_err("he reads the other");
        assert_eq!(own.reason, "EXTERNAL_ID_TAKEN");
        assert!(office.audited("customer.duplicate_answer").await.is_empty());
        for _ in 0..30 {
            let taken = outsider.create(asks("E-1")).await.expect_err("it is another's");
            assert_eq!(taken.reason, "EXTERNAL_ID_TAKEN");
        }
        let entries = office.audited("customer.duplicate_answer").await;
        assert_eq!((entries.len(), &entries[0].resource_ids), (30, &vec![known]));
        for external in ["E-1", "E-2"] {
            let spent = outsider.create(asks(external)).await.expect_err("thirty an hour");
            assert_eq!(spent.reason, "DUPLICATE_BUDGET", "{external}");
        }
        assert_eq!(office.audited("customer.duplicate_answer").await.len(), 30, "a refused question is no answer");
        let refused = async || {
            let entries = office.refused("Customers/CreateCustomer").await;
            let told = entries.into_iter().map(|it| (it.reason_code, it.resource, it.resource_ids.len(), it.count));
            told.collect::<Vec<_>>()
        };
        let told = |count: i64| ("DUPLICATE_BUDGET".to_owned(), "customer".to_owned(), 0, count);
        office.settle().await;
        let mut all = refused().await;
        all.sort();
        assert_eq!(all, [told(0), told(1)], "before anything is looked up; the second of a minute is a number");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_asks_about_external_ids_of_others_at_the_same_price() {
    in_each_office(async |office: &Office| {
        let outsider = office.seat("outsider");
        let known = pb::Customer { external_id: "E-1".to_owned(), ..person("王芳", "13800001001") };
        let known = outsider.create(known).await.expect("made").customer_id;
        let file = "姓名,手机号,客户编号\n试探,13900001000,E-1\n";
        let done = office.seat("manager").import(office, file.as_bytes()).await;
        assert_eq!(done.rejected_count, 1);
        let entries = office.audited("customer.duplicate_answer").await;
        assert_eq!((entries.len(), &entries[0].resource_ids), (1, &vec![known]));
        assert_eq!(office.number("SELECT used AS n FROM duplicate_budget").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_note_answers_the_first_one_and_its_time() {
    in_each_office(async |office: &Office| {
        let rep = office.seat("rep");
        let customer_id = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let request_id = office.new_id::<revisit_core::id::kind::Event>().to_string();
        let note = pb::AddNoteRequest { customer_id, text: "周末看样板间".to_owned(), request_id };
        let first = answer(rep.timeline().add_note(note.clone()).await).expect("noted");
        office.advance(Duration::from_hours(1)).await;
        let again = answer(rep.timeline().add_note(note.clone()).await).expect("noted already");
        assert_eq!(first, again);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_is_sent_twice_at_once_makes_one_customer_and_answers_it_twice() {
    in_each_office(async |office: &Office| {
        let rep = office.seat("rep");
        for number in 0..RACES {
            let request = pb::CreateCustomerRequest {
                customer: Some(person("王芳", &format!("13800001{number:03}"))),
                request_id: office.new_id::<revisit_core::id::kind::Event>().to_string(),
            };
            let (mut one, mut other) = (rep.customers(), rep.customers());
            let (one, other) = tokio::join!(one.create_customer(request.clone()), other.create_customer(request));
            let (one, other) = (answer(one).expect("made"), answer(other).expect("made already"));
            assert_eq!(one.customer_id, other.customer_id);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_with_a_character_that_no_text_has_is_refused() {
    in_each_office(async |office: &Office| {
        for filter in ["name == \"a\\x00b\"", "city.startsWith(\"\\u0000\")"] {
            let refused = office.seat("rep").list(filter).await.expect_err("a control character");
            assert_eq!((refused.kind, fields(&refused)), (Kind::Invalid, vec!["filter"]));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_nobody_starts_have_a_number_and_an_end() {
    in_each_office(async |office: &Office| {
        let manager = office.seat("manager");
        let file = "姓名,手机号\n王芳,13800001001\n";
        let first = manager.upload("customers.csv", file.as_bytes()).await.expect("a job");
        for _ in 1..20 {
            manager.upload("customers.csv", file.as_bytes()).await.expect("a job");
        }
        let refused = manager.upload("customers.csv", file.as_bytes()).await.expect_err("one too many");
        assert_eq!((refused.reason, refused.details.get("what").map(String::as_str)), ("TOO_MANY", Some("uploads")));
        office.advance(Duration::from_hours(8 * 24)).await;
        office.until("SELECT count(*) AS n FROM import_chunk", 0).await;
        let stopped = manager.job(&first.job_id).await;
        assert_eq!((stopped.state(), stopped.stop_reason.as_str()), (pb::ImportState::Stopped, "EXPIRED"));
        manager.upload("customers.csv", file.as_bytes()).await.expect("there is room again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_the_ring_wraps_what_the_old_one_did_and_everything_still_opens() {
    in_each_office(async |office: &Office| {
        let customer_id = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let under = |key: &str| format!("SELECT count(*) AS n FROM sealing_tenant_key WHERE ring_key = '{key}'");
        assert_eq!(office.number(&under("a")).await, 1);
        office.kill();
        office.configure("[seal]\ncurrent = 'b'\nkeys.b = 'CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg='\n");
        office.open().await;
        office.until(&under("b"), 1).await;
        let clear = office.seat("rep").ask(&customer_id).await.expect("his");
        assert_eq!(clear.contact_points[0].value, "13800001001");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_number_of_a_customer_of_others_costs_like_any_question_about_them() {
    in_each_office(async |office: &Office| {
        let records = |extent: Extent| Template {
            actions: ActionSet::of(&[Action::CustomerOrderRecord]),
            extent,
            stages: None,
            grades: None,
            external: None,
            levels: Levels::HIDDEN.with(Layer::Basic, Level::Write).with(Layer::Financial, Level::Write),
        };
        office.grant("boss", vec![records(Extent::Tenant)]).await;
        office.grant("outsider", vec![records(Extent::Own)]).await;
        let (boss, outsider) = (office.seat("boss"), office.seat("outsider"));
        let known = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let own = outsider.create(person("李强", "13900001000")).await.expect("made").customer_id;
        let send = async |who: &Seat, customer_id: &str, (number, request_id): (&str, &str)| {
            let order = pb::Order {
                customer_id: customer_id.to_owned(),
                external_id: number.to_owned(),
                amount: Some(pb::Money { minor_units: 100, currency: "CNY".to_owned() }),
                place_time: Some(wire::time(office.now())),
                ..Default::default()
            };
            let request_id = request_id.to_owned();
            answer(who.orders().record_order(pb::RecordOrderRequest { order: Some(order), request_id }).await)
        };
        let order = async |who: &Seat, customer_id: &str, number: &str| send(who, customer_id, (number, "")).await;
        let first = order(&boss, &known, "S-1").await.expect("recorded");
        assert_eq!(order(&boss, &known, "S-1").await.expect("a repeat").order_id, first.order_id);
        assert_eq!(order(&boss, &own, "S-1").await.expect_err("another's").reason, "EXTERNAL_ID_TAKEN");
        assert!(office.audited("customer.duplicate_answer").await.is_empty(), "both are in reach of the boss");
        let request_id = office.new_id::<revisit_core::id::kind::Event>().to_string();
        let keyed = async || send(&outsider, &own, ("S-9", &request_id)).await;
        let recorded = keyed().await.expect("recorded");
        for _ in 0..30 {
            assert_eq!(order(&outsider, &own, "S-1").await.expect_err("another's").reason, "EXTERNAL_ID_TAKEN");
        }
        let entries = office.audited("customer.duplicate_answer").await;
        assert_eq!((entries.len(), &entries[0].resource_ids), (30, &vec![known]));
        assert_eq!(keyed().await.expect("a repeat asks nothing").order_id, recorded.order_id);
        for number in ["S-1", "S-2"] {
            let spent = order(&outsider, &own, number).await.expect_err("thirty an hour");
            assert_eq!(spent.reason, "DUPLICATE_BUDGET", "{number}");
        }
    })
    .await;
}

/// Rows that are each shown by a right of their own.
const SHORT: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_many_short_rights_is_one_list() {
    in_each_office(async |office: &Office| {
        let (rep, director) = (office.seat("rep"), office.seat("director"));
        let mut made = Vec::new();
        for number in 0..SHORT {
            made.push(rep.create(person("王芳", &format!("138000010{number:02}"))).await.expect("made").customer_id);
        }
        made.sort_unstable_by(|one, other| other.cmp(one));
        let right = |id: &String| Template {
            extent: Extent::Ids(vec![id.parse().expect("an id")].into()),
            ..everywhere(&[Action::CustomerView, Action::CustomerAggregate], Levels::READ)
        };
        office.strip("director").await;
        // Every second one, some of them twice.
        let shown: Vec<_> =
            made.iter().step_by(2).chain(made.iter().step_by(4)).chain(made.iter().step_by(2)).collect();
        office.grant("director", shown.into_iter().map(right).collect()).await;
        // Each right is narrowed by all guards: together they bind more than a statement that counts may.
        let named = |_| {
            let ids: Vec<uuid::Uuid> =
                (0..1_000).map(|_| office.new_id::<revisit_core::id::kind::Event>().uuid()).collect();
            let condition = RowCondition { ids: Some(ids.into()), ..RowCondition::default() };
            Change::Guard(Guard {
                condition,
                ..guard(Whom::Everyone, &[Action::CustomerView, Action::CustomerAggregate], Effect::Deny)
            })
        };
        office.commit((0..3).map(named).collect()).await;
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListCustomersRequest { page_size: 7, page_token, ..Default::default() };
            let page = answer(director.customers().list_customers(request).await).expect("a page");
            seen.extend(page.customers.into_iter().map(|customer| customer.customer_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let hers: Vec<_> = made.iter().step_by(2).cloned().collect();
        assert_eq!(seen, hers);
        let counted = answer(director.customers().count_customers(pb::CountCustomersRequest::default()).await);
        assert_eq!(counted.expect("a count").count, (SHORT / 2) as i64);
    })
    .await;
}
