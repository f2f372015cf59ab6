//! Scenarios: a real workload in a lab, released and observed, for the demo and for tests.
//!
//! ```text
//! Cluster     lab + the user's objects + the operator under its own rights + load
//! observe     RouteWatch, PodWatch, RolloutWatch, audit: what happened, from the API and not from the operator's word
//! verdict     what each version's release came to, and whether every promise was kept
//! ```

mod cluster;
mod manifests;
pub mod observe;
mod operator;
pub mod programs;
pub mod verdict;

pub use cluster::{Cluster, LoadPlan, NAME};
pub use manifests::{POLICIES, rollout, serving, versions};
pub use operator::{ADDRESS as OPERATOR_ADDRESS, STANDBY as STANDBY_ADDRESS, USER as OPERATOR_USER};
