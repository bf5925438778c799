//! Sensitive values that people write into free text: phone numbers, identity cards, bank cards, mail addresses and WeChat
//! ids. What is found is told to whoever wrote it, and masked for whoever does not read the sensitive layer.
//!
//! A number counts by its own form: the numbering plan of mainland China (and numbers written with a country code), the
//! check digit of GB 11643-1999 with a region and a birthday, the check digit of ISO/IEC 7812-1 with the ranges of the
//! large card networks. A word in front says that it is something else (an order, a parcel, an invoice).
//! docs/benchmarks.md tells precision and recall on a labelled set.

use std::ops::Range;

use revisit_permission::Mask;

mod numbers;

use numbers::{PHONE_DIGITS, is_bank_card, is_identity_card, is_phone};

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

/// One digit for each character that people write for it, in numbers that are read out.
fn spoken(c: char) -> Option<char> {
    Some(match c {
        '〇' | '零' => '0',
        '一' | '幺' | '壹' => '1',
        '二' | '贰' => '2',
        '三' | '叁' => '3',
        '四' | '肆' => '4',
        '五' | '伍' => '5',
        '六' | '陆' => '6',
        '七' | '柒' => '7',
        '八' | '捌' => '8',
        '九' | '玖' => '9',
        _ => return None,
    })
}

fn fold(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
        '\u{3000}' | '\u{00A0}' => ' ',
        '–' | '—' | '‐' => '-',
        _ => c,
    }
}

/// Folded, with runs of at least eleven digits, some of them spoken, written in digits: fewer are an ordinary number.
fn fold_all(chars: &[char]) -> Vec<char> {
    let mut folded: Vec<char> = chars.iter().copied().map(fold).collect();
    let mut from = 0;
    while from < folded.len() {
        let run = folded[from..].iter().take_while(|c| c.is_ascii_digit() || spoken(**c).is_some()).count();
        if run >= PHONE_DIGITS {
            folded[from..from + run].iter_mut().for_each(|c| *c = spoken(*c).unwrap_or(*c));
        }
        from += run.max(1);
    }
    folded
}

/// Words after which a number is no phone and no card.
const OTHER_NUMBERS: [&str; 34] = [
    "订单",
    "单号",
    "运单",
    "快递",
    "物流",
    "流水",
    "编号",
    "编码",
    "发票",
    "合同",
    "工单",
    "序列号",
    "型号",
    "批号",
    "条码",
    "税号",
    "qq",
    "群",
    "金额",
    "价格",
    "order",
    "invoice",
    "no.",
    "no:",
    "sn",
    "s/n",
    "id:",
    "id=",
    "tracking",
    "parcel",
    "serial",
    "ref",
    "sku",
    "¥",
];
/// Words after which it is one after all, when they stand nearer.
const THESE_NUMBERS: [&str; 18] = [
    "电话",
    "手机",
    "联系",
    "致电",
    "拨打",
    "号码",
    "座机",
    "热线",
    "微信",
    "tel",
    "phone",
    "mobile",
    "call",
    "卡号",
    "银行卡",
    "账号",
    "账户",
    "card",
];
/// Letters that may stand right in front of a phone number.
const PHONE_LETTERS: [&str; 9] = ["tel", "phone", "mobile", "mob", "t", "m", "p", "call", "vx"];
/// Words after which an account name is a WeChat id; the longest first.
const WECHAT_WORDS: [&str; 14] = [
    "微信号",
    "wechatid",
    "wechat",
    "weixin",
    "微信",
    "薇信",
    "威信",
    "加微",
    "v信",
    "vx号",
    "vx",
    "wx号",
    "wx",
    "加v",
];

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
        let from = place.saturating_sub(WORD_REACH);
        let words: String = self.0[from..place].iter().collect();
        let last = |of: &[&str]| of.iter().filter_map(|word| words.rfind(word).map(|at| at + word.len())).max();
        last(&OTHER_NUMBERS).is_some_and(|other| last(&THESE_NUMBERS).is_none_or(|this| this < other))
    }

    /// A number that begins here, the longest that is one.
    fn number(&self, place: usize) -> Option<Finding> {
        let begins = match self.before(place) {
            None => true,
            Some(c) if c.is_ascii_digit() => false,
            Some('/' | '#' | '_' | '$' | '@' | '=' | '%' | '+' | '&') => false,
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
