//! Companions of the slots: copies of the user's autoscaler and disruption budget of the origin. They follow the user's,
//! are put back when somebody edits or deletes them, and go when their slot is idle or the user's are gone.

use serde_json::Value;

use crate::api::{Phase, Slot};
use crate::traffic::companion;
use crate::workload::companions::{self, For, Kind, autoscaler, budget};
use crate::workload::labels::{pod_labels, pod_template_labels};

use super::{Action, Draft, provider, selectors, world};

/// What the slots are for at the moment, and how many pods each has to keep.
struct Roles {
    active: Slot,
    /// Pods of the active slot that its autoscaler must not go below.
    held: i32,
    candidate: Option<(Slot, i32)>,
    /// From the promotion on the candidate's pods are guarded by a budget too.
    promoted: bool,
    /// The version before, while Services and route are being put to rest.
    old: Option<Slot>,
    /// Pods that a slot's autoscaler is held at, because their counts make the share.
    still: Vec<(Slot, i32)>,
}

/// What is to be with a companion.
enum Wanted {
    /// It is there, and like this.
    There(Value),
    /// Left as it is, there or not.
    AsItIs,
    /// It goes, should it be ours.
    Gone,
}

/// The user's autoscaler of the origin, when the slot is one of ours: then it is the autoscaler that scales the slot.
pub fn scaler<'a>(d: &Draft<'a>, slot: Slot) -> Option<&'a Value> {
    match slot {
        Slot::Origin => None,
        Slot::A | Slot::B => users_scaler(d),
    }
}

/// The user's autoscaler of the origin; none while autoscalers may not be read.
pub fn users_scaler<'a>(d: &Draft<'a>) -> Option<&'a Value> {
    if d.obs.unread.iter().any(|unread| unread.kind == Kind::Autoscaler.resource()) {
        return None;
    }
    autoscaler::of(&d.spec().workload.deployment, &d.obs.autoscalers)
}

/// Keeps every companion as the roles of the slots ask for.
pub fn keep(d: &mut Draft<'_>) {
    let hold = d.spec().workload.hold_capacity;
    let capacity = if hold { d.status.capacity } else { 0 };
    let roles = Roles {
        active: world::active_slot(&d.status),
        held: capacity,
        candidate: d.status.candidate.as_ref().map(|c| (c.slot, c.floor)),
        promoted: matches!(d.phase(), Phase::Watching | Phase::Settling),
        old: d.status.settling.as_ref().map(|s| s.old_slot),
        still: provider::held_still(d),
    };
    unread(d);
    shared(d);
    several(d);
    let before = d.actions.len();
    if raises_share(d) {
        // The pods that a share needs are held before it is given.
        d.at_once(|d| put_right(d, &roles));
        let made = d.actions.len() - before;
        d.actions.rotate_right(made);
    } else {
        put_right(d, &roles);
    }
}

/// Somebody else's object has the name of a companion that the candidate or the stable version needs: nothing goes forward.
pub fn guard(d: &mut Draft<'_>) {
    if users_scaler(d).is_none() {
        return;
    }
    let workload = d.spec().workload.deployment.clone();
    for slot in [world::active_slot(&d.status), world::candidate_slot(&d.status)] {
        let name = slot.deployment(&workload);
        let found = d.obs.autoscalers.iter().find(|o| companions::name(o) == name);
        let theirs = found.is_some_and(|o| !selectors::owned_or_orphaned(d, &companions::meta(o)));
        if slot != Slot::Origin && theirs {
            taken(d, Kind::Autoscaler, &name);
        }
    }
}

fn taken(d: &mut Draft<'_>, kind: Kind, name: &str) {
    let kind = kind.as_str();
    d.stall("NameTaken", format!("{kind} {name} exists and is somebody else's; rename or remove it"));
}

/// The rollout is going: what serves keeps its companions, as the user's are, and nothing else is left. True when it is
/// so, as observed.
pub fn leave(d: &mut Draft<'_>) -> bool {
    let active = world::active_slot(&d.status);
    let (before, held_back) = (d.actions.len(), d.held_back());
    put_right(d, &Roles { active, held: 0, candidate: None, promoted: false, old: None, still: Vec::new() });
    // What is only to be renewed is tried, and not waited for: somebody may refuse it for ever.
    let going = d.actions[before..].iter().any(|action| matches!(action, Action::DeleteCompanion { .. }));
    !going && d.held_back() == held_back
}

fn raises_share(d: &Draft<'_>) -> bool {
    if !matches!(d.status.phase, Some(Phase::Canary | Phase::Watching)) {
        return false;
    }
    if d.actions.iter().any(|a| matches!(a, Action::PatchService { gives: true, .. })) {
        return true;
    }
    let routes = d.actions.iter().any(|a| matches!(a, Action::PatchRoute { .. }));
    let set = d.status.step.as_ref().map_or(0, |s| s.set);
    routes && world::reading(d.obs).is_some_and(|r| set > r.candidate)
}

fn put_right(d: &mut Draft<'_>, roles: &Roles) {
    for kind in Kind::ALL {
        if d.obs.unread.iter().any(|u| u.kind == kind.resource()) {
            continue;
        }
        for slot in Slot::OURS {
            let workload = d.spec().workload.deployment.as_str();
            let of = For { workload, slot, mark: world::mark(d.obs) };
            let wanted = match kind {
                Kind::Autoscaler => wanted_scaler(d, roles, &of),
                Kind::Budget => wanted_budget(d, roles, &of),
            };
            make_so(d, kind, slot, wanted);
        }
    }
}

/// The autoscaler of what serves is always there; that of another slot only while it has pods and a part to play.
fn wanted_scaler(d: &Draft<'_>, roles: &Roles, of: &For<'_>) -> Wanted {
    let Some(user) = scaler(d, of.slot) else { return Wanted::Gone };
    let Some(deployment) = d.obs.deployment(of.slot) else { return Wanted::Gone };
    if let Some((_, pods)) = roles.still.iter().find(|(slot, _)| *slot == of.slot) {
        return Wanted::There(autoscaler::pinned(user, of, *pods));
    }
    let candidate = roles.candidate.filter(|(slot, _)| *slot == of.slot).map(|(_, floor)| floor);
    if of.slot == roles.active {
        return Wanted::There(autoscaler::copy(user, of, roles.held.max(candidate.unwrap_or(0))));
    }
    let floor = match candidate {
        Some(floor) => floor,
        None if roles.old == Some(of.slot) => roles.held,
        None => return Wanted::Gone,
    };
    match world::replicas(Some(deployment)) {
        0 => Wanted::AsItIs,
        _ => Wanted::There(autoscaler::copy(user, of, floor)),
    }
}

/// A budget is there from the promotion on. A candidate that is being taken away keeps its own until it is gone.
fn wanted_budget(d: &Draft<'_>, roles: &Roles, of: &For<'_>) -> Wanted {
    let Some(origin) = &d.obs.origin else { return Wanted::AsItIs };
    let own = own_budgets(d);
    let Some(user) = budget::of(&pod_template_labels(origin), &own) else { return Wanted::Gone };
    if d.obs.deployment(of.slot).is_none() {
        return Wanted::Gone;
    }
    let candidate = roles.candidate.is_some_and(|(slot, _)| slot == of.slot);
    if of.slot == roles.active || (candidate && roles.promoted) || roles.old == Some(of.slot) {
        return Wanted::There(budget::copy(user, of));
    }
    if candidate { Wanted::AsItIs } else { Wanted::Gone }
}

fn make_so(d: &mut Draft<'_>, kind: Kind, slot: Slot, wanted: Wanted) {
    let name = slot.deployment(&d.spec().workload.deployment);
    let found = d.obs.companions(kind).iter().find(|o| companions::name(o) == name).cloned();
    let ours = |d: &Draft<'_>, o: &Value| selectors::owned_or_orphaned(d, &companions::meta(o));
    let going = |o: &Value| !o["metadata"]["deletionTimestamp"].is_null();
    match (wanted, found) {
        (Wanted::There(wanted), None) => {
            d.act(Action::CreateCompanion { kind, object: wanted });
        }
        (Wanted::There(wanted), Some(found)) if ours(d, &found) => {
            if let Some(edit) = companion::renew(&found, &wanted).filter(|_| !going(&found)) {
                let what = described(kind, &wanted);
                d.act(Action::PatchCompanion { kind, name, patch: edit.patch, what });
            }
        }
        (Wanted::There(_), Some(_)) => taken(d, kind, &name),
        (Wanted::Gone, Some(found)) if ours(d, &found) && !going(&found) => {
            let uid = found["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            d.act(Action::DeleteCompanion { kind, name, uid });
        }
        (Wanted::Gone | Wanted::AsItIs, _) => {}
    }
}

fn described(kind: Kind, wanted: &Value) -> String {
    match kind {
        Kind::Autoscaler => {
            format!(
                "as the user's, between {} and {}",
                wanted["spec"]["minReplicas"], wanted["spec"]["maxReplicas"]
            )
        }
        Kind::Budget => "as the user's".to_owned(),
    }
}

/// Whether a budget of the user counts the pods of the origin and of a slot.
fn counts_both(d: &Draft<'_>, pdb: &Value) -> bool {
    let (Some(origin), Some(adoption)) = (&d.obs.origin, &d.status.adoption) else { return false };
    let pods = pod_template_labels(origin);
    let slot = |slot| pod_labels(adoption, &pods, slot, &d.spec().workload.deployment);
    !companions::is_copy(pdb)
        && budget::counts(pdb, &pods)
        && Slot::OURS.into_iter().any(|s| budget::counts(pdb, &slot(s)))
}

/// The budgets that do not count both arms' pods.
fn own_budgets(d: &Draft<'_>) -> Vec<Value> {
    d.obs.budgets.iter().filter(|pdb| !counts_both(d, pdb)).cloned().collect()
}

/// Several of a kind over the origin: Kubernetes works with none of them, and the slots get a copy of one.
fn several(d: &mut Draft<'_>) {
    let deployment = d.spec().workload.deployment.clone();
    let own = own_budgets(d);
    let budgets = d.obs.origin.as_ref().map(|o| budget::all_of(&pod_template_labels(o), &own));
    let found = [
        (Kind::Autoscaler, autoscaler::all_of(&deployment, &d.obs.autoscalers), "scale"),
        (Kind::Budget, budgets.unwrap_or_default(), "count the pods of"),
    ];
    for (kind, all, does) in found {
        let names: Vec<&str> = all.into_iter().map(companions::name).collect();
        let [first, _, ..] = names.as_slice() else { continue };
        let then = match kind {
            Kind::Autoscaler => "Kubernetes scales by none of them (AmbiguousSelector)",
            Kind::Budget => "Kubernetes refuses to evict a pod that several count",
        };
        d.warn(
            "CompanionsSeveral",
            format!(
                "{}s {} {does} Deployment {deployment}: {then}, and the slots get copies of {first}, the first by name; keep one \
                 of them",
                kind.as_str(),
                names.join(", ")
            ),
        );
    }
}

/// One budget over both arms lets a drain take all pods of one of them. A copy beside it would make evictions impossible:
/// the API refuses them for a pod with two budgets.
fn shared(d: &mut Draft<'_>) {
    let both: Vec<String> = d
        .obs
        .budgets
        .iter()
        .filter(|pdb| counts_both(d, pdb))
        .map(|pdb| companions::name(pdb).to_owned())
        .collect();
    let keys: Vec<String> = d.status.adoption.iter().flat_map(|a| a.labels.keys().cloned()).collect();
    for name in both {
        d.warn(
            "BudgetShared",
            format!(
                "PodDisruptionBudget {name} counts the pods of both versions together, so it protects neither of them; \
                 add the label {} of the Deployment's pods to its selector, then each slot gets one of its own",
                keys.join(" and ")
            ),
        );
    }
}

/// Kinds that the operator may not read: nothing of them is mirrored, and that is said.
fn unread(d: &mut Draft<'_>) {
    for unread in &d.obs.unread {
        d.warn(
            "CompanionsUnread",
            format!(
                "the operator cannot read {} ({}), so the slots get none and yours are not followed; give it get, list, watch, \
                 create, patch and delete on them",
                unread.kind, unread.why
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::several;
    use crate::api::ModelRollout;
    use crate::rollout::{Draft, Observed};

    fn warned(autoscalers: Vec<Value>, budgets: Vec<Value>) -> Vec<String> {
        let rollout: ModelRollout = serde_json::from_value(json!({
            "metadata": { "name": "m", "namespace": "shop", "uid": "u" },
            "spec": { "model": "m", "version": "1", "workload": { "deployment": "m", "container": "c" }, "traffic": { "service": "m" } },
        }))
        .unwrap();
        let origin = json!({ "metadata": { "name": "m" }, "spec": {
            "selector": {}, "template": { "metadata": { "labels": { "app": "m" } } } } });
        let now = chrono::DateTime::from_timestamp(1_767_261_600, 0).unwrap();
        let obs = Observed {
            autoscalers,
            budgets,
            origin: Some(std::sync::Arc::new(serde_json::from_value(origin).unwrap())),
            ..Observed::only(rollout, now)
        };
        let mut d = Draft::new(&obs);
        several(&mut d);
        d.warnings.into_iter().map(|w| format!("{}: {}", w.reason, w.message)).collect()
    }

    #[test]
    fn several_of_a_kind_are_all_named_with_the_one_that_is_followed() {
        let hpa = |name: &str, target: &str| {
            json!({ "metadata": { "name": name },
                "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": target } } })
        };
        let pdb = |name: &str, app: &str| json!({ "metadata": { "name": name }, "spec": { "selector": { "matchLabels": { "app": app } } } });
        let one = vec![hpa("b", "m"), hpa("a", "other")];
        assert!(warned(one, vec![pdb("q", "m"), pdb("p", "other")]).is_empty());
        let said =
            warned(vec![hpa("b", "m"), hpa("a", "m")], vec![pdb("q", "m"), pdb("p", "m"), pdb("r", "m")]);
        assert_eq!(said.len(), 2);
        assert!(
            said[0].starts_with("CompanionsSeveral: HorizontalPodAutoscalers a, b scale Deployment m:"),
            "{said:?}"
        );
        assert!(said[0].contains("copies of a,"), "{said:?}");
        assert!(said[1].starts_with("CompanionsSeveral: PodDisruptionBudgets p, q, r count"), "{said:?}");
        assert!(said[1].contains("copies of p,"), "{said:?}");
    }
}
