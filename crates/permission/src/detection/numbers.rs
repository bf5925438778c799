//! The forms of numbers: whether some digits are a phone number, an identity card or a payment card.

/// Digits of a mobile number of mainland China.
pub const PHONE_DIGITS: usize = 11;

/// A phone number by its digits and how they are grouped.
pub fn is_phone(digits: &str, groups: &[usize], international: bool) -> bool {
    let (national, grouped) = match digits
        .strip_prefix("0086")
        .or_else(|| digits.strip_prefix("86").filter(|_| international || digits.len() == 13))
    {
        Some(rest) => (rest, &groups[usize::from(groups.len() > 1 && groups[0] <= 4)..]),
        None => (digits, groups),
    };
    if international && national.len() == digits.len() {
        // E.164, of another country.
        return (8..=15).contains(&digits.len()) && !digits.starts_with('0');
    }
    let fits = |forms: &[&[usize]]| grouped.len() <= 1 || forms.contains(&grouped);
    let bytes = national.as_bytes();
    let mobile = bytes.len() == PHONE_DIGITS && bytes[0] == b'1' && (b'3'..=b'9').contains(&bytes[1]);
    if mobile {
        return fits(&[&[3, 4, 4], &[3, 8], &[7, 4], &[4, 3, 4], &[4, 4, 3], &[3, 3, 5], &[3, 5, 3]]);
    }
    is_landline(national, grouped, national.len() != digits.len())
}

/// A landline of mainland China: area code with its 0 (left out behind a country code), then seven or eight digits,
/// written apart: eleven digits in a row that begin with 0 may be anything.
fn is_landline(national: &str, groups: &[usize], abroad: bool) -> bool {
    let area = if abroad { national.to_owned() } else { national.strip_prefix('0').unwrap_or_default().to_owned() };
    let code = match area.as_bytes() {
        [b'1', b'0', ..] | [b'2', b'0'..=b'9', ..] => 2,
        [b'3'..=b'9', ..] => 3,
        _ => return false,
    };
    let number = &area.get(code..).unwrap_or_default();
    let begins = number.as_bytes().first().is_some_and(|first| (b'2'..=b'8').contains(first));
    let head = code + usize::from(!abroad);
    let apart = groups.first() == Some(&head) && (2..=3).contains(&groups.len());
    (7..=8).contains(&number.len()) && begins && (apart || abroad)
}

/// The weights of GB 11643-1999, which follows ISO 7064 MOD 11-2.
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECKS: [char; 11] = ['1', '0', 'x', '9', '8', '7', '6', '5', '4', '3', '2'];

/// An identity card of mainland China: 18 characters with a check character, or 15 digits of before 1999.
pub fn is_identity_card(value: &str) -> bool {
    let digits: Vec<u32> = value.chars().take(17).filter_map(|c| c.to_digit(10)).collect();
    let region = matches!(
        value.get(..2),
        Some(
            "11" | "12"
                | "13"
                | "14"
                | "15"
                | "21"
                | "22"
                | "23"
                | "31"
                | "32"
                | "33"
                | "34"
                | "35"
                | "36"
                | "37"
                | "41"
                | "42"
                | "43"
                | "44"
                | "45"
                | "46"
                | "50"
                | "51"
                | "52"
                | "53"
                | "54"
                | "61"
                | "62"
                | "63"
                | "64"
                | "65"
                | "71"
                | "81"
                | "82"
        )
    );
    let born = |year: &str, month: &str, day: &str| {
        let number = |digits: &str| digits.parse::<u32>().unwrap_or(0);
        is_birthday(number(year), number(month), number(day))
    };
    match value.len() {
        18 if digits.len() == 17 => {
            let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| digit * weight).sum();
            region
                && born(&value[6..10], &value[10..12], &value[12..14])
                && value.ends_with(CHECKS[(sum % 11) as usize])
        }
        15 if digits.len() == 15 => region && born(&format!("19{}", &value[6..8]), &value[8..10], &value[10..12]),
        _ => false,
    }
}

/// A day of the Gregorian calendar on which somebody of today may have been born.
fn is_birthday(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 0,
    };
    (1900..=2099).contains(&year) && (1..=days).contains(&day)
}

/// A payment card by the ranges of its network and the check digit of ISO/IEC 7812-1 (Luhn).
pub fn is_bank_card(digits: &str) -> bool {
    let head = |length: usize| digits.get(..length).and_then(|head| head.parse::<u32>().ok()).unwrap_or(0);
    let length = digits.len();
    let network = (head(2) == 62 && (16..=19).contains(&length))
        || (head(1) == 4 && matches!(length, 13 | 16 | 19))
        || (((51..=55).contains(&head(2)) || (2221..=2720).contains(&head(4))) && length == 16)
        || (matches!(head(2), 34 | 37) && length == 15)
        || ((3528..=3589).contains(&head(4)) && length == 16)
        // Debit cards of Chinese banks of before UnionPay's own range.
        || (matches!(head(4), 9558 | 6013 | 9559 | 6010 | 4563) && matches!(length, 16 | 19));
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0') << (place % 2);
            digit / 10 + digit % 10
        })
        .sum();
    network && sum.is_multiple_of(10)
}
