//! `understudy simulate`: a rollout's settings against synthetic arms, many times.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;

use super::answer::Output;
use super::input::{self, InputError};
use crate::synthetic::{self, Arm, ArmError, ArmSettings, BUCKETS, Report, Run, Study, StudyError, Traffic};

/// Shown below `--help`.
pub const EXAMPLES: &str = "\
Arms: settings with commas between them. What is left out is as in stable; stable's own are error=0.01,p99=200ms,score=0.9.
  error=0.01     share of requests that fail (metrics of kind ratio); 2x is twice stable's
  p99=200ms      99th percentile of a lognormal latency; 2x is twice stable's, at every quantile unless p50 is set too
  p50=40ms       its median
  score=0.9      mean score (metrics of kind mean)
  burst=3        failures come together, three in the mean
  from=30m       the candidate's only: until then it is as stable
Metrics of one kind have the same arms, each with random numbers of its own.

Examples:
  How often is a candidate taken back that is as good as stable?
    understudy simulate rollout.yaml
  How fast is one taken back that fails twice as often?
    understudy simulate rollout.yaml --candidate error=2x
  And one that turns slow in the second hour, at 5 requests/s?
    understudy simulate rollout.yaml --candidate p99=2x,from=1h --requests-per-second 5
  Do bursts and a bad hour of both versions mislead it?
    understudy simulate rollout.yaml --stable error=0.01,burst=3 --drift 2

The output: time and requests are counted from the candidate's first request, or from the moment it turned bad, to the
decision; 90 % of the runs needed no more than the second number. `undecided`: neither in all the time that the holds and
deadlines of the manifest give.";

/// Arguments of `understudy simulate`.
#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// A manifest with a ModelRollout; `-` reads it from standard input. Other kinds in it are passed over.
    pub file: PathBuf,
    /// The ModelRollout's name, where the manifest has several.
    #[arg(long)]
    pub name: Option<String>,
    /// How many attempts.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub runs: u64,
    /// The same seed gives the same result.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Requests per second of both versions together.
    #[arg(long, default_value_t = 100.0, value_name = "RATE")]
    pub requests_per_second: f64,
    /// What the stable version is like.
    #[arg(long, value_name = "SETTINGS", default_value = "")]
    pub stable: ArmSettings,
    /// What the candidate is like; left out: as stable.
    #[arg(long, value_name = "SETTINGS", default_value = "")]
    pub candidate: ArmSettings,
    /// Failures and latencies of both versions rise to so many times their own and back, again and again.
    #[arg(long, default_value_t = 1.0, value_name = "TIMES")]
    pub drift: f64,
    /// How long that takes.
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = time)]
    pub drift_period: chrono::Duration,
    /// Bucket bounds of the latency histograms, in seconds; left out: those of Prometheus clients.
    #[arg(long, value_delimiter = ',', value_name = "SECONDS")]
    pub buckets: Vec<f64>,
    /// How the result is printed.
    #[arg(short, long, default_value = "text")]
    pub output: Output,
}

/// Why nothing could be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The manifest.
    #[error(transparent)]
    Input(#[from] InputError),
    /// `from` of the stable arm.
    #[error("--stable takes no from: only the candidate turns")]
    StableTurns,
    /// An arm.
    #[error("{arm}: {source}")]
    Arm {
        /// Which.
        arm: &'static str,
        /// What is wrong.
        source: ArmError,
    },
    /// What was asked for.
    #[error(transparent)]
    Study(#[from] StudyError),
}

/// Runs all attempts and says what became of them.
///
/// # Errors
/// When the manifest or a setting cannot be used.
pub fn run(args: &SimulateArgs) -> Result<String, SimulateError> {
    let study = study(args)?;
    let report = Report::of(&runs(&study, args.runs));
    Ok(match args.output {
        Output::Text => report.text(&study),
        Output::Json => format!("{:#}\n", report.json(&study)),
    })
}

fn study(args: &SimulateArgs) -> Result<Study, SimulateError> {
    let rollout = input::rollout(&args.file, args.name.as_deref())?;
    if args.stable.from.is_some() {
        return Err(SimulateError::StableTurns);
    }
    let arm = |settings: &ArmSettings, base: Arm, arm: &'static str| {
        settings.arm(base).map_err(|source| SimulateError::Arm { arm, source })
    };
    let stable = arm(&args.stable, Arm::default(), "--stable")?;
    let traffic = Traffic {
        requests_per_second: args.requests_per_second,
        stable,
        candidate: arm(&args.candidate, stable, "--candidate")?,
        onset: args.candidate.from.unwrap_or_default(),
        drift: args.drift,
        drift_period: args.drift_period,
        buckets: if args.buckets.is_empty() { BUCKETS.to_vec() } else { args.buckets.clone() },
    };
    Ok(Study::new(rollout.spec, traffic, args.seed)?)
}

/// Runs `0..count` on all cores, in the order of their numbers. On a terminal it says how far it is, when that takes long.
pub fn runs(study: &Study, count: u64) -> Vec<Run> {
    let next = AtomicU64::new(0);
    let done = Mutex::new(Vec::new());
    let (began, bar) = (Instant::now(), std::io::stderr().is_terminal());
    let work = || {
        let mut said = Instant::now();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            let run = study.run(number);
            let mut all = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            all.push((number, run));
            let so_far = all.len();
            drop(all);
            if bar && said.elapsed() > Duration::from_secs(1) && began.elapsed() > Duration::from_secs(2) {
                said = Instant::now();
                eprint!("\r{so_far} of {count} runs ");
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        (0..cores).for_each(|_| {
            scope.spawn(work);
        });
    });
    if bar && began.elapsed() > Duration::from_secs(2) {
        eprint!("\r{:40}\r", "");
        // Only what is on the screen is at stake.
        let _ = std::io::stderr().flush();
    }
    let mut all = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, run)| run).collect()
}

fn time(text: &str) -> Result<chrono::Duration, String> {
    synthetic::duration(text).ok_or_else(|| format!("{text:?} is not a time such as 30m or 2h"))
}
