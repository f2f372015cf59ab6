//! Numbers: from raw counter samples of two arms to a verdict that stays valid however often one looks.
//!
//! Pure, and it knows nothing of Kubernetes, Prometheus or the API types. The way of a look:
//! raw samples -> [`sample::intervals`] -> [`advance()`] with the [`MetricPlan`] and the saved [`MetricState`] -> the new
//! state and a [`MetricVerdict`]. Silence ([`silence`]) and pod signals ([`pods`]) are signals of their own, outside the
//! error budget ([`budget`]).
//!
//! Every metric has two e-processes, "worse than the rollback bound" and "within the promotion bound". An e-process
//! starts at 1 and is multiplied by bets whose expectation is at most 1 under its null hypothesis; reaching 1/alpha has
//! probability at most alpha, at any stopping time. All logarithms are natural.

pub mod ab_test;
mod advance;
pub mod budget;
pub mod cost;
pub mod count;
pub mod dispersion;
pub mod engine;
pub mod forecast;
pub mod guard;
pub mod interval;
pub mod latency;
pub mod ledger;
pub mod mean;
pub mod paired_t;
pub mod plan;
pub mod pods;
pub mod sample;
mod sample_pod;
pub mod score_forecast;
pub mod silence;
pub mod state;
pub mod text;
pub mod trace;
pub mod value;
pub mod verdict;

pub use advance::{advance, step};
pub use interval::{Arm, Bound, Counter, Counts, Cursor, Discard, Interval, Looks, Problem, Span};
pub use plan::{Better, Kind, Limit, MetricPlan, Stage};
pub use sample::{RawSeries, Window, intervals};
pub use state::{Breach, BreachKind, MetricState};
pub use verdict::{MetricVerdict, Outcome, Reason};
