//! What is shared between the play and what shows it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::lines::Teller;
use super::snapshot::{Act, ActState, Line, Snapshot, Tone};
use crate::load::Live;
use crate::scenario::Cluster;

/// Lines that are kept; the plain mode reads them as they come.
const KEPT: usize = 2000;

/// The state of the demo.
pub(super) struct Stage(Mutex<State>);

struct State {
    began: DateTime<Utc>,
    acts: Vec<Act>,
    lines: Vec<Line>,
    doing: Option<String>,
    keep: bool,
    teller: Teller,
    /// Places in the records up to which lines were made of them.
    rollouts_told: usize,
    routes_told: usize,
    reader: Option<Box<dyn Fn() -> Live + Send + Sync>>,
}

impl Stage {
    pub(super) fn new(acts: Vec<Act>, keep: bool) -> Self {
        Self(Mutex::new(State {
            began: Utc::now(),
            acts,
            lines: Vec::new(),
            doing: None,
            keep,
            teller: Teller::default(),
            rollouts_told: 0,
            routes_told: 0,
            reader: None,
        }))
    }

    /// Notes something that happened.
    pub(super) fn tell(&self, tone: Tone, version: &str, text: impl Into<String>) {
        self.lock().lines.push(Line::new(Utc::now(), tone, version, text));
    }

    /// Notes what is under way outside of any act.
    pub(super) fn doing(&self, what: &str) {
        let mut state = self.lock();
        state.doing = Some(what.to_owned()).filter(|what| !what.is_empty());
        if !what.is_empty() {
            state.lines.push(Line::new(Utc::now(), Tone::Plain, "", what));
        }
    }

    /// Where the counts of the clients come from.
    pub(super) fn load(&self, reader: impl Fn() -> Live + Send + Sync + 'static) {
        self.lock().reader = Some(Box::new(reader));
    }

    /// Moves an act on.
    pub(super) fn act(&self, version: &str, new: ActState) {
        if let Some(act) = self.lock().acts.iter_mut().find(|act| act.version == version) {
            act.state = new;
        }
    }

    /// How things stand, with lines for what happened since the last look.
    pub(super) fn snapshot(&self, cluster: Option<&Cluster>) -> Snapshot {
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(cluster) = cluster {
            state.follow(cluster);
        }
        let excess = state.lines.len().saturating_sub(KEPT);
        state.lines.drain(..excess);
        Snapshot {
            now: Utc::now(),
            began: state.began,
            acts: state.acts.clone(),
            rollout: cluster.and_then(|cluster| cluster.rollout.latest()).map(|seen| seen.object),
            route: cluster.and_then(|cluster| cluster.route.latest()).map(|seen| seen.object.share),
            load: state.reader.as_ref().map(|read| read()),
            lines: state.lines.clone(),
            keep: state.keep,
            doing: state.doing.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lines for what the watches delivered, in the order of their times.
    fn follow(&mut self, cluster: &Cluster) {
        let mut fresh = Vec::new();
        let rollouts = cluster.rollout.recorder().since(self.rollouts_told);
        self.rollouts_told += rollouts.len();
        let mut version = String::new();
        for seen in &rollouts {
            if let Some(status) = &seen.object.status {
                fresh.extend(self.teller.status(seen.at, status));
            }
            version.clone_from(&seen.object.spec.version);
        }
        if version.is_empty() {
            version = cluster.rollout.latest().map(|seen| seen.object.spec.version).unwrap_or_default();
        }
        let routes = cluster.route.recorder().since(self.routes_told);
        self.routes_told += routes.len();
        fresh
            .extend(routes.iter().filter_map(|seen| self.teller.route(seen.at, &version, seen.object.share)));
        fresh.sort_by_key(|line| line.at);
        self.lines.extend(fresh);
    }
}
