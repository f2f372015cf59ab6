//! Pauses between writes that somebody undoes each time: nothing is written without end at full speed, and status says what
//! is undone and by whom.
//!
//! The same write of the same object, in the same words, is a correction: what is wanted has not changed, and the object is not
//! so. The first ones are made at once. How often it was made is remembered by the process, not in status: to remember it there
//! would be a write for each write, and a process that begins anew may well try at once.

use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

use super::{Action, Draft, world};
use crate::api::Slot;
use crate::traffic::foreign_writer;
use crate::workload::companions;

/// For so long a write is remembered.
const WINDOW: Duration = Duration::minutes(1);

/// When is looked what became of a write that may be changed on its way: where that leaves the object as it was, no watch tells
/// of it.
pub const LOOK_AFTER: Duration = Duration::seconds(2);

/// Whether to look what became of a write.
pub fn look_after(action: &Action) -> bool {
    matches!(
        action,
        Action::CreateCompanion { .. }
            | Action::PatchCompanion { .. }
            | Action::CreateGuard(_)
            | Action::PatchGuard { .. }
            | Action::ReplaceDeployment(_)
    )
}

/// How fast a write is made again.
struct Pace {
    /// From so many in a minute on, there is a pause before the next.
    free: usize,
    pause: Duration,
    /// From so many on, a longer one.
    quick: usize,
    long: Duration,
}

/// What requests do not depend on at once. The pauses are those of a route that somebody raises.
const OURS: Pace = Pace { free: 3, pause: Duration::seconds(2), quick: 5, long: Duration::seconds(10) };
/// What sends requests where they are answered: a sync every few seconds is corrected at once each time. The pause is long
/// enough for the queue not to count the passes as one burst, which would hold up looks.
const TRAFFIC: Pace =
    Pace { free: 20, pause: Duration::milliseconds(300), quick: 60, long: Duration::seconds(1) };

/// A write, and when it was made.
#[derive(Clone, Debug, PartialEq)]
struct OwnWrite {
    resource: &'static str,
    object: String,
    what: String,
    times: Vec<DateTime<Utc>>,
}

/// Our own writes of the last minute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnWrites(Vec<OwnWrite>);

impl OwnWrites {
    /// An action was carried out.
    pub fn note(&mut self, action: &Action, now: DateTime<Utc>) {
        for own in &mut self.0 {
            own.times.retain(|at| now - *at < WINDOW);
        }
        self.0.retain(|own| !own.times.is_empty());
        let what = action.to_string();
        match self.0.iter_mut().find(|own| own.what == what) {
            Some(own) => own.times.push(now),
            None => self.0.push(OwnWrite {
                resource: action.verb_and_resource().1,
                object: action.object().to_owned(),
                what,
                times: vec![now],
            }),
        }
    }
}

impl OwnWrite {
    fn within(&self, now: DateTime<Utc>) -> usize {
        self.times.iter().filter(|at| now - **at < WINDOW).count()
    }
}

/// When an action may be carried out, if that is later than now.
pub fn due(d: &Draft<'_>, action: &Action) -> Option<DateTime<Utc>> {
    let what = action.to_string();
    let own = d.obs.own_writes.0.iter().find(|own| own.what == what)?;
    let pace = pace(d, action);
    let pause = match own.within(d.now()) {
        n if n < pace.free => return None,
        n if n < pace.quick => pace.pause,
        _ => pace.long,
    };
    own.times.last().map(|last| *last + pause).filter(|due| *due > d.now())
}

/// Users' requests depend at once on the selectors of their Services, on a route that is to give the candidate less, and on
/// the pods of the active version.
fn pace(d: &Draft<'_>, action: &Action) -> &'static Pace {
    let deployment = &d.spec().workload.deployment;
    let active = world::active_slot(&d.status).deployment(deployment);
    let of_traffic = match action {
        Action::PatchService { name, patch, gives, .. } => {
            *name != world::candidate_service(d.obs) && of_spec(patch) && !gives
        }
        Action::PatchRoute { name, patch, .. } => {
            name == world::route_name(d.obs) && of_spec(patch) && !raises(d)
        }
        // By counts of pods one too many is a share too large: what lowers a scale, other than to 0, is of traffic too.
        Action::Scale { deployment, replicas } => {
            *replicas > 0 && (*deployment == active || lowers(d, action))
        }
        Action::CreateDeployment(made) => made.metadata.name.as_deref() == Some(active.as_str()),
        Action::SetFinalizers(_)
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
    if of_traffic { &TRAFFIC } else { &OURS }
}

fn lowers(d: &Draft<'_>, action: &Action) -> bool {
    let Action::Scale { deployment, replicas } = action else { return false };
    let origin = &d.spec().workload.deployment;
    let slot = Slot::OURS.into_iter().find(|slot| slot.deployment(origin) == *deployment);
    slot.is_some_and(|slot| *replicas < world::replicas(d.obs.deployment(slot)))
}

fn of_spec(patch: &json_patch::Patch) -> bool {
    patch.0.iter().any(|operation| operation.path().as_str().starts_with("/spec"))
}

fn raises(d: &Draft<'_>) -> bool {
    let set = d.status.step.as_ref().map_or(0, |step| step.set);
    world::reading(d.obs).is_some_and(|reading| set > reading.candidate)
}

/// Says what is undone each time, until it has not been for a minute.
pub fn report(d: &mut Draft<'_>) {
    let now = d.now();
    for own in &d.obs.own_writes.0 {
        let of_traffic = matches!(own.resource, "services" | "httproutes")
            && (own.object == d.spec().traffic.service || own.object == world::route_name(d.obs));
        let often = if of_traffic { TRAFFIC.free } else { OURS.free };
        let (Some(first), Some(last)) = (own.times.first(), own.times.last()) else { continue };
        // Those that came without a pause may have been as many edits.
        if own.within(now) <= often {
            continue;
        }
        d.wake_at(*last + WINDOW);
        let reason = match own.resource {
            "services" if of_traffic => "SelectorContested",
            "httproutes" if of_traffic => "RouteConflict",
            _ => "ObjectContested",
        };
        let found = present(d, own);
        let writer = match &found {
            None => "somebody deletes it".to_owned(),
            Some(object) => match foreign_writer(object, *first) {
                Some(writer) => format!("{writer} changes it"),
                None => "no other writer is named in its managedFields, so a mutating webhook or policy changes it on its way"
                    .to_owned(),
            },
        };
        let message = format!(
            "\"{}\" is undone each time ({writer}); it is written again, with pauses of up to {} s: leave objects with the label \
             understudy.dev/rollout-uid, and what the operator sets in yours, out of what does that",
            own.what,
            if of_traffic { TRAFFIC.long.num_seconds() } else { OURS.long.num_seconds() },
        );
        d.warn(reason, message);
    }
}

/// The object of a write, as it is now.
fn present(d: &Draft<'_>, own: &OwnWrite) -> Option<Value> {
    let obs = d.obs;
    let raw = |objects: &[Value]| objects.iter().find(|o| companions::name(o) == own.object).cloned();
    match own.resource {
        "deployments" | "deployments/scale" => {
            let origin = &d.spec().workload.deployment;
            let slots = [crate::api::Slot::Origin, crate::api::Slot::A, crate::api::Slot::B];
            let slot = slots.into_iter().find(|slot| slot.deployment(origin) == own.object)?;
            serde_json::to_value(obs.deployment(slot)?).ok()
        }
        "services" => serde_json::to_value(obs.service(&own.object)?).ok(),
        "configmaps" => serde_json::to_value(obs.guard.as_ref()?).ok(),
        "httproutes" if own.object == world::route_name(obs) => obs.route.clone(),
        "httproutes" => obs.warm_route.clone(),
        "horizontalpodautoscalers" => raw(&obs.autoscalers),
        "poddisruptionbudgets" => raw(&obs.budgets),
        "modelrollouts" => serde_json::to_value(&obs.rollout).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::ModelRollout;
    use crate::rollout::Observed;
    use crate::workload::companions::Kind;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_261_600 + seconds, 0).unwrap()
    }

    fn write(what: &str) -> Action {
        let (name, what) = ("m-a".to_owned(), what.to_owned());
        Action::PatchCompanion { kind: Kind::Autoscaler, name, patch: json_patch::Patch(Vec::new()), what }
    }

    fn observed(own_writes: OwnWrites, now: DateTime<Utc>, autoscaler: Value) -> Observed {
        let rollout: ModelRollout = serde_json::from_value(json!({
            "metadata": { "name": "m", "namespace": "shop", "uid": "u" },
            "spec": { "model": "m", "version": "1", "workload": { "deployment": "m", "container": "c" }, "traffic": { "service": "m" } },
        }))
        .unwrap();
        Observed { own_writes, autoscalers: vec![autoscaler], ..Observed::only(rollout, now) }
    }

    fn autoscaler(manager: &str, time: DateTime<Utc>) -> Value {
        let time = time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        json!({ "metadata": { "name": "m-a", "managedFields": [
            { "manager": "understudy", "operation": "Update", "time": time },
            { "manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "time": time },
            { "manager": manager, "operation": "Update", "time": time },
        ] } })
    }

    #[test]
    fn the_same_write_gets_pauses_and_another_does_not() {
        let mut writes = OwnWrites::default();
        let due_at = |writes: &OwnWrites, now, what: &str| {
            let obs = observed(writes.clone(), at(now), json!({}));
            due(&Draft::new(&obs), &write(what))
        };
        for n in 0..3 {
            assert_eq!(due_at(&writes, 0, "as the user's"), None, "write {n} is free");
            writes.note(&write("as the user's"), at(0));
        }
        assert_eq!(due_at(&writes, 1, "as the user's"), Some(at(2)));
        assert_eq!(due_at(&writes, 1, "as the user's, changed"), None, "what is wanted has changed");
        assert_eq!(due_at(&writes, 2, "as the user's"), None);
        writes.note(&write("as the user's"), at(2));
        writes.note(&write("as the user's"), at(4));
        assert_eq!(due_at(&writes, 5, "as the user's"), Some(at(14)));
        writes.note(&write("another"), at(70));
        assert_eq!(writes.0.len(), 1, "what is older than a minute is forgotten");
    }

    #[test]
    fn the_writer_is_named_as_far_as_the_object_tells() {
        let mut writes = OwnWrites::default();
        (0..4).for_each(|_| writes.note(&write("as the user's"), at(0)));
        let said = |found: Value| {
            let obs = observed(writes.clone(), at(1), found);
            let mut d = Draft::new(&obs);
            report(&mut d);
            d.warnings.pop().map(|w| (w.reason, w.message)).unwrap()
        };
        let (reason, message) = said(autoscaler("keda-operator", at(0)));
        assert_eq!(reason, "ObjectContested");
        assert!(
            message.contains("\"autoscaler m-a: as the user's\"")
                && message.contains("keda-operator changes it")
        );
        assert!(
            said(autoscaler("kubectl", at(-9))).1.contains("webhook"),
            "who wrote before us is not who undoes it"
        );
        assert!(said(json!({ "metadata": { "name": "other" } })).1.contains("somebody deletes it"));
    }
}
