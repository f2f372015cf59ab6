//! The state in which a run ends.

use std::collections::BTreeMap;

use super::setup::json_of;
use super::world::World;

/// How a run ended: what must be the same however often the operator died on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End(pub BTreeMap<String, String>);

/// Rollouts, scales, selectors and routes, each in one line.
pub fn end(world: &World) -> End {
    let mut out = BTreeMap::new();
    for (name, rollout) in &world.objects.rollouts {
        let status = rollout.status.clone().unwrap_or_default();
        let rejected: Vec<_> = status.rejected.iter().map(|r| (&r.version, &r.reason, r.retried)).collect();
        let active = status.active.as_ref().map(|a| (a.version.as_str(), a.slot));
        out.insert(format!("rollout {name}"), format!("{:?} {active:?} rejected {rejected:?}", status.phase));
    }
    for (name, deployment) in &world.objects.deployments {
        let json = json_of(deployment.as_ref());
        let version = json["metadata"]["annotations"]["understudy.dev/version"].clone();
        out.insert(format!("deployment {name}"), format!("{} {version}", json["spec"]["replicas"]));
    }
    for (name, service) in &world.objects.services {
        out.insert(format!("service {name}"), json_of(service.as_ref())["spec"]["selector"].to_string());
    }
    for (name, guard) in &world.objects.guards {
        out.insert(format!("guard {name}"), json_of(guard.as_ref())["data"].to_string());
    }
    for (name, route) in &world.objects.routes {
        out.insert(format!("route {name}"), route["spec"]["rules"].to_string());
    }
    for ((kind, name), object) in &world.objects.companions {
        out.insert(format!("{} {name}", kind.as_str()), object["spec"].to_string());
    }
    End(out)
}
