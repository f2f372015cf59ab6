//! Rollouts on a real cluster: one lab and one operator, each test with a workload in a namespace of its own.
//!
//! Tests that leave the operator alone run four at a time (they mostly wait); those that kill it or count what it does run by themselves.

mod ab_tests;
mod audits;
mod coming_and_going;
mod costs;
mod crashes;
mod degraded;
mod edits;
mod evidence;
mod fits;
mod kills;
mod manifests;
mod mirror;
mod nonsense;
mod promotions;
mod refusals;
mod regressions;
mod scale;
mod series;
mod space;
mod world;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Handle;
use world::World;

/// At once, where the operator is shared.
const TOGETHER: usize = 4;

fn main() -> ExitCode {
    lab::suite::main(|| [together(None), alone(None), measured(None)].into_iter().flatten().collect(), run)
}

fn run() -> Result<ExitCode> {
    if !lab::inside::is_inside() {
        // Here, where the machine's network is: what is missing is downloaded, built and trained.
        lab::build::build()?;
        lab::models::ensure()?;
    }
    // The node agent is this program too, with arguments of its own.
    lab::inside()?;
    let mut arguments = Arguments::from_args();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build()?;
    let world = Arc::new(runtime.block_on(World::create())?);
    let with = || Some((Arc::clone(&world), runtime.handle().clone()));
    arguments.test_threads = Some(TOGETHER);
    let first = libtest_mimic::run(&arguments, together(with()));
    arguments.test_threads = Some(1);
    let second = libtest_mimic::run(&arguments, alone(with()));
    let third = libtest_mimic::run(&arguments, measured(with()));
    let failed = first.has_failed() || second.has_failed() || third.has_failed();
    if failed {
        world.print_log();
        world.failures.print("the tests of rollouts on the lab");
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

type Place = Option<(Arc<World>, Handle)>;

macro_rules! trials {
    ($world:expr; $($test:path),* $(,)?) => { vec![$({
        let world: Place = $world.clone();
        let name = stringify!($test).replace(' ', "");
        Trial::test(name.clone(), move || {
            let (world, runtime) = world.ok_or("no lab")?;
            let began = Instant::now();
            let result = runtime.block_on($test(&world));
            eprintln!("{name}: {} s", began.elapsed().as_secs());
            result.map_err(|error| {
                world.failures.note(&name, &error);
                Failed::from(format!("{error:#}"))
            })
        })
    }),*] };
}

fn together(world: Place) -> Vec<Trial> {
    trials![world;
        coming_and_going::adoption_touches_nothing,
        evidence::the_forecast_of_a_small_canary_is_right,
        evidence::a_preset_reads_the_real_gateway,
        ab_tests::a_worse_version_loses_its_ab_test_and_a_better_one_wins,
        audits::a_rollback_can_be_recomputed,
        mirror::the_mirror_stops_at_its_budget,
        degraded::both_versions_failing_together_is_no_verdict,
        degraded::a_late_regression_in_the_watch_is_taken_back,
        crashes::a_drain_is_no_rejection_and_two_crashes_are,
        regressions::a_wrong_one_is_taken_back_for_its_accuracy,
        regressions::a_failing_one_is_taken_back_for_its_errors,
        regressions::a_silent_one_is_taken_back_for_its_silence,
        edits::more_for_the_candidate_is_corrected,
        edits::less_for_the_candidate_is_kept_until_resumed,
        edits::the_route_applied_again_in_each_phase,
        coming_and_going::deletion_in_mid_canary_leaves_the_namespace_as_it_was,
        coming_and_going::what_serves_outlives_its_rollout_and_is_taken_over,
        coming_and_going::the_second_claim_is_stalled,
        refusals::missing_objects_are_named_until_they_come,
        refusals::unfit_versions_are_refused_and_put_right,
        refusals::what_cannot_be_copied_is_refused_and_put_right,
        refusals::a_service_that_cannot_follow_is_named,
        refusals::a_template_that_cannot_run_twice_is_refused_and_put_right,
        refusals::bad_queries_hold_before_any_traffic_moves,
        refusals::a_route_that_nobody_accepts_holds_before_any_traffic_moves,
        fits::templates::resources_before_the_first_promotion,
        fits::templates::a_sidecar_in_mid_canary,
        fits::templates::a_volume_while_watching,
        fits::templates::resources_while_the_version_is_rejected,
        fits::covered::a_network_policy_about_the_origin_alone,
        fits::covered::monitors_and_policies_by_name_are_accepted_by_annotation,
        fits::covered::a_service_that_would_find_a_slot_s_pods,
        fits::take_over::deleted_in_each_phase_and_made_again,
        fits::take_over::the_origin_deleted_and_made_again,
        fits::take_over::the_namespace_deleted_in_mid_canary,
        fits::take_over::a_second_rollout_shares_the_route,
        fits::take_over::services_with_several_ports_and_headless,
        fits::take_over::a_route_with_sixteen_rules,
        fits::git::kubectl_apply_all_day,
        fits::git::forced_apply_all_day,
        fits::git::the_route_in_the_sync,
        fits::no_gateway::counts_of_pods_make_the_share,
        fits::no_gateway::a_failing_one_loses_its_connections,
        fits::no_gateway::refusals_say_what_would_do,
        fits::no_gateway::autoscalers_are_held_still_and_lost_pods_count,
    ]
}

fn alone(world: Place) -> Vec<Trial> {
    trials![world;
        fits::autoscalers::load_moves_both_arms,
        fits::autoscalers::a_jump_waits_for_its_pods,
        fits::autoscalers::a_rollback_after_stable_has_shrunk,
        fits::autoscalers::copies_are_put_back,
        fits::bad_input::companions_that_cannot_be_read_or_shared,
        promotions::two_in_a_row_cost_no_request_and_no_pod,
        promotions::ten_in_a_row_cost_no_request,
        regressions::a_slow_one_is_taken_back_for_its_latency,
        regressions::an_outright_failure_is_off_the_route_within_three_intervals,
        mirror::no_reply_waits_for_a_silent_dead_or_slow_candidate,
        costs::an_idle_rollout_costs_nothing,
        costs::the_first_weight_comes_at_once,
        costs::a_weight_step_costs_three_writes,
        costs::ten_rollouts_fit_into_forty_megabytes,
        fits::git::service_made_again_all_day,
        fits::git::without_the_guard,
        evidence::prometheus_away_for_two_minutes_is_held,
        series::dropped_and_made_again_each_request_counts_once,
        kills::killed_in_every_phase_of_a_promotion,
        kills::killed_while_rolling_back,
        audits::killed_at_every_look_the_evidence_is_the_same,
        kills::a_restarted_operator_looks_before_it_advances,
        kills::a_second_operator_waits_and_takes_over_from_a_frozen_one,
        // Last: it deletes the policies that the tests before it depend on.
        fits::bad_input::things_taken_and_turned_at_rest,
    ]
}

/// What is measured when asked for, and takes too long for every day: `make scale`.
fn measured(world: Place) -> Vec<Trial> {
    let asked = std::env::var_os("MEASURE").is_some();
    if asked { trials![world; scale::a_hundred_rollouts_in_mid_canary] } else { Vec::new() }
}
