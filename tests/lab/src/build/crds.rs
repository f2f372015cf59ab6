//! The kinds of the Gateway API and of Contour, taken out of their Go modules.

use super::{contour, go, step};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Contour also watches TLSRoute v1alpha2, which only the experimental channel of this version has.
const GATEWAY_API: &str = "sigs.k8s.io/gateway-api@v1.3.0";

/// The directory with `gateway-api.yaml` and `contour.yaml`.
pub(super) fn build() -> Result<PathBuf> {
    let contour = format!("{}@{}", contour::MODULE, contour::VERSION);
    let step = step::Step {
        name: "crds",
        title: "taking the Gateway API's and Contour's kinds from their modules",
        inputs: vec![GATEWAY_API.into(), contour.clone()],
    };
    step.run(|directory| {
        let gateway = go::module(directory, GATEWAY_API)?.join("config/crd/experimental");
        fs::write(directory.join("gateway-api.yaml"), definitions(&gateway)?)?;
        let contour = go::module(directory, &contour)?.join("examples/contour/01-crds.yaml");
        fs::write(directory.join("contour.yaml"), fs::read(&contour)?)?;
        Ok(())
    })
}

/// All definitions of a directory as one stream of documents.
fn definitions(directory: &Path) -> Result<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .with_context(|| format!("the module has no {}", directory.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut text = String::new();
    for file in files.iter().filter(|file| !file.ends_with("kustomization.yaml")) {
        text.push_str("---\n");
        text.push_str(&fs::read_to_string(file)?);
    }
    Ok(text)
}
