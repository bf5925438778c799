//! Registered types of rows of other systems, the rows of them that are kept here, and what their words must look like.

use revisit_core::{Input, Timestamp};
use revisit_permission::{ExternalType, Row};

/// Types of one company.
pub const TYPES_MAX: usize = 100;
/// Names that a type has for verbs.
pub const ACTIONS_MAX: usize = 32;
/// Fields of a type.
pub const FIELDS_MAX: usize = 200;
/// Characters of the name of a type or of one of its actions.
const NAME_MAX: usize = 40;
/// Characters of the name of a field.
pub const FIELD_MAX: usize = 100;

/// A type as it is registered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registered {
    pub facts: ExternalType,
    pub display_name: String,
    pub version: i64,
}

/// A row that is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptRow {
    /// As policy sees it; its type is set.
    pub row: Row,
    pub display_name: String,
    pub version: i64,
    pub updated_at: Timestamp,
}

/// Reads the name of a type or of one of its actions.
pub fn read_name(input: &mut Input, field: &str, text: &str) -> String {
    let name = input.text(field, text, 1..=NAME_MAX);
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.is_empty() && (!name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(rest)) {
        input.refuse(field, "must be of 'a' to 'z', '0' to '9' and '_', starting with a letter");
    }
    name
}

/// Whether a text can be the name of a field.
pub fn is_field(text: &str) -> bool {
    let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.');
    !text.is_empty() && text.len() <= FIELD_MAX && text.chars().all(named)
}
