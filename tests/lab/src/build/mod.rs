//! Builds what the lab runs, once, and keeps it under `build/lab/cache`.
//!
//! An entry is named by a hash of its inputs. It is made in a directory of its own under a file lock and moved
//! into place when it is whole, so a killed build or two at once leave no half files.

mod contour;
mod controlplane;
mod crds;
mod envoy;
mod go;
mod step;
mod tools;

use anyhow::Result;
use std::path::PathBuf;

/// The programs and manifests of a lab.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// Directory with etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy and kubectl.
    pub controlplane: PathBuf,
    /// Contour.
    pub contour: PathBuf,
    /// Envoy.
    pub envoy: PathBuf,
    /// The Gateway API's kinds (experimental channel).
    pub gateway_crds: PathBuf,
    /// Contour's own kinds.
    pub contour_crds: PathBuf,
    /// Prometheus.
    pub prometheus: PathBuf,
}

impl Artifacts {
    /// One program of the control plane.
    pub fn kube(&self, name: &str) -> PathBuf {
        self.controlplane.join(name)
    }
}

/// Builds what is missing. With everything in place this takes milliseconds.
///
/// # Errors
/// When a tool is missing (the message names the command that installs it) or a build fails.
pub fn build() -> Result<Artifacts> {
    let tools = tools::ensure()?;
    let crds = crds::build()?;
    Ok(Artifacts {
        envoy: envoy::build()?.join("envoy"),
        gateway_crds: crds.join("gateway-api.yaml"),
        contour_crds: crds.join("contour.yaml"),
        controlplane: controlplane::build()?,
        contour: contour::build()?.join("contour"),
        prometheus: tools.prometheus,
    })
}
