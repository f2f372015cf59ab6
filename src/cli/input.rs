//! Files that a verb reads.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::api::ModelRollout;
use crate::synthetic::{self, ManifestError};

/// Why a manifest gives no rollout.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file.
    #[error("could not read {path}: {source}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What stands in it.
    #[error("{path}: {source}", path = .path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: ManifestError,
    },
}

/// The rollout of a manifest; `name` chooses where there are several.
///
/// # Errors
/// When the file cannot be read, or what stands in it cannot be used.
pub fn rollout(path: &Path, name: Option<&str>) -> Result<ModelRollout, InputError> {
    let text = read(path).map_err(|source| InputError::File { path: path.to_owned(), source })?;
    synthetic::rollout(&text, name).map_err(|source| InputError::Manifest { path: path.to_owned(), source })
}

/// The text of a file; `-` is standard input.
pub fn read(path: &Path) -> std::io::Result<String> {
    if path.as_os_str() != "-" {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
