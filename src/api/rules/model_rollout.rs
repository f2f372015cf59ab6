//! Rules over a `ModelRollout`: what fits together.

use kube::core::Rule;

fn rule(expression: &str, message: &str) -> Rule {
    Rule::new(expression).message(message)
}

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

/// Evidence of a step needs the warm-up and two looks, because two looks in a row decide.
pub fn holds_long_enough() -> Rule {
    rule(
        "self.strategy.canary.steps.all(s, duration(s.hold) >= \
         duration(self.analysis.warmUp) + duration(self.analysis.interval) + duration(self.analysis.interval))",
        "every canary step's hold must be at least analysis.warmUp + 2 x analysis.interval: nothing can be decided in less",
    )
}

/// The same for the watch, which may also be left out.
pub fn watch_long_enough() -> Rule {
    rule(
        "duration(self.strategy.watch.duration) == duration('0s') || duration(self.strategy.watch.duration) >= \
         duration(self.analysis.warmUp) + duration(self.analysis.interval) + duration(self.analysis.interval)",
        "strategy.watch.duration must be 0s (no watch) or at least analysis.warmUp + 2 x analysis.interval: nothing can be decided in less",
    )
}

/// A provider of traffic is named.
pub fn one_provider() -> Rule {
    rule(
        "has(self.gatewayAPI)",
        "traffic needs its provider: set gatewayAPI.httpRoute to the HTTPRoute through which the traffic comes",
    )
}
