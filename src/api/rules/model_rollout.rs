//! Rules over a `ModelRollout`: what fits together.

use kube::core::Rule;

use super::{readable, rule};

/// The steps rise.
pub fn steps_rise() -> Rule {
    rule(
        "self.map(s, s.weight).isSorted() && self.all(s, self.exists_one(t, t.weight == s.weight))",
        "the weights of canary.steps must rise from step to step",
    )
}

/// The last step leaves the control share.
pub fn last_step_leaves_control() -> Rule {
    rule(
        "self.canary.steps.all(s, s.weight <= 100 - self.watch.controlWeight)",
        "the last canary step must be at most 100 - watch.controlWeight: the rest stays with the version before",
    )
}

/// The shortest time in which something can be decided: the warm-up and two looks, because two in a row decide.
const NEEDED: &str =
    "duration(self.analysis.warmUp) + duration(self.analysis.interval) + duration(self.analysis.interval)";

/// A rule over lengths of time that says nothing when one of them cannot be read.
fn when_readable(fields: &[&str], expression: &str) -> String {
    let unreadable = fields.iter().map(|f| format!("!{}", readable(f)));
    unreadable.chain([format!("({expression})")]).collect::<Vec<_>>().join(" || ")
}

/// A step is held long enough to be judged.
pub fn holds_long_enough() -> Rule {
    let step = when_readable(&["s.hold"], &format!("duration(s.hold) >= {NEEDED}"));
    rule(
        &when_readable(
            &["self.analysis.warmUp", "self.analysis.interval"],
            &format!("self.strategy.canary.steps.all(s, {step})"),
        ),
        "every canary step's hold must be at least analysis.warmUp + 2 x analysis.interval: nothing can be decided in less",
    )
}

/// The same for the watch, which may also be left out.
pub fn watch_long_enough() -> Rule {
    rule(
        &when_readable(
            &["self.analysis.warmUp", "self.analysis.interval", "self.strategy.watch.duration"],
            &format!(
                "duration(self.strategy.watch.duration) == duration('0s') \
                 || duration(self.strategy.watch.duration) >= {NEEDED}"
            ),
        ),
        "strategy.watch.duration must be 0s (no watch) or at least analysis.warmUp + 2 x analysis.interval: nothing can be decided in less",
    )
}

/// Without a gateway nothing can be mirrored.
pub fn no_shadow_without_gateway() -> Rule {
    rule(
        "!has(self.traffic.replicas) || !has(self.strategy.shadow)",
        "strategy.shadow needs a gateway: with traffic.replicas nothing can be mirrored, so leave it out",
    )
}

/// A provider of traffic is named.
pub fn one_provider() -> Rule {
    rule(
        "has(self.gatewayAPI) != has(self.replicas)",
        "traffic needs one provider: set gatewayAPI.httpRoute to the HTTPRoute through which the traffic comes, or replicas: {} where there is no gateway",
    )
}
