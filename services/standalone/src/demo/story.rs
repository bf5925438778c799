//! How the demo tells what happens: chapters, lines, and what must be true, noted where it is not.

use revisit_bootstrap::command::print;
use revisit_core::Failure;

/// What is told, and what turned out wrong. A silent one only notes.
#[derive(Default)]
pub struct Story {
    silent: bool,
    /// What should have been true and was not.
    pub wrong: Vec<String>,
}

impl Story {
    /// A story that is told aloud.
    #[must_use]
    pub fn aloud() -> Self {
        Self::default()
    }

    /// A story that only notes what is wrong: the second run repeats the first.
    #[must_use]
    pub fn silent() -> Self {
        Self { silent: true, wrong: Vec::new() }
    }

    /// Begins a chapter.
    pub fn chapter(&self, title: &str) -> Result<(), Failure> {
        self.write(&format!("\n{title}\n{}\n", "-".repeat(title.chars().count())))
    }

    /// Tells something.
    pub fn tell(&self, line: impl AsRef<str>) -> Result<(), Failure> {
        self.write(&format!("  {}\n", line.as_ref()))
    }

    /// Notes what is wrong unless it holds.
    pub fn must(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.wrong.push(what.into());
        }
    }

    /// Notes a difference of two figures that must be equal.
    pub fn must_equal(&mut self, what: &str, one: i64, other: i64) {
        self.must(one == other, format!("{what}: {one} is not {other}"));
    }

    fn write(&self, text: &str) -> Result<(), Failure> {
        if self.silent { Ok(()) } else { print(text) }
    }
}
