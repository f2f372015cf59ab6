//! The rollout as a state machine. Pure: it knows the world only as an [`observed::Observed`] value, which holds the
//! time too, and changes it only by a [`plan::Plan`].

pub mod ab_test;
mod accepted;
mod adoption;
mod capacity;
mod check;
pub mod claims;
mod clean;
mod companions;
mod conditions;
pub mod cost;
mod countable;
pub mod covered;
mod decide;
mod decisions;
mod draft;
mod evidence;
mod expedite;
mod foreign;
mod guard;
mod marks;
pub mod observed;
mod pace;
mod phases;
pub mod plan;
mod provider;
pub mod questions;
mod refused;
mod rejected;
mod replicas;
mod rollback;
mod route;
mod selectors;
mod shortage;
mod target;
mod unseen;
pub mod world;

pub use accepted::accepted_by;
pub use check::{Violation, check, may_follow};
pub use decide::decide;
pub use evidence::{
    Before, Detail, Foreseen, Grid, Judged, MetricFinding, Past, Replay, ReplayError, Schedule, Silent,
    about, counts, forecast, looks, metric_plans, on_breach, past, silence, tail_ms, warm_up_of,
};
pub use observed::Observed;
pub use pace::OwnWrites;
pub use phases::gate;
pub use plan::{Action, Event, Plan};
pub use questions::{Answer, Answers, Question, questions};

use draft::Draft;
