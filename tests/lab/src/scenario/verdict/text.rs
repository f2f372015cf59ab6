//! The table for people: a column a version, so that it fits on 80 columns.

use std::fmt;

use super::{Restored, Row, Table};

/// Columns for a label and for a version.
const LABEL: usize = 24;
const COLUMN: usize = 9;
/// Columns for the reasons, which are long.
const WIDTH: usize = 70;

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (label, value) in LINES {
            write!(f, "{label:<LABEL$}")?;
            self.rows.iter().try_for_each(|row| write!(f, "{:>COLUMN$}", value(row)))?;
            writeln!(f)?;
        }
        writeln!(f)?;
        for row in &self.rows {
            for (index, part) in wrapped(deciding(&row.why), WIDTH).into_iter().enumerate() {
                let head = if index == 0 { row.version.as_str() } else { "" };
                writeln!(f, "{head:<8} {part}")?;
            }
        }
        writeln!(
            f,
            "\n{} requests of clients, {} failed, {} of them by no bad version's doing.\n\
             Requests left at most {:.0} ms late.",
            self.requests, self.failures, self.outside, self.worst_lag_millis
        )?;
        self.samples.iter().try_for_each(|sample| writeln!(f, "  {sample}"))?;
        if self.wrong.is_empty() {
            writeln!(f, "Everything as promised.")
        } else {
            writeln!(f, "NOT AS PROMISED:")?;
            self.wrong.iter().try_for_each(|text| writeln!(f, "  {text}"))
        }
    }
}

/// A line of the table: its label, and what it says of a version.
type Line = (&'static str, fn(&Row) -> String);

const LINES: [Line; 14] = [
    ("", |row| row.version.clone()),
    ("outcome", |row| if row.outcome == "rolled back" { "back".to_owned() } else { row.outcome.clone() }),
    ("caught by", |row| or_dash(row.caught_by.as_ref().map(|cause| short(cause)))),
    ("in", |row| or_dash(row.stage.as_deref().map(stage))),
    ("took, s", |row| format!("{:.1}", row.seconds)),
    ("requests it served", |row| row.served.to_string()),
    ("  failed, wrong or slow", |row| or_dash(row.caught_by.as_ref().map(|_| row.bad.to_string()))),
    ("  from first to last, s", |row| or_dash(row.bad_seconds.map(|seconds| format!("{seconds:.1}")))),
    ("route back, ms: status", |row| millis(row, |restored| restored.by_status)),
    ("  by the audit log", |row| millis(row, |restored| restored.by_audit)),
    ("  by a watch of it", |row| millis(row, |restored| restored.by_watch)),
    ("failed otherwise", |row| row.outside.to_string()),
    ("pods restarted", |row| row.restarts.to_string()),
    ("route at rest", |row| if row.route_differs.is_empty() { "the same" } else { "DIFFERS" }.to_owned()),
];

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn millis(row: &Row, of: impl Fn(&Restored) -> Option<f64>) -> String {
    or_dash(row.restored.as_ref().and_then(of).map(|millis| format!("{millis:.0}")))
}

/// `Canary(0)` is the first step of the canary.
fn stage(name: &str) -> String {
    let step = name
        .strip_prefix("Canary(")
        .and_then(|rest| rest.strip_suffix(')'))
        .and_then(|n| n.parse::<u32>().ok());
    step.map_or_else(|| name.to_lowercase(), |step| format!("canary {}", step + 1))
}

/// The numbers that decided, without those that did not.
fn deciding(why: &str) -> &str {
    why.split(" Evidence that it is within").next().unwrap_or(why)
}

/// Reasons are long words.
fn short(cause: &str) -> String {
    if cause == "CandidateSilent" { "silence".to_owned() } else { cause.chars().take(COLUMN - 1).collect() }
}

/// Broken at blanks.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}
