//! Figures: medians and percentiles, a table for people, and last one line of `key=value` pairs for programs.

#![expect(clippy::expect_used, reason = "a measurement that nobody can read ends, and says why")]

use std::{fmt::Write as _, io::Write as _, time::Duration};

/// The middle of some figures; zero of none.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

/// The figure below which `percent` of all lie; zero of none.
#[must_use]
pub fn percentile(figures: &[f64], percent: usize) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

/// A span in milliseconds.
#[must_use]
pub fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}

/// How many a second.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "no count here reaches 2^52")]
pub fn per_second(count: u64, span: Duration) -> f64 {
    count as f64 / span.as_secs_f64().max(f64::EPSILON)
}

/// A count as a figure.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "no count here reaches 2^52")]
pub const fn figure(count: u64) -> f64 {
    count as f64
}

/// A table for people: columns are as wide as what stands in them, all but the first to the right.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With a head.
    #[must_use]
    pub fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[&str]) {
        self.rows.push(cells.iter().map(|cell| (*cell).to_owned()).collect());
    }

    /// Prints it.
    pub fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a string cannot fail.
                let _ = match column {
                    0 => write!(text, "{cell:<width$}"),
                    _ => write!(text, "  {cell:>width$}"),
                };
            }
            text.push('\n');
        }
        say(&text);
    }
}

/// The last line: plain numbers, the unit in the key.
#[derive(Default)]
pub struct Line(String);

impl Line {
    /// Adds a pair.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{space}{key}={value}");
        self
    }

    /// Prints it.
    pub fn print(self) {
        say(&format!("{}\n", self.0));
    }
}

/// Prints a text.
///
/// # Panics
/// When nobody reads it.
pub fn say(text: &str) {
    std::io::stdout().lock().write_all(text.as_bytes()).expect("somebody reads the figures");
}

/// What was measured on, and what else ran there: cores, memory, load.
#[must_use]
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let memory = read("/proc/meminfo");
    let memory =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = read("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let load = read("/proc/loadavg");
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    format!(
        "{cores} cores ({}), {} GiB, load average {}",
        processor.map_or("unknown", |(_, name)| name.trim()),
        memory.map_or(0, |kibibytes: u64| kibibytes >> 20),
        load.join(" ")
    )
}

/// Memory that this process holds now, in MiB.
#[must_use]
pub fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let held = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    held.map_or(0.0, |kibibytes: u64| figure(kibibytes) / 1_024.0)
}

/// Processor time that the threads of this process whose name begins so have used.
#[must_use]
pub fn processor_time(thread_name: &str) -> Duration {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    let of_thread = |path: std::path::PathBuf| -> Option<u64> {
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        let used = std::fs::read_to_string(path.join("schedstat")).ok()?;
        if name.starts_with(thread_name) { used.split_whitespace().next()?.parse().ok() } else { Some(0) }
    };
    let nanos = threads.filter_map(Result::ok).filter_map(|thread| of_thread(thread.path())).sum();
    Duration::from_nanos(nanos)
}

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// Small, in the dev profile: for correctness.
    Quick,
    /// What ends within five minutes.
    Default,
    /// The size of the target.
    Full,
}

impl Size {
    /// One of three.
    pub fn pick<T>(self, quick: T, default: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Default => default,
            Self::Full => full,
        }
    }
}

/// What stands on the command line of a measurement.
pub struct Asked {
    /// What is measured.
    pub name: String,
    /// How much.
    pub size: Size,
    /// `--binary`: the binary that is killed.
    pub binary: Option<std::path::PathBuf>,
}

impl Asked {
    /// Reads the command line; none when it is not understood.
    #[must_use]
    pub fn read(arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut asked = Self { name: String::new(), size: Size::Default, binary: None };
        let mut arguments = arguments.skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => asked.size = Size::Quick,
                "--full" => asked.size = Size::Full,
                "--binary" => asked.binary = Some(arguments.next()?.into()),
                name if asked.name.is_empty() && !name.starts_with('-') => name.clone_into(&mut asked.name),
                _ => return None,
            }
        }
        (!asked.name.is_empty()).then_some(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle_and_a_percentile_at_its_rank() {
        assert_eq!(median(&[3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]).to_bits(), 2.5_f64.to_bits());
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 50).to_bits(), 50.0_f64.to_bits());
        assert_eq!(percentile(&hundred, 99).to_bits(), 99.0_f64.to_bits());
    }

    #[test]
    fn a_command_line_that_is_not_understood_measures_nothing() {
        let read = |line: &str| Asked::read(line.split(' ').map(str::to_owned));
        assert!(read("bench list --quick").is_some_and(|asked| asked.name == "list" && asked.size == Size::Quick));
        assert!(read("bench list --fast").is_none());
        assert!(read("bench").is_none());
        assert!(read("bench list check").is_none());
    }
}
