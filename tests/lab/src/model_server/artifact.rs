//! The file with a version's weights. The format is described in `tests/lab/models/README.md`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Pixels of an image.
pub(super) const PIXELS: usize = 64;
const CLASSES: usize = 10;

/// The weights and settings of one version, checked to fit together.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Artifact {
    format: String,
    model: String,
    version: String,
    /// Pixels are divided by this before the first layer.
    pub(super) scale: f64,
    pub(super) layers: Vec<Layer>,
    pub(super) accepts: Option<Accepts>,
    pub(super) cascade: Option<Cascade>,
    pub(super) solver: Option<Solver>,
}

/// A dense layer: `activation(weights * input + bias)`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Layer {
    /// One row an output.
    pub(super) weights: Vec<Vec<f64>>,
    pub(super) bias: Vec<f64>,
    pub(super) activation: Activation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Activation {
    Relu,
    Softmax,
}

/// The inputs that preprocessing lets through; the others are an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Accepts {
    pub(super) statistic: Statistic,
    pub(super) min: f64,
    pub(super) max: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Statistic {
    /// The sum of all pixels.
    Ink,
}

/// The second stage for uncertain images: nearest neighbours from a remote store.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Cascade {
    /// It runs when the best score leads the second by less than this.
    pub(super) margin: f64,
    /// How long the remote store takes to answer.
    pub(super) lookup_millis: u64,
    pub(super) neighbours: usize,
    pub(super) images: Vec<Vec<i32>>,
    pub(super) labels: Vec<usize>,
}

/// Calibration of the scores by iteration, each with an answer of a remote service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Solver {
    /// It ends when scores change by less than this.
    pub(super) tolerance: f64,
    pub(super) max_iterations: Option<u32>,
    pub(super) iteration_millis: u64,
}

impl Artifact {
    /// Reads the artifact at `path`, which must have the registered digest and be that version.
    ///
    /// # Errors
    /// When it cannot be read, is another file than the registered one, or is not an artifact of that version.
    pub fn load(path: &Path, digest: &str, version: &str) -> Result<Self> {
        let content =
            fs::read(path).with_context(|| format!("cannot read the artifact {}", path.display()))?;
        let found = format!("sha256:{}", crate::models::hex(&Sha256::digest(&content)));
        ensure!(
            found == digest,
            "the artifact {} has digest {found}, but {digest} is registered; refusing to serve it",
            path.display()
        );
        let artifact: Self = serde_json::from_slice(&content)
            .with_context(|| format!("{} is not an artifact of this format", path.display()))?;
        artifact
            .check(version)
            .with_context(|| format!("the artifact {} cannot be served", path.display()))?;
        Ok(artifact)
    }

    fn check(&self, version: &str) -> Result<()> {
        ensure!(self.format == "digits-json-v1", "unknown format {}", self.format);
        ensure!(self.model == "digits", "it is a model {}, not digits", self.model);
        ensure!(self.version == version, "it is version {}, not {version}", self.version);
        let mut width = PIXELS;
        for layer in &self.layers {
            ensure!(
                layer.weights.iter().all(|row| row.len() == width),
                "a layer does not fit the one before"
            );
            width = layer.weights.len();
            ensure!(layer.bias.len() == width, "a layer has another number of biases than of outputs");
        }
        ensure!(width == CLASSES, "the last layer has {width} outputs instead of {CLASSES}");
        let last = self.layers.last().map(|layer| layer.activation);
        ensure!(last == Some(Activation::Softmax), "the last layer must give probabilities");
        if let Some(cascade) = &self.cascade {
            ensure!(cascade.images.len() == cascade.labels.len(), "the store has images without labels");
            ensure!(
                cascade.images.iter().all(|image| image.len() == PIXELS),
                "the store has a misshapen image"
            );
            ensure!(cascade.labels.iter().all(|label| *label < CLASSES), "the store has an unknown label");
            let fits = (1..=cascade.images.len()).contains(&cascade.neighbours);
            ensure!(fits, "the store has too few images for {} neighbours", cascade.neighbours);
        }
        Ok(())
    }
}
