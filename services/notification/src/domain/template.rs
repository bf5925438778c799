//! Templates: Fluent for text and plurals, minijinja for layout; what a template may use, and how it is rendered.
//!
//! A variable that is missing is found when a template is saved; if one is missing all the same when a message is
//! rendered, that message fails and no other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
};

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use fluent_syntax::ast;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use revisit_permission::Maskable;

use super::kind::{Channel, MessageKind, Sample};

mod layout;
mod text;

/// Bytes of a text or a layout at the most.
pub const SOURCE_MAX: usize = 8_192;
/// Bytes of a title at the most.
const TITLE_MAX: usize = 256;
/// Bytes of all messages of a text together at the most.
const MESSAGES_MAX: usize = 64 << 10;
/// Instructions that a layout may use up: enough for any letter, too few to burn a worker's time.
const FUEL: u64 = 20_000;

/// Languages that messages exist in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Locale {
    Chinese,
    English,
}

impl Locale {
    pub const ALL: [Self; 2] = [Self::Chinese, Self::English];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|locale| locale.name() == name)
    }
}

/// The value of a variable.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Value {
    Number(i64),
    Text(String),
}

impl Maskable for Value {
    /// A part of a fact would be said as if it were the fact.
    type Masked = ();

    fn masked(&self) {}
}

/// The values of one message.
pub type Values = BTreeMap<String, Value>;

/// What came out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rendered {
    pub title: String,
    pub body: String,
}

/// The part of a template that breaks a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Text,
    Layout,
}

/// A rule that a template breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flaw {
    pub part: Part,
    pub rule: String,
}

impl Flaw {
    fn text(rule: impl Into<String>) -> Self {
        Self { part: Part::Text, rule: rule.into() }
    }
    fn layout(rule: impl Into<String>) -> Self {
        Self { part: Part::Layout, rule: rule.into() }
    }
}

/// A template that has passed every rule.
pub struct Template {
    bundle: FluentBundle<FluentResource>,
    messages: BTreeSet<String>,
    layout: String,
    bytes_max: usize,
}

impl fmt::Debug for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Template").field("messages", &self.messages).finish_non_exhaustive()
    }
}

impl Template {
    /// Checks text and layout against the kind and tries them with its sample values.
    pub fn check(
        kind: MessageKind,
        channel: Channel,
        locale: Locale,
        text: &str,
        layout: &str,
    ) -> Result<(Self, Rendered), Vec<Flaw>> {
        let template = Self::compile(channel, locale, text, layout).map_err(|flaw| vec![flaw])?;
        let known: BTreeSet<&str> = kind.variables().iter().map(|(name, _)| *name).collect();
        let resource = parse(text).map_err(|flaw| vec![flaw])?;
        let mut flaws = text::unknown_in_text(&resource, &known);
        flaws.extend(template.unknown_in_layout(&known));
        if !flaws.is_empty() {
            return Err(flaws);
        }
        let rendered = template.render(&samples(kind)).map_err(|flaw| vec![flaw])?;
        Ok((template, rendered))
    }

    /// Parses a template that was checked when it was saved.
    pub fn compile(channel: Channel, locale: Locale, text: &str, layout: &str) -> Result<Self, Flaw> {
        if text.len() > SOURCE_MAX {
            return Err(Flaw::text("must have at most 8192 bytes"));
        }
        if layout.len() > SOURCE_MAX {
            return Err(Flaw::layout("must have at most 8192 bytes"));
        }
        let resource = parse(text)?;
        let messages: BTreeSet<String> = resource.entries().filter_map(message_name).collect();
        for required in ["title", "body"] {
            if !messages.contains(required) {
                return Err(Flaw::text(format!("must define the message `{required}`")));
            }
        }
        let language = locale.name().parse().map_err(|_| Flaw::text("has no such locale"))?;
        let mut bundle = FluentBundle::new_concurrent(vec![language]);
        // The isolation marks would end up in mail subjects.
        bundle.set_use_isolating(false);
        bundle.add_builtins().map_err(|error| Flaw::text(error.to_string()))?;
        bundle.add_resource(resource).map_err(|_| Flaw::text("must define each message once"))?;
        layout::forbidden(layout)?;
        environment().template_from_str(layout).map_err(|error| Flaw::layout(error.to_string()))?;
        Ok(Self { bundle, messages, layout: layout.to_owned(), bytes_max: bytes_max(channel) })
    }

    /// The message for these values.
    pub fn render(&self, values: &Values) -> Result<Rendered, Flaw> {
        let mut arguments = FluentArgs::new();
        for (name, value) in values {
            match value {
                Value::Number(number) => arguments.set(name.as_str(), FluentValue::from(*number)),
                Value::Text(text) => arguments.set(name.as_str(), FluentValue::from(text.as_str())),
            }
        }
        let mut text = BTreeMap::new();
        let mut left = MESSAGES_MAX;
        for name in &self.messages {
            let message = self.format(name, &arguments)?;
            left = left.checked_sub(message.len()).ok_or_else(|| Flaw::text("must make at most 64 KiB of messages"))?;
            text.insert(name.as_str(), message);
        }
        let title = text.get("title").map(|title| title.trim().to_owned()).unwrap_or_default();
        if title.is_empty() || title.len() > TITLE_MAX || title.chars().any(char::is_control) {
            return Err(Flaw::text(format!("the title must be one line of 1 to {TITLE_MAX} bytes")));
        }
        let body = self.lay_out(&text, values)?;
        if body.trim().is_empty() {
            return Err(Flaw::layout("must not render to an empty message"));
        }
        Ok(Rendered { title, body })
    }

    fn format(&self, name: &str, arguments: &FluentArgs<'_>) -> Result<String, Flaw> {
        let pattern = self
            .bundle
            .get_message(name)
            .and_then(|message| message.value())
            .ok_or_else(|| Flaw::text(format!("the message `{name}` has no text")))?;
        let mut errors = Vec::new();
        let text = self.bundle.format_pattern(pattern, Some(arguments), &mut errors).into_owned();
        errors.first().map_or(Ok(text), |error| Err(Flaw::text(error.to_string())))
    }

    fn lay_out(&self, text: &BTreeMap<&str, String>, values: &Values) -> Result<String, Flaw> {
        let environment = environment();
        let layout = environment.template_from_str(&self.layout).map_err(|error| Flaw::layout(error.to_string()))?;
        // A `String` key, because that is what minijinja takes for a map; other collections become lists.
        let mut context: BTreeMap<String, minijinja::Value> =
            values.iter().map(|(name, value)| (name.clone(), jinja(value))).collect();
        let text: BTreeMap<String, minijinja::Value> =
            text.iter().map(|(name, text)| ((*name).to_owned(), text.as_str().into())).collect();
        context.insert("text".to_owned(), minijinja::Value::from_object(text));
        let mut out = Bounded { bytes: Vec::new(), max: self.bytes_max };
        layout
            .render_captured_to(minijinja::Value::from_object(context), &mut out)
            .map_err(|error| Flaw::layout(error.to_string()))?;
        String::from_utf8(out.bytes).map_err(|_| Flaw::layout("must render to text"))
    }

    fn unknown_in_layout(&self, known: &BTreeSet<&str>) -> Vec<Flaw> {
        let environment = environment();
        let Ok(layout) = environment.template_from_str(&self.layout) else { return Vec::new() };
        let mut names: Vec<_> = layout.undeclared_variables(true).into_iter().collect();
        names.sort();
        names
            .into_iter()
            .filter(|name| match name.strip_prefix("text.") {
                Some(message) => !self.messages.contains(message),
                None => !known.contains(name.as_str()),
            })
            .map(|name| Flaw::layout(format!("uses `{name}`, which this kind does not have")))
            .collect()
    }
}

/// The sample values of a kind.
pub fn samples(kind: MessageKind) -> Values {
    kind.variables()
        .iter()
        .map(|(name, sample)| {
            let value = match sample {
                Sample::Text(text) => Value::Text((*text).to_owned()),
                Sample::Number(number) => Value::Number(*number),
            };
            ((*name).to_owned(), value)
        })
        .collect()
}

/// Bytes of a rendered body at the most: what each channel's receivers take.
const fn bytes_max(channel: Channel) -> usize {
    match channel {
        Channel::Inbox => 4_096,
        Channel::Email | Channel::Webhook => 20_000,
    }
}

fn parse(text: &str) -> Result<FluentResource, Flaw> {
    text::require_few_placeables(text)?;
    let resource = FluentResource::try_new(text.to_owned())
        .map_err(|(_, errors)| Flaw::text(errors.first().map_or_else(String::new, ToString::to_string)))?;
    text::require_small_options(&resource)?;
    Ok(resource)
}

/// Without filters, functions and tests: see `layout.rs`.
fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    // Messages are plain text on every channel.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment
}

fn jinja(value: &Value) -> minijinja::Value {
    match value {
        Value::Number(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
    }
}

fn message_name(entry: &ast::Entry<&str>) -> Option<String> {
    match entry {
        ast::Entry::Message(message) => Some(message.id.name.to_owned()),
        ast::Entry::Term(_)
        | ast::Entry::Comment(_)
        | ast::Entry::GroupComment(_)
        | ast::Entry::ResourceComment(_)
        | ast::Entry::Junk { .. } => None,
    }
}

/// Takes a bounded number of bytes: a layout that repeats itself ends here.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.max {
            return Err(io::Error::other("the rendered message is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: &str = "{{ text.body }}";

    fn check(text: &str, layout: &str) -> Result<Rendered, Vec<Flaw>> {
        Template::check(MessageKind::Digest, Channel::Email, Locale::English, text, layout).map(|(_, made)| made)
    }

    fn rule(result: Result<Rendered, Vec<Flaw>>) -> (Part, String) {
        let mut flaws = result.expect_err("a flaw");
        (flaws[0].part, flaws.remove(0).rule)
    }

    #[test]
    fn plurals_follow_the_language() {
        let text = "title = Today\nbody = { $due_count ->\n    [one] one task\n   *[other] { $due_count } tasks\n }";
        let (template, _) = Template::check(MessageKind::Digest, Channel::Email, Locale::English, text, LAYOUT)
            .expect("a good template");
        let mut values = samples(MessageKind::Digest);
        assert_eq!(template.render(&values).expect("renders").body, "3 tasks");
        values.insert("due_count".to_owned(), Value::Number(1));
        assert_eq!(template.render(&values).expect("renders").body, "one task");
    }

    #[test]
    fn an_unknown_variable_is_found_when_saving_also_in_a_branch_that_no_sample_reaches() {
        let text = "title = Today\nbody = { $due_count ->\n    [7] { $phone }\n   *[other] tasks\n }";
        let (part, rule) = rule(check(text, LAYOUT));
        assert_eq!((part, rule.contains("`$phone`")), (Part::Text, true));
    }

    #[test]
    fn an_unknown_name_in_the_layout_is_found_when_saving() {
        let text = "title = Today\nbody = tasks";
        for layout in ["{{ phone }}", "{{ text.footer }}", "{% if false %}{{ phone }}{% endif %}{{ text.body }}"] {
            assert_eq!(rule(check(text, layout)).0, Part::Layout, "{layout}");
        }
    }

    #[test]
    fn a_value_that_is_missing_fails_this_message_and_never_sends_a_gap() {
        let text = "title = Today\nbody = { $due_count } tasks";
        let (template, _) = Template::check(MessageKind::Digest, Channel::Email, Locale::English, text, LAYOUT)
            .expect("a good template");
        let mut values = samples(MessageKind::Digest);
        values.remove("due_count");
        assert!(template.render(&values).is_err());
        assert!(template.render(&samples(MessageKind::Digest)).is_ok());
    }

    #[test]
    fn broken_empty_endless_and_oversized_templates_are_refused() {
        let good = "title = Today\nbody = tasks";
        for (text, layout) in [
            ("title = Today", LAYOUT),
            ("title = Today\nbody = { $due_count", LAYOUT),
            ("title = Today\nbody = { body }", LAYOUT),
            ("title = Today\nbody = { SECRET() }", LAYOUT),
            ("title = Two\n    lines\nbody = tasks", LAYOUT),
            (good, "{{ text.body "),
            (good, "   "),
            (good, "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}x"),
            (good, "{{ 'x' * 30000 }}"),
            (good, "{% include 'other' %}"),
            (good, "{{ range(9) }}"),
            (good, "{{ text.body.upper() }}"),
        ] {
            assert!(check(text, layout).is_err(), "{text} / {layout}");
        }
        assert!(check(good, &"x".repeat(SOURCE_MAX + 1)).is_err());
        let nested = format!("title = Today\nbody = {}\"x\"{}", "{".repeat(4_000), "}".repeat(4_000));
        assert!(check(&nested, LAYOUT).is_err());
        let called = format!("title = Today\nbody = {{ {}1{} }}", "NUMBER(".repeat(1_100), ")".repeat(400));
        assert!(check(&called, LAYOUT).is_err());
        let many: String = (0..9).map(|number| format!("m{number} = {{ long }}\n")).collect();
        assert!(check(&format!("{good}\nlong = {}\n{many}", "x".repeat(7_900)), LAYOUT).is_err());
        assert!(check(good, LAYOUT).is_ok());
    }
}
