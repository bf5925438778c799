//! Custom fields: what a tenant may add to its customers, and which values each type takes.

use revisit_core::{
    Input, Timestamp,
    id::{FieldId, TenantId},
};
use revisit_permission::{Layer, Mask, Maskable};

use super::normal;

/// Fields of one tenant at the most, retired ones included.
pub const FIELDS_MAX: usize = 200;
/// Choices of one field at the most.
pub const CHOICES_MAX: usize = 100;
/// Chosen choices of one value at the most.
pub const CHOSEN_MAX: usize = 50;
/// Characters of a text value when the field names no bound.
pub const LENGTH_DEFAULT: i32 = 500;
/// Characters of a text value at the most.
pub const LENGTH_MAX: i32 = 5_000;
/// Places after the point that a number keeps; it is stored as an integer of this unit, so that both databases
/// compare it exactly.
pub const PLACES: u32 = 6;
const UNIT: i128 = 10_i128.pow(PLACES);

/// Type of a custom field. The number is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldType {
    Text = 1,
    Number = 2,
    Date = 3,
    Choice = 4,
    Choices = 5,
    Truth = 6,
    Money = 7,
}

impl FieldType {
    pub fn from_stored(number: i16) -> Option<Self> {
        [Self::Text, Self::Number, Self::Date, Self::Choice, Self::Choices, Self::Truth, Self::Money]
            .into_iter()
            .find(|kind| *kind as i16 == number)
    }
}

/// A field as declared.
#[derive(Clone, Debug)]
pub struct Field {
    pub tenant: TenantId,
    pub id: FieldId,
    pub key: String,
    pub title: String,
    pub kind: FieldType,
    pub layer: Layer,
    pub required: bool,
    /// Key and title of what can be chosen.
    pub choices: Vec<(String, String)>,
    pub length_max: i32,
    pub number_min: Option<i64>,
    pub number_max: Option<i64>,
    pub retired_at: Option<Timestamp>,
    pub version: i64,
}

impl Field {
    /// Whether its values lie sealed in the database, out of reach of filters: all text that is not basic, because
    /// people write anything into text, and everything sensitive.
    pub fn is_sealed(&self) -> bool {
        self.layer == Layer::Sensitive || (self.layer != Layer::Basic && self.kind == FieldType::Text)
    }
}

/// A value of a custom field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    Text(String),
    /// In millionths.
    Number(i64),
    /// `YYYY-MM-DD`
    Date(String),
    /// One for a single choice.
    Choices(Vec<String>),
    Truth(bool),
    Money {
        minor_units: i64,
        currency: String,
    },
}

impl Maskable for Value {
    type Masked = String;

    fn masked(&self) -> String {
        match self {
            Self::Text(text) => Mask::Text.apply(text),
            Self::Number(_) | Self::Date(_) | Self::Choices(_) | Self::Truth(_) | Self::Money { .. } => {
                Mask::Whole.apply("present")
            }
        }
    }
}

/// The value if it fits the field, or the rule that it breaks.
pub fn check(field: &Field, value: Value) -> Result<Value, &'static str> {
    match (field.kind, value) {
        (FieldType::Text, Value::Text(text)) => {
            let text = normal::text(&text);
            let max = usize::try_from(field.length_max).unwrap_or(0);
            if text.is_empty() {
                Err("must not be empty")
            } else if text.chars().nth(max).is_some() {
                Err("is longer than the field allows")
            } else if text.chars().any(char::is_control) {
                Err("must not contain control characters")
            } else {
                Ok(Value::Text(text))
            }
        }
        (FieldType::Number, Value::Number(number)) => {
            let above = field.number_min.is_none_or(|min| number >= min);
            let below = field.number_max.is_none_or(|max| number <= max);
            if above && below { Ok(Value::Number(number)) } else { Err("lies outside the bounds of the field") }
        }
        (FieldType::Date, Value::Date(date)) => normal::date(&date).map(Value::Date),
        (FieldType::Choice, Value::Choices(keys)) if keys.len() != 1 => Err("must be exactly one choice"),
        (FieldType::Choice | FieldType::Choices, Value::Choices(mut keys)) => {
            keys.sort();
            keys.dedup();
            if keys.len() > CHOSEN_MAX {
                Err("must have at most 50 choices")
            } else if keys.iter().any(|key| !field.choices.iter().any(|(known, _)| known == key)) {
                Err("is not among the choices of the field")
            } else {
                Ok(Value::Choices(keys))
            }
        }
        (FieldType::Truth, Value::Truth(truth)) => Ok(Value::Truth(truth)),
        (FieldType::Money, Value::Money { minor_units, currency }) => {
            if is_currency(&currency) {
                Ok(Value::Money { minor_units, currency })
            } else {
                Err("must name an ISO 4217 currency")
            }
        }
        (
            FieldType::Text
            | FieldType::Number
            | FieldType::Date
            | FieldType::Choice
            | FieldType::Choices
            | FieldType::Truth
            | FieldType::Money,
            Value::Text(_)
            | Value::Number(_)
            | Value::Date(_)
            | Value::Choices(_)
            | Value::Truth(_)
            | Value::Money { .. },
        ) => Err("is not of the field's type"),
    }
}

/// A value as it stands in a cell of an imported file. An empty cell is no value and does not come here.
pub fn read_cell(field: &Field, cell: &str) -> Result<Value, &'static str> {
    let cell = normal::text(cell);
    let value = match field.kind {
        FieldType::Text => Value::Text(cell),
        FieldType::Number => Value::Number(decimal(&cell.replace(',', ""))?),
        FieldType::Date => Value::Date(cell),
        FieldType::Choice => Value::Choices(vec![choice_of(field, &cell)]),
        FieldType::Choices => Value::Choices(split_list(&cell).map(|part| choice_of(field, part)).collect()),
        FieldType::Truth => Value::Truth(truth(&cell)?),
        FieldType::Money => money(&cell)?,
    };
    check(field, value)
}

/// People write the title of a choice, programs its key.
fn choice_of(field: &Field, cell: &str) -> String {
    let found = field.choices.iter().find(|(key, title)| key == cell || title == cell);
    found.map_or_else(|| cell.to_owned(), |(key, _)| key.clone())
}

/// The parts of a cell that holds a list.
pub fn split_list(cell: &str) -> impl Iterator<Item = &str> {
    cell.split([';', ',', '、', '|', '/', '，', '；']).map(str::trim).filter(|part| !part.is_empty())
}

/// Yes or no, in the words of files.
pub fn truth(cell: &str) -> Result<bool, &'static str> {
    match cell.to_lowercase().as_str() {
        "是" | "有" | "y" | "yes" | "true" | "1" | "√" => Ok(true),
        "否" | "无" | "n" | "no" | "false" | "0" | "×" => Ok(false),
        _ => Err("must be yes or no"),
    }
}

/// An amount such as `¥1,234.50` or `99 USD`; without a currency it is CNY.
fn money(cell: &str) -> Result<Value, &'static str> {
    let letters: String = cell.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_uppercase();
    let number: String = cell.chars().filter(|c| c.is_ascii_digit() || matches!(c, '.' | '-')).collect();
    let currency = if letters.is_empty() { "CNY".to_owned() } else { letters };
    // Millionths to hundredths; more places than the currency has are refused and not rounded.
    let (minor_units, rest) = {
        let micros = decimal(&number)?;
        (micros / 10_000, micros % 10_000)
    };
    if rest != 0 {
        return Err("must have at most two places after the point");
    }
    Ok(Value::Money { minor_units, currency })
}

/// Decimal text in millionths.
pub fn decimal(text: &str) -> Result<i64, &'static str> {
    const RULE: &str = "must be a decimal number with at most 6 places after the point";
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fits = !whole.is_empty()
        && whole.len() <= 13
        && fraction.len() <= PLACES as usize
        && whole.bytes().chain(fraction.bytes()).all(|c| c.is_ascii_digit());
    if !fits {
        return Err(RULE);
    }
    let padded = format!("{whole}{fraction:0<width$}", width = PLACES as usize);
    let micros: i64 = padded.parse().map_err(|_| RULE)?;
    Ok(if negative { -micros } else { micros })
}

/// Decimal text of a number in millionths, without needless zeros.
pub fn decimal_text(micros: i64) -> String {
    let (whole, fraction) = (i128::from(micros).abs() / UNIT, i128::from(micros).abs() % UNIT);
    let sign = if micros < 0 { "-" } else { "" };
    let fraction = format!("{fraction:06}");
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

pub fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|c| c.is_ascii_uppercase())
}

/// Whether a text may be the key of a field or the name of a stage: a lower-case letter, then letters, digits, `_`.
pub fn is_key(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
}

/// Notes the required fields that a new customer lacks.
pub fn require_all(input: &mut Input, fields: &[Field], present: &[FieldId]) {
    for field in fields.iter().filter(|field| field.required && field.retired_at.is_none()) {
        if !present.contains(&field.id) {
            input.refuse(format!("fields.{}", field.key), "is required");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: FieldType) -> Field {
        Field {
            tenant: TenantId::from_uuid(uuid::Uuid::nil()),
            id: FieldId::from_uuid(uuid::Uuid::nil()),
            key: "budget".to_owned(),
            title: "预算".to_owned(),
            kind,
            layer: Layer::Basic,
            required: false,
            choices: vec![("high".to_owned(), "高".to_owned()), ("low".to_owned(), "低".to_owned())],
            length_max: 5,
            number_min: Some(0),
            number_max: None,
            retired_at: None,
            version: 1,
        }
    }

    #[test]
    fn a_cell_is_read_by_the_type_of_its_field() {
        assert_eq!(read_cell(&field(FieldType::Number), "1,234.5"), Ok(Value::Number(1_234_500_000)));
        assert_eq!(read_cell(&field(FieldType::Choice), "高"), Ok(Value::Choices(vec!["high".to_owned()])));
        assert_eq!(
            read_cell(&field(FieldType::Money), "¥1,234.50"),
            Ok(Value::Money { minor_units: 123_450, currency: "CNY".to_owned() })
        );
        assert!(read_cell(&field(FieldType::Choice), "middle").is_err());
        assert!(read_cell(&field(FieldType::Number), "-1").is_err(), "below the field's minimum");
        assert!(read_cell(&field(FieldType::Text), "too long").is_err());
        assert!(read_cell(&field(FieldType::Truth), "maybe").is_err());
    }

    #[test]
    fn decimals_are_exact_in_both_directions() {
        for text in ["0", "1", "-1", "0.1", "0.000001", "-12.5", "9000000000000"] {
            assert_eq!(decimal(text).map(decimal_text).as_deref(), Ok(text));
        }
        for text in ["", ".5", "1e3", "0.0000001", "99999999999999", "--1"] {
            assert!(decimal(text).is_err(), "{text}");
        }
    }
}
