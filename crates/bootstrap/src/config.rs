//! Layered configuration: defaults (the manual), then a file, then the environment; unknown keys are refused.
//!
//! Nothing else in the workspace reads the environment. Every error names the key and the rule that it breaks.

use std::{collections::BTreeMap, fmt, fs, path::Path, path::PathBuf};

use revisit_core::{Failure, Input, Kind};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// The manual of the keys that every process has.
pub const DEFAULTS: &str = include_str!("default.toml");
/// What the names of our environment variables begin with.
pub const ENVIRONMENT_PREFIX: &str = "REVISIT_";
/// Variables of the test command, which are no configuration.
const NOT_OURS: &str = "REVISIT_TEST_";

/// A configuration before it is typed: all layers merged.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    table: toml::Table,
}

impl Layers {
    /// Starts with manuals, of which a later one may override an earlier one.
    pub fn defaults(manuals: &[&str]) -> Result<Self, Failure> {
        let mut layers = Self::default();
        for manual in manuals {
            layers.add("the built-in defaults", manual)?;
        }
        Ok(layers)
    }

    /// Lays a TOML text over what is there; `origin` names it in errors.
    pub fn add(&mut self, origin: &str, text: &str) -> Result<(), Failure> {
        let table = text.parse::<toml::Table>().map_err(|error| refused(origin, error.to_string().trim_end()))?;
        merge(&mut self.table, table);
        Ok(())
    }

    /// Lays a file over what is there.
    pub fn add_file(&mut self, path: &Path) -> Result<(), Failure> {
        let origin = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| refused(&origin, &format!("cannot be read: {error}")))?;
        self.add(&origin, &text)
    }

    /// Lays environment variables over what is there; those without our prefix are left alone.
    pub fn add_variables(&mut self, variables: impl IntoIterator<Item = (String, String)>) -> Result<(), Failure> {
        for (name, value) in variables {
            let Some(path) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            if name.starts_with(NOT_OURS) {
                continue;
            }
            let path: Vec<String> = path.split("__").map(str::to_lowercase).collect();
            let value = variable(&name, value)?;
            let table = path.into_iter().rev().fold(value, |inner, key| {
                let mut table = toml::Table::new();
                table.insert(key, inner);
                toml::Value::Table(table)
            });
            if let toml::Value::Table(table) = table {
                merge(&mut self.table, table);
            }
        }
        Ok(())
    }

    /// Takes one section out and types it.
    pub fn take<T: DeserializeOwned>(&mut self, section: &str) -> Result<T, Failure> {
        let value = self.table.remove(section).unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
        typed(section, value)
    }

    /// Types everything that is left.
    pub fn finish<T: DeserializeOwned>(self) -> Result<T, Failure> {
        typed("", toml::Value::Table(self.table))
    }
}

/// Reads a whole configuration: `defaults`, the file if there is one, then the process's environment.
pub fn load<T: DeserializeOwned>(defaults: &str, file: Option<&Path>) -> Result<T, Failure> {
    let mut layers = Layers::defaults(&[defaults])?;
    if let Some(file) = file {
        layers.add_file(file)?;
    }
    layers.add_variables(environment())?;
    layers.finish()
}

/// The process's environment.
#[expect(clippy::disallowed_methods, reason = "this is the one place where the environment is read")]
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    std::env::vars().collect()
}

/// A value that never shows in a log, an error or the output of `config`.
#[derive(Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// The value itself: for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether nothing was set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_empty() { "(not set)" } else { "(redacted)" })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { "(redacted)" })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let Some(path) = text.strip_prefix("file:") else { return Ok(Self::new(text)) };
        let path = PathBuf::from(path);
        let text = fs::read_to_string(&path).map_err(|error| {
            serde::de::Error::custom(format!("the file {} cannot be read: {error}", path.display()))
        })?;
        Ok(Self::new(text.trim_end()))
    }
}

/// One failure of all rules that a configuration breaks.
pub fn check(rules: impl FnOnce(&mut Input)) -> Result<(), Failure> {
    let mut input = Input::default();
    rules(&mut input);
    input.finish().map_err(|failure| Failure { reason: "CONFIG_INVALID", ..failure })
}

fn refused(key: &str, rule: &str) -> Failure {
    Failure { reason: "CONFIG_INVALID", kind: Kind::Invalid, ..Failure::invalid_field(key, rule) }
}

/// A variable is a text, unless it begins like a TOML list or inline table. Numbers and booleans are read from text.
fn variable(name: &str, value: String) -> Result<toml::Value, Failure> {
    if !value.starts_with(['[', '{']) {
        return Ok(toml::Value::String(value));
    }
    let mut parsed: BTreeMap<String, toml::Value> =
        toml::from_str(&format!("value = {value}")).map_err(|_| refused(name, "begins like TOML but is not"))?;
    parsed.remove("value").ok_or_else(|| refused(name, "begins like TOML but is not"))
}

fn merge(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

fn typed<T: DeserializeOwned>(section: &str, value: toml::Value) -> Result<T, Failure> {
    let key = |path: &str| if section.is_empty() { path.to_owned() } else { format!("{section}.{path}") };
    // The config crate's value names the key of a wrong type and reads numbers and booleans from text.
    let value = config::Value::deserialize(value).map_err(|error| refused(section, &error.to_string()))?;
    let mut unknown = Vec::new();
    let typed = serde_ignored::deserialize(value, |path| unknown.push(key(&path.to_string())))
        .map_err(|error: config::ConfigError| refused(&key(&at_fault(&error)), &rule(&error)))?;
    match unknown.first() {
        None => Ok(typed),
        Some(first) => Err(refused(first, "is not a known key; `config` prints all that are")),
    }
}

fn at_fault(error: &config::ConfigError) -> String {
    if let config::ConfigError::Type { key: Some(key), .. } = error { key.clone() } else { String::new() }
}

fn rule(error: &config::ConfigError) -> String {
    // What was found is left out: it may be a secret in the wrong place.
    if let config::ConfigError::Type { expected, .. } = error {
        format!("must be {expected}")
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug)]
    struct Outer {
        inner: Inner,
    }
    #[derive(Deserialize, Debug)]
    struct Inner {
        size: u16,
        names: Vec<String>,
        token: Secret,
    }

    const MANUAL: &str = "[inner]\nsize = 1\nnames = []\ntoken = ''\n";

    fn with(name: &str, value: &str) -> Result<Outer, Failure> {
        let mut layers = Layers::defaults(&[MANUAL])?;
        layers.add_variables([(name.to_owned(), value.to_owned())])?;
        layers.finish()
    }

    fn refusal(name: &str, value: &str) -> revisit_core::Violation {
        with(name, value).expect_err("it is refused").violations.remove(0)
    }

    #[test]
    fn the_environment_overrides_defaults_with_numbers_and_lists() {
        assert_eq!(with("REVISIT_INNER__SIZE", "7").expect("valid").inner.size, 7);
        assert_eq!(with("REVISIT_INNER__NAMES", "['a','b']").expect("valid").inner.names, ["a", "b"]);
        assert_eq!(with("REVISIT_INNER__TOKEN", "007").expect("valid").inner.token.expose(), "007");
        assert_eq!(with("REVISIT_TEST_POSTGRES", "x").expect("not ours").inner.size, 1);
    }

    #[test]
    fn an_unknown_key_is_refused_by_its_name() {
        assert_eq!(refusal("REVISIT_INNER__SIZES", "7").field, "inner.sizes");
        assert_eq!(refusal("REVISIT_OUTER", "7").field, "outer");
    }

    #[test]
    fn a_value_of_a_wrong_type_is_refused_with_key_and_rule() {
        let violation = refusal("REVISIT_INNER__SIZE", "many");
        assert_eq!(violation.field, "inner.size");
        assert!(violation.rule.contains("integer"), "{}", violation.rule);
        assert_eq!(refusal("REVISIT_INNER__SIZE", "70000").field, "inner.size");
    }

    #[test]
    fn a_secret_shows_neither_in_debug_nor_when_serialized() {
        let secret = Secret::new("hush");
        assert!(!format!("{secret:?}").contains("hush"));
        assert_eq!(serde_json::to_string(&secret).expect("a text"), "\"(redacted)\"");
    }
}
