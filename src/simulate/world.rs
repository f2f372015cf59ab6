//! The fake world: objects, what versions are like, the gateway, the requests, Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

use crate::rollout::Action;
use crate::rollout::observed::{SelectorPolicy, Unread, WatchFailing};

use super::objects::Objects;
use super::prometheus::Prometheus;
use super::traffic::{Ledger, Shares};

/// Namespace of everything.
pub const NAMESPACE: &str = "shop";
/// Name of the user's Deployment, Service and HTTPRoute, and of the ModelRollout.
pub const NAME: &str = "scorer";

/// What a version is like when it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// Share of requests that it fails.
    pub errors: f64,
    /// Share of requests that it answers slowly.
    pub slow: f64,
    /// Share of answers that are correct.
    pub score: f64,
    /// It accepts requests and finishes none.
    pub silent: bool,
    /// Share of the requests that reach it and are never finished.
    pub unfinished: f64,
    /// Its container ends with an error every few seconds.
    pub crashing: bool,
    /// Its pods never become ready.
    pub never_ready: bool,
    /// Seconds from start to ready.
    pub start: i64,
    /// Prometheus does not scrape its pods.
    pub unscraped: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            errors: 0.01,
            slow: 0.0,
            score: 0.95,
            silent: false,
            unfinished: 0.0,
            crashing: false,
            never_ready: false,
            start: 3,
            unscraped: false,
        }
    }
}

/// The gateway.
#[derive(Clone, Debug, Default)]
pub struct Gateway {
    /// Services that the data plane knows.
    pub known: BTreeSet<String>,
    /// It takes no route.
    pub refuses: bool,
    /// It takes no route that matches by regular expressions.
    pub plain: bool,
    /// It reports on no route.
    pub mute: bool,
    /// The API server does not know its kinds.
    pub absent: bool,
    /// What its class says it supports.
    pub features: Option<Vec<String>>,
}

/// What the user means their objects to be: what must be there, byte for byte, at rest.
#[derive(Clone, Debug, Default)]
pub struct Meant {
    /// The route's spec.
    pub route: Option<Value>,
    /// The route's managedFields, while nobody edited a part of it by hand.
    pub owners: Option<Value>,
    /// Template of the origin.
    pub template: Option<Value>,
    /// The user's other objects by kind and name.
    pub others: BTreeMap<String, Value>,
    /// People who scaled a Deployment themselves.
    pub scaled: BTreeSet<String>,
}

/// Everything outside the operator.
#[derive(Clone, Debug)]
pub struct World {
    /// Now.
    pub now: DateTime<Utc>,
    /// When the script began.
    pub begin: DateTime<Utc>,
    /// What the API server holds.
    pub objects: Objects,
    /// Writes so far; the last resourceVersion given out.
    pub writes: u64,
    /// Writes of the operator so far, by resource and object.
    pub tally: BTreeMap<String, u64>,
    /// Names given out so far.
    pub serial: u64,
    /// Versions.
    pub behaviours: BTreeMap<String, Behaviour>,
    /// The gateway.
    pub gateway: Gateway,
    /// What became of requests.
    pub ledger: Ledger,
    /// How requests are dealt out.
    pub shares: Shares,
    /// What was scraped.
    pub prometheus: Prometheus,
    /// A watch of the operator that fails. The fake operator sees everything all the same; it only does not trust it.
    pub watch_failing: Option<WatchFailing>,
    /// Pods that all of the traffic keeps busy; nothing: the autoscalers have no metrics.
    pub load: Option<f64>,
    /// Kinds of companion that the operator may not read.
    pub unread: Vec<Unread>,
    /// Which policy guards selectors.
    pub selector_policy: SelectorPolicy,
    /// Hashes of Deployments' templates by UID and generation.
    pub templates: BTreeMap<(Option<String>, Option<i64>), String>,
    /// The user's intent.
    pub meant: Meant,
    /// A copy that follows another run: what that run has shown is not shown again.
    pub follows: bool,
    /// In this run the operator is away for a while: nobody keeps its promises about times meanwhile.
    pub away: bool,
    /// The API server refuses writes of status.
    pub status_refused: bool,
    /// Verbs and resources that the API server refuses to the operator.
    pub refused_writes: BTreeSet<String>,
    /// States before the last writes, for reads that lag.
    pub past: Vec<(DateTime<Utc>, Objects)>,
    /// Whether past states are kept.
    pub keeps_past: bool,
}

/// What writes are counted by.
pub fn written(resource: &str, object: &str) -> String {
    format!("{resource}/{object}")
}

impl World {
    /// How a version is.
    pub fn behaviour(&self, version: &str) -> Behaviour {
        self.behaviours.get(version).cloned().unwrap_or_default()
    }

    /// Seconds since the script began.
    pub fn elapsed(&self) -> i64 {
        (self.now - self.begin).num_seconds()
    }

    /// A new resourceVersion, for a write.
    pub fn next_version(&mut self) -> String {
        if self.keeps_past {
            self.past.push((self.now, self.objects.clone()));
            let excess = self.past.len().saturating_sub(16);
            self.past.drain(..excess);
        }
        self.writes += 1;
        self.writes.to_string()
    }

    /// The operator has carried out an action.
    pub fn count(&mut self, action: &Action) {
        *self.tally.entry(written(action.verb_and_resource().1, action.object())).or_default() += 1;
    }

    /// A number that no other object has.
    pub fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// The objects as a reader sees them that lags `lag` writes, but not more than a second.
    pub fn seen(&self, lag: usize) -> (u64, Objects) {
        let oldest = self.now - Duration::seconds(1);
        let fresh = self.past.iter().filter(|(at, _)| *at >= oldest).count();
        let lag = lag.min(fresh);
        match lag {
            0 => (self.writes, self.objects.clone()),
            _ => (self.writes - lag as u64, self.past[self.past.len() - lag].1.clone()),
        }
    }

    /// The text of now.
    pub fn stamp(&self) -> String {
        self.now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    /// The user's route.
    pub fn route(&self) -> Option<&Arc<Value>> {
        self.objects.routes.get(NAME)
    }
}
