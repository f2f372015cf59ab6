//! `lab build`.

use anyhow::Result;

pub(super) fn run() -> Result<()> {
    let artifacts = crate::build::build()?;
    println!("control plane  {}", artifacts.controlplane.display());
    println!("contour        {}", artifacts.contour.display());
    println!("envoy          {}", artifacts.envoy.display());
    println!("prometheus     {}", artifacts.prometheus.display());
    Ok(())
}
