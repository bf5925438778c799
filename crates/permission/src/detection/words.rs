//! Words that say what a number or a name behind them is, and the ways in which people write one character.

use super::numbers::PHONE_DIGITS;

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

/// Each character folded, with runs of at least eleven digits, some of them spoken, written in digits: fewer are an ordinary number.
pub fn fold_all(chars: &[char]) -> Vec<char> {
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
pub const OTHER_NUMBERS: [&str; 34] = [
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
pub const THESE_NUMBERS: [&str; 18] = [
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
pub const PHONE_LETTERS: [&str; 9] = ["tel", "phone", "mobile", "mob", "t", "m", "p", "call", "vx"];
/// Words after which an account name is a WeChat id; the longest first.
pub const WECHAT_WORDS: [&str; 14] = [
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
