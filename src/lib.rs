//! Understudy releases model versions safely on Kubernetes.
//!
//! This text is the architecture: what happens from a change of one line to a new version that serves, where that stands
//! in the code, and what must hold at every moment.
//!
//! # Bird's-eye view
//!
//! A platform team registers a version ([`api::ModelVersion`]) and names it in a [`api::ModelRollout`]. The controller
//! brings it on beside the version that serves: it gets a mirrored copy of the traffic (shadow), then a rising share
//! (canary), then nearly all of it while the version before stays warm (watch); then Services and route are put to rest
//! (settling). All the while both versions are compared on the same intervals. When the candidate is worse than its limit
//! *relative to the stable version*, the route goes back in the same pass.
//!
//! The user's Deployment is the **origin**: it serves on day one and is the template of every version; its template is
//! never patched. Two Deployments of ours, the **slots** `-a` and `-b`, take turns as candidate and active version, so that
//! a promotion swaps roles and restarts no pod. The user's Service always selects the active version, `<service>-candidate`
//! the candidate; the user's HTTPRoute is split between the two while a rollout runs, and is as the user wrote it at rest.
//!
//! ```text
//!             +------ new version, template or baseline (before promotion): weight 0, drain, new plan
//!             v                                                     |
//!   Active -> Pending -> Preparing -> Shadow -> Canary(i) --> Watching -> Settling -> Active
//!               ^           |           |          |             |
//!               |           +-----------+----------+-------------+--> RollingBack -> RolledBack
//!               +--- new version, Retry, or retry raised ---------------------------------+       any -> Deleting
//! ```
//!
//! # One pass
//!
//! A pass is a list of steps, and the reconcile function is that list and nothing else:
//!
//! 1. **gather** (I/O): the stores, overlaid with what our own last writes returned, and the answers to the questions that
//!    the rollout asks of Prometheus ([`rollout::questions()`]) become one value, [`rollout::Observed`], the time included.
//! 2. **decide** (pure): [`rollout::decide`] gives a [`rollout::Plan`], a value that leaves nothing to choose.
//! 3. **check** (pure): [`rollout::check`] refuses a plan that would break an invariant.
//! 4. **apply** (I/O): the status first, as the intent, then the actions in their order.
//! 5. **report**: Events and metrics, after the writes.
//!
//! What moves a test beside the samples (a stage, a step, a time that is not judged) is noted in status and done by one function,
//! now and when an attempt is recomputed: `rollout/evidence/journal`. `understudy audit-evidence` does that against Prometheus, and
//! the simulation at the end of every attempt. In status the tests are one packed text (`api/status/packed`), so that eight metrics fit
//! into 16 KiB; what people read of them is `status.analysis`.
//!
//! The outcome is never remembered: the next pass reads it back from the world. A step costs three writes: intent, route,
//! outcome.
//!
//! One breach, end to end, in one direction: a look is due -> `controller/gather` -> `measure/prometheus` ->
//! `rollout/observed` -> `analysis/*` (a verdict with its numbers) -> `rollout/decide` -> `rollout/phases/canary` ->
//! `rollout/rollback` (RollingBack, and the route in the same plan) -> `rollout/check` -> `cluster/status` (intent) ->
//! `traffic/http_route` -> `cluster/apply` (route) -> `cluster/events`, `telemetry` -> the next pass observes and settles.
//!
//! # Code map
//!
//! Arrows point one way, and a test holds them there (`tests/layering.rs`):
//!
//! ```text
//! api <- registry, analysis <- rollout <- controller -> traffic   (pure: split -> edits of route and Service)
//!                                ^                   -> measure   (I/O: metric sources)
//!                       cli, serve, simulate         -> cluster   (I/O: the API server)
//! ```
//!
//! | module | what it knows |
//! | --- | --- |
//! | [`api`] | what users write and read: the three kinds, their limits and words |
//! | [`presets`] | metrics of well-known gateways and model servers, a file for each |
//! | [`registry`] | rules about versions: identity, stage |
//! | [`workload`] | slots: template, labels, Services, capacity; companions (autoscaler, budget); what covers the origin only |
//! | [`traffic`] | edits of the route, of a selector and of what guards it |
//! | [`analysis`] | numbers: from raw counter samples to a verdict that stays valid at every look |
//! | [`rollout`] | the state machine: one file for each phase, and what phases share |
//! | `simulate` | a world in memory in which scripts run the state machine |
//! | [`course`] | the stages of a rollout look by look, without a cluster: what `simulate` and `backtest` share |
//! | [`backtest`] | a rollout on samples that Prometheus remembers, for `understudy backtest` |
//! | [`preview`] | what a rollout can find out at stable's traffic, for `understudy plan` |
//! | [`synthetic`] | arms drawn at random, for `understudy simulate`: what settings are worth before real requests are spent on them |
//! | [`plot`] | pictures: a metric's arms, limit and evidence over time |
//! | [`measure`] | I/O: Prometheus |
//! | [`cluster`] | I/O: the only module that talks to the API server |
//! | [`controller`] | thin shells around `decide` |
//! | [`serve`], [`cli`], [`telemetry`] | the faces: health and metrics over HTTP, subcommands, logs |
//!
//! Where the next thing goes: a phase is a file in `rollout/phases`, one line in the dispatcher and in `may_follow`; a metric
//! kind is an engine in `analysis` and a line in `rollout/evidence/start.rs`; a traffic provider is a file in `traffic` for its edits or its arithmetic, one
//! in `rollout`, and a line in each answer of `rollout/provider.rs`; a command is a file in `cli`.
//!
//! # Invariants
//!
//! | id | promise | where it is held |
//! | --- | --- | --- |
//! | I1 weight | the candidate's share on route and selectors together never exceeds what the last passed step allows, and is never raised without a ready pod | `rollout/route.rs`, `rollout/replicas.rs`, `rollout/check.rs` |
//! | I2 warm stable | the version that served before keeps its capacity until the watch has ended | `rollout/capacity.rs` |
//! | I3 evidence | a step advances only on fresh, sufficient evidence for both arms; no data is neither pass nor breach | `rollout/evidence`, `rollout/phases/judged.rs` |
//! | I4 rollback | the look that decides writes the route; only the API server is needed | `rollout/rollback.rs` |
//! | I5 crash-safe | intent, act, outcome; killed after any write the end state is the same | `rollout/plan.rs`, the crash sweep in `tests/rollouts.rs` |
//! | I6 non-interference | what is not ours stays byte-identical; at rest the route is as the user wrote it | `traffic`, `rollout/clean.rs` |
//! | I7 identity | decisions bind to UID, digest and plan hash | `rollout/target.rs`, `rollout/decisions.rs` |
//! | I8 authority | Prometheus servers are named in the operator's configuration, selectors are scoped in the syntax tree | `measure/promql.rs` |
//! | I9 bounded | status within 64 KiB, rings of 20, an idle rollout costs no request | `rollout/draft.rs`, `controller` |
//! | I10 settles | faults stop: a terminal or waiting state, then no writes | `rollout/phases/resting.rs` |
//! | I11 honest | the weight in status is the one read back; conditions carry the true reason | `rollout/conditions.rs` |
//! | I12 audit | every transition once, with a deterministic id and its numbers | `rollout/draft.rs` |
//!
//! # Choices
//!
//! - kube's own retry is off and every call has a deadline: the default client retries a 503 for minutes.
//! - Watches time out after 29 s, so that a silently dead one is noticed.
//! - The loss of the lease ends the process: a former leader that keeps writing is worse than none.
//! - A read of the rollout from the API server itself precedes any act that cannot be taken back.
//! - Routes are raw JSON: typed bindings drop the fields that they do not know.
//! - What was decided (`step.set`) and what was read back (`step.written`) are told apart in status. Only what was read back
//!   once can be edited by somebody else; a raise that was decided before an interruption is looked at afresh.
//! - An A/B test is a canary step with one question more (`rollout/ab_test`), not a phase: its guards, its clock and its route are
//!   those of any step. Its interval is an ordinary one, because it is reckoned once, at a time that hangs on the traffic alone.
//! - A newer version before the promotion passes through the same cleaning as a rollback, with the phase `Pending`.

pub mod analysis;
pub mod api;
pub mod backtest;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod course;
pub mod measure;
pub mod plot;
pub mod presets;
pub mod preview;
pub mod registry;
pub mod rollout;
pub mod serve;
pub mod simulate;
pub mod synthetic;
pub mod telemetry;
pub mod traffic;
pub mod workload;
