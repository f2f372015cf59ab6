//! Everything that the view and the plain lines show, as one value: both are pure functions of it.

use chrono::{DateTime, Utc};
use understudy::api::ModelRollout;

use crate::load::Live;
pub use crate::scenario::observe::Share;

/// The demo at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Now.
    pub now: DateTime<Utc>,
    /// When the first act began.
    pub began: DateTime<Utc>,
    /// One act a version, in the order they are played.
    pub acts: Vec<Act>,
    /// The rollout as the API server last told it.
    pub rollout: Option<ModelRollout>,
    /// The route as the API server last told it.
    pub route: Option<Share>,
    /// What the load generator counts.
    pub load: Option<Live>,
    /// What happened, oldest first.
    pub lines: Vec<Line>,
    /// The lab is left running at the end.
    pub keep: bool,
    /// What is under way outside of any act: `starting the lab`, `reading the access log`.
    pub doing: Option<String>,
}

/// One version's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// The version.
    pub version: String,
    /// How it behaves, in a word or two.
    pub what: String,
    /// How far it is.
    pub state: ActState,
}

/// How far an act is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActState {
    /// Not yet.
    Waiting,
    /// Now.
    Playing,
    /// Over, as it should be: one word for it.
    Done(String),
    /// Over, and not as it should be: one word for it.
    Wrong(String),
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: DateTime<Utc>,
    /// What kind of thing, for its colour.
    pub tone: Tone,
    /// The version that it is about; empty when about none.
    pub version: String,
    /// What.
    pub text: String,
}

/// What kind of thing a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Things going on.
    Plain,
    /// A step forward.
    Good,
    /// A step back, or trouble.
    Bad,
}

impl Line {
    /// A line.
    pub fn new(at: DateTime<Utc>, tone: Tone, version: &str, text: impl Into<String>) -> Self {
        Self { at, tone, version: version.to_owned(), text: text.into() }
    }

    /// As plain text: clock, time since the beginning, version, what.
    pub fn plain(&self, began: DateTime<Utc>) -> String {
        let clock = self.at.format("%H:%M:%S%.3f");
        format!("{clock} {:>6}  {:<6} {}", elapsed(began, self.at), self.version, self.text)
    }
}

/// Minutes and seconds from one moment to a later one.
pub fn elapsed(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    let seconds = (to - from).num_seconds().max(0);
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
