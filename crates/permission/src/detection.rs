//! Sensitive values that people write into free text: phone numbers, identity cards, bank cards, mail addresses and WeChat
//! ids. What is found is told to whoever wrote it, and masked for whoever does not read the sensitive layer.
//!
//! A number counts by its own form: the numbering plan of mainland China (and numbers written with a country code), the
//! check digit of GB 11643-1999 with a region and a birthday, the check digit of ISO/IEC 7812-1 with the ranges of the
//! large card networks. A word in front says that it is something else (an order, a parcel, an invoice).
//! docs/benchmarks.md tells precision and recall on a labelled set.

use std::ops::Range;

use crate::mask::Mask;

mod numbers;
mod words;

use numbers::{is_bank_card, is_identity_card, is_phone};
use words::{OTHER_NUMBERS, PHONE_LETTERS, THESE_NUMBERS, WECHAT_WORDS, fold_all};

/// Groups of digits that one number is written in at the most: `86 010 6234 5678`, `6222 0212 3456 7890 123`.
const GROUPS_MAX: usize = 6;
/// Characters in front of a number in which a word may say what it is.
const WORD_REACH: usize = 8;

/// What was found. The number is the one of the contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SensitiveKind {
    Phone = 1,
    IdentityCard = 2,
    BankCard = 3,
    Email = 4,
    Wechat = 5,
}

impl SensitiveKind {
    pub const ALL: [Self; 5] = [Self::Phone, Self::IdentityCard, Self::BankCard, Self::Email, Self::Wechat];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::IdentityCard => "identity_card",
            Self::BankCard => "bank_card",
            Self::Email => "email",
            Self::Wechat => "wechat",
        }
    }

    const fn mask(self) -> Mask {
        match self {
            Self::Phone => Mask::Phone,
            Self::Email => Mask::Email,
            Self::IdentityCard | Self::BankCard | Self::Wechat => Mask::Account,
        }
    }
}

/// A sensitive value in a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    pub kind: SensitiveKind,
    /// Where it stands, in characters.
    pub at: Range<usize>,
}

/// The sensitive values of a text, in order; none overlaps another. The time it takes grows with the text's length alone.
#[must_use]
pub fn find(text: &str) -> Vec<Finding> {
    let text = Text::new(text);
    let mut found = Vec::new();
    let mut place = 0;
    while place < text.0.len() {
        match text.at(place) {
            Some(finding) => {
                place = finding.at.end;
                found.push(finding);
            }
            None => place += 1,
        }
    }
    found
}

/// Which kinds a text holds, each once, in the order of their numbers.
#[must_use]
pub fn kinds(text: &str) -> Vec<SensitiveKind> {
    let found = find(text);
    SensitiveKind::ALL.into_iter().filter(|kind| found.iter().any(|finding| finding.kind == *kind)).collect()
}

/// The text with each sensitive value masked like a value of its kind.
#[must_use]
pub fn masked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for Finding { kind, at } in find(text) {
        out.extend(&chars[from..at.start]);
        let value: String = fold_all(&chars[at.clone()]).into_iter().collect();
        out.push_str(&kind.mask().apply(&value));
        from = at.end;
    }
    out.extend(&chars[from..]);
    out
}

/// A text character by character, width folded, so that places are those of the text as written.
struct Text(Vec<char>);

impl Text {
    fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        Self(fold_all(&chars).into_iter().map(|c| c.to_ascii_lowercase()).collect())
    }

    fn at(&self, place: usize) -> Option<Finding> {
        let c = self.0[place];
        if (c.is_ascii_digit() || c == '+' || c == '(')
            && let Some(found) = self.number(place)
        {
            return Some(found);
        }
        if c.is_ascii_alphanumeric()
            && let Some(found) = self.email(place)
        {
            return Some(found);
        }
        self.wechat(place)
    }

    fn get(&self, place: usize) -> Option<char> {
        self.0.get(place).copied()
    }

    fn before(&self, place: usize) -> Option<char> {
        place.checked_sub(1).and_then(|place| self.get(place))
    }

    /// The letters that end right before a place.
    fn letters_before(&self, place: usize) -> String {
        let back = self.0[..place].iter().rev().take_while(|c| c.is_ascii_alphabetic()).count();
        self.0[place - back..place].iter().collect()
    }

    /// Whether the words in front of a place say that a number is something else.
    fn is_other(&self, place: usize) -> bool {
        // Behind the end of a sentence or a part of it a word says nothing any more, and one blank is none.
        let ends = |c: &char| matches!(c, ',' | '，' | ';' | '；' | '。' | '!' | '！' | '?' | '？' | '、' | '\n');
        let from = place.saturating_sub(WORD_REACH);
        let near = self.0[from..place].iter().rev().take_while(|c| !ends(c)).count();
        let words: String = self.0[place - near..place].iter().collect();
        let last = |of: &[&str]| of.iter().filter_map(|word| words.rfind(word).map(|at| at + word.len())).max();
        last(&OTHER_NUMBERS).is_some_and(|other| last(&THESE_NUMBERS).is_none_or(|this| this < other))
    }

    /// A number that begins here, the longest that is one.
    fn number(&self, place: usize) -> Option<Finding> {
        let begins = match self.before(place) {
            None => true,
            Some(c) if c.is_ascii_digit() => false,
            Some('#' | '_' | '$' | '@' | '%' | '+' | '&') => false,
            Some('/' | '=') => self.is_named_or_next(place - 1),
            Some('.' | '-') => {
                !self.0.get(place.wrapping_sub(2)).is_some_and(char::is_ascii_alphanumeric) || self.is_list(place)
            }
            Some(c) if c.is_ascii_alphabetic() => PHONE_LETTERS.contains(&self.letters_before(place).as_str()),
            Some(_) => true,
        };
        if !begins {
            return None;
        }
        let ends = self.groups(place);
        ends.into_iter().rev().find_map(|end| {
            let kind = self.kind(place..end)?;
            let other = matches!(kind, SensitiveKind::Phone | SensitiveKind::BankCard) && self.is_other(place);
            (!other).then_some(Finding { kind, at: place..end })
        })
    }

    /// Whether a stroke or an equals sign follows a word for phones, Chinese text or another number, and so is no part of
    /// an address of a page.
    fn is_named_or_next(&self, mark: usize) -> bool {
        match self.before(mark) {
            None => true,
            Some(c) if c.is_ascii_digit() => {
                let digits = self.0[..mark].iter().rev().take_while(|c| c.is_ascii_digit()).count();
                digits >= 4 && !self.before(mark - digits).is_some_and(|c| matches!(c, '/' | '=' | '.' | '_'))
            }
            Some(c) if c.is_ascii_alphabetic() => PHONE_LETTERS.contains(&self.letters_before(mark).as_str()),
            Some(c) => c.is_alphanumeric() || c == ' ',
        }
    }

    /// Whether what stands before is the number of an item: `3.13800138000`.
    fn is_list(&self, place: usize) -> bool {
        let digits = self.0[..place - 1].iter().rev().take_while(|c| c.is_ascii_digit()).count();
        (1..=2).contains(&digits)
            && self.get(place - 1 - digits) != Some('0')
            && !place
                .checked_sub(digits + 2)
                .and_then(|before| self.get(before))
                .is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ','))
    }

    /// Where a number that begins here may end: behind each group of digits.
    fn groups(&self, place: usize) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut at = place;
        if matches!(self.get(at), Some('+' | '(')) {
            at += 1;
        }
        while ends.len() < GROUPS_MAX {
            let digits = self.0[at.min(self.0.len())..].iter().take_while(|c| c.is_ascii_digit()).count();
            if digits == 0 {
                break;
            }
            at += digits;
            let check =
                matches!(self.get(at), Some('x')) && !self.get(at + 1).is_some_and(|c| c.is_ascii_alphanumeric());
            let end = at + usize::from(check);
            if self.ends_here(end) {
                ends.push(end);
            }
            let gap =
                self.0[at..].iter().take(2).take_while(|c| matches!(c, ' ' | '-' | '.' | '(' | ')' | '·')).count();
            // Two marks stand side by side only around brackets.
            if gap == 0 || (gap == 2 && !self.0[at..at + 2].iter().any(|c| matches!(c, '(' | ')'))) {
                break;
            }
            at += gap;
        }
        ends
    }

    fn ends_here(&self, end: usize) -> bool {
        let decimal = self.get(end) == Some('.') && self.get(end + 1).is_some_and(|c| c.is_ascii_digit());
        !self.get(end).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '%')) && !decimal
            || (decimal && self.0[end + 1..].iter().take_while(|c| c.is_ascii_digit()).count() > 2)
    }

    fn kind(&self, at: Range<usize>) -> Option<SensitiveKind> {
        let written = &self.0[at];
        let value: String = written.iter().filter(|c| c.is_ascii_digit() || **c == 'x').collect();
        let groups: Vec<usize> =
            written.split(|c| !c.is_ascii_digit() && *c != 'x').map(<[char]>::len).filter(|len| *len > 0).collect();
        let international = written.first() == Some(&'+');
        if !international && is_identity_card(&value) {
            return Some(SensitiveKind::IdentityCard);
        }
        if value.contains('x') {
            return None;
        }
        let in_one = groups.len() == 1;
        if !international && is_bank_card(&value) && (in_one || groups.iter().rev().skip(1).all(|len| *len >= 4)) {
            return Some(SensitiveKind::BankCard);
        }
        is_phone(&value, &groups, international).then_some(SensitiveKind::Phone)
    }

    /// A mail address that begins here.
    fn email(&self, place: usize) -> Option<Finding> {
        if self.before(place).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '%')) {
            return None;
        }
        let local = self.0[place..]
            .iter()
            .take(65)
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '%'))
            .count();
        if self.get(place + local) != Some('@') || !(1..=64).contains(&local) {
            return None;
        }
        let from = place + local + 1;
        let domain =
            self.0[from..].iter().take(254).take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).count();
        let text: String = self.0[from..from + domain].iter().collect();
        let text = text.trim_end_matches(['.', '-']);
        let labels: Vec<&str> = text.split('.').collect();
        let top = labels.last().is_some_and(|top| top.len() >= 2 && top.chars().all(|c| c.is_ascii_alphabetic()));
        let whole = labels.len() >= 2 && top && labels.iter().all(|label| !label.is_empty() && !label.starts_with('-'));
        whole.then(|| Finding { kind: SensitiveKind::Email, at: place..from + text.len() })
    }

    /// A WeChat id that begins here: one that the system gave, or a name behind a word for it.
    fn wechat(&self, place: usize) -> Option<Finding> {
        let rest = &self.0[place..];
        let boundary = !self.before(place).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        let starts = |word: &str| {
            rest.len() >= word.chars().count() && rest.iter().copied().zip(word.chars()).all(|(a, b)| a == b)
        };
        if boundary && starts("wxid_") {
            return self.account(place);
        }
        let word = WECHAT_WORDS.iter().find(|word| starts(word))?;
        if word.is_ascii() && !boundary {
            return None;
        }
        let mut at = place + word.chars().count();
        let gap = self.0[at..]
            .iter()
            .take(6)
            .take_while(|c| matches!(c, ' ' | ':' | '=' | '是' | '为' | '号' | '(' | ',' | '，' | '：'))
            .count();
        at += gap;
        // Letters that go on are another word: `wxwork`, `vxlan`.
        if word.is_ascii() && gap == 0 && self.get(at).is_some_and(|c| c.is_ascii_alphanumeric()) {
            return None;
        }
        let found = self.account(at)?;
        Some(found)
    }

    /// An account name of WeChat: a letter, then 5 to 19 letters, digits, `_` and `-`.
    fn account(&self, place: usize) -> Option<Finding> {
        let first = self.get(place)?;
        let length =
            self.0[place..].iter().take(32).take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).count();
        let name: String = self.0[place..place + length].iter().collect();
        let name = name.trim_end_matches('-');
        let told = name.starts_with("wxid_") || name.chars().any(|c| c.is_ascii_digit() || matches!(c, '_' | '-'));
        // A plain word behind the word is more often prose than a name, unless nothing but it follows.
        let alone = self.0[place + length..].iter().all(|c| !c.is_alphanumeric());
        let fits =
            first.is_ascii_alphabetic() && (6..=24).contains(&name.len()) && self.get(place + length) != Some('@');
        (fits && (told || alone)).then(|| Finding { kind: SensitiveKind::Wechat, at: place..place + name.len() })
    }
}

#[cfg(test)]
mod tests;
