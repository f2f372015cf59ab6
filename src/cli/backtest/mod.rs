//! `understudy backtest`: the decisions that a manifest would have made on real history.

mod error;
mod notes;

use std::path::PathBuf;

use chrono::Utc;
use clap::{Args, ValueEnum};

use super::past::{self, ArmArgs, time};
use crate::analysis::Arm;
use crate::backtest::{self, Replay, Setup};
use crate::measure::LabelMatch;

pub use error::BacktestError;

/// Shown below `--help`.
pub const EXAMPLES: &str = "\
Arms: which series were stable's and which the candidate's, by one label. Give a matcher as PromQL writes it, in quotes:
  --stable 'pod=~\"fraud-7d9f.*\"' --candidate 'pod=~\"fraud-b-.*\"'   two Deployments' pods; a regular expression is
                                                                   matched against the pods that were there then
  --stable 'version=\"1.1.0\"' --candidate 'version=\"1.2.0\"'         any label that the two versions do not share
  --stable 'envoy_cluster_name=\"shop/fraud\"' --candidate ...       the label that a gateway's metric names in arms.gateway;
                                                                   left out, its value is made from the manifest's Service
                                                                   and SERVICE-candidate (--namespace, --port)
Each can be given several times, for metrics with other labels.

Times: 2026-11-22T09:00:00Z, seconds since 1970, now, now-6h.

Examples:
  Would these limits have caught last week's bad release, and when?
    understudy backtest -f rollout.yaml --prometheus http://localhost:9090 \\
      --from 2026-11-15T14:02:00Z --to 2026-11-15T15:00:00Z \\
      --stable 'pod=~\"fraud-a-.*\"' --candidate 'pod=~\"fraud-b-.*\"' --plot release.svg
  Would they have thrown out a version that was good? The same, with its release; or A/A: two halves of stable's pods,
    --stable 'pod=~\".*[02468bdfhjlnprtvxz]\"' --candidate 'pod=~\".*[13579acegikmoqsuwy]\"'
    (both arms on the same pods are refused: every look would be a draw)
  The candidate had 20 % all the time, not the steps of the manifest:
    ... --weight 20

What is replayed: limits, error budget, looks, holds, deadlines and steps of the manifest, from --from on, with stable's one or
two hours before it as the history that the controller reads. The requests are those that the arms really had: a step of 5 %
does not thin out a candidate that got half of them. A candidate that falls silent is told with
--weight only. What no counter tells is not replayed: crashes, edits of the route, decisions of people.";

/// Arguments of `understudy backtest`.
#[derive(Args, Debug)]
pub struct BacktestArgs {
    /// A manifest with a ModelRollout; `-` reads it from standard input. Other kinds in it are passed over.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// The ModelRollout's name, where the manifest has several.
    #[arg(long)]
    pub name: Option<String>,
    /// Prometheus, and what belongs to stable.
    #[command(flatten)]
    pub arms: ArmArgs,
    /// When the candidate got its first requests.
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub from: time::Moment,
    /// The end of the history.
    #[arg(long, value_name = "TIME", default_value = "now", value_parser = time::moment)]
    pub to: time::Moment,
    /// Whose are the candidate's.
    #[arg(long, value_name = "MATCHER")]
    pub candidate: Vec<LabelMatch>,
    /// The share that the candidate really had all the time, in percent; left out: the manifest's steps are played.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(i32).range(1..=99))]
    pub weight: Option<i32>,
    /// How the result is printed.
    #[arg(short, long, default_value = "text")]
    pub output: Output,
    /// Writes a picture (SVG) of each metric: to this file, or to FILE-METRIC.svg where there are several.
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Output {
    /// A line for each decision, then what came of it.
    Text,
    /// One object.
    Json,
}

/// Reads the history, replays the rollout on it, and says what it would have done.
///
/// # Errors
/// When the manifest cannot be used, Prometheus does not answer, or what it remembers is not enough.
pub fn run(args: &BacktestArgs) -> Result<String, BacktestError> {
    let rollout = past::manifest(&args.file, args.name.as_deref())?;
    let now = Utc::now();
    let (from, to) = (args.from.at(now), args.to.at(now));
    let interval = backtest::interval(&rollout);
    if to > now + chrono::Duration::minutes(1) {
        return Err(BacktestError::Future(to));
    }
    if to - from < interval {
        return Err(BacktestError::Short { from, to, interval });
    }
    let setup = Setup { rollout: &rollout, from, to, weight: args.weight };
    let arms = [(Arm::Stable, args.arms.stable.as_slice()), (Arm::Candidate, args.candidate.as_slice())];
    let read = past::read(&args.arms, &arms, &setup)?;
    let notes = notes::notes(&setup, &read)?;
    let replay = Replay::run(&setup, &read.history)?;
    if let Some(path) = &args.plot {
        plot(path, &setup, &replay)?;
    }
    Ok(match args.output {
        Output::Text => backtest::text(&setup, &replay, &notes),
        Output::Json => format!("{:#}\n", backtest::json(&setup, &replay, &notes)),
    })
}

fn plot(path: &std::path::Path, setup: &Setup<'_>, replay: &Replay) -> Result<(), BacktestError> {
    let several = replay.verdicts.len() > 1;
    for (i, verdict) in replay.verdicts.iter().enumerate() {
        let Some(chart) = backtest::chart(setup, replay, i) else { continue };
        let path = if several { beside(path, &verdict.metric) } else { path.to_owned() };
        std::fs::write(&path, chart.svg()).map_err(|source| BacktestError::Plot { path, source })?;
    }
    Ok(())
}

/// `out.svg` and `errors` give `out-errors.svg`.
fn beside(path: &std::path::Path, metric: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map_or("svg".into(), |e| e.to_string_lossy().into_owned());
    path.with_file_name(format!("{stem}-{metric}.{extension}"))
}
