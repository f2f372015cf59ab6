//! How traffic is split: by the gateway's route, or by the counts of pods behind the Service. The phases ask here; each answer
//! is that of one provider.

use crate::analysis::Stage;
use crate::api::{ArmWeights, ModelRolloutStatus, Slot};

use super::foreign::{self, Kept, On};
use super::{Draft, Observed, countable, replicas, route, shortage, world};

/// What splits the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// An HTTPRoute.
    Gateway,
    /// The counts of ready pods behind the Service.
    Replicas,
}

/// The rollout's provider: while one is under way that with which it began, else the spec's.
pub fn of(obs: &Observed, status: &ModelRolloutStatus) -> Provider {
    let by_route = match &status.candidate {
        Some(_) => status.route.is_some(),
        None => obs.rollout.spec.traffic.gateway_api.is_some(),
    };
    if by_route { Provider::Gateway } else { Provider::Replicas }
}

/// The same for a draft.
pub fn of_draft(d: &Draft<'_>) -> Provider {
    of(d.obs, &d.status)
}

/// The spec asks for another provider than the one that is in use; what that means.
pub fn changed(d: &Draft<'_>) -> Option<String> {
    let wanted = of(d.obs, &ModelRolloutStatus::default());
    let (old, new) = match (of_draft(d), wanted) {
        (Provider::Gateway, Provider::Replicas) => ("the route", "the counts of pods"),
        (Provider::Replicas, Provider::Gateway) => ("the counts of pods", "the route"),
        (Provider::Gateway, Provider::Gateway) | (Provider::Replicas, Provider::Replicas) => return None,
    };
    Some(format!(
        "the spec splits traffic by {new} now and not by {old}: all of it goes to the stable version first, the evidence so far is void, a new plan begins"
    ))
}

/// What a release needs so that its traffic can be split. An error: its reason and what to do.
pub fn requirements(d: &mut Draft<'_>) -> Result<(), (&'static str, String)> {
    match of_draft(d) {
        Provider::Gateway => route::requirements(d),
        Provider::Replicas => countable::requirements(d),
    }
}

/// A plan is fixed: what can later not be found again.
pub fn remember(d: &mut Draft<'_>) {
    let both = match of_draft(d) {
        Provider::Gateway => return,
        Provider::Replicas => replicas::selector_of_both(d),
    };
    if let Some(c) = &mut d.status.candidate {
        c.both = both;
    }
}

/// Percent that stays with the stable version in the watch; 0: there is nothing to compare with.
pub fn control_weight(d: &Draft<'_>) -> i32 {
    match of_draft(d) {
        Provider::Gateway => d.spec().strategy.watch.control_weight,
        Provider::Replicas => 0,
    }
}

/// A step begins: what of its share is to be set at once.
pub fn begin(d: &mut Draft<'_>) {
    match of_draft(d) {
        Provider::Gateway => {}
        Provider::Replicas => replicas::begin(d),
    }
}

/// Keeps the present step's decided share. `looked`: this pass brought new evidence.
pub fn keep(d: &mut Draft<'_>, mirror: Option<i32>, looked: bool) -> Kept {
    match of_draft(d) {
        Provider::Gateway => route::keep(d, mirror, looked),
        Provider::Replicas => replicas::keep(d, looked),
    }
}

/// The pods that the share needs: it follows those that are ready. True when all are. `looked`: this pass brought new
/// evidence; `held`: something speaks against the candidate without taking it back.
pub fn pods(d: &mut Draft<'_>, looked: bool, held: bool) -> bool {
    match of_draft(d) {
        Provider::Gateway => shortage::pods(d),
        Provider::Replicas => replicas::pods(d, looked, held),
    }
}

/// Whether the pods for the next share are ready. Where pods make the share they come after it was decided.
pub fn has_pods_for(d: &mut Draft<'_>, share: i32) -> bool {
    match of_draft(d) {
        Provider::Gateway => shortage::has_pods_for(d, share),
        Provider::Replicas => true,
    }
}

/// Whether the share that is set is the step's own, so that its time counts.
pub fn at_weight(d: &Draft<'_>) -> bool {
    match of_draft(d) {
        Provider::Gateway => d.status.step.as_ref().is_some_and(|s| s.set == s.weight),
        Provider::Replicas => replicas::at_weight(d),
    }
}

/// Somebody else has taken traffic from the candidate.
pub fn taken_away(d: &Draft<'_>, mirror: Option<i32>) -> bool {
    let now = match of_draft(d) {
        Provider::Gateway => route::taken_away(d, mirror),
        Provider::Replicas => replicas::taken_away(d),
    };
    now || d.status.overridden.is_some()
}

/// Slots whose autoscalers are to be held still, each at so many pods.
pub fn held_still(d: &Draft<'_>) -> Vec<(Slot, i32)> {
    match of_draft(d) {
        Provider::Gateway => Vec::new(),
        Provider::Replicas => replicas::held_still(d),
    }
}

/// How the watch compares. While the candidate's pods for all of the traffic are still coming, both arms have a part of it,
/// and are compared as in the last step.
pub fn stage_of_watch(d: &Draft<'_>) -> Stage {
    match of_draft(d) {
        Provider::Gateway => Stage::Watch,
        Provider::Replicas => {
            let coming = d.status.step.as_ref().is_some_and(|s| s.held_ms == 0 && s.set < s.weight);
            if coming { Stage::Canary } else { Stage::Watch }
        }
    }
}

/// The candidate's requests for each request of stable; 0 where that cannot be told.
pub fn per_stable(d: &Draft<'_>, mirror: Option<i32>) -> f64 {
    match of_draft(d) {
        Provider::Gateway => route::per_stable(d, mirror),
        // A Service deals out connections, and those of before stay where they are: how many requests are due is not known.
        Provider::Replicas => 0.0,
    }
}

/// Somebody keeps giving the candidate more: nothing advances while that lasts.
pub fn contested(d: &mut Draft<'_>) -> bool {
    let on = match of_draft(d) {
        Provider::Gateway => On::Route,
        Provider::Replicas => On::Selector,
    };
    foreign::contested(d, on)
}

/// The shares as read back from route and selectors together.
pub fn report(d: &mut Draft<'_>) {
    let mirror = world::reading(d.obs).and_then(|r| r.mirror).unwrap_or(0);
    let candidate = world::share(d.obs, &d.status);
    d.status.weights = Some(ArmWeights { stable: 100 - candidate, candidate, mirror });
}
