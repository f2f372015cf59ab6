//! What is reported about a pod. Pure.

use super::container::{Exit, Phase, Snapshot};
use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// What is known about a pod's containers.
pub(super) struct Seen<'a> {
    pub pod: &'a Pod,
    pub address: &'a str,
    pub since: DateTime<Utc>,
    pub init: &'a [Snapshot],
    pub main: &'a [Snapshot],
    /// The conditions reported last; their transition times stay while their status does.
    pub conditions: &'a [PodCondition],
}

/// The status to report.
pub(super) fn status(seen: &Seen<'_>, now: DateTime<Utc>) -> PodStatus {
    let spec = seen.pod.spec.clone().unwrap_or_default();
    let phase = phase(seen, spec.restart_policy.as_deref().unwrap_or("Always"));
    PodStatus {
        phase: Some(phase.into()),
        conditions: Some(conditions(seen, phase, now)),
        container_statuses: Some(statuses(seen, &spec.containers, seen.main)),
        init_container_statuses: spec.init_containers.as_ref().map(|all| statuses(seen, all, seen.init)),
        host_ip: Some(crate::net::HOST_IP.into()),
        host_ips: Some(vec![HostIP { ip: crate::net::HOST_IP.into() }]),
        pod_ip: Some(seen.address.into()),
        pod_ips: Some(vec![PodIP { ip: seen.address.into() }]),
        start_time: Some(time(seen.since)),
        observed_generation: seen.pod.metadata.generation,
        ..PodStatus::default()
    }
}

/// The kubelet's rules.
fn phase(seen: &Seen<'_>, restart_policy: &str) -> &'static str {
    let exits: Vec<Option<&Exit>> = seen.main.iter().map(final_exit).collect();
    let waits =
        |snapshot: &Snapshot| matches!(snapshot.phase, Phase::Waiting { .. }) && snapshot.last.is_none();
    if seen.main.iter().any(waits) {
        let failed =
            |snapshot: &Snapshot| matches!(&snapshot.phase, Phase::Terminated(exit) if exit.code != 0);
        return if restart_policy == "Never" && seen.init.iter().any(failed) { "Failed" } else { "Pending" };
    }
    if exits.iter().any(Option::is_none) || restart_policy == "Always" {
        return if seen.main.is_empty() { "Pending" } else { "Running" };
    }
    match exits.iter().flatten().all(|exit| exit.code == 0) {
        true => "Succeeded",
        false if restart_policy == "Never" => "Failed",
        false => "Running",
    }
}

fn final_exit(snapshot: &Snapshot) -> Option<&Exit> {
    match &snapshot.phase {
        Phase::Terminated(exit) => Some(exit),
        Phase::Waiting { .. } => snapshot.last.as_ref(),
        Phase::Running { .. } => None,
    }
}

fn conditions(seen: &Seen<'_>, phase: &str, now: DateTime<Utc>) -> Vec<PodCondition> {
    let done = matches!(phase, "Succeeded" | "Failed");
    let initialized =
        seen.init.iter().all(|init| final_exit(init).is_some_and(|exit| exit.code == 0) || init.ready);
    let containers_ready = !done && seen.main.iter().all(|main| main.ready);
    let gates = seen.pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    let given =
        seen.pod.status.iter().flat_map(|status| status.conditions.iter().flatten()).collect::<Vec<_>>();
    let gates_open = gates
        .into_iter()
        .all(|gate| given.iter().any(|one| one.type_ == gate.condition_type && one.status == "True"));
    let names =
        seen.pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.as_str());
    let unready: Vec<&str> =
        names.zip(seen.main).filter(|(_, main)| !main.ready).map(|(name, _)| name).collect();
    let why = match (done, containers_ready) {
        (true, _) => ("PodCompleted", String::new()),
        (false, false) => {
            ("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))
        }
        (false, true) if !gates_open => ("ReadinessGatesNotReady", "a readiness gate is not open".into()),
        (false, true) => ("", String::new()),
    };
    let condition = |type_: &str, status: bool, (reason, message): (&str, String)| {
        let status = if status { "True" } else { "False" };
        let before = seen.conditions.iter().find(|before| before.type_ == type_ && before.status == status);
        PodCondition {
            type_: type_.into(),
            status: status.into(),
            reason: Some(reason.into()).filter(|reason: &String| !reason.is_empty()),
            message: Some(message).filter(|message| !message.is_empty()),
            last_transition_time: before
                .and_then(|before| before.last_transition_time.clone())
                .or_else(|| Some(time(now))),
            observed_generation: seen.pod.metadata.generation,
            ..PodCondition::default()
        }
    };
    let waits_for =
        if initialized { ("", String::new()) } else { ("ContainersNotInitialized", String::new()) };
    vec![
        condition("PodReadyToStartContainers", true, ("", String::new())),
        condition("Initialized", initialized, waits_for),
        condition("ContainersReady", containers_ready, why.clone()),
        condition("Ready", containers_ready && gates_open, why),
    ]
}

fn statuses(seen: &Seen<'_>, containers: &[Container], snapshots: &[Snapshot]) -> Vec<ContainerStatus> {
    let one = |(container, snapshot): (&Container, &Snapshot)| {
        let image = container.image.clone().unwrap_or_default();
        let id = |restart: i32| {
            format!("lab://{}/{}/{restart}", seen.pod.uid().unwrap_or_default(), container.name)
        };
        ContainerStatus {
            name: container.name.clone(),
            image_id: image.clone(),
            image,
            container_id: final_exit(snapshot).map_or(
                matches!(snapshot.phase, Phase::Running { .. }).then(|| id(snapshot.restarts)),
                |_| Some(id(snapshot.restarts)),
            ),
            ready: snapshot.ready,
            started: Some(snapshot.started),
            restart_count: snapshot.restarts,
            state: Some(state(&snapshot.phase)),
            last_state: snapshot.last.as_ref().map(|exit| state(&Phase::Terminated(exit.clone()))),
            ..ContainerStatus::default()
        }
    };
    containers.iter().zip(snapshots).map(one).collect()
}

fn state(phase: &Phase) -> ContainerState {
    match phase {
        Phase::Waiting { reason, message } => ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some((*reason).into()),
                message: Some(message.clone()).filter(|message| !message.is_empty()),
            }),
            ..ContainerState::default()
        },
        Phase::Running { since } => ContainerState {
            running: Some(ContainerStateRunning { started_at: Some(time(*since)) }),
            ..ContainerState::default()
        },
        Phase::Terminated(exit) => ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: exit.code,
                reason: Some(exit.reason.into()),
                started_at: Some(time(exit.started)),
                finished_at: Some(time(exit.finished)),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        },
    }
}

/// The API's time, in whole seconds as the API keeps them.
fn time(at: DateTime<Utc>) -> Time {
    Time(Timestamp::from_second(at.timestamp()).unwrap_or(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(policy: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "m", "uid": "u"},
            "spec": {"restartPolicy": policy, "containers": [{"name": "server", "image": "lab/m:1"}]},
        }))
        .unwrap()
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn running(ready: bool) -> Snapshot {
        Snapshot { phase: Phase::Running { since: at(1) }, ready, started: true, ..Snapshot::new(0) }
    }

    fn exited(code: i32) -> Snapshot {
        let exit = Exit { code, reason: "Error", started: at(1), finished: at(2) };
        Snapshot { phase: Phase::Terminated(exit), ..Snapshot::new(0) }
    }

    fn report(pod: &Pod, main: Snapshot, conditions: &[PodCondition], now: i64) -> PodStatus {
        let main = [main];
        status(
            &Seen { pod, address: "10.244.0.1", since: at(0), init: &[], main: &main, conditions },
            at(now),
        )
    }

    fn ready(status: &PodStatus) -> &PodCondition {
        status.conditions.as_ref().unwrap().iter().find(|condition| condition.type_ == "Ready").unwrap()
    }

    #[test]
    fn phases_follow_the_restart_policy() {
        for (policy, main, expected) in [
            ("Always", Snapshot::new(0), "Pending"),
            ("Always", running(false), "Running"),
            ("Always", exited(1), "Running"),
            ("OnFailure", exited(1), "Running"),
            ("OnFailure", exited(0), "Succeeded"),
            ("Never", exited(1), "Failed"),
        ] {
            let reported = report(&pod(policy), main, &[], 3);
            assert_eq!(reported.phase.as_deref(), Some(expected), "{policy}");
        }
    }

    #[test]
    fn a_crash_loop_is_running_and_not_ready() {
        let crashed = exited(137);
        let Phase::Terminated(exit) = crashed.phase else { unreachable!("made just above") };
        let waiting = Phase::Waiting { reason: "CrashLoopBackOff", message: String::new() };
        let looping = Snapshot { phase: waiting, last: Some(exit), ..Snapshot::new(3) };
        let reported = report(&pod("Always"), looping, &[], 3);
        assert_eq!(reported.phase.as_deref(), Some("Running"));
        assert_eq!(ready(&reported).status, "False");
        let container = &reported.container_statuses.unwrap()[0];
        assert_eq!(container.restart_count, 3);
        let last = container.last_state.as_ref().unwrap().terminated.as_ref().unwrap();
        assert_eq!(last.exit_code, 137);
    }

    #[test]
    fn a_transition_time_moves_only_with_the_status() {
        let pod = pod("Always");
        let first = report(&pod, running(false), &[], 10);
        let same = report(&pod, running(false), first.conditions.as_ref().unwrap(), 20);
        assert_eq!(ready(&same).last_transition_time, ready(&first).last_transition_time);
        let turned = report(&pod, running(true), same.conditions.as_ref().unwrap(), 30);
        assert_eq!(ready(&turned).status, "True");
        assert_eq!(ready(&turned).last_transition_time, Some(time(at(30))));
    }
}
