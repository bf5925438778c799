//! The fixture: two thousand dirty rows in three files and both encodings, in which 150 repeats are planted.

use std::collections::{BTreeMap, BTreeSet};

use encoding_rs::GB18030;
use revisit_bootstrap::status::answer;
use revisit_proto::customer::v1 as pb;
use serde::Deserialize;

use super::{
    dump::{dump, found},
    person,
    support::{Office, Seat, in_each_office},
};

const UTF8: &[u8] = include_bytes!("../../../../services/standalone/fixture/customers-utf8.csv");
const GB: &[u8] = include_bytes!("../../../../services/standalone/fixture/customers-gb18030.csv");
const XLSX: &[u8] = include_bytes!("../../../../services/standalone/fixture/customers.xlsx");
const PLANTED: &str = include_str!("../../../../services/standalone/fixture/planted.json");
/// A name is no secret: the search must find this one.
const IN_CLEAR: &str = "显名13799999999";
const RECALL_MIN: f64 = 0.95;

#[derive(Deserialize)]
struct Planted {
    planted: BTreeMap<String, i64>,
    /// Two rows that are one customer, by what they share, numbered through all files.
    pairs: BTreeMap<String, String>,
}

async fn import(office: &Office, who: &Seat, (name, bytes): (&str, &[u8])) -> pb::ImportJob {
    let job = who.upload(name, bytes).await.expect("a job");
    let mut mapping = job.mapping.clone();
    // The stores of the fixture are not departments here.
    mapping.retain(|column| column.target != "department");
    assert_eq!(mapping.len() + 1, job.mapping.len());
    let request = pb::SetMappingRequest { job_id: job.job_id.clone(), mapping, ..Default::default() };
    answer(who.imports().set_mapping(request).await).expect("a mapping");
    who.start_import(&job.job_id).await;
    office.settle().await;
    let done = who.job(&job.job_id).await;
    assert_eq!(done.state, pb::ImportState::Done as i32, "{done:?}");
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn nearly_every_planted_repeat_is_found_nothing_else_is_and_no_value_of_the_files_lies_in_clear() {
    in_each_office(async |office: &Office| {
        let planted: Planted = serde_json::from_str(PLANTED).expect("the generator's facts");
        let director = office.seat("director");
        let (mut told, mut before, mut rejected) = (BTreeSet::new(), 0, 0);
        for file in [("customers-utf8.csv", UTF8), ("customers-gb18030.csv", GB), ("customers.xlsx", XLSX)] {
            let done = import(office, &director, file).await;
            let rows = director.import_rows(&done.job_id, "").await.into_iter();
            let repeats = rows.filter(|row| row.result == "merged" || row.result == "duplicate");
            told.extend(repeats.map(|row| before + row.row));
            before += done.row_count;
            rejected += done.rejected_count;
        }
        let mut hits = BTreeMap::<&str, i64>::new();
        for (how, pairs) in &planted.pairs {
            // Whichever of the two comes later is the one that is told.
            let number = |text: &str| text.parse::<i64>().expect("a number");
            let later = pairs.split_ascii_whitespace().map(|pair| pair.split('-').map(number).max().expect("two"));
            hits.insert(how, later.filter(|row| told.remove(row)).count() as i64);
        }
        let wrong = told.len();
        let total: i64 = hits.keys().map(|how| planted.planted[*how]).sum();
        let recall = hits.values().sum::<i64>() as f64 / total as f64;
        for (how, hits) in &hits {
            println!("by {how}: {hits} of {}", planted.planted[*how]);
        }
        println!("recall {recall:.4} of {total}; {wrong} originals taken for a repeat");
        assert!(recall >= RECALL_MIN, "recall {recall}");
        assert_eq!(wrong, 0, "originals were taken for a repeat");
        let broken: i64 = planted.planted.iter().filter(|(kind, _)| kind.starts_with("invalid")).map(|(_, n)| n).sum();
        assert_eq!(rejected, broken);
        director.create(person(IN_CLEAR, "13700000001")).await.expect("made");
        let text = GB18030.decode(GB).0;
        let mut secrets = secrets(std::str::from_utf8(UTF8).expect("UTF-8"));
        secrets.extend(self::secrets(&text));
        assert!(secrets.len() > 3_000, "{}", secrets.len());
        secrets.insert(IN_CLEAR.to_owned());
        let secrets: BTreeSet<&str> = secrets.iter().map(String::as_str).collect();
        let found = found(&dump(office).await, &secrets);
        assert_eq!(found, BTreeSet::from([IN_CLEAR]), "and nothing else of {}", secrets.len());
    })
    .await;
}

/// Numbers, accounts, mail addresses and notes of a file: as they are typed, and as they are compared.
fn secrets(text: &str) -> BTreeSet<String> {
    let mut lines = text.trim_start_matches('\u{FEFF}').lines().map(cells);
    let headers = lines.next().expect("a header");
    let place = |name: &str| headers.iter().position(|header| header == name).expect("a column");
    let [phone, wechat, mail, note] = ["手机号", "微信号", "邮箱", "备注"].map(place);
    let mut secrets = BTreeSet::new();
    for cells in lines {
        let digits: String = cells[phone].chars().filter(char::is_ascii_digit).collect();
        secrets.insert(digits.get(digits.len().saturating_sub(11)..).unwrap_or_default().to_owned());
        for column in [phone, wechat, mail, note] {
            secrets.extend([cells[column].clone(), cells[column].to_lowercase()]);
        }
    }
    secrets.retain(|secret| secret.len() >= 8);
    secrets
}

/// The cells of a line whose cells hold no line break.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            _ => cells.last_mut().expect("one at least").push(letter),
        }
    }
    cells
}
