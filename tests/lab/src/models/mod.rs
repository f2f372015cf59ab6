//! The versions of the model `digits`: trained with scikit-learn on this machine, once, and kept in the build directory.
//!
//! Weights differ in their last bits between machines, and so do digests. So nothing of this is committed: artifacts,
//! ModelVersion manifests and requests are written beside each other, in a directory named by the hash of what they
//! were made from.

mod python;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Embedded, so that the verb works from any directory and the hash is of what really runs.
const TRAINING: &str = include_str!("../../models/train.py");
const REQUIREMENTS: &str = include_str!("../../models/requirements.txt");
const DEPLOYMENT: &str = include_str!("../../models/deploy/digits.yaml");

/// All trained versions and the files made with them.
#[derive(Clone, Debug, Serialize)]
pub struct Models {
    /// The directory that holds every file named here.
    pub dir: PathBuf,
    /// In ascending order: 1.0.0 to 1.8.0.
    pub versions: Vec<Version>,
    /// One YAML file with the ModelVersion of every version.
    pub manifests: PathBuf,
    /// The holdout images with their true labels, as JSON lines.
    pub holdout: PathBuf,
    /// Deployment, Service and HTTPRoute of the workload that serves 1.0.0 on day one.
    pub deployment: PathBuf,
}

/// One trained version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// SemVer, e.g. `1.2.0`. The ModelVersion's name is `digits-<version>`.
    pub version: String,
    /// How it behaves, in a few words.
    pub summary: String,
    /// The cause of its behaviour.
    pub limitations: String,
    /// The file with its weights; absolute once loaded.
    pub artifact: PathBuf,
    /// The registered digest, `sha256:<hex>`. That of 1.8.0 is not its file's.
    pub digest: String,
    /// What scikit-learn answers on the holdout, to compare with.
    pub expected: PathBuf,
    /// Its ModelVersion, alone.
    pub manifest: PathBuf,
    /// From its evaluation on the holdout.
    pub metrics: Metrics,
    /// Share of the holdout that it answers with an error, 0 to 1.
    pub refused_share: f64,
    /// Share of the holdout that waits for its second stage, 0 to 1.
    pub second_stage_share: f64,
}

/// What the evaluation of a version measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Share of correct digits among the answered images.
    pub accuracy: f64,
    /// Mean over the digits of the F1 score.
    #[serde(rename = "macroF1")]
    pub macro_f1: f64,
    /// Share of images that are answered at all (a version that never answers is not seen by an offline evaluation).
    pub answered: f64,
    /// Estimated median time of a prediction.
    pub latency_p50_millis: f64,
    /// Estimated 99th percentile of the time of a prediction.
    pub latency_p99_millis: f64,
}

#[derive(Deserialize)]
struct Index {
    holdout: PathBuf,
    manifests: PathBuf,
    versions: Vec<Version>,
}

impl Models {
    /// The version of that number.
    ///
    /// # Errors
    /// When no such version was trained.
    pub fn version(&self, version: &str) -> Result<&Version> {
        let known = || self.versions.iter().map(|v| v.version.as_str()).collect::<Vec<_>>().join(", ");
        self.versions
            .iter()
            .find(|v| v.version == version)
            .with_context(|| format!("no version {version} of digits; there are {}", known()))
    }

    /// Reads what training left in `dir`.
    fn read(dir: &Path) -> Result<Self> {
        let index = dir.join("models.json");
        let text = fs::read_to_string(&index).with_context(|| format!("cannot read {}", index.display()))?;
        let mut index: Index =
            serde_json::from_str(&text).context("models.json is not an index of models")?;
        for version in &mut index.versions {
            for file in [&mut version.artifact, &mut version.expected, &mut version.manifest] {
                *file = dir.join(&file);
            }
        }
        Ok(Self {
            dir: dir.to_owned(),
            versions: index.versions,
            manifests: dir.join(index.manifests),
            holdout: dir.join(index.holdout),
            deployment: dir.join("deployment.yaml"),
        })
    }

    /// A table for people: one line a version.
    pub fn table(&self) -> String {
        let mut table = format!(
            "{:<8} {:>8} {:>8} {:>8} {:>8}  {:<20} {}\n",
            "VERSION", "ACCURACY", "MACRO-F1", "REFUSED", "2ND STG", "DIGEST", "WHAT"
        );
        for v in &self.versions {
            let digest = v.digest.get(..19).unwrap_or(&v.digest);
            let (accuracy, f1) = (v.metrics.accuracy, v.metrics.macro_f1);
            let (refused, second) = (100.0 * v.refused_share, 100.0 * v.second_stage_share);
            let _infallible = writeln!(
                table,
                "{:<8} {accuracy:>8.4} {f1:>8.4} {refused:>7.1}% {second:>7.1}%  {digest:<20} {}",
                v.version, v.summary
            );
        }
        table
    }
}

/// Trains what is not there yet (under a minute the first time) and says where everything is.
///
/// Safe to call from several processes at once.
///
/// # Errors
/// When Python or its `venv` module is missing (the message names the command that installs them), when packages cannot
/// be installed, or when training fails.
pub fn ensure() -> Result<Models> {
    ensure_in(&crate::build_dir().join("lab"))
}

/// As [`ensure`], below another directory.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_in(root: &Path) -> Result<Models> {
    fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
    let root = &root.canonicalize().with_context(|| format!("cannot resolve {}", root.display()))?;
    let inputs = inputs_hash();
    let dir = root.join("models").join(&inputs[..16]);
    let lock = fs::File::create(root.join("models.lock")).context("cannot create models.lock")?;
    lock.lock().context("cannot lock models.lock")?;
    if !dir.join("deployment.yaml").exists() {
        train(root, &dir, &inputs)?;
    }
    Models::read(&dir)
}

fn inputs_hash() -> String {
    let mut hash = Sha256::new();
    for part in [TRAINING, REQUIREMENTS, DEPLOYMENT] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// `deployment.yaml` is written last: its presence says that the directory is whole.
fn train(root: &Path, dir: &Path, inputs: &str) -> Result<()> {
    let python = python::venv(&root.join("venv"), REQUIREMENTS)?;
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let script = dir.join("train.py");
    fs::write(&script, TRAINING).context("cannot write train.py")?;
    python::run(&python, &script, dir, inputs)?;
    let models = Models::read(dir)?;
    let first = models.version("1.0.0")?;
    let uri = format!("file://{}", first.artifact.display());
    let manifest = DEPLOYMENT.replace("${MODEL_URI}", &uri).replace("${MODEL_DIGEST}", &first.digest);
    fs::write(&models.deployment, manifest).context("cannot write deployment.yaml")
}

/// The verb `lab models`: trains if needed and prints the versions.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print as JSON, with every path.
    #[arg(short, long, value_parser = ["json", "table"], default_value = "table")]
    output: String,
}

/// Runs the verb.
///
/// # Errors
/// As [`ensure`].
pub fn run(args: &Args) -> Result<()> {
    let models = ensure()?;
    if args.output == "json" {
        println!("{}", serde_json::to_string_pretty(&models)?);
    } else {
        print!("{}", models.table());
        println!("\nManifests: {}\nDeployment: {}", models.manifests.display(), models.deployment.display());
    }
    Ok(())
}
