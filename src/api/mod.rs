//! What users write and read: the three kinds, their limits and their words.
//!
//! This module holds no logic beyond constructors and knows nothing of clusters, clocks or metrics.

mod ab_test;
mod amount;
pub mod condition;
pub mod crd;
pub mod duration;
pub mod keys;
mod metric;
mod metric_kinds;
mod model_rollout;
mod model_version;
mod rollout_decision;
mod rules;
mod schema;
mod status;
mod strategy;
pub mod time;
mod traffic;

pub use ab_test::*;
pub use amount::Amount;
pub use duration::Span;
pub use metric::*;
pub use metric_kinds::*;
pub use model_rollout::*;
pub use model_version::*;
pub use rollout_decision::*;
pub use status::*;
pub use strategy::*;
pub use traffic::*;

/// API group of every kind.
pub const GROUP: &str = "understudy.dev";
/// Served and stored version of every kind.
pub const VERSION: &str = "v1alpha1";
