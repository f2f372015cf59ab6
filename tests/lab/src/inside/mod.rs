//! Re-executes the running program in namespaces of its own, so that whatever it starts ends with it.
//!
//! ```text
//! program            replaced by unshare(1), which keeps its process id, then
//! └ program (init)   process 1 of the new namespaces: collects orphans, ends when the next one ends
//!   └ program (main) returns from `inside()` and goes on
//!     └ program (node agent), etcd, kube-apiserver, ...
//! ```
//! When process 1 is gone the kernel kills everything else in the namespaces.

mod init;

use anyhow::{Context, Result, bail};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Marks a program that `unshare` starts as the first process of new namespaces.
const ROLE: &str = "UNDERSTUDY_LAB_ROLE";
/// First argument with which the lab starts its own program again as the node agent.
pub(crate) const NODE_AGENT: &str = "__lab-node-agent";

/// Call first in `main`. Returns only in a process that has network, process and mount namespaces of its own
/// (and a user namespace when not started by root).
///
/// # Errors
/// When the machine does not allow the namespaces; the message says what to do.
pub fn inside() -> Result<()> {
    install_crypto();
    let role = std::env::var(ROLE).unwrap_or_default();
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if std::env::args().nth(1).as_deref() == Some(NODE_AGENT) {
        std::process::exit(crate::node::main());
    } else if role == "init" && std::process::id() == 1 {
        std::process::exit(init::run()?);
    } else if role == "main" && parent == Some(1) {
        Ok(())
    } else {
        enter()
    }
}

/// Whether this process runs inside a lab's namespaces that [`inside`] made for it.
pub fn is_inside() -> bool {
    std::env::var(ROLE).is_ok_and(|role| role == "main")
}

/// Runs a future to its end on a runtime made for it.
pub fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("could not start the async runtime")?
        .block_on(future)
}

/// One cryptography provider for everything that speaks TLS in this process.
pub(crate) fn install_crypto() {
    // An error means that one is installed already: just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Arguments of `unshare` for this user.
fn unshare_args() -> Vec<&'static str> {
    let mut args = vec!["--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"];
    if !rustix::process::geteuid().is_root() {
        args.extend(["--user", "--map-root-user"]);
    }
    args
}

fn enter() -> Result<()> {
    let args = unshare_args();
    let probe = Command::new("unshare")
        .args(&args)
        .arg("true")
        .output()
        .context("could not run `unshare`; on Debian: apt-get install util-linux")?;
    if !probe.status.success() {
        bail!(
            "this machine does not let this user make namespaces ({}). Run as root, or allow it: \
             `sysctl -w user.max_user_namespaces=10000`, and where they exist \
             `sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`",
            String::from_utf8_lossy(&probe.stderr).trim()
        );
    }
    let program = std::env::current_exe().context("could not find the running program's own file")?;
    let error = Command::new("unshare")
        .args(&args)
        .arg("--")
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(ROLE, "init")
        .env("PATH", path())
        .exec();
    Err(error).context("could not run `unshare`")
}

/// The path with the directories of system tools, which a user's own path may lack.
fn path() -> String {
    format!("{}:/usr/local/sbin:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
