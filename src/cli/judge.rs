//! `understudy judge`: what a rollout would have decided on a recorded trace, look by look.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::digits::fixed;
use super::output::unless_gone;
use super::{input, judge_plot};
use crate::analysis::trace::{Decision, KEYS, Kind, Look, Reader, Settings, SettingsError, TraceError};
use crate::analysis::verdict::Direction;

/// Arguments of `understudy judge`.
#[derive(Args, Debug)]
pub struct JudgeArgs {
    /// The trace; `-` reads it from standard input.
    ///
    /// CSV with the columns ts,arm,series,name,value: one raw sample of a counter for each row. ts is in seconds, arm is
    /// cand or base, series is a pod's name, and name is what is counted: n and x (requests, failed ones) for errors,
    /// le_0.1 ... le_+Inf for latency, n, sum and sumsq or le_... for score. An empty value is a scrape that failed.
    pub file: PathBuf,
    /// What the trace counts.
    pub kind: KindArg,
    /// Rows before this time, in seconds, are history: limits are chosen from them, and nothing is tested.
    #[arg(long, value_name = "TS")]
    pub start: Option<f64>,
    /// How the looks are printed.
    #[arg(short, long, default_value = "csv")]
    pub output: Output,
    /// Writes a picture (SVG) to this file: both arms, the limit and the evidence both ways over time.
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Settings of the test, such as alpha=0.01 rho=1.5; see the list below.
    #[arg(value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
}

/// What a trace counts.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KindArg {
    /// Failed requests among all.
    Errors,
    /// Slow requests, by the buckets of a histogram.
    Latency,
    /// Scores between 0 and 1.
    Score,
}

/// How the looks are printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Output {
    /// A header, then a line for each look.
    Csv,
    /// An object for each look, one in a line.
    Json,
}

/// Why a trace could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The file.
    #[error("could not read {path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What stands in it.
    #[error("{path}: {source}", path = .path.display())]
    Trace {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: TraceError,
    },
    /// A setting.
    #[error(transparent)]
    Setting(#[from] SettingsError),
    /// The picture.
    #[error("could not write {path}: {source}", path = .path.display())]
    Plot {
        /// Where to.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The looks could not be written.
    #[error("could not write the output: {0}")]
    Output(std::io::Error),
    /// The start.
    #[error("--start {0} is no time in seconds")]
    Start(f64),
}

/// The list of settings for `--help`.
pub fn settings_help() -> String {
    let mut text = "Settings:\n".to_owned();
    for (key, default, what) in KEYS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<22} {what}", format!("{key}={default}"));
    }
    text + "\nThe columns: end of the look, requests or scores of the candidate and of stable so far, log evidence that the candidate is \
            worse than allowed, log evidence that it is within the promotion bound, the decision, and while there is none where \
            it is heading and how many more of the candidate's requests that takes."
}

/// Writes all looks of the trace. A reader that has gone away is no failure.
///
/// # Errors
/// When the file, a row or a setting cannot be read, or the looks or the picture not be written.
pub fn run(args: &JudgeArgs, out: &mut impl Write) -> Result<(), JudgeError> {
    let mut settings = Settings::default();
    args.settings.iter().try_for_each(|text| settings.set(text))?;
    let start = args.start.map(time).transpose()?;
    let kind = match args.kind {
        KindArg::Errors => Kind::Errors,
        KindArg::Latency => Kind::Latency,
        KindArg::Score => Kind::Score,
    };
    let (mut reader, path) = (Reader::new(kind), || args.file.clone());
    let read = input::pieces(&args.file, |text| reader.add(text));
    let read = read.map_err(|source| JudgeError::File { path: path(), source })?;
    let trace = read.and_then(|()| reader.finish());
    let trace = trace.map_err(|source| JudgeError::Trace { path: path(), source })?;
    let mut judge = trace.judge(&settings, start);
    let line: fn(&mut Vec<u8>, &Look) = match args.output {
        Output::Csv => csv,
        Output::Json => json_line,
    };
    let mut lines = Lines { out, text: Vec::with_capacity(2 * LINES) };
    if matches!(args.output, Output::Csv) {
        lines.text.extend_from_slice(b"ts,n_cand,n_base,log_e_bad,log_e_ok,decision,forecast\n");
    }
    let Some(path) = &args.plot else {
        judge.try_for_each(|look| lines.add(|text| line(text, &look)))?;
        return lines.write();
    };
    let mut picture = judge_plot::Picture::new(args.kind, trace.plan(&settings).kind);
    while let Some((at, verdict)) = judge.step() {
        let look = judge.look(at, &verdict);
        lines.add(|text| line(text, &look))?;
        picture.add(&look, &verdict);
    }
    std::fs::write(path, picture.svg()).map_err(|source| JudgeError::Plot { path: path.clone(), source })?;
    lines.write()
}

/// Bytes that are written at once.
const LINES: usize = 64 * 1024;

/// Lines on their way out.
struct Lines<'a, W> {
    out: &'a mut W,
    text: Vec<u8>,
}

impl<W: Write> Lines<'_, W> {
    fn add(&mut self, line: impl FnOnce(&mut Vec<u8>)) -> Result<(), JudgeError> {
        line(&mut self.text);
        if self.text.len() < LINES { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), JudgeError> {
        let written = self.out.write_all(&self.text).and_then(|()| self.out.flush());
        self.text.clear();
        unless_gone(written).map_err(JudgeError::Output)
    }
}

fn time(seconds: f64) -> Result<DateTime<Utc>, JudgeError> {
    let millis = (seconds * 1000.0).round();
    let found = (millis.abs() < 1e15).then(|| DateTime::from_timestamp_millis(millis as i64)).flatten();
    found.ok_or(JudgeError::Start(seconds))
}

fn csv(out: &mut Vec<u8>, look: &Look) {
    fixed::<0>(out, look.at.timestamp_millis() as f64 / 1000.0);
    for count in [look.n_candidate, look.n_stable] {
        out.push(b',');
        fixed::<0>(out, count);
    }
    for evidence in [look.log_bad, look.log_ok] {
        out.push(b',');
        fixed::<6>(out, evidence);
    }
    out.push(b',');
    out.extend_from_slice(look.decision.as_str().as_bytes());
    out.push(b',');
    match (look.decision, look.forecast) {
        (Decision::Inconclusive, Some((n, towards))) => {
            out.extend_from_slice(word(towards).as_bytes());
            out.push(b':');
            fixed::<0>(out, n);
        }
        (Decision::Inconclusive, None) => out.extend_from_slice(b"unknown"),
        _ => {}
    }
    out.push(b'\n');
}

fn json_line(out: &mut Vec<u8>, look: &Look) {
    let forecast = look.forecast.map(|(n, towards)| json!({"towards": word(towards), "requests": n.round()}));
    let line = json!({
        "ts": look.at.timestamp_millis() as f64 / 1000.0, "candidate": look.n_candidate, "stable": look.n_stable,
        "logEvidenceWorse": look.log_bad, "logEvidenceGood": look.log_ok, "decision": look.decision.as_str(),
        "forecast": forecast,
    });
    // Writing to a Vec cannot fail.
    let _ = writeln!(out, "{line}");
}

fn word(towards: Direction) -> &'static str {
    match towards {
        Direction::Promote => "PROMOTE",
        Direction::Rollback => "ROLLBACK",
    }
}
