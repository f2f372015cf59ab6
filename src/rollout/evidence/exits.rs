//! How the containers of both versions ended. A pod's status tells of the last end of each container alone, so that the ones
//! before it are kept beside the candidate: a version with one pod crashes twice as surely as one with two.

use crate::analysis::Arm;
use crate::analysis::pods::{self, Exit};
use crate::api::{BadExit, Candidate};
use crate::rollout::observed::{ContainerExit, PodFacts};
use crate::rollout::{Draft, world};

/// Ends kept of each version; two decide.
const KEPT: usize = 10;

/// Remembers the bad ends that the pods tell of, and forgets those that count no more.
pub fn remember_exits(d: &mut Draft<'_>) {
    let Some(mut c) = d.status.candidate.take() else { return };
    let since = d.now() - pods::WINDOW;
    // What the slot held before the attempt is not the candidate.
    let ours = d.obs.pods_of(c.slot).filter(|p| p.template_hash == c.template_hash);
    let stable = d.obs.pods_of(world::active_slot(&d.status));
    let told = ours.map(|p| (p, false)).chain(stable.map(|p| (p, true)));
    for (pod, stable) in told {
        for exit in pod.exits.iter().filter(|e| is_bad(e)) {
            remember(&mut c.exits, seen(pod, exit, stable), pod.disrupted);
        }
    }
    c.exits.retain(|e| e.at > since);
    c.exits.sort_by_key(|e| e.at);
    let (stable, ours): (Vec<_>, Vec<_>) = c.exits.into_iter().partition(|e| e.stable);
    c.exits = [ours, stable].into_iter().flat_map(newest).collect();
    d.status.candidate = Some(c);
}

fn newest(mut ends: Vec<BadExit>) -> Vec<BadExit> {
    ends.split_off(ends.len().saturating_sub(KEPT))
}

/// The bad ends of one version.
pub fn of(c: &Candidate, arm: Arm) -> Vec<Exit> {
    let ends = c.exits.iter().filter(|e| e.stable == (arm == Arm::Stable));
    let exit = |e: &BadExit| Exit {
        pod: e.pod.clone(),
        at: e.at,
        code: e.code,
        out_of_memory: e.out_of_memory,
        explained: e.explained,
    };
    ends.map(exit).collect()
}

fn is_bad(exit: &ContainerExit) -> bool {
    exit.code != 0 || out_of_memory(exit)
}

fn out_of_memory(exit: &ContainerExit) -> bool {
    exit.reason == "OOMKilled"
}

fn seen(pod: &PodFacts, exit: &ContainerExit, stable: bool) -> BadExit {
    BadExit {
        pod: pod.name.clone(),
        container: exit.container.clone(),
        at: exit.at,
        code: exit.code,
        out_of_memory: out_of_memory(exit),
        explained: pod.disrupted || pod.deleting,
        stable,
    }
}

/// An end that is known stays as it is, but for its cause: a pod may be marked as evicted after its container ended.
fn remember(all: &mut Vec<BadExit>, exit: BadExit, disrupted: bool) {
    let same = |e: &&mut BadExit| (&e.pod, &e.container, e.at) == (&exit.pod, &exit.container, exit.at);
    match all.iter_mut().find(same) {
        Some(known) => known.explained |= disrupted,
        None => all.push(exit),
    }
}
