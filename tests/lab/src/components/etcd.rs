//! etcd, without waiting for the disk: a lab's data need not outlive it.

use super::Site;
use crate::process::Spec;

/// Its health page.
pub const HEALTH: &str = "http://127.0.0.1:2379/health";

/// How it is started.
pub fn spec(site: &Site) -> Spec {
    let data = site.run.data().join("etcd");
    site.kube("etcd").args([
        format!("--data-dir={}", data.display()),
        "--unsafe-no-fsync".into(),
        "--listen-client-urls=http://127.0.0.1:2379".into(),
        "--advertise-client-urls=http://127.0.0.1:2379".into(),
        "--listen-peer-urls=http://127.0.0.1:2380".into(),
        "--log-level=warn".into(),
    ])
}
