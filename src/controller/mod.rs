//! The thin shells around the pure core: gather, decide, check, apply, report, for every object on its own.

mod ask;
pub mod backoff;
pub mod carry_out;
mod context;
mod cover;
mod error;
mod gather;
mod model_rollout;
mod model_version;
pub mod queries;
pub mod queue;
mod report;
mod run;
mod wake;

pub use ask::ask;
pub use context::{Context, Memory};
pub use error::Error;
pub use model_rollout::reconcile;
pub use queue::{Job, Next};
pub use run::{Ended, Settings, run};
