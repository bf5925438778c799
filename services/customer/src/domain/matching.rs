//! When two records are one customer: one strong key, or two weak ones.

use std::collections::{BTreeMap, BTreeSet};

use revisit_core::id::CustomerId;

use super::{
    contact::{ContactPoint, ContactType},
    normal,
};

/// Answers a subject may get in an hour about customers that it may not read, by questions and by imports together.
pub const BUDGET_PER_HOUR: i64 = 30;
/// Of an import's rows, one in so many may turn out to be a customer that the importer may not read (2 %).
const IMPORT_ROWS_PER_ANSWER: i64 = 50;
/// Matches that one question answers at the most.
pub const MATCHES_MAX: usize = 20;

/// Answers that a file of so many rows may give about customers that its importer may not read, beside the hour's bound:
/// one, however few its rows are.
pub fn import_answers(rows: i64) -> i64 {
    (rows / IMPORT_ROWS_PER_ANSWER).max(1)
}

/// What is compared. The number is stored, and it is part of what a blind index is made from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyKind {
    Phone = 1,
    Wechat = 2,
    Email = 3,
    RegistrationCode = 4,
    Company = 11,
    Person = 12,
}

impl KeyKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Wechat => "wechat",
            Self::Email => "email",
            Self::RegistrationCode => "registration_code",
            Self::Company => "company",
            Self::Person => "person",
        }
    }

    /// Whether it makes a match alone.
    pub const fn is_strong(self) -> bool {
        match self {
            Self::Phone | Self::Wechat | Self::Email | Self::RegistrationCode => true,
            Self::Company | Self::Person => false,
        }
    }

    const fn of(kind: ContactType) -> Self {
        match kind {
            ContactType::Phone => Self::Phone,
            ContactType::Wechat => Self::Wechat,
            ContactType::Email => Self::Email,
            ContactType::RegistrationCode => Self::RegistrationCode,
            ContactType::Company => Self::Company,
        }
    }
}

/// One key of a record, in clear: it is turned into a blind index before it reaches the database.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: KeyKind,
    pub normal_form: String,
}

/// Every key of a record, in order and without repeats.
pub fn keys(is_company: bool, name: &str, city: &str, points: &[ContactPoint]) -> BTreeSet<Key> {
    let mut keys: BTreeSet<Key> = points
        .iter()
        .map(|point| Key { kind: KeyKind::of(point.kind), normal_form: point.normal_form().to_owned() })
        .collect();
    if is_company {
        let folded = normal::company(name);
        if !folded.is_empty() {
            keys.insert(Key { kind: KeyKind::Company, normal_form: folded });
        }
    }
    // Beside a city, a company's legal form says as little as alone.
    let bare = if is_company { normal::company(name) } else { name.to_owned() };
    if let Some(normal_form) = normal::person(&bare, city) {
        keys.insert(Key { kind: KeyKind::Person, normal_form });
    }
    keys
}

/// Who matches, from who has which key: in the order of strength, then of id.
pub fn matches(found: impl IntoIterator<Item = (CustomerId, KeyKind)>) -> Vec<(CustomerId, Vec<KeyKind>)> {
    let mut by_customer: BTreeMap<CustomerId, BTreeSet<KeyKind>> = BTreeMap::new();
    for (customer, kind) in found {
        by_customer.entry(customer).or_default().insert(kind);
    }
    let mut matches: Vec<_> = by_customer
        .into_iter()
        .filter(|(_, kinds)| is_match(kinds))
        .map(|(customer, kinds)| (customer, kinds.into_iter().collect::<Vec<_>>()))
        .collect();
    matches.sort_by_key(|(customer, kinds)| (!kinds.iter().any(|kind| kind.is_strong()), *customer));
    matches
}

fn is_match(kinds: &BTreeSet<KeyKind>) -> bool {
    kinds.iter().any(|kind| kind.is_strong()) || kinds.len() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(number: u128) -> CustomerId {
        CustomerId::from_uuid(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn one_strong_key_or_two_weak_ones_make_a_match() {
        let found = [
            (customer(1), KeyKind::Company),
            (customer(2), KeyKind::Company),
            (customer(2), KeyKind::Person),
            (customer(3), KeyKind::Phone),
        ];
        let matched: Vec<_> = matches(found).into_iter().map(|(customer, _)| customer).collect();
        assert_eq!(matched, [customer(3), customer(2)]);
    }

    #[test]
    fn a_name_without_a_city_is_no_key() {
        assert!(keys(false, "王伟", "", &[]).is_empty());
        assert!(keys(false, "王伟", "上海市", &[]) == keys(false, " 王 伟", "上海", &[]));
    }

    #[test]
    fn two_weak_keys_of_a_company_are_its_name_and_its_city() {
        let kinds: Vec<_> = keys(true, "上海华信贸易有限公司", "上海", &[]).into_iter().map(|key| key.kind).collect();
        assert_eq!(kinds, [KeyKind::Company, KeyKind::Person]);
    }
}
