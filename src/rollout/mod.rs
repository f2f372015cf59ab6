//! The rollout as a state machine. Pure: it knows the world only as an [`observed::Observed`] value, which holds the
//! time too, and changes it only by a [`plan::Plan`].

pub mod observed;
pub mod plan;
pub mod questions;

pub use observed::Observed;
pub use plan::{Action, Event, Plan};
