//! What the words that people give to things must look like, and how two spellings of one value are recognised.

use revisit_core::Input;

/// Where nobody says otherwise.
pub const TIME_ZONE: &str = "Asia/Shanghai";
/// Where nobody says otherwise.
pub const REGION: &str = "CN";
/// The officially assigned codes of ISO 3166-1, alpha-2.
const REGIONS: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ \
    FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT \
    JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP \
    MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE \
    RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV \
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";
/// Where nobody says otherwise.
pub const LOCALE: &str = "zh-CN";
/// Characters of a name that people see.
pub const NAME_MAX: usize = 100;
/// Characters of a reason.
pub const REASON_MAX: usize = 500;
/// Roles, positions or further departments of one holder.
pub const LIST_MAX: usize = 20;

/// Reads a log-in name; the answer is folded, so that case does not matter.
pub fn read_username(input: &mut Input, field: &str, text: &str) -> String {
    let username = input.text(field, text, 2..=64);
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !username.chars().all(allowed) {
        input.refuse(field, "must be of letters, digits, '.', '_' and '-'");
    }
    username.to_lowercase()
}

/// Reads the key of a company.
pub fn read_tenant_key(input: &mut Input, field: &str, text: &str) -> String {
    let key = input.text(field, text, 2..=32);
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !key.is_empty() && (!key.starts_with(|c: char| c.is_ascii_lowercase()) || !key.chars().all(rest)) {
        input.refuse(field, "must be of 'a' to 'z', '0' to '9' and '-', starting with a letter");
    }
    key
}

/// Reads the key of a role.
pub fn read_role_key(input: &mut Input, field: &str, text: &str) -> String {
    let key = input.text(field, text, 2..=64);
    if !key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        input.refuse(field, "must be of 'a' to 'z', '0' to '9' and '_'");
    }
    key
}

/// Reads a mail address; empty is none. It is folded: no mail system in use tells addresses apart by case.
pub fn read_email(input: &mut Input, field: &str, text: &str) -> Option<String> {
    let email = input.text(field, text, 0..=254).to_lowercase();
    if email.is_empty() {
        return None;
    }
    let whole = email.split_once('@').is_some_and(|(local, domain)| {
        (1..=64).contains(&local.len())
            && domain.contains('.')
            && domain.split('.').all(|part| !part.is_empty())
            && !domain.contains('@')
            && !email.contains(char::is_whitespace)
    });
    if !whole {
        input.refuse(field, "must be a mail address");
    }
    Some(email)
}

/// Reads a telephone number; empty is none. Full-width digits count, separators do not.
pub fn read_phone(input: &mut Input, field: &str, text: &str) -> Option<String> {
    let given = input.text(field, text, 0..=40);
    if given.is_empty() {
        return None;
    }
    let mut phone = String::with_capacity(given.len());
    for c in given.chars() {
        match c {
            '0'..='9' => phone.push(c),
            '０'..='９' => phone.extend(char::from_digit(u32::from(c) - u32::from('０'), 10)),
            '+' | '＋' if phone.is_empty() => phone.push('+'),
            ' ' | '-' | '(' | ')' | '\u{3000}' => (),
            _ => {
                input.refuse(field, "must be of digits, spaces, '+' and '-'");
                return None;
            }
        }
    }
    let digits = phone.trim_start_matches('+').len();
    if !(5..=20).contains(&digits) {
        input.refuse(field, "must have 5 to 20 digits");
    }
    Some(phone)
}

/// Reads an IANA time zone; empty is the default.
pub fn read_time_zone(input: &mut Input, field: &str, text: &str) -> String {
    if text.is_empty() {
        return TIME_ZONE.to_owned();
    }
    if text.parse::<chrono_tz::Tz>().is_err() {
        input.refuse(field, "must be an IANA time zone, for example Asia/Shanghai");
    }
    text.to_owned()
}

/// Reads the country of a company; empty is the default.
pub fn read_region(input: &mut Input, field: &str, text: &str) -> String {
    if text.is_empty() {
        return REGION.to_owned();
    }
    input.require(REGIONS.split(' ').any(|code| code == text), field, "must be an ISO 3166-1 code, for example CN");
    text.to_owned()
}

/// Reads a locale; empty is the default.
pub fn read_locale(input: &mut Input, field: &str, text: &str) -> String {
    match text {
        "" => LOCALE.to_owned(),
        "zh-CN" | "en" => text.to_owned(),
        _ => {
            input.refuse(field, "must be zh-CN or en");
            LOCALE.to_owned()
        }
    }
}

/// Reads why something is done.
pub fn read_reason(input: &mut Input, text: &str) -> String {
    input.text("reason", text, 0..=REASON_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(read: impl FnOnce(&mut Input)) -> bool {
        let mut input = Input::default();
        read(&mut input);
        !input.violations().is_empty()
    }

    #[test]
    fn spellings_of_one_number_become_one() {
        for text in ["+86 138-0000-1234", "+8613800001234", "＋86 １３８００００１２３４"] {
            assert_eq!(read_phone(&mut Input::default(), "phone", text).as_deref(), Some("+8613800001234"), "{text}");
        }
        assert!(refuses(|input| drop(read_phone(input, "phone", "1234"))));
        assert!(refuses(|input| drop(read_phone(input, "phone", "call me"))));
    }

    #[test]
    fn what_is_no_mail_address_is_refused() {
        for text in ["mei", "mei@", "@example.com", "mei@example", "mei@example..com", "a b@example.com", "a@b@c.com"] {
            assert!(refuses(|input| drop(read_email(input, "email", text))), "{text}");
        }
        assert_eq!(read_email(&mut Input::default(), "email", "Mei@Example.com").as_deref(), Some("mei@example.com"));
    }

    #[test]
    fn usernames_may_be_chinese_and_are_folded() {
        assert_eq!(read_username(&mut Input::default(), "username", " Li.Mei "), "li.mei");
        assert!(!refuses(|input| drop(read_username(input, "username", "李梅"))));
        for text in ["", "x", "a b", "a:b", "a@b"] {
            assert!(refuses(|input| drop(read_username(input, "username", text))), "{text}");
        }
    }

    #[test]
    fn unknown_zones_and_locales_are_refused() {
        assert!(refuses(|input| drop(read_time_zone(input, "time_zone", "Mars/Olympus"))));
        assert!(refuses(|input| drop(read_locale(input, "locale", "fr"))));
        assert_eq!(read_time_zone(&mut Input::default(), "time_zone", ""), "Asia/Shanghai");
    }
}
