//! Who has what: each Deployment and each Service belongs to one rollout, the older of those that name it, and a rule of
//! a route is divided for one Service only.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::api::{ModelRollout, time};

use super::observed::Rival;
use super::{Draft, world};

/// When a rollout was created; of two as old, the one with the lesser UID is the older.
fn age(rollout: &ModelRollout) -> (Option<DateTime<Utc>>, Option<&str>) {
    let created = rollout.metadata.creation_timestamp.as_ref().map(time::from_api);
    (created, rollout.metadata.uid.as_deref())
}

/// Those of a namespace's rollouts that are older than this one, the oldest first.
pub fn older<'a>(
    rollout: &ModelRollout,
    all: impl Iterator<Item = &'a ModelRollout>,
) -> Vec<&'a ModelRollout> {
    let mut older: Vec<_> = all.filter(|other| age(other) < age(rollout)).collect();
    older.sort_by(|a, b| age(a).cmp(&age(b)));
    older
}

/// The oldest of the older rollouts that claims the same Deployment or Service.
pub fn rival(rollout: &ModelRollout, older: &[&ModelRollout]) -> Option<Rival> {
    let (deployment, service) = (&rollout.spec.workload.deployment, &rollout.spec.traffic.service);
    older.iter().find_map(|other| {
        let what = if other.spec.workload.deployment == *deployment {
            format!("Deployment {deployment}")
        } else if other.spec.traffic.service == *service {
            format!("Service {service}")
        } else {
            return None;
        };
        Some(Rival { name: name(other), what })
    })
}

/// The Services of the older rollouts, each with its rollout's name.
pub fn services(older: &[&ModelRollout]) -> BTreeMap<String, String> {
    older.iter().rev().map(|other| (other.spec.traffic.service.clone(), name(other))).collect()
}

fn name(rollout: &ModelRollout) -> String {
    rollout.metadata.name.clone().unwrap_or_default()
}

/// A rule that leads to our Service and to one of an older rollout: both would divide the same list.
pub fn shared_rule(d: &Draft<'_>) -> Option<(&'static str, String)> {
    let (mine, route) = (&d.spec().traffic.service, d.obs.route.as_ref()?);
    let rules = route.pointer("/spec/rules").and_then(Value::as_array)?;
    rules.iter().find_map(|rule| {
        let named: Vec<&str> = services_of(rule, d.obs.namespace()).collect();
        if !named.contains(&mine.as_str()) {
            return None;
        }
        let (other, rollout) = named.iter().find_map(|one| d.obs.older_services.get_key_value(*one))?;
        let message = format!(
            "a rule of HTTPRoute {} leads to Services {mine} and {other}, and ModelRollout {rollout} divides the rule for {other}; \
             give each a rule of its own",
            world::route_name(d.obs)
        );
        Some(("RuleShared", message))
    })
}

/// The namespace's Services that a rule leads to.
fn services_of<'a>(rule: &'a Value, namespace: &'a str) -> impl Iterator<Item = &'a str> {
    let backends = rule.get("backendRefs").and_then(Value::as_array).into_iter().flatten();
    let here = backends.filter(move |backend| {
        let text = |key: &str| backend.get(key).and_then(Value::as_str);
        text("kind").is_none_or(|kind| kind == "Service")
            && text("namespace").is_none_or(|ns| ns == namespace)
    });
    here.filter_map(|backend| backend.get("name").and_then(Value::as_str))
}
