//! What a release needs so that counts of pods can split its traffic, looked at before anything is started.

use crate::api::Slot;
use crate::traffic::replicas::{count, percent, smallest, stable_for};
use crate::workload::companions;

use super::accepted::accepted;
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
    if let Some(refused) = uneven(d) {
        return Err(refused);
    }
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

/// A field of the Service by which a node, a zone or a client does not get every pod alike.
fn uneven(d: &Draft<'_>) -> Option<Refusal> {
    let name = &d.spec().traffic.service;
    let spec = d.obs.service(name)?.spec.as_ref()?;
    let is = |field: &Option<String>, value: &str| field.as_deref() == Some(value);
    let field = if is(&spec.session_affinity, "ClientIP") {
        "sessionAffinity: ClientIP".to_owned()
    } else if is(&spec.internal_traffic_policy, "Local") {
        "internalTrafficPolicy: Local".to_owned()
    } else if is(&spec.external_traffic_policy, "Local") {
        "externalTrafficPolicy: Local".to_owned()
    } else {
        format!("trafficDistribution: {}", spec.traffic_distribution.as_ref()?)
    };
    let finding = format!("SharesUneven/{name}");
    (!accepted(d.obs, &finding)).then(|| {
        let message = format!(
            "Service {name} has {field}, so a client or a node may send all of its requests to the candidate whatever the counts of pods \
             are; take the field away for the rollout, or accept it with the annotation understudy.dev/accept: {finding}"
        );
        ("SharesUneven", message)
    })
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
