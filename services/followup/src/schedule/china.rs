//! China's statutory calendar: which days the State Council makes off days and make-up workdays. Data, one file a year.
//!
//! An announced year is complete. A provisional one holds only what the law itself fixes; its make-up workdays are not
//! known before the notice, which comes late in the year before.

use std::{collections::BTreeMap, sync::LazyLock};

use chrono::NaiveDate;
use serde::Deserialize;

use super::{Special, after_days};

const FILES: [&str; 6] = [
    include_str!("../../data/china/2023.toml"),
    include_str!("../../data/china/2024.toml"),
    include_str!("../../data/china/2025.toml"),
    include_str!("../../data/china/2026.toml"),
    include_str!("../../data/china/2027.toml"),
    include_str!("../../data/china/2028.toml"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Year {
    year: i32,
    status: Status,
    #[serde(default)]
    off: Vec<Off>,
    #[serde(default)]
    work: Vec<Work>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Status {
    Announced,
    Provisional,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Off {
    name: String,
    from: NaiveDate,
    to: NaiveDate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Work {
    name: String,
    date: NaiveDate,
}

struct Table {
    days: BTreeMap<NaiveDate, Special>,
    announced: Vec<i32>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { days: BTreeMap::new(), announced: Vec::new() };
    for year in FILES.iter().filter_map(|text| read(text)) {
        if year.status == Status::Announced {
            table.announced.push(year.year);
        }
        for off in year.off {
            let mut date = off.from;
            while date <= off.to {
                table.days.insert(date, Special { working: false, name: off.name.clone() });
                date = after_days(date, 1);
            }
        }
        for work in year.work {
            table.days.insert(work.date, Special { working: true, name: format!("{}补班", work.name) });
        }
    }
    table
});

/// The files are part of the program and a test reads each; one that cannot be read would be left out.
fn read(text: &str) -> Option<Year> {
    toml::from_str(text).ok()
}

/// Whether a statutory day is worked on, and its name; none for an ordinary day.
#[must_use]
pub fn special(date: NaiveDate) -> Option<(bool, &'static str)> {
    TABLE.days.get(&date).map(|day| (day.working, day.name.as_str()))
}

/// Whether a year is known for good.
#[must_use]
pub fn announced(year: i32) -> bool {
    // The last days of December may already belong to the next notice; the year itself decides.
    TABLE.announced.contains(&year)
}

#[cfg(test)]
mod tests {
    use chrono::Datelike;

    use super::*;

    #[test]
    fn every_shipped_year_can_be_read_and_its_days_lie_in_it() {
        for text in FILES {
            let year: Year = toml::from_str(text).expect("the file is well formed");
            for off in &year.off {
                assert!(off.from <= off.to && off.to.year() == year.year, "{} {}", year.year, off.name);
            }
            assert_eq!(year.work.is_empty(), year.status == Status::Provisional, "{}", year.year);
        }
    }

    #[test]
    fn announced_years_come_before_provisional_ones() {
        assert!(announced(2026));
        assert!(!announced(2027));
        assert!(!announced(2031));
    }
}
