//! Synthetic arms: many attempts of one `ModelRollout` against traffic that is drawn at random, to see what its settings are
//! worth before real requests are spent on them.
//!
//! Not to be confused with `simulate`, the world in memory in which scripts run the state machine. Here there is no cluster: only
//! the traffic is made up. Plans, looks, and what a step waits for are those of the controller:
//! [`metric_plans`](crate::rollout::metric_plans), [`step`](crate::analysis::step()) and
//! [`gate`](crate::rollout::gate). What the cluster adds is left out: pods are ready at once, nobody edits the route,
//! and Prometheus is never away.
//!
//! Pure and reproducible: a run depends on the study, the seed and its number, and on nothing else.

mod arms;
mod attempt;
mod draw;
mod law;
mod manifest;
mod outcome;
mod report;
mod study;

pub use arms::{Arm, ArmError, ArmSettings, Factor, duration};
pub use law::BUCKETS;
pub use manifest::{ManifestError, rollout};
pub use outcome::{By, Clock, End, Run};
pub use report::{Quantiles, Report, share_interval};
pub use study::{Study, StudyError, Traffic};
