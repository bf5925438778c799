//! What is found in a text, what is not, and what a mask leaves of it.

use super::{SensitiveKind::*, *};

fn found(text: &str) -> Vec<(SensitiveKind, String)> {
    let chars: Vec<char> = text.chars().collect();
    find(text).into_iter().map(|it| (it.kind, chars[it.at].iter().collect())).collect()
}

fn one(text: &str) -> Option<(SensitiveKind, String)> {
    let mut found = found(text);
    assert!(found.len() <= 1, "{text}: {found:?}");
    found.pop()
}

#[test]
fn a_number_counts_by_its_own_form() {
    for (text, kind, value) in [
        ("打13812345678找王姐", Phone, "13812345678"),
        ("+86 138-1234-5678", Phone, "+86 138-1234-5678"),
        ("电话１３８１２３４５６７８。", Phone, "１３８１２３４５６７８"),
        ("幺三八一二三四五六七八", Phone, "幺三八一二三四五六七八"),
        ("打1三八12345678", Phone, "1三八12345678"),
        ("座机 021-62345678转3", Phone, "021-62345678"),
        ("(010) 62345678", Phone, "(010) 62345678"),
        ("+44 20 7946 0958", Phone, "+44 20 7946 0958"),
        ("3.13812345678", Phone, "13812345678"),
        ("手机/13812345678", Phone, "13812345678"),
        ("tel=13812345678", Phone, "13812345678"),
        ("合同已签，13812345678", Phone, "13812345678"),
        ("群里的人，13812345678", Phone, "13812345678"),
        // The example of GB 11643-1999.
        ("身份证11010519491231002X，已核对", IdentityCard, "11010519491231002X"),
        ("110105 19491231 002x", IdentityCard, "110105 19491231 002x"),
        ("老证件 110105491231002", IdentityCard, "110105491231002"),
        ("卡号 6222 0212 3456 7890 128", BankCard, "6222 0212 3456 7890 128"),
        ("4111111111111111", BankCard, "4111111111111111"),
        ("发到Li.Mei+crm@example.com.", Email, "Li.Mei+crm@example.com"),
        ("微信号：mei_1990", Wechat, "mei_1990"),
        ("加V lin-home88", Wechat, "lin-home88"),
        ("wxid_a1b2c3d4e5f6g7", Wechat, "wxid_a1b2c3d4e5f6g7"),
    ] {
        assert_eq!(one(text), Some((kind, value.to_owned())), "{text}");
    }
}

#[test]
fn what_only_looks_like_one_is_left_alone() {
    for text in [
        "12812345678",
        "订单号13812345678",
        "https://shop.example.com/item/13812345678.html",
        "https://shop.example.com/?id=13812345678",
        "shop.example.com/2026/13812345678",
        "138123456789",
        "0.13812345678",
        "110105194912310021",
        "11010519491331002X",
        "990105194912310021",
        "6222021234567890124",
        "运单4111111111111111",
        "02162345678",
        "2026-11-22 14:30",
        "192.168.10.254",
        "li.mei@店里",
        "@example.com",
        "a@b",
        "微信上聊过了",
        "follow us on wechat for news",
        "vxlan 100200",
        "",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn a_word_that_stands_nearer_counts() {
    assert_eq!(kinds("订单电话13812345678"), [Phone]);
    assert_eq!(kinds("电话订单13812345678"), []);
    assert_eq!(kinds("订单 110105 19491231 002X"), [IdentityCard], "its check character says enough");
}

#[test]
fn several_values_are_found_in_order_and_masked_where_they_stand() {
    let text = "王姐13812345678，li.mei@example.com；身份证11010519491231002X";
    assert_eq!(found(text).into_iter().map(|it| it.0).collect::<Vec<_>>(), [Phone, Email, IdentityCard]);
    assert_eq!(kinds(text), [Phone, IdentityCard, Email], "each once, by number");
    assert_eq!(masked(text), "王姐138****5678，l****@example.com；身份证11****2X");
    assert_eq!(masked("一切顺利"), "一切顺利");
    assert_eq!(masked("13812345678/13912345678"), "138****5678/139****5678");
    assert_eq!(masked(&"13812345678 ".repeat(400)), "138****5678 ".repeat(400), "all of them");
}

#[test]
fn nothing_is_found_across_the_end_of_a_text_and_no_text_is_too_odd() {
    for text in
        ["+", "(", "86", "+86", "1381234567", "微信", "微信：", "wx", "a@", "1 3", "x", "--", "13812345678-", "．１"]
    {
        let _ = found(text);
        let _ = masked(text);
    }
    let mut odd = String::new();
    for seed in 0_u32..3_000 {
        let alphabet: Vec<char> = "138 -.(+)x@a微信：wｗ１〇三\u{200b}".chars().collect();
        odd.push(alphabet[(seed.wrapping_mul(2_654_435_761) >> 16) as usize % alphabet.len()]);
        if seed % 37 == 0 {
            let places = odd.chars().count();
            assert!(find(&odd).iter().all(|it| it.at.start < it.at.end && it.at.end <= places), "{odd}");
        }
    }
}
