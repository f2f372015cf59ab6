//! The lab itself, tested as its users use it: one lab, each test in a namespace of its own.

mod access;
mod echo;
mod misbehaviour;
mod observability;
mod support;
mod traffic;
mod workloads;

use anyhow::Result;
use lab::suite::Failures;
use lab::{Lab, Options};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::runtime::Handle;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(echo::VERB) {
        return echo::main();
    }
    lab::suite::main(|| trials(None), run)
}

fn run() -> Result<ExitCode> {
    // First of all: the node agent is this program too, with arguments of its own.
    lab::inside()?;
    let mut arguments = Arguments::from_args();
    // One after the other: they share the machine, and some restart components.
    arguments.test_threads = Some(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let lab = Arc::new(runtime.block_on(Lab::create(Options::default()))?);
    lab.register_image("lab/echo", &echo::image()?)?;
    let failures = Arc::new(Failures::default());
    let world = (lab.clone(), runtime.handle().clone(), Arc::clone(&failures));
    let conclusion = libtest_mimic::run(&arguments, trials(Some(world)));
    if conclusion.has_failed() {
        support::print_logs(&lab);
        failures.print("the tests of the lab itself");
    }
    Ok(conclusion.exit_code())
}

fn trials(lab: Option<(Arc<Lab>, Handle, Arc<Failures>)>) -> Vec<Trial> {
    macro_rules! trials {
        ($($module:ident :: $test:ident),* $(,)?) => { vec![$({
            let lab = lab.clone();
            Trial::test(stringify!($test), move || {
                let (lab, runtime, failures) = lab.ok_or("no lab")?;
                runtime.block_on($module::$test(&lab)).map_err(|error| {
                    failures.note(stringify!($test), &error);
                    Failed::from(format!("{error:#}"))
                })
            })
        }),*] };
    }
    trials![
        access::a_ready_lab_has_what_a_cluster_has,
        access::a_service_account_has_its_own_rights_and_no_others,
        access::the_audit_log_counts_requests_by_user,
        access::a_controller_is_killed_and_started_again,
        workloads::a_deployment_gets_ready_is_scaled_rolled_and_deleted,
        workloads::a_pod_that_is_deleted_has_its_grace_period,
        workloads::environment_and_volumes_reach_the_process,
        workloads::a_fake_pod_is_ready_without_a_process,
        misbehaviour::a_crashing_container_backs_off,
        misbehaviour::an_image_that_does_not_resolve_is_reported_and_heals,
        misbehaviour::a_container_out_of_memory_is_reported_so,
        misbehaviour::a_hanging_container_is_restarted_by_its_liveness_probe,
        misbehaviour::a_new_node_agent_takes_over,
        traffic::a_service_address_reaches_its_pods,
        traffic::a_route_splits_by_weight_and_names_the_pod,
        traffic::a_mirror_gets_a_copy_of_every_request,
        traffic::a_hanging_request_ends_at_the_route_s_timeout,
        observability::prometheus_sees_the_gateway_and_the_pods,
        observability::prometheus_is_stopped_and_started,
    ]
}
