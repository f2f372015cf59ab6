//! Observers: each notes what the API server says about one thing, with times, independent of the operator's own word.

mod audit;
mod pods;
mod recorder;
mod rollout;
mod route;

pub use audit::{Write, writes};
pub use pods::{PodRecord, PodWatch};
pub use recorder::{Recorder, Seen};
pub use rollout::RolloutWatch;
pub(crate) use route::resource as route_resource;
pub use route::{Body, RouteVersion, RouteWatch, Share, share};
