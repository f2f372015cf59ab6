//! What is to be done: a value that leaves nothing to choose when it is carried out.

use std::fmt;

use chrono::Duration;
use json_patch::Patch;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use serde_json::Value;

use crate::api::{ModelRolloutStatus, Phase, RolloutDecisionStatus};
use crate::workload::companions::{self, Kind};

/// What one pass does: the status first (the intent), then the actions in their order, then the Events.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The status to write before acting. Written only when it differs from the present one.
    pub status: ModelRolloutStatus,
    /// What to do, in this order. The first failure ends the pass, except for what `goes_on_with` says; the next pass starts
    /// from what it then sees.
    pub actions: Vec<Action>,
    /// What to tell, after the writes.
    pub events: Vec<Event>,
    /// When to look again at the latest; `None`: when something changes.
    pub requeue: Option<Duration>,
    /// Traffic is brought back: the actions are carried out even if the status could not be written, except on a conflict.
    pub urgent: bool,
}

impl Plan {
    /// In its phase no share is given to a candidate: what the route is written for is traffic to stable.
    fn to_stable(&self) -> bool {
        match self.status.phase {
            Some(Phase::Preparing | Phase::Shadow | Phase::Canary | Phase::Watching) => false,
            Some(
                Phase::Pending
                | Phase::Settling
                | Phase::Active
                | Phase::RollingBack
                | Phase::RolledBack
                | Phase::Deleting,
            )
            | None => true,
        }
    }

    /// Whether the other actions are carried out although this one failed. The guard of the selectors keeps what is so already,
    /// and companions do while no share is given by them: the failure is told and tried again, and nothing waits for it.
    pub fn goes_on_without(&self, action: &Action) -> bool {
        match action {
            Action::CreateGuard(_) | Action::PatchGuard { .. } | Action::DeleteGuard { .. } => true,
            Action::CreateCompanion { .. } | Action::PatchCompanion { .. } => self.to_stable(),
            Action::SetFinalizers(_)
            | Action::CreateDeployment(_)
            | Action::ReplaceDeployment(_)
            | Action::DeleteDeployment { .. }
            | Action::Scale { .. }
            | Action::CreateService(_)
            | Action::PatchService { .. }
            | Action::DeleteService { .. }
            | Action::CreateRoute(_)
            | Action::PatchRoute { .. }
            | Action::DeleteRoute { .. }
            | Action::DeleteCompanion { .. }
            | Action::RecordOutcome { .. } => false,
        }
    }

    /// Whether an action is carried out although the status could not be written, or an action before it failed: nothing
    /// that may be refused stands between a rollback and the route. Only traffic that goes to stable and the capacity for
    /// it; everything else could be unsafe without what was to be done before it, would be taken for somebody else's work
    /// by the next pass, or would end a decision that no status knows of.
    pub fn goes_on_with(&self, action: &Action) -> bool {
        let may = match action {
            Action::PatchRoute { .. } => self.to_stable(),
            Action::PatchService { gives, .. } => !gives,
            Action::Scale { replicas, .. } => *replicas > 0,
            Action::SetFinalizers(_)
            | Action::CreateDeployment(_)
            | Action::ReplaceDeployment(_)
            | Action::DeleteDeployment { .. }
            | Action::CreateService(_)
            | Action::DeleteService { .. }
            | Action::CreateRoute(_)
            | Action::DeleteRoute { .. }
            | Action::CreateCompanion { .. }
            | Action::PatchCompanion { .. }
            | Action::DeleteCompanion { .. }
            | Action::CreateGuard(_)
            | Action::PatchGuard { .. }
            | Action::DeleteGuard { .. }
            | Action::RecordOutcome { .. } => false,
        };
        self.urgent && may
    }
}

/// One write. Every action names its object and carries its content; what it replaces is guarded by the
/// resourceVersion inside, so that a stale plan is refused by the API server.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The rollout's finalizers, all of them.
    SetFinalizers(Vec<String>),
    /// A slot is made.
    CreateDeployment(Box<Deployment>),
    /// A slot gets another template; metadata.resourceVersion is that of the one it replaces.
    ReplaceDeployment(Box<Deployment>),
    /// A slot is removed.
    DeleteDeployment {
        /// Name.
        name: String,
        /// UID of the one that is meant.
        uid: String,
    },
    /// A Deployment's scale is written, through the scale subresource.
    Scale {
        /// Name of the Deployment.
        deployment: String,
        /// Wanted pods.
        replicas: i32,
    },
    /// The candidate's Service is made.
    CreateService(Box<Service>),
    /// A Service is changed by a JSON patch.
    PatchService {
        /// Name.
        name: String,
        /// The patch; its first operation replaces the resourceVersion.
        patch: Patch,
        /// What for, for people.
        what: String,
        /// It leads traffic to a candidate that is not verified.
        gives: bool,
    },
    /// The candidate's Service is removed.
    DeleteService {
        /// Name.
        name: String,
        /// UID of the one that is meant.
        uid: String,
    },
    /// The warm route is made.
    CreateRoute(Value),
    /// A route is changed by a JSON patch.
    PatchRoute {
        /// Name.
        name: String,
        /// The patch; its first operation replaces the resourceVersion.
        patch: Patch,
        /// What for, for people.
        what: String,
    },
    /// The warm route is removed.
    DeleteRoute {
        /// Name.
        name: String,
        /// UID of the one that is meant.
        uid: String,
    },
    /// A slot's autoscaler or budget is made.
    CreateCompanion {
        /// Which of the two.
        kind: Kind,
        /// All of it.
        object: Value,
    },
    /// A slot's autoscaler or budget is changed by a JSON patch.
    PatchCompanion {
        /// Which of the two.
        kind: Kind,
        /// Name.
        name: String,
        /// The patch; its first operation replaces the resourceVersion.
        patch: Patch,
        /// What for, for people.
        what: String,
    },
    /// The ConfigMap of the selector guard is made.
    CreateGuard(Box<ConfigMap>),
    /// The ConfigMap of the selector guard is changed by a JSON patch.
    PatchGuard {
        /// Name.
        name: String,
        /// The patch; its first operation replaces the resourceVersion.
        patch: Patch,
        /// What for, for people.
        what: String,
    },
    /// A slot's autoscaler or budget is removed.
    DeleteCompanion {
        /// Which of the two.
        kind: Kind,
        /// Name.
        name: String,
        /// UID of the one that is meant.
        uid: String,
    },
    /// The ConfigMap of the selector guard is removed.
    DeleteGuard {
        /// Name.
        name: String,
        /// UID of the one that is meant.
        uid: String,
    },
    /// The outcome of a decision.
    RecordOutcome {
        /// Name of the RolloutDecision.
        name: String,
        /// Its status.
        status: RolloutDecisionStatus,
    },
}

impl Action {
    /// The verb and the resource, as RBAC names them.
    pub fn verb_and_resource(&self) -> (&'static str, &'static str) {
        match self {
            Self::SetFinalizers(_) => ("patch", "modelrollouts"),
            Self::CreateDeployment(_) => ("create", "deployments"),
            Self::ReplaceDeployment(_) => ("update", "deployments"),
            Self::DeleteDeployment { .. } => ("delete", "deployments"),
            Self::Scale { .. } => ("patch", "deployments/scale"),
            Self::CreateService(_) => ("create", "services"),
            Self::PatchService { .. } => ("patch", "services"),
            Self::DeleteService { .. } => ("delete", "services"),
            Self::CreateRoute(_) => ("create", "httproutes"),
            Self::PatchRoute { .. } => ("patch", "httproutes"),
            Self::DeleteRoute { .. } => ("delete", "httproutes"),
            Self::CreateCompanion { kind, .. } => ("create", kind.resource()),
            Self::PatchCompanion { kind, .. } => ("patch", kind.resource()),
            Self::DeleteCompanion { kind, .. } => ("delete", kind.resource()),
            Self::CreateGuard(_) => ("create", "configmaps"),
            Self::PatchGuard { .. } => ("patch", "configmaps"),
            Self::DeleteGuard { .. } => ("delete", "configmaps"),
            Self::RecordOutcome { .. } => ("patch", "rolloutdecisions/status"),
        }
    }

    /// Name of the object that it writes; empty for the rollout itself.
    pub fn object(&self) -> &str {
        match self {
            Self::SetFinalizers(_) => "",
            Self::CreateDeployment(d) | Self::ReplaceDeployment(d) => {
                d.metadata.name.as_deref().unwrap_or_default()
            }
            Self::CreateService(s) => s.metadata.name.as_deref().unwrap_or_default(),
            Self::CreateGuard(g) => g.metadata.name.as_deref().unwrap_or_default(),
            Self::CreateRoute(object) | Self::CreateCompanion { object, .. } => companions::name(object),
            Self::Scale { deployment, .. } => deployment,
            Self::DeleteDeployment { name, .. }
            | Self::PatchService { name, .. }
            | Self::DeleteService { name, .. }
            | Self::PatchRoute { name, .. }
            | Self::PatchGuard { name, .. }
            | Self::DeleteGuard { name, .. }
            | Self::DeleteRoute { name, .. }
            | Self::PatchCompanion { name, .. }
            | Self::DeleteCompanion { name, .. }
            | Self::RecordOutcome { name, .. } => name,
        }
    }

    /// Whether the act cannot be taken back by the next pass: the rollout is read once more, from the API server itself,
    /// before it.
    pub fn irreversible(&self) -> bool {
        match self {
            Self::DeleteDeployment { .. }
            | Self::DeleteService { .. }
            | Self::DeleteRoute { .. }
            | Self::DeleteCompanion { .. }
            | Self::ReplaceDeployment(_)
            | Self::Scale { replicas: 0, .. } => true,
            Self::SetFinalizers(_)
            | Self::CreateDeployment(_)
            | Self::Scale { .. }
            | Self::CreateService(_)
            | Self::PatchService { .. }
            | Self::CreateRoute(_)
            | Self::PatchRoute { .. }
            | Self::CreateCompanion { .. }
            | Self::PatchCompanion { .. }
            | Self::CreateGuard(_)
            | Self::PatchGuard { .. }
            | Self::DeleteGuard { .. }
            | Self::RecordOutcome { .. } => false,
        }
    }

    /// Whether it changes that Service.
    pub fn is_about_service(&self, service: &str) -> bool {
        matches!(self, Self::PatchService { name, .. } if name == service)
    }

    /// Whether it writes the ConfigMap of the selector guard.
    pub fn is_about_guard(&self) -> bool {
        matches!(self, Self::CreateGuard(_) | Self::PatchGuard { .. } | Self::DeleteGuard { .. })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name_of = |v: &Value| v["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match self {
            Self::SetFinalizers(list) => write!(f, "finalizers [{}]", list.join(", ")),
            Self::CreateDeployment(d) => {
                write!(f, "create deployment {}", d.metadata.name.as_deref().unwrap_or_default())
            }
            Self::ReplaceDeployment(d) => {
                write!(f, "replace deployment {}", d.metadata.name.as_deref().unwrap_or_default())
            }
            Self::DeleteDeployment { name, .. } => write!(f, "delete deployment {name}"),
            Self::Scale { deployment, replicas } => write!(f, "scale {deployment} to {replicas}"),
            Self::CreateService(s) => {
                write!(f, "create service {}", s.metadata.name.as_deref().unwrap_or_default())
            }
            Self::PatchService { name, what, .. } => write!(f, "service {name}: {what}"),
            Self::DeleteService { name, .. } => write!(f, "delete service {name}"),
            Self::CreateRoute(v) => write!(f, "create route {}", name_of(v)),
            Self::PatchRoute { name, what, .. } => write!(f, "route {name}: {what}"),
            Self::DeleteRoute { name, .. } => write!(f, "delete route {name}"),
            Self::CreateCompanion { kind, object } => {
                write!(f, "create {} {}", short(*kind), companions::name(object))
            }
            Self::PatchCompanion { kind, name, what, .. } => write!(f, "{} {name}: {what}", short(*kind)),
            Self::DeleteCompanion { kind, name, .. } => write!(f, "delete {} {name}", short(*kind)),
            Self::CreateGuard(g) => {
                write!(f, "create guard {}", g.metadata.name.as_deref().unwrap_or_default())
            }
            Self::PatchGuard { name, what, .. } => write!(f, "guard {name}: {what}"),
            Self::DeleteGuard { name, .. } => write!(f, "delete guard {name}"),
            Self::RecordOutcome { name, status } => {
                let outcome = status.outcome.map_or("nothing".to_owned(), |o| format!("{o:?}"));
                write!(f, "decision {name}: {outcome}")
            }
        }
    }
}

/// What people call a companion.
fn short(kind: Kind) -> &'static str {
    match kind {
        Kind::Autoscaler => "autoscaler",
        Kind::Budget => "budget",
    }
}

/// Something to tell: an Event of the rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Something that a person should look at.
    pub warning: bool,
    /// Reason in CamelCase.
    pub reason: String,
    /// What happened, with its numbers.
    pub message: String,
}
