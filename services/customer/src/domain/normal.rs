//! Normal forms: when two ways of writing a name, number or account mean the same.
//!
//! The normal form is what is compared and indexed; what people typed is kept beside it.

use std::borrow::Cow;

use phonenumber::Mode;
use unicode_normalization::{UnicodeNormalization, is_nfkc};

use super::contact::ContactType;

/// The country from which a number without a country code is dialled: the tenant's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Region(Option<phonenumber::country::Id>);

impl Region {
    /// Of companies that name none.
    pub const DEFAULT: Self = Self(Some(phonenumber::country::Id::CN));

    /// The region of an ISO 3166-1 code. From one that has no numbering plan, every number needs its country code.
    pub fn of(code: Option<&str>) -> Self {
        let has_plan = |id: &phonenumber::country::Id| phonenumber::metadata::DATABASE.by_id(id.as_ref()).is_some();
        code.map_or(Self::DEFAULT, |code| Self(code.parse().ok().filter(has_plan)))
    }

    fn is_china(self) -> bool {
        self == Self::DEFAULT
    }
}

/// Legal forms that say nothing about which company it is, longest first so that a longer one is not cut in half.
const LEGAL_SUFFIXES: [&str; 22] = [
    "有限责任公司",
    "股份有限公司",
    "集团有限公司",
    "有限合伙企业",
    "控股有限公司",
    "有限公司",
    "集团公司",
    "责任公司",
    "总公司",
    "分公司",
    "公司",
    "incorporated",
    "corporation",
    "companylimited",
    "limited",
    "coltd",
    "gmbh",
    "ltd",
    "inc",
    "llc",
    "corp",
    "co",
];

/// NFKC (which also folds width), invisible characters dropped, runs of blanks made one, trimmed.
pub fn text(input: &str) -> String {
    let folded: Cow<'_, str> = if is_nfkc(input) { Cow::Borrowed(input) } else { Cow::Owned(input.nfkc().collect()) };
    let mut out = String::with_capacity(folded.len());
    for c in folded.chars().filter(|c| !is_invisible(*c)) {
        if !c.is_whitespace() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
    }
    if out.ends_with(' ') {
        out.pop();
    }
    out
}

/// Marks that editors leave behind and nobody sees.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}' | '\u{FEFF}' | '\u{00AD}')
}

/// The normal form of a contact value, or the rule that it breaks.
pub fn contact(kind: ContactType, input: &str, region: Region) -> Result<String, &'static str> {
    match kind {
        ContactType::Phone => phone(input, region),
        ContactType::Wechat => wechat(input),
        ContactType::Email => email(input),
        ContactType::Company => {
            let folded = company(input);
            if folded.is_empty() { Err("must name a company") } else { Ok(folded) }
        }
        ContactType::RegistrationCode => registration_code(input),
    }
}

/// Loads the tables of the world's phone numbers: whoever needs them first would wait for half a second.
pub fn warm() {
    // A landline, because the short cut for mobile numbers needs no table.
    let _ = phone("021-62345678", Region::DEFAULT);
}

/// E.164. A remark in brackets behind the number is dropped: people write `(微信同号)` there.
pub fn phone(input: &str, region: Region) -> Result<String, &'static str> {
    const RULE: &str = "must be a phone number";
    let folded = text(input);
    let number = folded.split_once('(').map_or(folded.as_str(), |(before, remark)| {
        if before.is_empty() || remark.chars().any(|c| c.is_ascii_digit()) { folded.as_str() } else { before }
    });
    if number.chars().any(|c| !c.is_ascii_digit() && !matches!(c, '+' | '-' | ' ' | '(' | ')' | '.' | '/')) {
        return Err(RULE);
    }
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if region.is_china()
        && let Some(mobile) = chinese_mobile(number.trim_start().starts_with('+'), &digits)
    {
        return Ok(format!("+86{mobile}"));
    }
    // `00` is how most of the world dials another country; the parser knows `+` only.
    let dialled = digits.strip_prefix("00").map_or_else(|| number.to_owned(), |rest| format!("+{rest}"));
    // Told a region, the parser takes its trunk prefix off numbers of other countries too.
    let home = region.0.filter(|_| !dialled.trim_start().starts_with('+'));
    let parsed = phonenumber::parse(home, dialled).map_err(|_| RULE)?;
    if !parsed.is_valid() {
        return Err(RULE);
    }
    Ok(parsed.format().mode(Mode::E164).to_string())
}

/// The eleven digits of a mobile number of mainland China. Most of what is imported; the general parser costs a
/// hundred times as much, and it refuses prefixes newer than its table.
fn chinese_mobile(international: bool, digits: &str) -> Option<&str> {
    let national = match digits.len() {
        11 if !international => digits,
        13 => digits.strip_prefix("86")?,
        15 if !international => digits.strip_prefix("0086")?,
        _ => return None,
    };
    let bytes = national.as_bytes();
    (bytes.len() == 11 && bytes[0] == b'1' && (b'3'..=b'9').contains(&bytes[1])).then_some(national)
}

/// Lower-case; 5 to 30 letters, digits, `_` and `-`.
pub fn wechat(input: &str) -> Result<String, &'static str> {
    let folded = text(input).to_ascii_lowercase();
    let fits =
        (5..=30).contains(&folded.len()) && folded.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-');
    if fits { Ok(folded) } else { Err("must have 5 to 30 letters, digits, underscores or hyphens") }
}

/// The domain in lower case; the part before it is kept, because a mail server may tell its case apart.
pub fn email(input: &str) -> Result<String, &'static str> {
    const RULE: &str = "must be a mail address";
    let folded = text(input);
    let (user, domain) = folded.rsplit_once('@').ok_or(RULE)?;
    let user_fits = (1..=64).contains(&user.len())
        && user.bytes().all(|c| c.is_ascii_graphic() && !matches!(c, b'@' | b',' | b';' | b'<' | b'>' | b'"' | b'('));
    let domain = domain.to_lowercase();
    let domain_fits = (3..=253).contains(&domain.len())
        && domain.contains('.')
        && domain.split('.').all(|label| {
            !label.is_empty() && label.len() <= 63 && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        });
    if user_fits && domain_fits { Ok(format!("{user}@{domain}")) } else { Err(RULE) }
}

/// Upper-case; 15 or 18 digits and letters.
pub fn registration_code(input: &str) -> Result<String, &'static str> {
    let folded: String =
        text(input).chars().filter(|c| *c != ' ' && *c != '-').collect::<String>().to_ascii_uppercase();
    let fits = matches!(folded.len(), 15 | 18) && folded.bytes().all(|c| c.is_ascii_alphanumeric());
    if fits { Ok(folded) } else { Err("must have 15 or 18 letters and digits") }
}

/// Lower-case letters, digits and ideographs of a company's name, without its legal form.
pub fn company(input: &str) -> String {
    let folded: String = text(input).to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let mut name = folded.as_str();
    // Twice, for `… 有限公司 Co., Ltd.`; a name that is nothing but a legal form keeps it.
    for _ in 0..2 {
        if LEGAL_SUFFIXES.contains(&name) {
            break;
        }
        let cut = LEGAL_SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix).filter(|rest| !rest.is_empty()));
        let Some(rest) = cut else { break };
        name = rest;
    }
    name.to_owned()
}

/// Lower-case letters, digits and ideographs of a person's name or a city; `市` behind a city says nothing.
pub fn person(name: &str, city: &str) -> Option<String> {
    let fold = |input: &str| text(input).to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let (name, city) = (fold(name), fold(city));
    let city = city.strip_suffix('市').unwrap_or(&city);
    (!name.is_empty() && !city.is_empty()).then(|| format!("{name}\u{1f}{city}"))
}

/// A local date written the ways people write it, as `YYYY-MM-DD`.
pub fn date(input: &str) -> Result<String, &'static str> {
    const RULE: &str = "must be a date: YYYY-MM-DD";
    let folded = text(input);
    let parts: Vec<&str> = if folded.len() == 8 && folded.bytes().all(|c| c.is_ascii_digit()) {
        vec![&folded[..4], &folded[4..6], &folded[6..]]
    } else {
        folded.split(['-', '/', '.', '年', '月', '日']).filter(|part| !part.is_empty()).collect()
    };
    let [year, month, day] = parts.as_slice() else { return Err(RULE) };
    let date = chrono::NaiveDate::from_ymd_opt(
        year.parse().map_err(|_| RULE)?,
        month.parse().map_err(|_| RULE)?,
        day.split(['T', ' ']).next().unwrap_or_default().parse().map_err(|_| RULE)?,
    );
    let date = date.filter(|date| (1800..=9999).contains(&chrono::Datelike::year(date))).ok_or(RULE)?;
    Ok(date.format("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_a_mobile_number_has_one_normal_form() {
        for input in [
            "13812345678",
            "138 1234 5678",
            "138-1234-5678",
            "+86 138 1234 5678",
            "+8613812345678",
            "008613812345678",
            "86-13812345678",
            "１３８１２３４５６７８",
            " 13812345678\u{3000}",
            "138\u{200B}12345678",
            "13812345678（微信同号）",
            "(+86)13812345678",
        ] {
            assert_eq!(phone(input, Region::DEFAULT).as_deref(), Ok("+8613812345678"), "{input}");
        }
    }

    #[test]
    fn landlines_and_foreign_numbers_go_through_the_general_parser() {
        assert_eq!(phone("021-6234 5678", Region::DEFAULT).as_deref(), Ok("+862162345678"));
        assert_eq!(phone("+1 650 253 0000", Region::DEFAULT).as_deref(), Ok("+16502530000"));
        assert_eq!(phone("001 650 253 0000", Region::DEFAULT).as_deref(), Ok("+16502530000"));
    }

    #[test]
    fn a_number_without_a_country_code_is_of_the_region() {
        let of = |code| phone("(650) 253-0000", Region::of(Some(code)));
        assert_eq!(of("US").as_deref(), Ok("+16502530000"));
        assert_eq!(phone("13812345678", Region::of(None)).as_deref(), Ok("+8613812345678"));
        assert_ne!(phone("13812345678", Region::of(Some("US"))).as_deref(), Ok("+8613812345678"));
        for region in ["US", "AQ"].map(|code| Region::of(Some(code))) {
            assert_eq!(phone("+86 138 1234 5678", region).as_deref(), Ok("+8613812345678"));
        }
        assert!(of("AQ").is_err(), "no numbering plan, no country code");
    }

    #[test]
    fn what_is_no_phone_number_is_refused() {
        for input in ["", "12345", "不详", "138-0000", "1380000abcd", "+", "()", "13812345678 13812345679"] {
            assert!(phone(input, Region::DEFAULT).is_err(), "{input}");
        }
    }

    #[test]
    fn the_short_cut_agrees_with_the_general_parser() {
        for prefix in [130, 135, 138, 139, 147, 150, 158, 166, 173, 186, 188, 189, 199] {
            let number = format!("{prefix}12345678");
            let parsed = phonenumber::parse(Region::DEFAULT.0, &number).expect("a mobile number");
            assert_eq!(
                phone(&number, Region::DEFAULT).as_deref(),
                Ok(parsed.format().mode(Mode::E164).to_string().as_str())
            );
        }
    }

    #[test]
    fn a_company_is_the_same_under_any_legal_form() {
        for input in [
            "上海华信贸易有限公司",
            "上海华信贸易（有限公司）",
            "上海华信贸易 Co., Ltd.",
            "上海华信贸易股份有限公司",
            "上海 华信贸易有限责任公司",
            "上海华信贸易有限公司 CO.,LTD",
        ] {
            assert_eq!(company(input), "上海华信贸易", "{input}");
        }
        assert_eq!(company("有限公司"), "有限公司");
        assert_eq!(company("ACME Inc."), "acme");
    }

    #[test]
    fn mail_and_wechat_ids_are_folded_where_case_means_nothing() {
        assert_eq!(email(" Li.Ming＠EXAMPLE.COM ").as_deref(), Ok("Li.Ming@example.com"));
        for input in ["a@b", "@example.com", "a b@example.com", "a@example..com", "plain"] {
            assert!(email(input).is_err(), "{input}");
        }
        assert_eq!(wechat("ＷＸ_00006ＣＮ").as_deref(), Ok("wx_00006cn"));
        assert!(wechat("微信").is_err());
    }

    #[test]
    fn dates_are_read_as_written_and_checked_against_the_calendar() {
        for input in ["1992-02-29", "1992/2/29", "1992.02.29", "1992年2月29日", "19920229"] {
            assert_eq!(date(input).as_deref(), Ok("1992-02-29"), "{input}");
        }
        for input in ["1990-02-30", "29 Feb", "", "0001-01-01"] {
            assert!(date(input).is_err(), "{input}");
        }
    }
}
