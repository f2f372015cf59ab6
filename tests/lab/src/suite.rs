//! The `main` of a test program whose tests share one lab.

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Trial};

/// Lists the tests when asked to, without a lab; else runs them. What kept `run` from running them is printed.
pub fn main(names: impl FnOnce() -> Vec<Trial>, run: impl FnOnce() -> Result<ExitCode>) -> ExitCode {
    if std::env::args().any(|argument| argument == "--list") {
        return libtest_mimic::run(&Arguments::from_args(), names()).exit_code();
    }
    run().unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}
