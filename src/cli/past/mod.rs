//! What Prometheus remembers of a rollout's arms, for the verbs that need no cluster.

mod arms;
mod error;
mod read;
pub mod time;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::Args;

use super::input;
use crate::analysis::Arm;
use crate::api::ModelRollout;
use crate::backtest::Setup;
use crate::measure::{LabelMatch, Limits, Prometheus, Server};
use crate::{course, presets};

pub use error::PastError;
pub use read::Read;

/// An arm, and the matchers that tell its series.
pub type Of<'a> = (Arm, &'a [LabelMatch]);

/// Prometheus, and how the arms are told apart in it.
#[derive(Args, Debug)]
pub struct ArmArgs {
    /// Address of Prometheus, or of what answers its query API.
    #[arg(long, value_name = "URL")]
    pub prometheus: String,
    /// Whose series are stable's, such as 'pod=~"fraud-a-.*"'.
    #[arg(long, value_name = "MATCHER")]
    pub stable: Vec<LabelMatch>,
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
}

/// The rollout of a manifest, its presets written out; it has something to judge by.
///
/// # Errors
/// What is wrong with it.
pub fn manifest(file: &Path, name: Option<&str>) -> Result<ModelRollout, PastError> {
    let mut rollout = input::rollout(file, name)?;
    presets::write_out(&mut rollout.spec);
    course::usable(&rollout.spec)?;
    Ok(rollout)
}

/// Everything that the rollout would have asked about these arms.
///
/// # Errors
/// When an arm cannot be told, or Prometheus does not answer, or has nothing of it.
pub fn read(args: &ArmArgs, arms: &[Of<'_>], setup: &Setup<'_>) -> Result<Read, PastError> {
    let source = source(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(PastError::Runtime)?;
    runtime.block_on(read::history(args, arms, setup, &source))
}

fn source(args: &ArmArgs) -> Result<Prometheus, PastError> {
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

/// A moment as errors name it.
pub fn shown(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
