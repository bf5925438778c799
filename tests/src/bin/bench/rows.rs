//! The file that is imported: realistic rows in Chinese, of which every twentieth is a customer of an earlier row,
//! written in another way. Made piece by piece, so that the measured memory is not the file's.

use std::time::Duration;

use revisit_bootstrap::{Service, status::answer};
use revisit_proto::customer::v1 as pb;
use revisit_standalone::client::Person;
use revisit_tests::world::{Ground, World};
use tokio::sync::watch;
use tokio_stream::StreamExt;

/// Each row with this remainder is a planted duplicate.
const DUPLICATE_EVERY: u64 = 20;
/// How often a watch that broke off is begun again, and the pause before it.
const WATCHES_MAX: usize = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// How long services may take to apply the events of a load, in waits that end by themselves.
const WAITS_MAX: usize = 60;
/// Bytes of one message of the upload, about.
const PIECE: usize = 256 << 10;
const HEADER: &str = "姓名,手机号,微信号,邮箱,城市,门店,负责人ID,来源,标签,备注\n";
const SURNAMES: [&str; 16] =
    ["王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高", "林"];
const GIVEN: [&str; 24] = [
    "芳", "伟", "娜", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "涛", "明", "超", "秀", "霞", "平",
    "刚", "桂", "英", "华", "玉",
];
pub const CITIES: [&str; 12] =
    ["上海", "北京", "广州", "深圳", "杭州", "成都", "武汉", "南京", "西安", "重庆", "苏州", "天津"];
const SOURCES: [&str; 4] = ["展会", "官网", "转介绍", "门店"];
pub const TAGS: [&str; 3] = ["意向高", "老客户介绍", "对价格敏感"];
const PREFIXES: [&str; 6] = ["138", "139", "136", "158", "186", "188"];

/// Regions, stores of each, and representatives of each store.
const REGIONS: usize = 4;
const STORES: usize = 3;
const REPRESENTATIVES: usize = 2;

/// The company whose customers are imported: regions with stores with representatives.
pub struct Company {
    /// Imports for all: leads the whole company.
    pub importer: Person,
    /// The representatives, each with customers of their own.
    pub reps: Vec<Person>,
    /// Leads the sales of the first region.
    pub manager: Person,
    /// Sees the whole company.
    pub boss: Person,
    owners: Vec<(String, String)>,
}

impl Company {
    /// Founds it. When `small` with only as many representatives as a small file needs.
    pub async fn found(world: &World, small: bool) -> Self {
        let importer = world.hire("importer", "regional_manager", &world.root).await;
        let boss = world.hire("boss", "executive", &world.root).await;
        let (mut owners, mut manager, mut reps) = (Vec::new(), None, Vec::new());
        for region in 0..if small { 2 } else { REGIONS } {
            let department = world.department(&format!("大区{region}"), &world.root).await;
            if manager.is_none() {
                manager = Some(world.hire("manager", "sales_manager", &department).await);
            }
            for store in 0..if small { 1 } else { STORES } {
                let name = format!("门店{region}{store}");
                let department = world.department(&name, &department).await;
                for number in 0..if small { 1 } else { REPRESENTATIVES } {
                    let one = world.hire(&format!("rep{region}{store}{number}"), "sales_rep", &department).await;
                    owners.push((one.id.to_string(), name.clone()));
                    reps.push(one);
                }
            }
        }
        Self { importer, reps, manager: manager.expect("there is a region"), boss, owners }
    }

    /// The place among the representatives of who owns the customer of a row, and the customer's phone number; none
    /// when the row is a planted duplicate.
    pub fn known(&self, number: u64) -> Option<(usize, String)> {
        (!is_planted(number)).then(|| (owner_of(number, self.owners.len()), phone(number)))
    }
}

/// How many rows of a file of this size are planted duplicates.
pub const fn planted(rows: u64) -> u64 {
    rows / DUPLICATE_EVERY
}

const fn is_planted(number: u64) -> bool {
    number % DUPLICATE_EVERY == DUPLICATE_EVERY - 1
}

/// A number that looks drawn, always the same for the same input.
pub const fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn pick(from: &[&'static str], number: u64) -> &'static str {
    from[usize::try_from(number % from.len() as u64).unwrap_or(0)]
}

fn phone(number: u64) -> String {
    format!("{}{number:08}", pick(&PREFIXES, number))
}

/// Whoever it is, written as nobody before has written it.
fn again(number: u64) -> (String, String) {
    let drawn = mixed(number) % number;
    // Never a duplicate itself, and with a WeChat id: even numbers have one.
    let earlier = drawn & !1;
    let plain = phone(earlier);
    match number / DUPLICATE_EVERY % 4 {
        0 => (format!("+86 {}-{}-{}", &plain[..3], &plain[3..7], &plain[7..]), String::new()),
        1 => (plain.chars().map(full_width).collect(), String::new()),
        2 => (format!("0086{plain}"), wechat(earlier)),
        _ => (String::new(), wechat(earlier).to_uppercase()),
    }
}

fn full_width(digit: char) -> char {
    char::from_u32(u32::from(digit) - u32::from('0') + u32::from('０')).unwrap_or(digit)
}

fn wechat(number: u64) -> String {
    format!("wx_{number:08}")
}

/// What a row's cells are drawn from.
const fn drawn(number: u64) -> u64 {
    mixed(number ^ 0x5EED)
}

fn owner_of(number: u64, owners: usize) -> usize {
    usize::try_from(drawn(number) % owners as u64).unwrap_or(0)
}

/// Row `number` of the file.
fn row(number: u64, owners: &[(String, String)], text: &mut String) {
    let drawn = drawn(number);
    let is_planted = is_planted(number);
    let (phone, wechat) = match (is_planted, number % 2) {
        (true, _) => again(number),
        (false, 0) => (phone(number), wechat(number)),
        (false, _) => (phone(number), String::new()),
    };
    let mail =
        if !is_planted && number.is_multiple_of(3) { format!("c{number}@Mail.Example.com") } else { String::new() };
    let (owner, store) = &owners[owner_of(number, owners.len())];
    let tag = if number.is_multiple_of(4) { pick(&TAGS, drawn >> 8) } else { "" };
    let note = if number.is_multiple_of(5) { "来店看过样品，下周再联系" } else { "" };
    text.extend([pick(&SURNAMES, drawn >> 16), pick(&GIVEN, drawn >> 24), pick(&GIVEN, drawn >> 32)]);
    for cell in [
        phone.as_str(),
        &wechat,
        &mail,
        pick(&CITIES, drawn >> 40),
        store,
        owner,
        pick(&SOURCES, drawn >> 48),
        tag,
        note,
    ] {
        text.push(',');
        text.push_str(cell);
    }
    text.push('\n');
}

/// The messages of an upload of so many rows.
fn messages(rows: u64, owners: Vec<(String, String)>) -> impl Iterator<Item = pb::UploadFileRequest> {
    use pb::upload_file_request::Part;
    let header = pb::UploadHeader { file_name: "customers.csv".to_owned(), ..Default::default() };
    let mut number = 0;
    let mut head = Some(HEADER.to_owned());
    let pieces = std::iter::from_fn(move || {
        let mut text = head.take().unwrap_or_default();
        while text.len() < PIECE && number < rows {
            row(number, &owners, &mut text);
            number += 1;
        }
        (!text.is_empty()).then(|| Part::Data(text.into_bytes()))
    });
    std::iter::once(Part::Header(header)).chain(pieces).map(|part| pb::UploadFileRequest { part: Some(part) })
}

/// Imports so many rows and answers the finished job; how many have their result is told while it runs.
///
/// # Panics
/// When it does not end as it should.
pub async fn import(company: &Company, rows: u64, progress: &watch::Sender<u64>) -> pb::ImportJob {
    let who = company.importer.fresh().await.expect("a session");
    let stream = tokio_stream::iter(messages(rows, company.owners.clone()));
    let job = answer(who.imports().upload_file(stream).await).expect("the file is taken");
    assert!(job.mapping.iter().all(|column| !column.target.is_empty()), "a column has no target: {:?}", job.mapping);
    let started = answer(
        who.imports().start_import(pb::StartImportRequest { job_id: job.job_id.clone(), ..Default::default() }).await,
    );
    started.expect("it starts");
    let job = ended(who, &job.job_id, progress).await;
    assert_eq!(job.state(), pb::ImportState::Done, "{job:?}");
    job
}

/// Watches an import to its end. On a machine that is too busy to renew a lease in time the watch breaks off, and the
/// import goes on.
async fn ended(who: &Person, job_id: &str, progress: &watch::Sender<u64>) -> pb::ImportJob {
    for _ in 0..WATCHES_MAX {
        let request = pb::GetImportRequest { job_id: job_id.to_owned() };
        let Ok(mut watched) = answer(who.imports().watch_import(request).await) else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        while let Some(Ok(job)) = watched.next().await {
            let done = job.created_count + job.merged_count + job.duplicate_count + job.rejected_count;
            progress.send_replace(u64::try_from(done).unwrap_or(0));
            if job.end_time.is_some() {
                return job;
            }
        }
    }
    unreachable!("nothing lets the import be watched");
}

/// Waits until every event has been applied.
pub async fn settle(world: &World) {
    for _ in 1..WAITS_MAX {
        if world.running.settle().await.is_ok() {
            return;
        }
    }
    world.settle().await;
}

/// What is measured alone: identity and customer, of whose events only `consumer` is to hear. A longer lease than the one
/// that ships, so that a busy machine measures and does not refuse.
pub fn alone(consumer: &str, beside: Vec<Service>) -> Ground {
    Ground {
        settings: format!(
            "[identity]\nlease_ttl_millis = 10000\n\
             [consumers]\nidentity = [\"identity\", \"customer\"]\ncustomer = [\"{consumer}\"]\n"
        ),
        only: vec![revisit_identity::NAME, revisit_customer::NAME],
        beside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_duplicate_names_an_earlier_row_that_is_none_itself() {
        let owners = vec![("owner".to_owned(), "store".to_owned())];
        for number in (0..10_000_u64).filter(|number| is_planted(*number)) {
            let mut text = String::new();
            row(number, &owners, &mut text);
            let cells: Vec<&str> = text.split(',').collect();
            let digits = |cell: &str| -> String {
                cell.chars()
                    .filter_map(|letter| letter.to_digit(10).or(full(letter)))
                    .map(|it| it.to_string())
                    .collect()
            };
            let phone = digits(cells[1]);
            let earlier: u64 = match phone.len() {
                0 => cells[2].to_lowercase().trim_start_matches("wx_").parse().expect("a number"),
                length => phone[length - 8..].parse().expect("a number"),
            };
            assert!(earlier < number && !is_planted(earlier), "{number}: {earlier}");
        }
    }

    fn full(letter: char) -> Option<u32> {
        ('０'..='９').contains(&letter).then(|| u32::from(letter) - u32::from('０'))
    }
}
