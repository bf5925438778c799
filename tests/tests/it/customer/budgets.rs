//! What files may tell of customers of others: a few of their rows, out of the questions of the hour.

use revisit_bootstrap::status::answer;
use revisit_permission::{Action, Layer, Level, Levels};
use revisit_proto::customer::v1 as pb;

use super::{
    imports::state,
    person, point,
    support::{Office, Seat, everywhere, in_each_office},
};

/// Customers of the branch, which the manager of the store may not see.
async fn foreign(office: &Office, count: i64) {
    let outsider = office.seat("outsider");
    for number in 0..count {
        outsider.create(person("别家", &format!("1390000{number:04}"))).await.expect("made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_tells_of_customers_of_others_for_two_percent_of_its_rows_and_then_stops() {
    in_each_office(async |office: &Office| {
        foreign(office, 5).await;
        let manager = office.seat("manager");
        // 149 rows have a budget of two; rows 10, 20, 30, 40 and 50 are the branch's.
        let row = |number: i64| match number {
            10 | 20 | 30 | 40 | 50 => format!("试探,1390000{:04}\n", number / 10 - 1),
            33 => "坏行,12345\n".to_owned(),
            _ => format!("客户{number},1380000{number:04}\n"),
        };
        let file = format!("姓名,手机号\n{}", (1..150).map(row).collect::<String>());
        let stopped = manager.import(office, file.as_bytes()).await;
        assert_eq!(state(&stopped), (pb::ImportState::Stopped, "DUPLICATE_BUDGET"));
        assert_eq!((stopped.created_count, stopped.duplicate_count, stopped.rejected_count), (27, 2, 0));
        let rows = manager.import_rows(&stopped.job_id, "").await;
        assert_eq!(rows.last().map(|row| row.row), Some(29), "what lies behind the budget is not answered");
        let told: Vec<_> = rows.iter().filter(|row| row.result == "duplicate").collect();
        assert!(told.iter().all(|row| row.customer_id.is_empty()), "{told:?}");
        let entries = office.audited("customer.duplicate_answer").await;
        let entry = entries.last().expect("it is audited");
        // The stop tells of the third.
        assert_eq!((entry.resource_ids.len(), entry.count, entry.reason_code.as_str()), (3, 3, ""));
        assert_eq!(entry.subject_id, manager.id.to_string());
        let refused = office.refused("customer.duplicate_answer").await;
        assert_eq!((refused.len(), refused[0].reason_code.as_str(), refused[0].count), (1, "DUPLICATE_BUDGET", 0));
        assert_eq!((refused[0].subject_id.as_str(), refused[0].resource_ids.len()), (entry.subject_id.as_str(), 0));
        let probe = everywhere(&[Action::CustomerProbe], Levels::HIDDEN.with(Layer::Basic, Level::Read));
        office.grant("manager", vec![probe]).await;
        let done = manager.import(office, file.as_bytes()).await;
        assert_eq!(state(&done), (pb::ImportState::Done, ""), "a grant raises it");
        assert_eq!((done.duplicate_count, done.rejected_count), (5, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_one_row_are_questions_and_cost_of_the_hour() {
    in_each_office(async |office: &Office| {
        foreign(office, 1).await;
        let manager = office.seat("manager");
        let file = "姓名,手机号\n试探,13900000000\n";
        let first = manager.import(office, file.as_bytes()).await;
        assert_eq!((state(&first), first.duplicate_count), ((pb::ImportState::Done, ""), 1));
        let question = || pb::CheckDuplicatesRequest {
            contact_points: vec![point(pb::ContactType::Phone, "13900000000")],
            ..Default::default()
        };
        for _ in 0..29 {
            answer(manager.customers().check_duplicates(question()).await).expect("an answer");
        }
        let spent = answer(manager.customers().check_duplicates(question()).await).expect_err("thirty an hour");
        assert_eq!(spent.reason, "DUPLICATE_BUDGET");
        let stopped = manager.import(office, file.as_bytes()).await;
        assert_eq!(state(&stopped), (pb::ImportState::Stopped, "DUPLICATE_BUDGET"));
        assert!(manager.import_rows(&stopped.job_id, "").await.is_empty(), "the file answers no more than a question");
        for refused in ["Customers/CheckDuplicates", "customer.duplicate_answer"] {
            let alarms = office.refused(refused).await;
            let alarms = alarms.iter().filter(|entry| entry.reason_code == "DUPLICATE_BUDGET").count();
            assert_eq!(alarms, 1, "the question alarms, and the file does: {refused}");
        }
        office.advance(std::time::Duration::from_hours(1)).await;
        let next = manager.import(office, file.as_bytes()).await;
        assert_eq!(state(&next), (pb::ImportState::Done, ""), "the next hour has a budget of its own");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_full_of_invented_rows_answer_no_more_than_questions_do() {
    in_each_office(async |office: &Office| {
        foreign(office, 40).await;
        let manager = office.seat("manager");
        // Two thousand rows would have forty answers, and each file another forty.
        let file = |of: i64| {
            let row = |number: i64| match number % 166 {
                0 => format!("试探,1390000{:04}\n", (of * 12 + number / 166 - 1) % 40),
                _ => format!("客户{of}x{number},138{of}00{number:05}\n"),
            };
            format!("姓名,手机号\n{}", (1..=2_000).map(row).collect::<String>())
        };
        let mut told = 0;
        for of in 0..4 {
            let job = manager.import(office, file(of).as_bytes()).await;
            told += manager.import_rows(&job.job_id, "duplicate").await.len();
            if of == 2 {
                assert_eq!(state(&job), (pb::ImportState::Stopped, "DUPLICATE_BUDGET"), "{told}");
            }
        }
        assert_eq!(told, 30, "as many as an hour has");
        let row = |name: &str, number: &str| format!("姓名,手机号\n{name},{number}\n");
        for (name, number) in [("新客", "13700000001"), ("试探", "13900000039")] {
            let job = manager.import(office, row(name, number).as_bytes()).await;
            assert_eq!(state(&job), (pb::ImportState::Stopped, "DUPLICATE_BUDGET"), "{name}");
            assert!(manager.import_rows(&job.job_id, "").await.is_empty(), "whether there is one is not told: {name}");
        }
        let question = pb::CheckDuplicatesRequest {
            contact_points: vec![point(pb::ContactType::Phone, "13900000039")],
            ..Default::default()
        };
        let spent = answer(manager.customers().check_duplicates(question).await).expect_err("one budget for both");
        assert_eq!(spent.reason, "DUPLICATE_BUDGET");
        let entries = office.refused("customer.duplicate_answer").await;
        assert!(entries.iter().any(|entry| entry.reason_code == "DUPLICATE_BUDGET"), "which the alert goes by");
    })
    .await;
}

/// Imports a file of names each of which has telephone numbers.
async fn import_phones(office: &Office, who: &Seat, file: &str) -> pb::ImportJob {
    let job = who.upload("phones.csv", file.as_bytes()).await.expect("a job");
    let columns = file.lines().next().unwrap_or_default().split(',').count();
    let mapping = (0..i32::try_from(columns).expect("a few")).map(|column| pb::ColumnMapping {
        column,
        target: if column == 0 { "name" } else { "phone" }.to_owned(),
        ..Default::default()
    });
    let request =
        pb::SetMappingRequest { job_id: job.job_id.clone(), mapping: mapping.collect(), ..Default::default() };
    answer(who.imports().set_mapping(request).await).expect("mapped");
    who.start_import(&job.job_id).await;
    office.settle().await;
    who.job(&job.job_id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_adds_what_another_has_to_an_own_customer_costs_like_a_question() {
    in_each_office(async |office: &Office| {
        let manager = office.seat("manager");
        let file = "姓名,手机号\n自己,13800000001\n";
        manager.import(office, file.as_bytes()).await;
        // Of two who match, the one who was made first is meant.
        office.advance(std::time::Duration::from_secs(1)).await;
        foreign(office, 1).await;
        let file = "姓名,手机号,手机号2\n自己,13800000001,13900000000\n";
        let job = import_phones(office, &manager, file).await;
        assert_eq!(job.merged_count, 1);
        let entries = office.audited("customer.duplicate_answer").await;
        assert_eq!(entries.len(), 1, "that the number is left out tells of its holder: {entries:?}");
        assert_eq!(office.number("SELECT used AS n FROM duplicate_budget").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_tells_of_more_than_the_hour_has_left_ends_its_import_and_is_not_told_for_nothing() {
    in_each_office(async |office: &Office| {
        let manager = office.seat("manager");
        manager.import(office, "姓名,手机号\n自己,13800000001\n".as_bytes()).await;
        // Of those who match, the one who was made first is meant.
        office.advance(std::time::Duration::from_secs(1)).await;
        foreign(office, 2).await;
        let question = pb::CheckDuplicatesRequest {
            contact_points: vec![point(pb::ContactType::Phone, "13900000000")],
            ..Default::default()
        };
        answer(manager.customers().check_duplicates(question).await).expect("an answer");
        // Long enough for the file to have more answers than the hour.
        let others: String = (0..200).map(|number| format!("客户{number},1370000{number:04},\n")).collect();
        let file = format!("姓名,手机号,手机号2,手机号3\n自己,13800000001,13900000000,13900000001\n{others}");
        for used in [29, 30] {
            office.write(&format!("UPDATE duplicate_budget SET used = {used}")).await;
            let stopped = import_phones(office, &manager, &file).await;
            assert_eq!(state(&stopped), (pb::ImportState::Stopped, "DUPLICATE_BUDGET"), "{used}");
            assert!(manager.import_rows(&stopped.job_id, "").await.is_empty(), "neither the row nor one behind it");
            let left = "SELECT used AS n FROM duplicate_budget";
            assert_eq!(office.number(left).await, 30, "that it has more than one is told, and not more than once");
        }
        let told = office.audited("customer.duplicate_answer").await;
        let told: Vec<_> = told.iter().map(|entry| entry.resource_ids.len()).collect();
        assert_eq!(told, [1, 1], "of the question, and of the row");
        assert_eq!(office.refused("customer.duplicate_answer").await.len(), 2);
        let own = office.seat("director").import(office, "姓名,手机号\n新客,13600000001\n".as_bytes()).await;
        assert_eq!((state(&own), own.created_count), ((pb::ImportState::Done, ""), 1), "nobody else waits");
    })
    .await;
}
