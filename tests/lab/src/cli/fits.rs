//! `lab fits`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::measured;

const HEAD: &str = "\
# How it fits the cluster it is put in

Each line is a test on a real control plane, gateway and Prometheus (`make fits` runs them and writes this page). Failed: requests
that failed and that no bad version failed itself. Times are those of one run on two cores that did other things as well.
";

#[derive(Args)]
pub(super) struct Fits {
    /// Where to write the page; without it the page is printed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(fits: &Fits) -> Result<()> {
    let all = measured::kept()?;
    ensure!(!all.is_empty(), "nothing has been measured yet: run `make fits`");
    let page = format!("{HEAD}{}", measured::tables(&all));
    match &fits.out {
        None => print!("{page}"),
        Some(path) => {
            std::fs::write(path, page).with_context(|| format!("could not write {}", path.display()))?;
            println!("{} cases in {}", all.len(), path.display());
        }
    }
    Ok(())
}
