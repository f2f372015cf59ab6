//! How verbs that answer a question print it: the form of the output, and the exit code that says yes, no, or that it cannot be told.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use clap::ValueEnum;

/// The answer is no.
const NO: u8 = 1;
/// It cannot be told.
const UNKNOWN: u8 = 2;

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One object.
    Json,
}

/// Prints what was found and ends with 0 for yes, 1 for no; an error is said, and ends with 2.
pub fn end(found: Result<(String, bool), impl Display>) -> ExitCode {
    match found {
        Ok((text, yes)) => {
            // A reader that has gone away is no failure.
            let _ = std::io::stdout().write_all(text.as_bytes());
            if yes { ExitCode::SUCCESS } else { ExitCode::from(NO) }
        }
        Err(error) => {
            eprintln!("understudy: {error}");
            ExitCode::from(UNKNOWN)
        }
    }
}
