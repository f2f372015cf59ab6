//! What every subcommand holds about its output.

use std::io;

/// A reader that has gone away (`| head`) has what it wanted: no failure.
///
/// # Errors
/// Any other.
pub fn unless_gone(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
