//! Programs that come from the distribution.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program, the Debian package that has it, and what the lab uses it for.
const NEEDED: [(&str, &str, &str); 6] = [
    ("ip", "iproute2", "the lab's addresses and routes"),
    ("nft", "nftables", "kube-proxy's rules"),
    ("unshare", "util-linux", "namespaces"),
    ("nsenter", "util-linux", "`lab kubectl` and `lab exec`"),
    ("python3", "python3-venv", "Envoy's wheel and the model servers"),
    ("prometheus", "prometheus", "metrics"),
];

/// Where the found tools are.
pub(super) struct Tools {
    pub prometheus: PathBuf,
}

/// Finds what is needed. What is missing is installed when run as root, and named otherwise.
pub(super) fn ensure() -> Result<Tools> {
    let missing: Vec<_> = NEEDED.iter().filter(|(program, ..)| find(program).is_none()).collect();
    if !missing.is_empty() {
        let mut packages: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
        packages.dedup();
        for (program, package, purpose) in &missing {
            eprintln!("lab: `{program}` ({package}) is missing; it is needed for {purpose}");
        }
        install(&packages)?;
    }
    Ok(Tools { prometheus: find("prometheus").context("`prometheus` is still missing")? })
}

fn install(packages: &[&str]) -> Result<()> {
    const SCRIPT: &str = include_str!("../../install-packages.sh");
    let status = Command::new("sh").args(["-c", SCRIPT, "install-packages"]).args(packages).status();
    if !status.is_ok_and(|status| status.success()) {
        bail!("{} could not be installed", packages.join(" "));
    }
    Ok(())
}

/// The file a name stands for, also in the directories that only root has in its path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|file| is_file(file))
}

fn is_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}
