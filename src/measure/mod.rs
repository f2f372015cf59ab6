//! Where the numbers come from: metric sources. I/O only; what the numbers mean is decided in [`crate::analysis`].
//!
//! A source answers one question, "the raw samples of this selector over this window", and its answer is typed: series,
//! no data, or an error with a class. Servers are named in the operator's configuration and never by a tenant.
//! [`metric::read`] asks it for all selectors of one metric and both arms.

pub mod discover;
mod memo;
pub mod metric;
mod native;
pub mod prometheus;
pub mod promql;
mod promql_tree;
pub mod recorded;
mod reply;
pub mod source;
mod sources;
pub mod together;
pub mod window;

pub use discover::LabelMatch;
pub use metric::{Arms, MetricError, MetricSamples, MetricSelectors, Part, read, read_counter};
pub use prometheus::{Limits, Prometheus, install_tls_provider};
pub use promql::{ScopeError, Scoped, scope};
pub use promql_tree::scope_expression;
pub use recorded::Recorded;
pub use source::{
    ArmMatcher, ErrorClass, Query, Reading, Series, Server, Source, SourceError, scrape_interval,
};
pub use sources::Sources;
pub use window::window;
