//! Reading what a caller sent: every rule is checked and all violations are told at once.
//!
//! A reader method answers a usable value even when it notes a violation; nobody sees that value, because
//! [`Input::finish`] fails then.

use std::ops::RangeInclusive;

use uuid::Uuid;

use crate::{
    failure::{Failure, Violation},
    id::Id,
};

/// Collects the violations of one request.
#[derive(Debug, Default)]
pub struct Input {
    violations: Vec<Violation>,
}

impl Input {
    /// Notes that `field` breaks `rule`.
    pub fn refuse(&mut self, field: impl Into<String>, rule: impl Into<String>) {
        self.violations.push(Violation { field: field.into(), rule: rule.into() });
    }

    /// Notes a violation unless `holds`.
    pub fn require(&mut self, holds: bool, field: &str, rule: &str) {
        if !holds {
            self.refuse(field, rule);
        }
    }

    /// A required id.
    pub fn id<K>(&mut self, field: &str, text: &str) -> Id<K> {
        text.parse().unwrap_or_else(|_| {
            let rule = match Uuid::try_parse(text) {
                _ if text.is_empty() => "is required",
                Ok(value) if value.is_nil() => "must not be the nil UUID",
                Ok(_) | Err(_) => "must be a hyphenated UUID",
            };
            self.refuse(field, rule);
            Id::from_uuid(Uuid::nil())
        })
    }

    /// An id that may be left out (empty text).
    pub fn id_optional<K>(&mut self, field: &str, text: &str) -> Option<Id<K>> {
        (!text.is_empty()).then(|| self.id(field, text))
    }

    /// A list of ids with a named maximum.
    pub fn ids<K>(&mut self, field: &str, texts: &[String], max: usize) -> Vec<Id<K>> {
        if texts.len() > max {
            self.refuse(field, format!("must have at most {max} entries"));
            return Vec::new();
        }
        texts.iter().enumerate().map(|(index, text)| self.id(&format!("{field}[{index}]"), text)).collect()
    }

    /// Text of a length counted in characters; trimmed; control characters are refused.
    pub fn text(&mut self, field: &str, text: &str, length: RangeInclusive<usize>) -> String {
        let text = text.trim();
        self.length(field, text, length);
        if text.chars().any(char::is_control) {
            self.refuse(field, "must not contain control characters");
        }
        text.to_owned()
    }

    /// Text of several lines: like [`Input::text`], line breaks and tabs allowed, not trimmed.
    pub fn lines(&mut self, field: &str, text: &str, length: RangeInclusive<usize>) -> String {
        self.length(field, text, length);
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.refuse(field, "must not contain control characters");
        }
        text.to_owned()
    }

    /// A number in a range.
    pub fn number<N: PartialOrd + Copy + std::fmt::Display>(
        &mut self,
        field: &str,
        value: N,
        range: RangeInclusive<N>,
    ) -> N {
        if !range.contains(&value) {
            self.refuse(field, format!("must lie between {} and {}", range.start(), range.end()));
        }
        value
    }

    /// A field that must be there.
    pub fn required<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.refuse(field, "is required");
        }
        value
    }

    /// Violations of a nested reader, with their paths under `prefix`.
    pub fn nest(&mut self, prefix: &str, inner: Self) {
        for violation in inner.violations {
            self.refuse(format!("{prefix}.{}", violation.field), violation.rule);
        }
    }

    /// What was noted so far.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Succeeds if nothing was refused.
    pub fn finish(self) -> Result<(), Failure> {
        if self.violations.is_empty() { Ok(()) } else { Err(Failure::invalid(self.violations)) }
    }

    fn length(&mut self, field: &str, text: &str, length: RangeInclusive<usize>) {
        let (min, max) = (*length.start(), *length.end());
        if text.is_empty() && min > 0 {
            self.refuse(field, "is required");
        } else if text.chars().nth(max).is_some() {
            self.refuse(field, format!("must have at most {max} characters"));
        } else if min > 1 && text.chars().count() < min {
            self.refuse(field, format!("must have at least {min} characters"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CustomerId;

    #[test]
    fn all_violations_are_told_at_once_with_their_paths() {
        let mut input = Input::default();
        let _: CustomerId = input.id("customer_id", "nonsense");
        let _ = input.text("name", "  ", 1..=10);
        let mut inner = Input::default();
        let _ = inner.text("value", "far too long", 1..=3);
        input.nest("contact_points[2]", inner);
        let failure = input.finish().expect_err("three rules are broken");
        let fields: Vec<_> = failure.violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["customer_id", "name", "contact_points[2].value"]);
    }

    #[test]
    fn a_nil_id_is_told_from_what_is_none() {
        let mut input = Input::default();
        let _: CustomerId = input.id("one", "00000000-0000-0000-0000-000000000000");
        let _: CustomerId = input.id("two", "nonsense");
        let _: CustomerId = input.id("three", "");
        let failure = input.finish().expect_err("none of them is an id");
        let rules: Vec<_> = failure.violations.iter().map(|violation| violation.rule.as_str()).collect();
        assert_eq!(rules, ["must not be the nil UUID", "must be a hyphenated UUID", "is required"]);
    }
}
