//! `understudy plan`: what a rollout can find out at today's traffic, before anything is moved.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, Duration, Utc};
use clap::Args;

use super::answer::{self, Output};
use super::past::{self, ArmArgs, PastError, Read, shown, time};
use crate::analysis::Arm;
use crate::api::ModelRollout;
use crate::backtest;
use crate::measure::ErrorClass;
use crate::preview::{self, Preview, Setup};

/// Shown below `--help`.
pub const EXAMPLES: &str = "\
Stable's series: give a matcher as PromQL writes it, in quotes:
  --stable 'pod=~\"fraud-7d9f.*\"'           pods of stable's Deployment; a regular expression is matched against the pods that
                                           were there in that hour
  --stable 'version=\"1.1.0\"'               any label that only stable's series carry
  --stable 'envoy_cluster_name=\"shop/fraud\"'   the label that a gateway's metric names in arms.gateway; left out, its value is
                                           made from the manifest's Service (--namespace, --port)
It can be given several times, for metrics with other labels. On a cluster `kubectl get pods` shows stable's.

Examples:
  Can this rollout decide at today's traffic, and how long will it take?
    understudy plan rollout.yaml --prometheus http://localhost:9090 --stable 'pod=~\"fraud-a-.*\"'
  And at night?
    understudy plan rollout.yaml --prometheus http://localhost:9090 --stable 'pod=~\"fraud-a-.*\"' --at 2026-11-22T03:00:00Z
  How long until it is sure, in a script:
    understudy plan rollout.yaml ... -o json | jq '.metrics[] | {metric, proofSeconds}'

What to read in it:
  proven after       a version that is like stable is shown to be good enough, from the first share of traffic on
  one with ...       the regression that the metric's `detect` names (default: {ratio: 2}; for a mean {by: 0.1}), and when it is found
  9 of 10 failing    looks of the first step until a version that fails outright is taken back; only for a ratio
Too slow? Raise a weight, give deadlines.evidence more time, or accept a wider proof; the message says which would do.

It ends with 0 when everything comes in time, with 1 when it is too slow or the operator would not begin, and with 2 when that
cannot be told.";

/// Arguments of `understudy plan`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// A manifest with a ModelRollout; `-` reads it from standard input. Other kinds in it are passed over.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The ModelRollout's name, where the manifest has several.
    #[arg(long)]
    pub name: Option<String>,
    /// Prometheus, and what belongs to stable.
    #[command(flatten)]
    pub arms: ArmArgs,
    /// The end of the hour that is taken for today's traffic: a date, seconds since 1970, now, now-6h.
    #[arg(long, value_name = "TIME", default_value = "now", value_parser = time::moment)]
    pub at: time::Moment,
    /// Form of the output.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The manifest, or the samples.
    #[error("{0}{hint}", hint = advice(.0))]
    Past(#[from] PastError),
    /// `--at`.
    #[error("--at {at} lies in the future: there is no traffic of it yet", at = shown(.0))]
    Future(DateTime<Utc>),
}

/// What to do, where the error does not say it.
fn advice(error: &PastError) -> &'static str {
    match error {
        PastError::Source(error) => match error.class {
            ErrorClass::Unreachable | ErrorClass::Timeout | ErrorClass::BadReply => {
                ". --prometheus is the address at which this machine reaches it, such as http://localhost:9090 after kubectl \
                 port-forward"
            }
            ErrorClass::Denied => ". --bearer-token-file names a file with its token",
            ErrorClass::BadQuery | ErrorClass::TooLarge | ErrorClass::Partial | ErrorClass::Configuration => {
                ""
            }
        },
        PastError::NoSeries { .. } => {
            ". Check the metric's selector, the matcher, and that stable's pods are scraped; --at looks at another hour"
        }
        PastError::Input(_)
        | PastError::Unusable(_)
        | PastError::Selector { .. }
        | PastError::NoArm { .. }
        | PastError::NoPort { .. }
        | PastError::Several { .. }
        | PastError::Expression { .. }
        | PastError::Labels { .. }
        | PastError::Shared { .. }
        | PastError::TooLarge { .. }
        | PastError::Runtime(_) => "",
    }
}

/// Prints, and says by the exit code how it would go.
pub fn main(args: &PlanArgs) -> ExitCode {
    answer::end(run(args))
}

/// The output, and whether everything comes in time.
///
/// # Errors
/// When the manifest cannot be used, Prometheus does not answer, or it has nothing of stable.
pub fn run(args: &PlanArgs) -> Result<(String, bool), PlanError> {
    let rollout = past::manifest(&args.file, args.name.as_deref())?;
    let now = Utc::now();
    let at = args.at.at(now);
    if at > now + Duration::minutes(1) {
        return Err(PlanError::Future(at));
    }
    let history = backtest::Setup { rollout: &rollout, from: at, to: at, weight: None };
    let read = past::read(&args.arms, &[(Arm::Stable, args.arms.stable.as_slice())], &history)?;
    let of = |m: &crate::api::Metric| {
        (m.name.clone(), backtest::past(&history, &read.history, &BTreeMap::new(), m))
    };
    let pasts = rollout.spec.analysis.metrics.iter().map(of).collect();
    let setup = Setup { rollout: &rollout, at, scrape: read.scrape, pasts: &pasts };
    let found = Preview::of(&setup);
    let notes = notes(&read, &rollout, at);
    let text = match args.output {
        Output::Text => preview::text(&setup, &found, &notes),
        Output::Json => format!("{:#}\n", preview::json(&setup, &found, &notes)),
    };
    Ok((text, found.in_time()))
}

fn notes(read: &Read, rollout: &ModelRollout, at: DateTime<Utc>) -> Vec<String> {
    let look = backtest::interval(rollout);
    let mut notes = read.odd.clone();
    notes.extend(read.scrape_note(look));
    let last = read.history.oldest(Arm::Stable).map(|stable| stable.last);
    notes.extend(
        last.filter(|last| *last < at - (look * 4).max(read.history.scrape * 4))
            .map(|last| format!("stable's last sample is of {}: is it still scraped?", shown(&last))),
    );
    notes
}
