//! The lab's network: one namespace, one interface (`lo`), and every address local.

use anyhow::{Context, Result, bail};
use std::process::Command;

/// The machine's address: API server, Prometheus, Envoy's statistics. (Endpoints may not be loopback addresses.)
pub const HOST_IP: &str = "10.0.0.10";
/// The API server, as every component calls it.
pub const API_SERVER: &str = "https://10.0.0.10:6443";
/// Prometheus' HTTP API.
pub const PROMETHEUS: &str = "http://10.0.0.10:9090";
/// The gateway's data port: the listener's port 80, which Contour moves by 8000.
pub const GATEWAY: &str = "http://10.0.0.10:8080";
/// Envoy's statistics and readiness.
pub const ENVOY_STATS: &str = "http://10.0.0.10:8002";
/// Envoy's read-only admin pages (`/config_dump`, `/clusters`, ...).
pub const ENVOY_ADMIN: &str = "http://127.0.0.1:9001";
/// The resource-metrics API, as the API server calls it.
pub const RESOURCE_METRICS: &str = "10.0.0.10:4443";
/// Addresses of Services.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// The API server's own Service address.
pub const API_SERVICE_IP: &str = "10.96.0.1";
/// Addresses of pods.
pub const POD_CIDR: &str = "10.244.0.0/16";

/// Sets up the network of the namespace this process runs in. Running it twice is fine.
pub fn set_up() -> Result<()> {
    let ip = "ip";
    run(ip, &["link", "set", "lo", "up"])?;
    run(ip, &["addr", "replace", &format!("{HOST_IP}/32"), "dev", "lo"])?;
    // Every pod address can be bound by a local process.
    run(ip, &["route", "replace", "local", POD_CIDR, "dev", "lo"])?;
    // Packets to Service addresses reach the output hook, where kube-proxy translates them.
    run(ip, &["route", "replace", SERVICE_CIDR, "dev", "lo", "src", HOST_IP])
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("could not run `{program}`; on Debian: apt-get install iproute2"))?;
    if !output.status.success() {
        bail!("`{program} {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
