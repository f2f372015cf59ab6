//! Synthetic arms: many attempts of one `ModelRollout` against traffic that is drawn at random, to see what its settings are
//! worth before real requests are spent on them.
//!
//! Not to be confused with `simulate`, the world in memory in which scripts run the state machine. Here there is no cluster: only
//! the traffic is made up. What is made of it is a [`course`](crate::course), whose plans, looks and rules are those of the
//! controller; and Prometheus is never away.
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

pub use crate::course::{By, End};
pub use arms::{Arm, ArmError, ArmSettings, Factor, duration};
pub use law::BUCKETS;
pub use manifest::{ManifestError, rollout, stored};
pub use outcome::{Clock, Run};
pub use report::{Quantiles, Report, share_interval};
pub use study::{Study, StudyError, Traffic};
