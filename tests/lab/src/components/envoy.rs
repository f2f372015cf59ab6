//! Envoy, the gateway's data plane.

use super::{Site, contour};
use crate::process::Spec;
use anyhow::{Context, Result, bail};
use std::process::Command;

/// Its readiness page.
pub const HEALTH: &str = "http://10.0.0.10:8002/ready";

/// How it is started. Contour writes its first configuration.
pub fn spec(site: &Site) -> Result<Spec> {
    let bootstrap = site.run.config().join("envoy.json");
    let socket = site.run.config().join("envoy-admin.sock");
    let output = Command::new(&site.artifacts.contour)
        .args(["bootstrap", "--xds-address=127.0.0.1", "--xds-resource-version=v3", "--namespace=lab-system"])
        .arg(format!("--xds-port={}", contour::XDS_PORT))
        .arg(format!("--admin-address={}", socket.display()))
        .arg(&bootstrap)
        .output()
        .context("could not run contour")?;
    if !output.status.success() {
        bail!("`contour bootstrap` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let options = [
        ("--config-path", bootstrap.display().to_string()),
        ("--service-cluster", "lab".into()),
        ("--service-node", "lab".into()),
        ("--concurrency", "1".into()),
        ("--log-level", "warning".into()),
        // Tests read the access log right after the requests.
        ("--file-flush-interval-msec", "100".into()),
    ];
    // Several labs may run on one machine; with hot restart they would meet in shared memory.
    let arguments = options.into_iter().flat_map(|(name, value)| [name.into(), value]);
    let spec =
        Spec::new("envoy", &site.artifacts.envoy, site.run.log("envoy")).args(["--disable-hot-restart"]);
    Ok(spec.args::<String>(arguments))
}
