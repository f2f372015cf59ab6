//! Files that a verb reads.

use std::io::Read as _;
use std::path::Path;

/// The text of a file; `-` is standard input.
pub fn read(path: &Path) -> std::io::Result<String> {
    if path.as_os_str() != "-" {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
