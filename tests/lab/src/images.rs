//! The images table: which program an image's name stands for.
//!
//! An entry is a file `<reference>.json` under `build/lab/images` (all labs) or the lab's own `images` directory
//! (which comes first): `{"command": ["/path/to/program", "argument"], "env": {"NAME": "value"}}`. `<reference>` is a
//! whole reference (`lab/model-server@sha256:…`, `lab/model-server:1.4`) or a repository (`lab/model-server`),
//! which then stands for every tag and digest of it. `command` is the image's entrypoint.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// An image without an entrypoint, always there: for containers that name their `command`.
pub const PROCESS: &str = "lab/process";

/// What an image runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The entrypoint.
    #[serde(default)]
    pub command: Vec<String>,
    /// Variables that every container of it gets.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// Writes an entry, whole or not at all.
///
/// # Errors
/// For a reference that is no name, and when the file cannot be written.
pub fn register(directory: &Path, reference: &str, image: &Image) -> Result<()> {
    let path = entry(directory, reference)?;
    let parent = path.parent().context("an entry has a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("could not create {}", parent.display()))?;
    let unfinished = path.with_extension(format!("unfinished-{}", std::process::id()));
    fs::write(&unfinished, serde_json::to_vec_pretty(image)?)?;
    fs::rename(&unfinished, &path).with_context(|| format!("could not write {}", path.display()))
}

/// Finds what a reference stands for: the whole reference first, then its repository, in each directory.
///
/// # Errors
/// When nothing is registered under that name.
pub fn resolve(directories: &[PathBuf], reference: &str) -> Result<Image> {
    let repository = repository(reference);
    if repository == PROCESS {
        return Ok(Image::default());
    }
    for directory in directories {
        for name in [reference, repository] {
            let path = entry(directory, name)?;
            if let Ok(text) = fs::read(&path) {
                return serde_json::from_slice(&text)
                    .with_context(|| format!("{} is not an image entry", path.display()));
            }
        }
    }
    bail!(
        "no image {reference:?} in the lab's table; register it: lab image {repository} -- PROGRAM [ARGUMENT]..."
    )
}

/// A reference without tag and digest.
pub fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    let path_starts = name.rfind('/').map_or(0, |slash| slash + 1);
    // A colon before the last slash belongs to a registry's port.
    name[path_starts..].find(':').map_or(name, |colon| &name[..path_starts + colon])
}

fn entry(directory: &Path, reference: &str) -> Result<PathBuf> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !reference.split('/').all(plain) {
        bail!("{reference:?} is not an image name");
    }
    Ok(directory.join(format!("{reference}.json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(program: &str) -> Image {
        Image { command: vec![program.into()], env: BTreeMap::new() }
    }

    #[test]
    fn the_repository_is_the_reference_without_tag_and_digest() {
        for (reference, expected) in [
            ("lab/m", "lab/m"),
            ("lab/m:1.0", "lab/m"),
            ("lab/m@sha256:00", "lab/m"),
            ("host:5000/lab/m:1.0@sha256:00", "host:5000/lab/m"),
        ] {
            assert_eq!(repository(reference), expected);
        }
    }

    #[test]
    fn a_whole_reference_comes_before_its_repository_and_the_lab_before_the_shared_table() {
        let root = std::env::temp_dir().join(format!("lab-images-{}", std::process::id()));
        let (own, shared) = (root.join("own"), root.join("shared"));
        register(&shared, "lab/m", &runs("shared")).unwrap();
        register(&shared, "lab/m:2", &runs("shared-2")).unwrap();
        register(&own, "lab/n", &runs("own-n")).unwrap();
        register(&shared, "lab/n", &runs("shared-n")).unwrap();
        let directories = [own, shared];
        let program = |reference: &str| resolve(&directories, reference).map(|image| image.command.concat());
        assert_eq!(program("lab/m:1").unwrap(), "shared");
        assert_eq!(program("lab/m:2").unwrap(), "shared-2");
        assert_eq!(program("lab/n@sha256:00").unwrap(), "own-n");
        assert_eq!(program("lab/process:any").unwrap(), "");
        assert!(program("lab/other").unwrap_err().to_string().contains("lab image lab/other"));
        assert!(program("../secret").is_err());
        fs::remove_dir_all(root).unwrap();
    }
}
