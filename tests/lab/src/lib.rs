//! The lab.

use std::path::{Path, PathBuf};

pub mod demo;
pub mod load;
pub mod model_server;
pub mod models;

/// Where the lab keeps what it builds: `UNDERSTUDY_BUILD_DIR`, or `build` at the root of the work tree.
pub fn build_dir() -> PathBuf {
    std::env::var_os("UNDERSTUDY_BUILD_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build"), PathBuf::from)
}
