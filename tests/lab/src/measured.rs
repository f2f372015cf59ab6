//! What the lab tests measured, kept between runs, and the page that shows it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::load::Report;
use crate::paths::build_dir;

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Which part of the page.
    pub part: String,
    /// The case, in a few words.
    pub case: String,
    /// Requests that were sent meanwhile, and how many of them failed that no bad version failed itself.
    pub requests: Option<(u64, u64)>,
    /// From the disturbance until it was corrected, milliseconds.
    pub corrected_millis: Option<u128>,
    /// How it ended.
    pub end: String,
}

impl Measured {
    /// A case without figures.
    pub fn new(part: &str, case: &str, end: &str) -> Self {
        Self { part: part.into(), case: case.into(), requests: None, corrected_millis: None, end: end.into() }
    }

    /// With the load that ran meanwhile.
    #[must_use]
    pub fn load(mut self, report: Option<&Report>) -> Self {
        self.requests = report.map(|report| (report.requests, report.outside));
        self
    }

    /// With the time until it was corrected.
    #[must_use]
    pub fn corrected(mut self, after: Option<Duration>) -> Self {
        self.corrected_millis = after.map(|after| after.as_millis());
        self
    }

    /// Keeps it, instead of what an earlier run measured of the same case.
    pub fn keep(&self) -> Result<()> {
        let dir = directory();
        std::fs::create_dir_all(&dir).with_context(|| format!("could not create {}", dir.display()))?;
        let letters = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), "-").to_lowercase();
        let path = dir.join(format!("{}--{}.json", letters(&self.part), letters(&self.case)));
        std::fs::write(&path, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("could not write {}", path.display()))
    }
}

/// All that is kept, in the order of their files' names.
pub fn kept() -> Result<Vec<Measured>> {
    let dir = directory();
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths = std::fs::read_dir(&dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Measured> {
    let text = std::fs::read(path)?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is not a measurement; remove it", path.display()))
}

fn directory() -> PathBuf {
    build_dir().join("lab/measured")
}

/// A table for each part.
pub fn tables(all: &[Measured]) -> String {
    let mut page = String::new();
    let mut part = "";
    for one in all {
        if one.part != part {
            part = &one.part;
            let head =
                "| case | requests | failed | corrected after | end |\n| --- | --- | --- | --- | --- |";
            let _ = writeln!(page, "\n## {part}\n\n{head}");
        }
        let (sent, failed) = one
            .requests
            .map_or(("-".into(), "-".into()), |(sent, failed)| (sent.to_string(), failed.to_string()));
        let after = one.corrected_millis.map_or("-".into(), |millis| format!("{millis} ms"));
        let _ = writeln!(page, "| {} | {sent} | {failed} | {after} | {} |", one.case, one.end);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::{Measured, tables};
    use std::time::Duration;

    #[test]
    fn each_part_has_a_table_of_its_cases() {
        let one = Measured::new("Guard", "forced apply", "the selector stays")
            .corrected(Some(Duration::from_millis(80)));
        let two = Measured { requests: Some((300, 0)), ..Measured::new("Guard", "patch", "refused") };
        let three = Measured::new("Route", "sixteen rules", "split");
        let page = tables(&[one, two, three]);
        assert_eq!(page.matches("\n## ").count(), 2);
        assert!(page.contains("| forced apply | - | - | 80 ms | the selector stays |"), "{page}");
        assert!(page.contains("| patch | 300 | 0 | - | refused |"), "{page}");
    }
}
