//! Everything that `decide` may know about the world, as one value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use serde_json::Value;

use crate::api::{ModelRollout, ModelVersion, RolloutDecision, SelectorGuard, Slot};
use crate::traffic::mirror::GatewayFacts;
use crate::workload::companions::Kind;
use crate::workload::covering::Cover;

use super::pace::OwnWrites;
use super::questions::Answers;

/// The world of one rollout at one moment. Reads may lag behind our own writes; `decide` is safe on stale input.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The moment of the observation.
    pub now: DateTime<Utc>,
    /// The rollout with its spec and durable status.
    pub rollout: ModelRollout,
    /// The namespace is being deleted: nothing can be created in it, the finalizer goes at once.
    pub namespace_terminating: bool,
    /// An older rollout that claims the same Deployment or Service, and which of them.
    pub rival: Option<Rival>,
    /// Services of the namespace's older rollouts, each with its rollout's name.
    pub older_services: BTreeMap<String, String>,
    /// UIDs of all ModelRollouts in the namespace: a slot of a UID that is not among them is orphaned and may be taken over.
    pub rollout_uids: BTreeSet<String>,
    /// Registered versions of the rollout's model.
    pub versions: Vec<Arc<ModelVersion>>,
    /// Decisions about this rollout that have no outcome yet.
    pub decisions: Vec<RolloutDecision>,
    /// The origin.
    pub origin: Option<Arc<Deployment>>,
    /// Deployments with the names of our slots, whoever owns them.
    pub slots: BTreeMap<Slot, Arc<Deployment>>,
    /// All Services of the namespace.
    pub services: Vec<Arc<Service>>,
    /// Labels of the namespace's other pods: those that its other Deployments make, and those that belong to none.
    pub other_pod_labels: Vec<BTreeMap<String, String>>,
    /// What covers the workload, in a pass that needs to know it.
    pub covering: Option<Covering>,
    /// Access modes of the namespace's persistent volume claims, by name.
    pub claims: BTreeMap<String, Vec<String>>,
    /// Endpoints by Service name.
    pub endpoints: BTreeMap<String, Vec<Endpoint>>,
    /// Pods of the origin and the slots.
    pub pods: Vec<PodFacts>,
    /// The API server does not know HTTPRoutes: the Gateway API is not installed.
    pub no_gateway_api: bool,
    /// The ConfigMap that the selector guard reads.
    pub guard: Option<ConfigMap>,
    /// Which policy guards the selectors.
    pub selector_policy: SelectorPolicy,
    /// The user's HTTPRoute, raw.
    pub route: Option<Value>,
    /// Our warm route (or whatever has its name), raw.
    pub warm_route: Option<Value>,
    /// The Gateways that the route names as parents.
    pub gateways: Vec<GatewayFacts>,
    /// When the API server answered our last write of the user's route, as far as this process knows.
    pub route_written_at: Option<DateTime<Utc>>,
    /// Our own writes of the last minute, as far as this process knows.
    pub own_writes: OwnWrites,
    /// A write that the API server did not take, until a pass has written all that it wanted.
    pub failed_write: Option<FailedWrite>,
    /// A watch that has failed for long: what is known of its kind may be out of date.
    pub watch_failing: Option<WatchFailing>,
    /// HorizontalPodAutoscalers of the namespace that scale the origin or have the name of a slot, raw.
    pub autoscalers: Vec<Value>,
    /// PodDisruptionBudgets of the namespace, raw.
    pub budgets: Vec<Value>,
    /// Kinds of companion that the operator may not read.
    pub unread: Vec<Unread>,
    /// Answers to the questions that the rollout asked of Prometheus in this pass.
    pub answers: Answers,
}

/// Objects that cover pods or Services.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Covering {
    /// Those that were read.
    pub covers: Vec<Cover>,
    /// Kinds that could not be read, and why.
    pub unread: Vec<String>,
}

/// What is known of the policies that guard selectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectorPolicy {
    /// This one is installed, or none.
    InForce(SelectorGuard),
    /// They cannot be read, and why.
    Unreadable(String),
}

/// Another rollout with an older claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// Its name.
    pub name: String,
    /// What both claim, such as `Deployment fraud-scorer`.
    pub what: String,
}

/// A kind that the operator can do without and may not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Plural name of the kind.
    pub kind: String,
    /// The API server's words.
    pub why: String,
}

/// A watch that has failed for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchFailing {
    /// Plural name of the kind.
    pub kind: String,
    /// The error of the first try that failed.
    pub why: String,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// A write that the API server did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedWrite {
    /// Verb, resource and object, such as `patch httproutes shop/scorer`.
    pub what: String,
    /// The server's message, and what can be done.
    pub why: String,
    /// It works only when somebody has changed something: a permission, a policy, the object it is made from.
    pub refused: bool,
    /// Since when this write has been failing.
    pub since: DateTime<Utc>,
    /// When the reason was given.
    pub said_at: DateTime<Utc>,
    /// When it was tried last.
    pub tried_at: DateTime<Utc>,
}

impl FailedWrite {
    /// How long a reason stays, though the server words it differently each time: each new one is a write of status.
    const SAID_FOR: Duration = Duration::minutes(1);

    /// A refused write is tried again at least once a minute for as long as it is wanted.
    const WANTED_FOR: Duration = Duration::seconds(90);

    /// A failure of this moment.
    pub fn new(what: String, why: String, refused: bool, now: DateTime<Utc>) -> Self {
        Self { what, why, refused, since: now, said_at: now, tried_at: now }
    }

    /// The API server refuses it, and it was wanted not long ago.
    pub fn is_refused_at(&self, now: DateTime<Utc>) -> bool {
        self.refused && now - self.tried_at < Self::WANTED_FOR
    }

    /// This failure, as it goes on from an earlier one.
    #[must_use]
    pub fn after(self, earlier: Option<Self>) -> Self {
        let Some(earlier) = earlier.filter(|e| e.what == self.what) else { return self };
        let fresh = self.refused != earlier.refused || self.said_at - earlier.said_at >= Self::SAID_FOR;
        if fresh {
            Self { since: earlier.since, ..self }
        } else {
            Self { tried_at: self.tried_at, ..earlier }
        }
    }
}

/// One endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of the pod; empty when the endpoint names none.
    pub pod: String,
    /// It takes traffic.
    pub ready: bool,
}

/// What is known of a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PodFacts {
    /// Name.
    pub name: String,
    /// Which Deployment it belongs to.
    pub slot: Slot,
    /// Hash of the template that it was made from: for slots our label; for the origin its ReplicaSet's hash label.
    pub template_hash: String,
    /// It takes traffic.
    pub ready: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// Its phase is Failed or Succeeded: nothing runs in it any more, and its object may stay for days.
    pub ended: bool,
    /// When its first container started.
    pub started: Option<DateTime<Utc>>,
    /// Grace period for its end, in seconds.
    pub grace_seconds: i64,
    /// How its containers ended: of each no more than the last time.
    pub exits: Vec<ContainerExit>,
    /// Why a container waits, such as `ImagePullBackOff`, with the message.
    pub waiting: Option<String>,
    /// The pod ended by eviction, preemption or loss of its node.
    pub disrupted: bool,
}

/// An exit of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerExit {
    /// When.
    pub at: DateTime<Utc>,
    /// Exit code.
    pub code: i32,
    /// Reason, such as `OOMKilled` or `Error`.
    pub reason: String,
    /// Name of the container.
    pub container: String,
}

impl Observed {
    /// The rollout's namespace.
    pub fn namespace(&self) -> &str {
        self.rollout.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The rollout's UID.
    pub fn uid(&self) -> &str {
        self.rollout.metadata.uid.as_deref().unwrap_or_default()
    }

    /// The rollout's name.
    pub fn name(&self) -> &str {
        self.rollout.metadata.name.as_deref().unwrap_or_default()
    }

    /// The Service of that name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().map(AsRef::as_ref).find(|s| s.metadata.name.as_deref() == Some(name))
    }

    /// The Deployment of a slot.
    pub fn deployment(&self, slot: Slot) -> Option<&Deployment> {
        match slot {
            Slot::Origin => self.origin.as_deref(),
            Slot::A | Slot::B => self.slots.get(&slot).map(AsRef::as_ref),
        }
    }

    /// The companions of a kind, the user's and ours.
    pub fn companions(&self, kind: Kind) -> &[Value] {
        match kind {
            Kind::Autoscaler => &self.autoscalers,
            Kind::Budget => &self.budgets,
        }
    }

    /// The pods of a slot.
    pub fn pods_of(&self, slot: Slot) -> impl Iterator<Item = &PodFacts> {
        self.pods.iter().filter(move |p| p.slot == slot)
    }

    /// The pods of a slot in which something runs or may still run.
    pub fn living_pods_of(&self, slot: Slot) -> impl Iterator<Item = &PodFacts> {
        self.pods_of(slot).filter(|p| !p.ended)
    }

    /// A world of which only the rollout is known.
    pub fn only(rollout: ModelRollout, now: DateTime<Utc>) -> Self {
        Self {
            now,
            rollout,
            namespace_terminating: false,
            rival: None,
            older_services: BTreeMap::new(),
            rollout_uids: BTreeSet::new(),
            versions: Vec::new(),
            decisions: Vec::new(),
            origin: None,
            slots: BTreeMap::new(),
            services: Vec::new(),
            other_pod_labels: Vec::new(),
            covering: None,
            claims: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            pods: Vec::new(),
            no_gateway_api: false,
            guard: None,
            selector_policy: SelectorPolicy::InForce(SelectorGuard::None),
            route: None,
            warm_route: None,
            gateways: Vec::new(),
            route_written_at: None,
            own_writes: OwnWrites::default(),
            failed_write: None,
            watch_failing: None,
            autoscalers: Vec::new(),
            budgets: Vec::new(),
            unread: Vec::new(),
            answers: Answers::default(),
        }
    }
}
