//! What a script expects of the world.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::api::condition::{self, ConditionType};
use crate::api::{ModelRollout, ModelRolloutStatus, keys};

use super::check::share;
use super::sessions;
use super::world::{NAME, World, written};
use crate::workload::companions::Kind;

/// Something that is so or not.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// It is not so.
    Not(Box<Expectation>),
    /// `phase X`.
    Phase(String),
    /// `step N`: canary step, from 0.
    Step(i32),
    /// `weight N`: the candidate's actual share.
    Weight(i32),
    /// `mirror` and `mirror PERCENT`: the route mirrors to the candidate, so many percent.
    Mirror(Option<i32>),
    /// `sessions N`: the route has so many rules for sessions.
    Sessions(i32),
    /// `active V`: the last verified version.
    Active(String),
    /// `candidate V`.
    Candidate(String),
    /// `reason R`: of the condition Ready.
    Reason(String),
    /// `condition TYPE REASON`.
    Condition(String, String),
    /// `waiting TEXT`: `waitingFor` contains it.
    Waiting(String),
    /// `rejected V`.
    Rejected(String),
    /// `rolled-back-for REASON`.
    RolledBackFor(String),
    /// `scale DEPLOYMENT N`.
    Scale(String, i32),
    /// `least NAME N` and `most NAME N`: the bounds of an autoscaler.
    Bound(String, String, i64),
    /// `there KIND NAME`.
    There(String, String),
    /// `outcome ACTION OUTCOME`: of the last decision of that kind.
    Outcome(String, String),
    /// `event REASON`: told at least once so far.
    Event(String),
    /// `served-at-most V N`: requests that clients had from a version.
    ServedAtMost(String, u64),
    /// `written-at-most RESOURCE NAME N`: writes of an object by the operator.
    WrittenAtMost(String, String, u64),
    /// `served V`: it got a request at least once.
    Served(String),
    /// `services SLOT`: the user's Services select it.
    Services(String),
    /// `endpoints SERVICE`: it has a ready one.
    Endpoints(String),
    /// `selector-guard Mutating|Validating|None`: as status says it.
    SelectorGuard(String),
    /// `annotated DEPLOYMENT VERSION`: it says that this version is in it.
    Annotated(String, String),
    /// `lost`: requests failed that no version failed.
    Lost,
    /// `rollout NAME reason R`: of another rollout.
    Of(String, Box<Expectation>),
}

impl Expectation {
    /// Reads one.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let own = |s: &&str| (*s).to_owned();
        let number = |s: &str| s.parse::<i32>().map_err(|_| format!("{s} is no number"));
        Ok(match words {
            ["not", rest @ ..] => Self::Not(Box::new(Self::parse(rest)?)),
            ["rollout", name, rest @ ..] => Self::Of(own(name), Box::new(Self::parse(rest)?)),
            ["phase", phase] => Self::Phase(own(phase)),
            ["step", n] => Self::Step(number(n)?),
            ["weight", n] => Self::Weight(number(n)?),
            ["mirror"] => Self::Mirror(None),
            ["sessions", n] => Self::Sessions(number(n)?),
            ["mirror", n] => Self::Mirror(Some(number(n)?)),
            ["active", v] => Self::Active(own(v)),
            ["candidate", v] => Self::Candidate(own(v)),
            ["reason", r] => Self::Reason(own(r)),
            ["condition", type_, r] => Self::Condition(own(type_), own(r)),
            ["waiting", text @ ..] => Self::Waiting(text.join(" ")),
            ["rejected", v] => Self::Rejected(own(v)),
            ["rolled-back-for", r] => Self::RolledBackFor(own(r)),
            ["scale", deployment, n] => Self::Scale(own(deployment), number(n)?),
            ["least", name, n] => Self::Bound("minReplicas".to_owned(), own(name), number(n)?.into()),
            ["most", name, n] => Self::Bound("maxReplicas".to_owned(), own(name), number(n)?.into()),
            ["there", kind, name] => Self::There(own(kind), own(name)),
            ["outcome", action, outcome] => Self::Outcome(own(action), own(outcome)),
            ["event", r] => Self::Event(own(r)),
            ["served-at-most", v, n] => {
                Self::ServedAtMost(own(v), n.parse().map_err(|_| format!("{n} is no number"))?)
            }
            ["written-at-most", resource, name, n] => {
                let n = n.parse().map_err(|_| format!("{n} is no number"))?;
                Self::WrittenAtMost(own(resource), own(name), n)
            }
            ["served", v] => Self::Served(own(v)),
            ["services", slot] => Self::Services(own(slot)),
            ["endpoints", name] => Self::Endpoints(own(name)),
            ["selector-guard", word] => Self::SelectorGuard(own(word)),
            ["annotated", name, v] => Self::Annotated(own(name), own(v)),
            ["lost"] => Self::Lost,
            _ => return Err(format!("nothing that can be expected: {}", words.join(" "))),
        })
    }

    /// Whether it is so.
    pub fn holds(&self, world: &World, told: &BTreeSet<String>) -> bool {
        // Events come after the writes and die with the process; what must not be lost is in status and history. How many
        // requests a bad version gets depends on somebody being there.
        let excused = match self {
            Self::Event(_) => world.follows,
            Self::ServedAtMost(..) => world.away,
            _ => false,
        };
        excused || self.of(NAME, world, told)
    }

    fn of(&self, name: &str, world: &World, told: &BTreeSet<String>) -> bool {
        let rollout = world.objects.rollouts.get(name);
        let status = rollout.map_or(&*EMPTY, |r| status_of(r));
        match self {
            Self::Not(other) => !other.of(name, world, told),
            Self::Of(other, what) => what.of(other, world, told),
            Self::Phase(phase) => status.phase.is_some_and(|p| p.to_string() == *phase),
            Self::Step(n) => status.step.as_ref().is_some_and(|s| s.index == *n),
            Self::Weight(n) => rollout.is_some_and(|r| share::of(world, r) == *n),
            Self::Mirror(percent) => mirrors(world, *percent),
            Self::Sessions(n) => {
                let rules = world.route().and_then(|r| r["spec"]["rules"].as_array()).into_iter().flatten();
                rules.filter(|r| sessions::is_copy(r)).count() as i32 == *n
            }
            Self::Active(v) => status.active.as_ref().is_some_and(|a| starts(&a.version, v)),
            Self::Candidate(v) => status.candidate.as_ref().is_some_and(|c| starts(&c.version, v)),
            Self::Reason(r) => reason(status, ConditionType::Ready) == Some(r),
            Self::Condition(type_, r) => {
                status.conditions.iter().any(|c| c.type_ == *type_ && c.reason == *r)
            }
            Self::Waiting(text) => status.waiting_for.as_ref().is_some_and(|w| w.contains(text)),
            Self::Rejected(v) => status.rejected.iter().any(|r| starts(&r.version, v) && !r.retried),
            Self::RolledBackFor(r) => status.last_rollback.as_ref().is_some_and(|l| l.reason == *r),
            Self::Scale(deployment, n) => {
                let found = world.objects.deployments.get(deployment).and_then(|d| d.spec.as_ref());
                // An operator that died in time never made it.
                found.map_or(world.follows && *n == 0, |s| s.replicas == Some(*n))
            }
            Self::There(kind, name) => there(world, kind, name),
            Self::Bound(field, name, n) => {
                let found = world.objects.companions.get(&(Kind::Autoscaler, name.clone()));
                found.is_some_and(|hpa| hpa["spec"][field.as_str()].as_i64() == Some(*n))
            }
            Self::Outcome(action, outcome) => outcome_of(world, action).as_deref() == Some(outcome),
            Self::Event(r) => told.contains(r),
            Self::ServedAtMost(v, n) => world.ledger.served.get(v).map_or(0, |s| s.requests) <= *n,
            Self::WrittenAtMost(resource, name, n) => {
                world.tally.get(&written(resource, name)).copied().unwrap_or(0) <= *n
            }
            Self::Served(v) => world.ledger.served.get(v).is_some_and(|s| s.requests > 0),
            Self::Services(slot) => {
                let deployment = if slot == "origin" { NAME.to_owned() } else { format!("{NAME}-{slot}") };
                let there = [NAME, "scorer-grpc"].into_iter().filter(|s| there(world, "service", s));
                there.into_iter().all(|s| share::selects(world, s, &deployment))
            }
            Self::Endpoints(name) => !super::network::ready(world, name).is_empty(),
            Self::SelectorGuard(word) => {
                status.selector_guard.map_or("unknown".to_owned(), |g| format!("{g:?}")) == *word
            }
            Self::Annotated(name, v) => {
                let found = world.objects.deployments.get(name);
                let annotations = found.and_then(|d| d.metadata.annotations.as_ref());
                annotations.and_then(|a| a.get(keys::SLOT_VERSION)).is_some_and(|is| starts(is, v))
            }
            Self::Lost => world.ledger.lost() > 0,
        }
    }
}

/// `unregistered` stands for any version of that kind, whose hash nobody wants to read in a script.
fn starts(version: &str, wanted: &str) -> bool {
    version == wanted || (wanted == "unregistered" && version.starts_with("unregistered-"))
}

fn reason(status: &ModelRolloutStatus, type_: ConditionType) -> Option<&String> {
    condition::get(&status.conditions, type_).map(|c| &c.reason)
}

fn mirrors(world: &World, percent: Option<i32>) -> bool {
    let rules = world.route().and_then(|r| r["spec"]["rules"].as_array()).into_iter().flatten();
    let mut mirrors = rules
        .flat_map(|r| r["filters"].as_array().into_iter().flatten())
        .filter_map(|f| f.get("requestMirror"));
    mirrors.any(|m| percent.is_none_or(|p| m["percent"].as_i64().unwrap_or(100) == i64::from(p)))
}

fn there(world: &World, kind: &str, name: &str) -> bool {
    let objects = &world.objects;
    match kind {
        "deployment" => objects.deployments.contains_key(name),
        "service" => objects.services.contains_key(name),
        "guard" => objects.guards.contains_key(name),
        "route" => objects.routes.contains_key(name),
        "rollout" => objects.rollouts.contains_key(name),
        "autoscaler" => objects.companions.contains_key(&(Kind::Autoscaler, name.to_owned())),
        "budget" => objects.companions.contains_key(&(Kind::Budget, name.to_owned())),
        _ => false,
    }
}

fn outcome_of(world: &World, action: &str) -> Option<String> {
    let of_kind = world.objects.decisions.values().filter(|d| format!("{:?}", d.spec.action) == action);
    let last = of_kind.max_by_key(|d| d.metadata.name.clone())?;
    last.status.as_ref().and_then(|s| s.outcome).map(|o| format!("{o:?}"))
}

static EMPTY: LazyLock<ModelRolloutStatus> = LazyLock::new(ModelRolloutStatus::default);

/// The status of a rollout, empty when it has none.
pub fn status_of(rollout: &ModelRollout) -> &ModelRolloutStatus {
    rollout.status.as_ref().unwrap_or(&EMPTY)
}
