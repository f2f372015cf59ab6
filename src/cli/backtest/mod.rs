//! `understudy backtest`: the decisions that a manifest would have made on real history.

mod arms;
mod error;
mod read;
mod time;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};

use super::input;
use crate::api::ModelRollout;
use crate::backtest::{self, Replay, Setup};
use crate::measure::{LabelMatch, Limits, Prometheus, Server};
use crate::{course, presets};

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
    /// Address of Prometheus, or of what answers its query API.
    #[arg(long, value_name = "URL")]
    pub prometheus: String,
    /// When the candidate got its first requests.
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub from: time::Moment,
    /// The end of the history.
    #[arg(long, value_name = "TIME", default_value = "now", value_parser = time::moment)]
    pub to: time::Moment,
    /// Whose series are stable's, such as 'pod=~"fraud-a-.*"'.
    #[arg(long, value_name = "MATCHER")]
    pub stable: Vec<LabelMatch>,
    /// Whose are the candidate's.
    #[arg(long, value_name = "MATCHER")]
    pub candidate: Vec<LabelMatch>,
    /// The share that the candidate really had all the time, in percent; left out: the manifest's steps are played.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(i32).range(1..=99))]
    pub weight: Option<i32>,
    /// Namespace of the Services in a gateway's labels; left out: the manifest's.
    #[arg(long)]
    pub namespace: Option<String>,
    /// Port of the Services in a gateway's labels.
    #[arg(long)]
    pub port: Option<u16>,
    /// A label that differs between the versions: the manifest's own matchers on it are left out, as the controller does with
    /// those that the Services select by.
    #[arg(long, value_name = "LABEL")]
    pub drop_label: Vec<String>,
    /// File with a bearer token for Prometheus.
    #[arg(long, value_name = "FILE")]
    pub bearer_token_file: Option<PathBuf>,
    /// File with the certificates (PEM) of the authority that signed Prometheus' own.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// The token may be sent over plain HTTP.
    #[arg(long)]
    pub insecure: bool,
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
    let rollout = manifest(args)?;
    let now = Utc::now();
    let (from, to) = (args.from.at(now), args.to.at(now));
    let interval = backtest::interval(&rollout);
    if to > now + chrono::Duration::minutes(1) {
        return Err(BacktestError::Future(to));
    }
    if to - from < interval {
        return Err(BacktestError::Short { from, to, interval });
    }
    let source = source(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(BacktestError::Runtime)?;
    let setup = Setup { rollout: &rollout, from, to, weight: args.weight };
    let (history, notes) = runtime.block_on(read::history(args, &setup, &source))?;
    let replay = Replay::run(&setup, &history)?;
    if let Some(path) = &args.plot {
        plot(path, &setup, &replay)?;
    }
    Ok(match args.output {
        Output::Text => backtest::text(&setup, &replay, &notes),
        Output::Json => format!("{:#}\n", backtest::json(&setup, &replay, &notes)),
    })
}

fn manifest(args: &BacktestArgs) -> Result<ModelRollout, BacktestError> {
    let mut rollout = input::rollout(&args.file, args.name.as_deref())?;
    presets::write_out(&mut rollout.spec);
    course::usable(&rollout.spec)?;
    Ok(rollout)
}

fn source(args: &BacktestArgs) -> Result<Prometheus, BacktestError> {
    let server = Server {
        name: args.prometheus.clone(),
        url: args.prometheus.clone(),
        bearer_token_file: args.bearer_token_file.clone(),
        ca_file: args.ca_file.clone(),
        insecure: args.insecure,
    };
    // Nobody waits for a look here, and hours of history are large.
    let limits = Limits { deadline: std::time::Duration::from_secs(60), bytes: 64 << 20 };
    Ok(Prometheus::new(server, limits)?)
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

/// A moment as errors name it.
fn shown(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
