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

/// Status has room for one A/B test.
pub fn one_ab_test() -> Rule {
    rule(
        "self.filter(s, has(s.abTest)).size() <= 1",
        "only one of canary.steps can have an abTest: its result is kept for the attempt",
    )
}

/// A margin says how much worse is still not worse.
pub fn margin_goes_with_not_worse() -> Rule {
    rule(
        "has(self.margin) == (self.winner == 'NotWorse')",
        "abTest.margin is for winner: NotWorse, which needs it: by how much the candidate may be worse, such as '0.01'",
    )
}

/// One place to look for the session.
pub fn header_or_cookie() -> Rule {
    rule(
        "has(self.header) != has(self.cookie)",
        "abTest.sticky needs one place to look for the session: set header or cookie",
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

/// What an A/B test compares is measured, and in a way that tells the spread.
pub fn ab_test_has_its_metric() -> Rule {
    rule(
        "self.strategy.canary.steps.all(s, !has(s.abTest) || self.analysis.metrics.exists(m, m.name == s.abTest.metric && \
         (has(m.ratio) || (has(m.mean) && (has(m.mean.sumOfSquares) || (has(m.mean.passFail) && m.mean.passFail))))))",
        "abTest.metric must be the name of one of analysis.metrics: a ratio, or a mean with passFail or sumOfSquares, without which the \
         spread of the sessions is not known",
    )
}

/// Without a gateway nothing tells sessions apart.
pub fn sticky_needs_a_gateway() -> Rule {
    rule(
        "!has(self.traffic.replicas) || self.strategy.canary.steps.all(s, !has(s.abTest) || !has(s.abTest.sticky))",
        "abTest.sticky needs a gateway: with traffic.replicas nothing reads headers, so leave it out",
    )
}

/// A provider of traffic is named.
pub fn one_provider() -> Rule {
    rule(
        "has(self.gatewayAPI) != has(self.replicas)",
        "traffic needs one provider: set gatewayAPI.httpRoute to the HTTPRoute through which the traffic comes, or replicas: {} where there is no gateway",
    )
}
