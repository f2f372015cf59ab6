//! RollingBack: the route first, then read back, then the drain, then the candidate's pods.

use crate::api::Phase;
use crate::rollout::clean::{Cleaned, clean};
use crate::rollout::{Draft, capacity, world};

use super::resting;

/// One pass.
pub fn run(d: &mut Draft<'_>) {
    let slot = world::candidate_slot(&d.status);
    capacity::wake_stable(d);
    let cleaned = clean(d, slot);
    times(d, cleaned);
    if cleaned != Cleaned::Done {
        return;
    }
    let reject = d.status.rollback.as_ref().is_some_and(|r| r.reject);
    let reason = d.status.rollback.as_ref().map_or_else(String::new, |r| r.reason.clone());
    let active = d.status.active.as_ref().map_or_else(String::new, |a| a.version.clone());
    if reject {
        d.transition(Phase::RolledBack, "RolledBack", "RolledBack", format!("{reason}: {active} serves"));
    }
    resting::forget_candidate(d);
    resting::run(d);
}

/// When the API server had the route, and when the gateway had taken it.
fn times(d: &mut Draft<'_>, cleaned: Cleaned) {
    let now = d.now();
    let parents = d.spec().traffic.gateway_api.as_ref().map(|g| g.parents.clone()).unwrap_or_default();
    let accepted = d.obs.route.as_ref().is_some_and(|r| {
        crate::traffic::http_route::programmed(r, &parents) == crate::traffic::http_route::Programmed::Yes
    });
    let Some(last) = &mut d.status.last_rollback else { return };
    if cleaned != Cleaned::Route {
        last.route_written_at = last.route_written_at.or(d.obs.route_written_at).or(Some(now));
        if accepted {
            last.route_accepted_at = last.route_accepted_at.or(Some(now));
        }
    }
}
