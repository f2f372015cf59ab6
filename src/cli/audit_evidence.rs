//! `understudy audit-evidence`: the evidence of an attempt once more, from what Prometheus holds.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{ArgGroup, Args};
use kube::Api;
use serde_json::{Value, json};

use super::answer::{self, Output};
use super::{config, input};
use crate::analysis::MetricState;
use crate::api::{Evidence, ModelRollout};
use crate::cluster::client;
use crate::controller::ask;
use crate::measure::{Limits, Server, Sources, install_tls_provider};
use crate::rollout::{MetricFinding, Observed, Replay, ReplayError};
use crate::synthetic;
use crate::telemetry::Metrics;

/// Shown below `--help`.
pub const EXAMPLES: &str = "\
Examples:
  Was version 1.4.0 taken back for good reason? Ask the samples:
    understudy audit-evidence fraud/scorer --prometheus http://localhost:9090
  A status that was saved at the time, and a Prometheus that still holds the samples:
    kubectl -n fraud get modelrollout scorer -o yaml > then.yaml
    understudy audit-evidence -f then.yaml --prometheus http://localhost:9090

It ends with 0 when status says what the samples give, with 1 when it does not, and with 2 when that cannot be told.";

/// How long one query may take, and how large its answer may be.
const LIMITS: Limits = Limits { deadline: Duration::from_secs(30), bytes: 64 << 20 };

/// Arguments of `understudy audit-evidence`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").required(true).args(["rollout", "file"]))]
#[command(group = ArgGroup::new("where").required(true).args(["prometheus", "config"]))]
pub struct AuditArgs {
    /// The ModelRollout, as NAME or NAMESPACE/NAME; it is read as kubectl would read it.
    pub rollout: Option<String>,
    /// A ModelRollout with its status, as `kubectl get -o yaml` prints it; `-` reads it from standard input.
    #[arg(long, short)]
    pub file: Option<PathBuf>,
    /// The Prometheus server that the rollout names, at an address that this machine can reach.
    #[arg(long, value_name = "URL")]
    pub prometheus: Option<String>,
    /// The operator's configuration file, for a server with a token or an authority of its own.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Form of the output.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The rollout.
    #[error("{0}")]
    Rollout(String),
    /// It has no evidence.
    #[error(
        "{0} has no evidence in its status: nothing has been brought on since it was adopted, or the last release was \
         expedited, which is not judged"
    )]
    NoEvidence(String),
    /// It cannot be recomputed.
    #[error("{0}")]
    Replay(#[from] ReplayError),
    /// Prometheus.
    #[error("{0}")]
    Source(String),
}

/// An attempt, recomputed.
struct Audit {
    of: String,
    evidence: Evidence,
    findings: Vec<MetricFinding>,
}

/// Recomputes, prints, and says by the exit code how it went.
pub fn main(args: &AuditArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let found = match runtime {
        Ok(runtime) => runtime.block_on(audit(args)),
        Err(error) => Err(AuditError::Rollout(format!("no runtime: {error}"))),
    };
    answer::end(found.map(|audit| {
        let text = match args.output {
            Output::Text => audit.text(),
            Output::Json => format!("{:#}\n", audit.json()),
        };
        (text, audit.equal())
    }))
}

async fn audit(args: &AuditArgs) -> Result<Audit, AuditError> {
    install_tls_provider();
    let rollout = match (&args.file, &args.rollout) {
        (Some(path), _) => from_file(path)?,
        (None, Some(name)) => from_cluster(name).await?,
        (None, None) => return Err(AuditError::Rollout("which ModelRollout? Name it or give --file".into())),
    };
    let name = format!(
        "{}/{}",
        rollout.metadata.namespace.as_deref().unwrap_or("default"),
        rollout.metadata.name.as_deref().unwrap_or_default()
    );
    let (version, evidence) = evidence(&rollout).ok_or_else(|| AuditError::NoEvidence(name.clone()))?;
    let sources = sources(args, &rollout.spec.analysis.prometheus)?;
    let obs = Observed::only(rollout, Utc::now());
    let replay = recompute(&obs, &evidence, &sources).await?;
    Ok(Audit { of: format!("{name} {version}"), findings: replay.findings(), evidence })
}

/// The present attempt, else the last one.
fn evidence(rollout: &ModelRollout) -> Option<(String, Evidence)> {
    let status = rollout.status.as_ref()?;
    let present = status.evidence.clone().filter(|e| !e.tests.metrics.is_empty());
    let named = |e| (status.candidate.as_ref().map(|c| c.version.clone()).unwrap_or_default(), e);
    present.map(named).or_else(|| status.last_evidence.clone().map(|last| (last.version, last.evidence)))
}

async fn recompute(obs: &Observed, evidence: &Evidence, sources: &Sources) -> Result<Replay, AuditError> {
    let read = async |questions| ask(sources, questions, LIMITS.deadline, &|_| {}).await;
    let mut replay = Replay::start(obs, evidence, &read(Replay::past(obs, evidence)?).await)?;
    let told = std::io::stderr().is_terminal();
    while let Some(questions) = replay.questions(obs) {
        replay.go_on(&read(questions).await)?;
        if told {
            eprint!("\r{:3.0} % of the attempt", replay.done() * 100.0);
        }
    }
    if told {
        eprint!("\r{:24}\r", "");
    }
    Ok(replay)
}

fn from_file(path: &std::path::Path) -> Result<ModelRollout, AuditError> {
    let wrong = |what: String| AuditError::Rollout(format!("{}: {what}", path.display()));
    let text = input::read(path).map_err(|e| wrong(e.to_string()))?;
    synthetic::stored(&text, None).map_err(|e| wrong(e.to_string()))
}

async fn from_cluster(name: &str) -> Result<ModelRollout, AuditError> {
    let failed = |what: String| AuditError::Rollout(format!("ModelRollout {name} cannot be read: {what}"));
    let client = client::connect(&Metrics::new()).await.map_err(|e| failed(e.to_string()))?;
    let api: Api<ModelRollout> = match name.split_once('/') {
        Some((namespace, _)) => Api::namespaced(client, namespace),
        None => Api::default_namespaced(client),
    };
    let own = name.split_once('/').map_or(name, |(_, own)| own);
    api.get(own).await.map_err(|e| failed(e.to_string()))
}

fn sources(args: &AuditArgs, wanted: &str) -> Result<Sources, AuditError> {
    let servers = match (&args.prometheus, &args.config) {
        (Some(url), _) => vec![Server { name: wanted.to_owned(), url: url.clone(), ..Server::default() }],
        (None, Some(path)) => config::read(path).map_err(|e| AuditError::Source(e.to_string()))?.prometheus,
        (None, None) => Vec::new(),
    };
    Sources::from_servers(servers, LIMITS).map_err(|e| AuditError::Source(e.to_string()))
}

impl Audit {
    fn equal(&self) -> bool {
        self.findings.iter().all(|finding| finding.differences.is_empty())
    }

    fn looks(&self) -> i64 {
        (self.evidence.t_k - self.evidence.t0).num_milliseconds() / self.evidence.interval_ms.max(1)
    }

    fn text(&self) -> String {
        let Evidence { t0, t_k, .. } = &self.evidence;
        let mut out =
            format!("{}: {} looks from {} to {}\n\n", self.of, self.looks(), moment(*t0), moment(*t_k));
        let head = ["METRIC", "FROM", "CANDIDATE", "STABLE", "LOG E WORSE", "LOG E GOOD", "BREACH"];
        let mut rows = vec![head.map(str::to_owned)];
        for finding in &self.findings {
            let row = |from: &str, name: &str, s: &MetricState| {
                let breach = s.breach.as_ref().map_or("-".to_owned(), |b| moment(b.at));
                let [n, m] = [s.candidate.n, s.stable.n].map(|n| n.to_string());
                let [bad, ok] = [s.engine.log_bad(), s.engine.log_ok()].map(|e| format!("{e:.6}"));
                [name.to_owned(), from.to_owned(), n, m, bad, ok, breach]
            };
            rows.push(row("status", &finding.metric, &finding.stored));
            if !finding.value {
                rows.push(row("samples", "", &finding.recomputed));
            }
        }
        let width = |i: usize| rows.iter().map(|row| row[i].len()).max().unwrap_or(0);
        for row in &rows {
            let cells = row.iter().enumerate().map(|(i, cell)| format!("{cell:<w$}", w = width(i)));
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        out.push('\n');
        self.conclude(&mut out);
        out
    }

    fn conclude(&self, out: &mut String) {
        for finding in self.findings.iter().filter(|f| f.value) {
            let _ = writeln!(
                out,
                "{}: the value of an expression is no evidence, and is not recomputed.",
                finding.metric
            );
        }
        for finding in &self.findings {
            let [first, rest @ ..] = &finding.differences[..] else { continue };
            let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
            let _ = writeln!(out, "{}: {first}{more}", finding.metric);
        }
        if self.equal() {
            out.push_str("Status says what the samples give.\n");
            return;
        }
        out.push_str("Status does not say what the samples give.\n");
        if self.findings.iter().any(|f| f.recomputed.stable.n == 0.0 && f.stored.stable.n > 0.0) {
            let _ = writeln!(
                out,
                "Prometheus gives no samples of stable: is it the server that the rollout names, and does its retention reach back to {}?",
                moment(self.evidence.t0)
            );
        }
    }

    fn json(&self) -> Value {
        let numbers = |s: &MetricState| {
            json!({
                "candidate": s.candidate.n, "stable": s.stable.n,
                "logEvidenceWorse": s.engine.log_bad(), "logEvidenceGood": s.engine.log_ok(),
                "breach": s.breach,
            })
        };
        let metric = |f: &MetricFinding| {
            let recomputed = (!f.value).then(|| numbers(&f.recomputed));
            json!({"metric": f.metric, "status": numbers(&f.stored), "samples": recomputed, "differences": f.differences})
        };
        json!({
            "rollout": self.of, "equal": self.equal(), "looks": self.looks(),
            "from": self.evidence.t0, "to": self.evidence.t_k,
            "metrics": self.findings.iter().map(metric).collect::<Vec<_>>(),
        })
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
