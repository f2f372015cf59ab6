//! Where the programs are that a scenario runs.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// Set to the operator's binary to use another than the one beside this program.
pub const OPERATOR: &str = "UNDERSTUDY_BIN";

/// The operator: `UNDERSTUDY_BIN`, else `understudy` beside this program (for tests: one directory up).
///
/// # Errors
/// When it was not built; the message says how to.
pub fn operator() -> Result<PathBuf> {
    match std::env::var_os(OPERATOR) {
        Some(path) if !path.is_empty() => Ok(path.into()),
        Some(_) | None => beside("understudy", "cargo build --package understudy"),
    }
}

/// The lab's own command, which is also the image of the model servers.
///
/// # Errors
/// When it was not built; the message says how to.
pub fn lab() -> Result<PathBuf> {
    beside("lab", "cargo build --package understudy-lab")
}

fn beside(name: &str, build: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found =
        own.ancestors().skip(1).take(2).map(|directory| directory.join(name)).find(|path| path.is_file());
    match found {
        Some(path) => Ok(path),
        None => bail!("the program {name:?} is not beside {}: build it with `{build}`", own.display()),
    }
}
