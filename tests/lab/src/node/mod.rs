//! The node agent: what a kubelet is to a node, with processes for containers.
//!
//! ```text
//! agent      watches the pods bound to its node; one worker per pod
//! pod        the worker: starts containers, reports status, ends the pod when it is deleted
//! container  one container's life: start, probes, restarts with back-off, stop
//! command    what is started: image, command, arguments, environment, directory
//! env        environment variables with expansion (pure)
//! probe      thresholds (pure), and asking
//! status     what is reported (pure)
//! addresses  pod addresses
//! targets    what Prometheus is told
//! usage      the resource-metrics API
//! leftovers  processes of an agent that died
//! ```
//!
//! Annotations of a pod, for tests: `lab.understudy.dev/fake: ready` (reported Ready, nothing is started),
//! `lab.understudy.dev/crash-backoff: 1s` (first back-off instead of 10 s) and `lab.understudy.dev/oom-after: 5s`
//! (each container is killed after that time and reported OOMKilled).

mod addresses;
mod agent;
mod annotation;
mod command;
mod container;
mod env;
mod leftovers;
mod pod;
mod probe;
mod register;
mod status;
mod targets;
mod usage;
mod volumes;

/// The lab's only node.
pub const NODE_NAME: &str = "lab-node";

/// The agent's `main`: the second argument is the lab's directory. Returns the exit code.
pub(crate) fn main() -> i32 {
    let Some(directory) = std::env::args().nth(2) else {
        eprintln!("the node agent is started by the lab");
        return 2;
    };
    tracing_subscriber::fmt().with_ansi(false).init();
    match crate::block_on(agent::run(directory.into())) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("node agent: {error:#}");
            1
        }
    }
}
