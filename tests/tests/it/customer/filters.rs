//! A filter says the same in memory, in SQL and to an independent reader, on both databases.

use revisit_bootstrap::status::answer;
use revisit_proto::customer::v1 as pb;
use revisit_tests::world::{World, in_each_world};

use super::{create, list, person};

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
