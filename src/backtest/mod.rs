//! What a rollout would have done: its [`course`](crate::course) on samples that a metric source remembers. Pure.
//!
//! Plans, limits, budgets, looks and rules are the controller's. What no counter tells is not replayed: pods that crash or are
//! not ready, edits of the route, decisions of people. Silence of a candidate is told where its true share is known.

mod history;
mod replay;
mod report;
mod show;

pub use history::{History, Oldest};
pub use replay::{Decision, Part, Refused, Replay, Setup, What, interval, past};
pub use report::{json, text};
pub use show::chart;
