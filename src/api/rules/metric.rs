//! Rules over metrics and their limits.

use kube::core::Rule;

use super::{readable, rule};

/// Metrics are told apart by name.
pub fn unique_names() -> Rule {
    rule("self.all(m, self.exists_one(n, n.name == m.name))", "every metric must have a name of its own")
}

/// One kind of metric.
pub fn one_kind() -> Rule {
    rule(
        "[has(self.preset), has(self.ratio), has(self.latency), has(self.slo), has(self.mean), has(self.value)]\
         .filter(k, k).size() == 1",
        "a metric must have exactly one of ratio (bad / total), latency (a histogram), slo (a histogram and a bound), mean \
         (a score), value (an expression) and preset (those of a known server)",
    )
}

/// A preset stands for metrics of several kinds.
pub fn presets_have_limits() -> Rule {
    rule(
        "!has(self.preset) || !(has(self.worse) || has(self.proof) || has(self.detect))",
        "a preset stands for several metrics with the default limits: to choose others, write its metrics out",
    )
}

/// All events of a ratio are counted in one way.
pub fn ratio_of_two() -> Rule {
    rule(
        "has(self.total) != has(self.good)",
        "ratio needs exactly one of total (all events) and good (the good ones, where all are not counted) beside bad",
    )
}

/// Limits of a mean are in its own units.
pub fn by_is_for_means() -> Rule {
    rule(
        "has(self.mean) || !((has(self.worse) && has(self.worse.by)) || (has(self.proof) && has(self.proof.by)))",
        "worse.by and proof.by are for mean: ratio, latency and slo take {ratio, plus}, such as {ratio: 1.25, plus: 0.0005}",
    )
}

/// Limits of shares are relative.
pub fn ratio_is_for_shares() -> Rule {
    rule(
        "!has(self.mean) || !((has(self.worse) && (has(self.worse.ratio) || has(self.worse.plus))) || \
         (has(self.proof) && (has(self.proof.ratio) || has(self.proof.plus))))",
        "worse and proof of a mean take {by}, such as {by: 0.02}: ratio and plus are for ratio, latency and slo",
    )
}

/// What is promoted is not rolled back at once.
pub fn proof_not_narrower() -> Rule {
    let not_narrower = |field: &str| {
        format!(
            "!has(self.worse.{field}) || !has(self.proof.{field}) || self.proof.{field} >= self.worse.{field}"
        )
    };
    let fields = ["ratio", "plus", "by"].map(|f| format!("({})", not_narrower(f))).join(" && ");
    rule(
        &format!("!has(self.worse) || !has(self.proof) || ({fields})"),
        "proof must not be narrower than worse, field by field: between the two a candidate is neither promoted nor rolled back",
    )
}

/// The same where `worse` is left out, so that its default counts.
pub fn proof_not_narrower_than_default() -> Rule {
    let wide = |field: &str, default: &str| {
        format!(
            "(!has(self.proof.{field}) || (has(self.worse) && has(self.worse.{field})) || self.proof.{field} >= {default})"
        )
    };
    let fields = [
        wide("ratio", "1.25"),
        wide("plus", "(has(self.latency) || has(self.slo) ? 0.002 : 0.0005)"),
        wide("by", "0.02"),
    ];
    rule(
        &format!("!has(self.proof) || ({})", fields.join(" && ")),
        "proof must not be narrower than worse, which is {ratio: 1.25, plus: 0.0005} where it is left out, {ratio: 1.25, \
         plus: 0.002} for latency and slo and {by: 0.02} for a mean: name worse too",
    )
}

/// A limit is not below stable.
pub fn ratio_from_one() -> Rule {
    rule("self >= 1.0", "ratio is times as bad as stable and must be at least 1; 1 means not worse at all")
}

/// A mean comes from a histogram or from two counters.
pub fn mean_source() -> Rule {
    rule(
        "has(self.histogram) != (has(self.sum) || has(self.count)) && has(self.sum) == has(self.count)",
        "mean must have either histogram, or sum and count together",
    )
}

/// Squares go with a sum and a count of scores that are not just 0 or 1.
pub fn squares_go_with_sum() -> Rule {
    rule(
        "!has(self.sumOfSquares) || (has(self.sum) && !(has(self.passFail) && self.passFail))",
        "mean.sumOfSquares goes with sum and count: a histogram needs none, and with passFail a square is the score itself",
    )
}

/// Values without bounds have the test for sums and counts only.
pub fn unbounded_goes_with_sum() -> Rule {
    rule(
        "!has(self.unbounded) || !self.unbounded || (has(self.sum) && !(has(self.passFail) && self.passFail))",
        "mean.unbounded goes with sum and count (and sumOfSquares for an A/B test): histograms and passFail are for scores between 0 and 1",
    )
}

/// What has an exact test anyway, or can have none, asks for no guarantee.
pub fn guarantee_goes_with_sum_alone() -> Rule {
    rule(
        "!has(self.guarantee) || self.guarantee != 'Exact' || (has(self.sum) && !has(self.sumOfSquares) && \
         !(has(self.passFail) && self.passFail) && !(has(self.unbounded) && self.unbounded))",
        "mean.guarantee: Exact goes with sum and count alone: the tests of a histogram, of sumOfSquares and of passFail are exact, and \
         values that are unbounded have no exact test",
    )
}

/// A drop of a score by more than 1 cannot be.
pub fn by_is_within_scores() -> Rule {
    let within =
        |limit: &str| format!("(!has(self.{limit}) || !has(self.{limit}.by) || self.{limit}.by <= 1.0)");
    rule(
        &format!(
            "(has(self.mean) && has(self.mean.unbounded) && self.mean.unbounded) || ({} && {})",
            within("worse"),
            within("proof")
        ),
        "worse.by and proof.by are at most 1: scores lie between 0 and 1, unless mean.unbounded is true",
    )
}

/// A value is held against numbers, not against stable.
pub fn values_have_fixed_limits() -> Rule {
    rule(
        "!has(self.value) || !(has(self.worse) || has(self.proof))",
        "a value takes max and min, and no worse or proof: it is not compared with stable and proves nothing",
    )
}

/// The lower limit is the lower one.
pub fn min_below_max() -> Rule {
    rule("!has(self.min) || !has(self.max) || self.min <= self.max", "value.min must be at most value.max")
}

/// Values prove nothing, so that a rollout of values alone could never be promoted.
pub fn values_are_not_alone() -> Rule {
    rule(
        "self.size() == 0 || self.exists(m, !has(m.value))",
        "metrics of kind value have no statistical guarantee and prove nothing: add at least one of another kind",
    )
}

/// A summary's quantiles cannot be compared or added up.
pub fn no_summary() -> Rule {
    rule(
        "!self.matches('[{,] *quantile *[=!]')",
        "the quantiles of a summary can be neither compared nor added up over pods: export a histogram",
    )
}

/// The weight of a metric.
pub fn weight_in_range() -> Rule {
    rule(
        "self >= 0.01 && self <= 100.0",
        "weight must be between 0.01 and 100: a metric that shall not decide is observeOnly",
    )
}

/// A part of the error budget.
pub fn part() -> Rule {
    rule("self >= 0.0 && self <= 1.0", "a part of analysis.errorBudget must be between 0 and 1")
}

/// The canary decides in every rollout.
pub fn canary_part() -> Rule {
    rule(
        "self >= 0.01 && self <= 1.0",
        "analysis.errorBudget.canary must be between 0.01 and 1: every rollout has a canary stage, and without a part of the \
         budget no metric could bring traffic back there",
    )
}

/// No more is spent than there is, and nothing is left over by mistake.
pub fn budget_adds_up() -> Rule {
    let sum = "self.guard + self.shadow + self.canary + self.watch";
    rule(
        &format!("{sum} > 0.999999 && {sum} < 1.000001"),
        "analysis.errorBudget must add up to 1: guard, shadow, canary and watch, which are 0.1, 0.18, 0.45 and 0.27 where they \
         are left out",
    )
}

/// One way to tell the arms apart.
pub fn one_arm() -> Rule {
    rule(
        "has(self.podLabel) != has(self.gateway)",
        "arms must have exactly one of podLabel (metrics of the pods) and gateway (metrics of the gateway)",
    )
}

/// A Prometheus label.
pub fn prometheus_label(what: &str) -> Rule {
    rule(
        "self.matches('^[a-zA-Z_][a-zA-Z0-9_]*$')",
        &format!(
            "{what} must be the name of a Prometheus label: letters, digits and '_', not starting with a digit"
        ),
    )
}

/// The value of a gateway's label names the Service.
pub fn names_the_service() -> Rule {
    rule(
        "self.contains('$(SERVICE)')",
        "arms.gateway.value must contain $(SERVICE): without it both arms would be the same series",
    )
}

/// Looking more often than once a second finds nothing new and loads the metrics server.
pub fn interval_from_a_second() -> Rule {
    rule(
        &format!(
            "!{} || (duration(self.interval) >= duration('1s') && duration(self.interval) <= duration('1h'))",
            readable("self.interval")
        ),
        "analysis.interval must be between 1s and 1h, and at least the scrape interval",
    )
}

/// The chance of a false rollback. Not a minimum of the schema: the API server takes a whole 0 for above any fraction.
pub fn rate_in_range() -> Rule {
    rule(
        "self >= 0.000001 && self <= 0.2",
        "analysis.falseRollbackRate must be above 0 and at most 0.2: 0.01 is one false rollback in a hundred good rollouts",
    )
}
