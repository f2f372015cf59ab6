//! Rules about versions. Pure: knows the three kinds, and nothing of clusters, clocks or metrics.
//!
//! ```text
//! bundle         what a version is: the digest over weights, prompt, tools and parameters
//! semver         which versions are versions, and their order
//! find           the ModelVersion of a model and version
//! lifecycle      where a version stands, derived from the rollouts that name it
//! model_version  the status of a ModelVersion, all of it
//! ```

pub mod bundle;
pub mod find;
pub mod lifecycle;
pub mod model_version;
pub mod semver;
