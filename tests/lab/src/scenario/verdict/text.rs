//! The table for people.

use std::fmt;

use super::{Row, Table};

/// Columns for the reasons, which are long.
const WIDTH: usize = 100;

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<8} {:<12} {:<10} {:<16} {:>6} {:>7} {:>6} {:>8} {:>18} {:>8} {:>9} {:<10}",
            "VERSION",
            "OUTCOME",
            "STAGE",
            "CAUGHT BY",
            "TOOK s",
            "SERVED",
            "BAD",
            "BAD, s",
            "ROUTE BACK, ms",
            "OUTSIDE",
            "RESTARTS",
            "ROUTE"
        )?;
        for row in &self.rows {
            line(f, row)?;
        }
        writeln!(f)?;
        for row in &self.rows {
            for (index, part) in wrapped(&row.why, WIDTH).into_iter().enumerate() {
                let head = if index == 0 { row.version.as_str() } else { "" };
                writeln!(f, "{head:<8} {part}")?;
            }
        }
        writeln!(
            f,
            "\n{} requests, {} failed, {} of them by no bad version's doing.",
            self.requests, self.failures, self.outside
        )?;
        writeln!(
            f,
            "SERVED, BAD: requests of clients that went to the version, by the gateway's log, and those of them that failed, \
             were wrong or slow;\nBAD, s: from the first to the last of these. ROUTE BACK: from the deciding look, by status / \
             audit log / a watch.\nOUTSIDE: failures that no bad version caused. RESTARTS: pods of the version that serves. \
             ROUTE: at rest, spec, labels,\nannotations and managedFields compared with the user's own, byte for byte."
        )?;
        if self.wrong.is_empty() {
            writeln!(f, "\nEverything as promised.")
        } else {
            writeln!(f, "\nNOT AS PROMISED:")?;
            self.wrong.iter().try_for_each(|text| writeln!(f, "  {text}"))
        }
    }
}

fn line(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let good = row.caught_by.is_none();
    let bad = if good { "-".to_owned() } else { row.bad.to_string() };
    let route = if row.route_differs.is_empty() { "the user's" } else { "DIFFERS" };
    writeln!(
        f,
        "{:<8} {:<12} {:<10} {:<16} {:>6.1} {:>7} {:>6} {:>8} {:>18} {:>8} {:>9} {:<10}",
        row.version,
        row.outcome,
        or_dash(row.stage.clone()),
        or_dash(row.caught_by.clone()),
        row.seconds,
        row.served,
        bad,
        or_dash(row.bad_seconds.map(|seconds| format!("{seconds:.1}"))),
        or_dash(row.restored.map(|restored| restored.text())),
        row.outside,
        row.restarts,
        route
    )
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
