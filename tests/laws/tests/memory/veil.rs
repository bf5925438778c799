//! L12: of two rows that differ only in what a decision does not let somebody read, the same is shown; and what it lets
//! them read shows the difference.
//!
//! Which levels those are the first oracle says, and the engine shows by its own. Rows of worlds have no values, so those
//! that are shown are drawn beside them: two for each layer, with a telephone number in the text now and then.

use proptest::{
    array,
    prelude::{Just, Strategy, any, prop_oneof},
    prop_assert, prop_assert_eq, prop_assert_ne,
    test_runner::TestCaseError,
};
use revisit_laws::{
    engine,
    law::{Law, Tally},
    naive,
    world::{Case, case},
};
use revisit_permission::{Clarity, Layer, Levels, Prose, Veiled};

use crate::{decide, everywhere};

/// Levels as worlds number them.
const MASKED: u8 = 1;
const READ: u8 = 2;
/// Characters of which the mask of a text leaves the first.
const MASKED_MIN: usize = 5;

/// A text in three parts: what its mask leaves, what the mask hides, and the middle of a telephone number, if it has one.
#[derive(Clone, Debug)]
struct Words {
    head: char,
    rest: String,
    number: Option<[u8; 4]>,
}

impl Words {
    fn text(&self) -> String {
        let number = self.number.map(|middle| {
            let middle: String = middle.iter().map(u8::to_string).collect();
            format!("，打138{middle}5678找我")
        });
        format!("{}{}{}", self.head, self.rest, number.unwrap_or_default())
    }
}

/// What the values of a row say in one state and in the other, by layer.
type Values = [(Words, Words); Layer::ALL.len()];

fn words() -> impl Strategy<Value = Words> {
    let number = prop_oneof![Just(None), array::uniform4(0..10_u8).prop_map(Some)];
    let head = prop_oneof![Just('王'), Just('李'), Just('a')];
    (head, "[王李张a-e]{5,9}", number).prop_map(|(head, rest, number)| Words { head, rest, number })
}

fn values() -> impl Strategy<Value = Values> {
    array::uniform5((words(), words()))
}

/// How much of a text somebody gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Gets {
    Nothing,
    Mask,
    /// The text, and its telephone number masked.
    Text,
    All,
}

/// As the design words it: sensitive values are clear only when they are asked for, in texts of other layers too.
fn gets(levels: naive::Levels, layer: usize, asked: Clarity) -> Gets {
    let sensitive = Layer::Sensitive as usize;
    let discloses = asked == Clarity::Clear && levels[sensitive] >= READ;
    match levels[layer] {
        0 => Gets::Nothing,
        MASKED => Gets::Mask,
        _ if layer == sensitive && !discloses => Gets::Mask,
        _ if discloses => Gets::All,
        _ => Gets::Text,
    }
}

/// The other text, with everything that is shown of it as it is in the one.
fn alike(one: &Words, other: &Words, gets: Gets) -> Words {
    let number = one.number.and(other.number.or(Some([0; 4])));
    match gets {
        Gets::Nothing => other.clone(),
        Gets::Mask => Words { head: one.head, ..other.clone() },
        Gets::Text => Words { number, ..one.clone() },
        Gets::All => one.clone(),
    }
}

/// What is shown of a text: as a value, and as prose.
type Shown = (Option<String>, Prose);

fn shown(levels: Levels, layer: Layer, words: &Words, asked: Clarity) -> Shown {
    let veiled = Veiled::new(layer, words.text());
    (levels.show(&veiled, asked).text(), levels.show_prose(&veiled, asked))
}

/// Calls `law` with every subject, action, row, layer and way of asking: the levels that the engine has decided on, and
/// what the oracle says that they leave.
fn each(
    case: &Case,
    mut law: impl FnMut(Levels, Layer, Clarity, Gets) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let snapshot = engine::snapshot(&case.world);
    everywhere(case, &Tally::default(), |subject, action, row| {
        let decision = decide(&snapshot, subject, action, row, case.now);
        let expected = case.world.decide(subject, action, row, case.now);
        // A row that somebody may not touch is answered like one that does not exist: there is nothing to show.
        if !decision.allowed && expected.is_none() {
            return Ok(());
        }
        let levels = if decision.allowed { decision.levels } else { Levels::HIDDEN };
        let expected = expected.unwrap_or_default();
        for (place, layer) in Layer::ALL.iter().enumerate() {
            for asked in [Clarity::Usual, Clarity::Clear] {
                law(levels, *layer, asked, gets(expected, place, asked))?;
            }
        }
        Ok(())
    })
}

#[test]
fn l12_what_is_not_read_changes_nothing_that_is_shown() {
    Law::new("L12", 3_000, 60_000).holds(&(case(), values(), any::<bool>()), |(case, values, turned), tally| {
        each(&case, |levels, layer, asked, gets| {
            let (one, other) = &values[layer as usize];
            let (one, other) = if turned { (other, one) } else { (one, other) };
            let other = alike(one, other, gets);
            let (first, second) = (shown(levels, layer, one, asked), shown(levels, layer, &other, asked));
            // As a value a text that is read is shown whole, whatever stands in it: what is masked there is prose.
            if gets == Gets::Text {
                prop_assert_eq!(&first.1, &second.1, "{:?} of {:?}", gets, layer);
            } else {
                prop_assert_eq!(&first, &second, "{:?} of {:?}", gets, layer);
            }
            if gets == Gets::Nothing {
                prop_assert_eq!(first, Shown::default(), "not even that it is there");
            }
            if one.text() != other.text() {
                tally.count();
            }
            Ok(())
        })
    });
}

#[test]
fn l12_what_is_read_shows_the_difference() {
    Law::new("L12-read", 1_600, 30_000).holds(&(case(), values()), |(case, values), tally| {
        each(&case, |levels, layer, asked, gets| {
            let (one, other) = &values[layer as usize];
            if one.text() == other.text() {
                return Ok(());
            }
            let (first, second) = (shown(levels, layer, one, asked), shown(levels, layer, other, asked));
            match gets {
                Gets::Nothing => return Ok(()),
                Gets::Mask => {
                    prop_assert!(one.text().chars().count() >= MASKED_MIN);
                    prop_assert_eq!(first.0, Some(format!("{}****", one.head)));
                }
                Gets::Text if (one.head, &one.rest) == (other.head, &other.rest) => return Ok(()),
                Gets::Text | Gets::All => {
                    prop_assert_ne!(&first.0, &second.0);
                    prop_assert_ne!(&first.1.text, &second.1.text);
                    let flagged = !first.1.kinds.is_empty();
                    prop_assert_eq!(flagged, one.number.is_some(), "a number is flagged to who reads the text");
                }
            }
            tally.count();
            Ok(())
        })
    });
}
