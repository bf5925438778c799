//! Masks: what is left of a value whose reader may know that it is there, and no more.
//!
//! At least four characters stay hidden, so of a short value nothing is shown. The hidden part always looks the same:
//! its length would tell something about the value.

/// How a value is masked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mask {
    /// A telephone number: its first three and last four digits, a Chinese country code left out.
    Phone,
    /// A mail address: its first character and the domain.
    Email,
    /// An account name or number (WeChat id, registration code, identity card): two characters at each end.
    Account,
    /// Free text: its first character.
    Text,
    /// A number, a date, a choice: nothing, for any part would narrow it down.
    Whole,
}

/// What stands for the hidden part.
const STARS: &str = "****";
/// Characters that stay hidden at the least.
const HIDDEN_MIN: usize = 4;
/// Digits of a Chinese mobile number.
const MOBILE_DIGITS: usize = 11;

impl Mask {
    /// The masked form. An empty value stays empty.
    #[must_use]
    pub fn apply(self, value: &str) -> String {
        let value = value.trim();
        match self {
            _ if value.is_empty() => String::new(),
            Self::Phone => phone(value),
            Self::Email => email(value),
            Self::Account => ends(value, 2, 2),
            Self::Text => ends(value, 1, 0),
            Self::Whole => STARS.to_owned(),
        }
    }
}

fn phone(value: &str) -> String {
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    let national = digits.strip_prefix("86").filter(|rest| rest.len() == MOBILE_DIGITS);
    ends(national.unwrap_or(&digits), 3, 4)
}

fn email(value: &str) -> String {
    // Without its domain an address is just a text.
    value
        .rsplit_once('@')
        .map_or_else(|| ends(value, 1, 0), |(local, domain)| format!("{}@{domain}", ends(local, 1, 0)))
}

/// `head` characters, stars, `tail` characters; only the stars when that would leave less than [`HIDDEN_MIN`] hidden.
fn ends(value: &str, head: usize, tail: usize) -> String {
    let count = value.chars().count();
    if count < head + tail + HIDDEN_MIN {
        return STARS.to_owned();
    }
    let first: String = value.chars().take(head).collect();
    let last: String = value.chars().skip(count - tail).collect();
    format!("{first}{STARS}{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mobile_number_keeps_its_first_three_and_last_four_digits_however_it_is_written() {
        for written in ["13812345678", "+8613812345678", "138 1234 5678", "+86 138-1234-5678"] {
            assert_eq!(Mask::Phone.apply(written), "138****5678", "{written}");
        }
    }

    #[test]
    fn a_mail_address_keeps_its_domain_and_a_long_account_its_ends() {
        assert_eq!(Mask::Email.apply("li.mei@example.com"), "l****@example.com");
        assert_eq!(Mask::Account.apply("wxid_abc123"), "wx****23");
        assert_eq!(Mask::Text.apply("王小明的备注"), "王****");
    }

    #[test]
    fn short_values_show_nothing_and_empty_ones_stay_empty() {
        assert_eq!(Mask::Phone.apply("12345"), "****");
        assert_eq!(Mask::Email.apply("li@example.com"), "****@example.com");
        assert_eq!(Mask::Account.apply("mei1984"), "****");
        assert_eq!(Mask::Text.apply("王小明"), "****");
        for mask in [Mask::Phone, Mask::Email, Mask::Account, Mask::Text] {
            assert_eq!(mask.apply("  "), "");
        }
    }

    #[test]
    fn values_that_differ_only_where_they_are_hidden_look_the_same() {
        assert_eq!(Mask::Phone.apply("13800005678"), Mask::Phone.apply("13899995678"));
        assert_eq!(Mask::Account.apply("ab12cd"), Mask::Account.apply("ab"));
        assert_eq!(Mask::Text.apply("王小明的备注"), Mask::Text.apply("王某人今天打来电话"));
    }
}
