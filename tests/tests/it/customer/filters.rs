//! A filter says the same in memory, in SQL and to an independent reader, on both databases.

use revisit_bootstrap::status::answer;
use revisit_permission::{Action, ActionSet, Extent, Layer, Level, Levels, Template};
use revisit_proto::customer::v1 as pb;
use revisit_tests::{
    databases::Backend,
    world::{World, in_each_world},
};

use super::{
    create, list, person,
    support::{Office, Seat, in_each_office},
};

/// Numbers that repeat with their seed: the same filters in every run.
struct Draws(u64);

impl Draws {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn of<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        let place = usize::try_from(self.next(from.len() as u64)).expect("small");
        from[place]
    }
}

/// What a naive reader says of a customer: none is unknown.
type Meaning = Box<dyn Fn(&pb::Customer) -> Option<bool>>;

const CITIES: [&str; 4] = ["", "上海", "上海浦东", "杭州"];
const DATES: [&str; 3] = ["", "1990-05-06", "2000-02-29"];
const TAGS: [&str; 3] = ["试听", "团购", "a_%"];

/// An atom in words, and what it means.
fn atom(draws: &mut Draws) -> (String, Meaning) {
    let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
    match draws.next(8) {
        0 => {
            let wanted = draws.of(&CITIES[1..]).to_owned();
            let (negative, words) = (draws.next(2) == 0, wanted.clone());
            let operator = if negative { "!=" } else { "==" };
            let means: Meaning = Box::new(move |it| Some((text(&it.city)? == wanted) != negative));
            (format!("city {operator} \"{words}\""), means)
        }
        1 => {
            let wanted = draws.of(&["上", "浦东", "州", "", "%"]).to_owned();
            let (how, words) = (draws.next(3), wanted.clone());
            let name = ["startsWith", "endsWith", "contains"][usize::try_from(how).expect("small")];
            let means: Meaning = Box::new(move |it| {
                let city = text(&it.city)?;
                Some(match how {
                    0 => city.starts_with(&wanted),
                    1 => city.ends_with(&wanted),
                    _ => city.contains(&wanted),
                })
            });
            (format!("city.{name}(\"{words}\")"), means)
        }
        2 => {
            let wanted = draws.of(&TAGS).to_owned();
            let words = wanted.clone();
            (format!("\"{words}\" in tags"), Box::new(move |it| Some(it.tags.contains(&wanted))))
        }
        3 => ("vip".to_owned(), Box::new(|it| Some(it.vip))),
        4 => {
            let wanted = draws.of(&["1990-05-06", "1995-01-01", "2000-02-29"]).to_owned();
            let words = wanted.clone();
            (format!("birthday < \"{words}\""), Box::new(move |it| Some(text(&it.birthday)? < wanted)))
        }
        5 => ("city != null".to_owned(), Box::new(|it| Some(!it.city.is_empty()))),
        6 => {
            let wanted = draws.of(&["客户1", "客户5", "客户"]).to_owned();
            let words = wanted.clone();
            (format!("name >= \"{words}\""), Box::new(move |it| Some(it.name >= wanted)))
        }
        _ => {
            let listed = CITIES[1..].iter().take(usize::try_from(draws.next(3)).expect("small"));
            let listed: Vec<String> = listed.map(|city| (*city).to_owned()).collect();
            let words = listed.iter().map(|city| format!("\"{city}\"")).collect::<Vec<_>>().join(", ");
            (format!("city in [{words}]"), Box::new(move |it| Some(listed.contains(&text(&it.city)?))))
        }
    }
}

/// An expression of a few atoms: Kleene's logic, written plainly.
fn expression(draws: &mut Draws, depth: u32) -> (String, Meaning) {
    if depth == 0 || draws.next(3) == 0 {
        return atom(draws);
    }
    let (left, means_left) = expression(draws, depth - 1);
    match draws.next(3) {
        0 => (format!("!({left})"), Box::new(move |it| means_left(it).map(|truth| !truth))),
        which => {
            let (right, means_right) = expression(draws, depth - 1);
            let (operator, absorbing) = if which == 1 { ("&&", false) } else { ("||", true) };
            let means: Meaning = Box::new(move |it| match (means_left(it), means_right(it)) {
                (Some(truth), _) | (_, Some(truth)) if truth == absorbing => Some(absorbing),
                (Some(_), Some(_)) => Some(!absorbing),
                _ => None,
            });
            (format!("({left}) {operator} ({right})"), means)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_means_the_same_in_memory_in_sql_and_to_a_naive_reader() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let manager = world.hire("hui", "sales_manager", &store).await;
        let mut draws = Draws(20_261_121);
        for number in 0..24 {
            let customer = pb::Customer {
                city: draws.of(&CITIES).to_owned(),
                birthday: draws.of(&DATES).to_owned(),
                vip: draws.next(2) == 0,
                tags: TAGS.iter().filter(|_| draws.next(2) == 0).map(|tag| (*tag).to_owned()).collect(),
                ..person(&format!("客户{number}"), &format!("1380000{number:04}"))
            };
            create(&manager, customer).await.expect("made");
        }
        let all = list(&manager, "", 100).await.expect("all");
        for _ in 0..60 {
            let (filter, means) = expression(&mut draws, 3);
            let mut expected: Vec<_> =
                all.iter().filter(|it| means(it) == Some(true)).map(|it| it.customer_id.clone()).collect();
            let listed = list(&manager, &filter, 7).await.unwrap_or_else(|failure| panic!("{filter}: {failure}"));
            let mut listed: Vec<_> = listed.into_iter().map(|it| it.customer_id).collect();
            expected.sort();
            listed.sort();
            assert_eq!(listed, expected, "{filter}");
            // A count is SQL alone.
            let request = pb::CountCustomersRequest { filter: filter.clone() };
            let counted = answer(manager.customers().count_customers(request).await).expect("a count").count;
            assert_eq!(usize::try_from(counted).expect("small"), expected.len(), "{filter}");
        }
    })
    .await;
}

/// What a right gives of amounts and of the rest.
fn sees(extent: Extent, financial: Level) -> Template {
    Template {
        actions: ActionSet::of(&[Action::CustomerView, Action::CustomerAggregate]),
        extent,
        stages: None,
        grades: None,
        external: None,
        levels: Levels::HIDDEN.with(Layer::Basic, Level::Write).with(Layer::Financial, financial),
    }
}

async fn count(who: &Seat, filter: &str) -> i64 {
    let request = pb::CountCustomersRequest { filter: filter.to_owned() };
    answer(who.customers().count_customers(request).await).expect("a count").count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_asks_about_a_layer_only_on_the_rows_on_which_it_is_read() {
    in_each_office(async |office: &Office| {
        let admin = office.seat("admin");
        admin.field("income", pb::FieldType::Number, "financial").await;
        admin.field("visits", pb::FieldType::Number, "history").await;
        let (rep, colleague) = (office.seat("rep"), office.seat("colleague"));
        let amounts = Template { actions: ActionSet::of(&[Action::CustomerUpdate]), ..sees(Extent::Own, Level::Write) };
        for who in ["rep", "colleague"] {
            office.grant(who, vec![amounts.clone()]).await;
        }
        let own = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let other = colleague.create(person("李强", "13800001002")).await.expect("made").customer_id;
        let number = |key: &str, number: &str| pb::FieldValue {
            key: key.to_owned(),
            value: Some(pb::field_value::Value::Number(number.to_owned())),
        };
        for (who, id) in [(&rep, &own), (&colleague, &other)] {
            for value in [number("income", "5"), number("visits", "3")] {
                let path = format!("fields.{}", value.key);
                let row = pb::Customer { customer_id: id.clone(), fields: vec![value], ..Default::default() };
                who.update(row, &[&path]).await.expect("written");
            }
        }
        // Amounts of the own rows, nothing but the basic layer of the others.
        office.grant("rep", vec![sees(Extent::Own, Level::Read), sees(Extent::Tenant, Level::Hidden)]).await;
        let cases: [(&str, &[&str]); 7] = [
            ("", &[&own, &other]),
            ("fields.income > 1", &[&own]),
            ("!(fields.income > 100)", &[&own]),
            ("fields.income > 1 || stage == \"lead\"", &[&own, &other]),
            ("!(fields.income > 100 && stage == \"won\")", &[&own, &other]),
            ("fields.income > 100 || fields.visits > 1", &[&own]),
            ("!(fields.income > 1) && !(fields.visits > 100)", &[]),
        ];
        for (filter, expected) in cases {
            let mut listed: Vec<String> =
                rep.list(filter).await.expect(filter).into_iter().map(|row| row.customer_id).collect();
            let mut expected: Vec<String> = expected.iter().map(|id| (*id).to_owned()).collect();
            listed.sort();
            expected.sort();
            assert_eq!(listed, expected, "{filter}");
            assert_eq!(count(&rep, filter).await, expected.len() as i64, "{filter}");
        }
    })
    .await;
}

/// Customers beside the first one, with a value that a filter is true of.
async fn crowd(office: &Office) {
    const COLUMNS: &str = "kind, name, owner_id, department_id, ownership_epoch, stage, graded_at, vip, pooled,
        created_at, updated_at, version, auth_rev";
    let (id, numbers) = match office.database.backend {
        Backend::Sqlite => (
            "randomblob(16)",
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n)",
        ),
        Backend::Postgres => ("gen_random_uuid()", "(SELECT generate_series(1, 20000))"),
    };
    office
        .write(&format!(
            "INSERT INTO customer (tenant_id, customer_id, {COLUMNS})
             SELECT tenant_id, {id}, {COLUMNS} FROM customer, {numbers} AS numbers"
        ))
        .await;
    office
        .write(
            "INSERT INTO field_value (tenant_id, customer_id, field_id, ordinal, number_value)
             SELECT field.tenant_id, customer_id, field_id, 0, 5000000 FROM customer, field",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_on_what_is_read_on_no_row_is_answered_at_once_however_many_rows_there_are() {
    in_each_office(async |office: &Office| {
        office.seat("admin").field("income", pb::FieldType::Number, "financial").await;
        office.seat("rep").create(person("王芳", "13800001001")).await.expect("made");
        crowd(office).await;
        office.grant("admin", vec![sees(Extent::Tenant, Level::Hidden)]).await;
        let admin = office.seat("admin");
        for filter in ["fields.income > 1", "!(fields.income > 100)"] {
            let request = pb::ListCustomersRequest { page_size: 1, filter: filter.to_owned(), ..Default::default() };
            // Row by row it would take longer than a call may.
            let page = answer(admin.customers().list_customers(request).await).expect("in time");
            assert!(page.customers.is_empty() && page.next_page_token.is_empty(), "{page:?}");
            assert_eq!(count(&admin, filter).await, 0);
        }
    })
    .await;
}
