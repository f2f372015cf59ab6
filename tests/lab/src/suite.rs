//! The `main` of a test program whose tests share one lab.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

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

/// What failed tests said, once more at the end: who sees only the end of a long output sees it.
#[derive(Default)]
pub struct Failures(Mutex<Vec<String>>);

impl Failures {
    /// Says at once that a test failed, and why.
    pub fn note(&self, name: &str, error: &anyhow::Error) {
        let text = format!("{name}: {error:#}");
        eprintln!("{text}");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// All of them.
    pub fn print(&self, of: &str) {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("failed, of {of}: {}", failures.len());
        for failure in failures.iter() {
            eprintln!("  {failure}");
        }
    }
}
