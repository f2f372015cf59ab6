//! What a release needs so that counts of pods can split its traffic, looked at before anything is started.

use crate::api::Slot;
use crate::traffic::replicas::{count, percent, smallest, stable_for};
use crate::workload::companions;

use super::{Draft, questions, replicas, world};

type Refusal = (&'static str, String);

/// An error: its reason and what to do.
pub fn requirements(d: &Draft<'_>) -> Result<(), Refusal> {
    let spec = d.spec();
    if spec.strategy.shadow.is_some() {
        let message = "without a gateway nothing can be mirrored; leave strategy.shadow out, or name the HTTPRoute of a gateway";
        return Err(("MirrorUnsupported", message.into()));
    }
    if let Some(metric) = spec.analysis.metrics.iter().find(|m| questions::gateway(m).is_some()) {
        let message = format!(
            "metric {} tells the arms apart by a label of a gateway, and there is none; leave arms.gateway out of it, then they are told \
             apart by the pods' names",
            metric.name
        );
        return Err(("NoGateway", message));
    }
    autoscaler(d)?;
    if let Some(message) = replicas::not_shared(d) {
        return Err(("NoSharedLabel", message));
    }
    shares(d)
}

/// The user's autoscaler of the origin cannot be pinned, for it is the user's.
fn autoscaler(d: &Draft<'_>) -> Result<(), Refusal> {
    let Some(hpa) =
        super::companions::users_scaler(d).filter(|_| world::active_slot(&d.status) == Slot::Origin)
    else {
        return Ok(());
    };
    let message = format!(
        "HorizontalPodAutoscaler {} changes the number of the stable pods by which the share is made, and it is yours; take it away \
         for the first promotion and put it back afterwards, then the slots get copies that are held still while both serve",
        companions::name(hpa)
    );
    Err(("AutoscalerMovesShare", message))
}

/// Every step must be a share that counts of pods can make.
fn shares(d: &Draft<'_>) -> Result<(), Refusal> {
    let (steps, stable) = (&d.spec().strategy.canary.steps, replicas::stable_pods(d).max(1));
    let Some(at) = (0..steps.len()).find(|i| count(stable, steps, *i).is_none()) else { return Ok(()) };
    let weight = steps[at].weight;
    let near = crate::traffic::replicas::at_most(stable, weight);
    let nearest = match near {
        0 => format!("the smallest share is {} %", smallest(stable)),
        n => format!("the nearest shares are {} and {} %", percent(n, stable), percent(n + 1, stable)),
    };
    let more = if near == 0 {
        format!(", or run {} pods for {weight} %", stable_for(weight))
    } else {
        String::new()
    };
    let message = format!(
        "without a gateway the share is a part of the pods, and {stable} of the stable version cannot make the {weight} % of canary step {}: \
         {nearest}; choose steps that the pods can make{more}",
        at + 1
    );
    Err(("ShareNotPossible", message))
}
