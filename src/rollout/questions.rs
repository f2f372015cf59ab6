//! What a rollout asks of its metric source in this pass. At rest, and between looks, it asks nothing.

use chrono::{DateTime, Duration, Utc};

use crate::analysis::{Arm, RawSeries, sample};
use crate::api::{Arms, Evidence, GatewayArm, Metric, MetricEvidence, Phase};

use super::{Observed, evidence, world};

/// Which counter of a metric is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// All events.
    Total,
    /// Bad events that the total has too.
    Bad,
    /// Bad events that the total has not: they belong to it.
    BadOfAll,
    /// Sum of scores.
    Sum,
    /// Sum of squared scores.
    SumSquares,
    /// The value of an expression, once for each interval.
    Value,
    /// All buckets of a histogram; the one without bound is the total.
    Buckets,
}

impl Field {
    /// Counters of failures often appear with the first failure.
    pub fn may_be_absent(self) -> bool {
        matches!(self, Self::Bad | Self::BadOfAll)
    }
}

/// How the series of one arm are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArmMatch {
    /// By the exact names of the arm's pods.
    Pods {
        /// The label that holds the pod's name.
        label: String,
        /// The names.
        names: Vec<String>,
    },
    /// By one label with one value, as a gateway has it.
    Label {
        /// The label.
        label: String,
        /// Its value.
        value: String,
    },
}

/// Raw samples of one counter of one arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Name of the metric.
    pub metric: String,
    /// Whose.
    pub arm: Arm,
    /// Which counter.
    pub field: Field,
    /// Name of the Prometheus server in the operator's configuration.
    pub server: String,
    /// The user's selector; the arm's matchers are added to its syntax tree.
    pub selector: String,
    /// How the arm is told apart.
    pub matcher: ArmMatch,
    /// Labels that differ between the arms: the user's matchers on them are dropped.
    pub drop_labels: Vec<String>,
    /// How far apart an expression is evaluated; none for raw samples.
    pub step: Option<Duration>,
    /// Stable's past: less of it will do when all is too much for one answer.
    pub past: bool,
    /// Oldest sample wanted.
    pub from: DateTime<Utc>,
    /// Newest sample wanted.
    pub to: DateTime<Utc>,
}

/// What came back. None of it is a verdict.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Raw samples by series.
    Series(Vec<RawSeries>),
    /// The query is good and matched nothing.
    NoData,
    /// There is no answer that can be used.
    Failed {
        /// It may be there at the next look; otherwise a person must change something.
        transient: bool,
        /// What failed and what to do.
        message: String,
    },
}

/// The answers of one pass, with their questions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// Questions with answers.
    pub given: Vec<(Question, Answer)>,
    /// The scrape interval as measured from the samples, where there were enough.
    pub scrape: Option<Duration>,
}

/// Length of the history that limits are chosen from.
pub const HISTORY: Duration = Duration::hours(1);
/// Length of the history in which is looked for bursts, of plain counters.
pub const BURSTS: Duration = Duration::hours(2);

/// What is asked of an expression at most: what was missed before is not judged, and it is evaluated for each interval.
const VALUES: Duration = Duration::minutes(10);

/// Shortest assumed scrape interval, until it has been measured.
const SCRAPE_UNKNOWN: Duration = Duration::seconds(1);

/// What is to be asked in this pass.
pub fn questions(obs: &Observed) -> Vec<Question> {
    let Some(status) = &obs.rollout.status else { return Vec::new() };
    let Some(found) = &status.evidence else { return Vec::new() };
    match status.phase {
        Some(Phase::Preparing) => preflight(obs, found),
        Some(Phase::Shadow | Phase::Canary | Phase::Watching) => look(obs, found),
        // Until the Services have followed, the candidate is judged as in the watch.
        Some(Phase::Settling) if status.settling.as_ref().is_some_and(|s| s.step <= 1) => look(obs, found),
        Some(
            Phase::Pending
            | Phase::Settling
            | Phase::Active
            | Phase::RollingBack
            | Phase::RolledBack
            | Phase::Deleting,
        )
        | None => Vec::new(),
    }
}

/// The scrape interval that looks lag behind by.
pub fn scrape(found: &Evidence) -> Duration {
    found.scrape_ms.map_or(SCRAPE_UNKNOWN, Duration::milliseconds)
}

/// How often Prometheus is asked whether it has scraped the candidate's pods: the first weight waits for nothing else, so
/// several times within a scrape interval, and at least once a second.
pub fn scraped_yet(found: &Evidence) -> Duration {
    (scrape(found) / 4).clamp(Duration::milliseconds(250), Duration::seconds(1))
}

/// When the next look is due: when the next interval has ended and every target has been scraped for it. While the
/// answers do not move the grid on (Prometheus away), one look for every interval of time.
pub fn next_look(found: &Evidence) -> DateTime<Utc> {
    let interval = Duration::milliseconds(found.interval_ms);
    let edge = found.t_k + interval + scrape(found);
    match found.asked_at {
        Some(asked) if asked >= edge => asked + interval.min(Duration::seconds(5)),
        Some(_) | None => edge,
    }
}

fn look(obs: &Observed, found: &Evidence) -> Vec<Question> {
    if obs.now < next_look(found) { Vec::new() } else { stretch(obs, found, obs.now - scrape(found)) }
}

/// All that is needed of both arms to process the intervals from each metric's cursor to `to`.
pub fn stretch(obs: &Observed, found: &Evidence, to: DateTime<Utc>) -> Vec<Question> {
    let interval = Duration::milliseconds(found.interval_ms);
    let lookback = sample::lookback(interval, scrape(found));
    let ask = |state: &MetricEvidence| {
        let from = oldest(evidence::cursor(state).unwrap_or(found.t_k), to, lookback);
        evidence::asked(obs, state).map(|metric| both_arms(obs, found, &metric, from, to)).unwrap_or_default()
    };
    found.tests.metrics.iter().flat_map(ask).collect()
}

/// From when on samples are asked for that close the looks from `at` to `to`.
pub fn oldest(at: DateTime<Utc>, to: DateTime<Utc>, lookback: Duration) -> DateTime<Utc> {
    (at - lookback * 2).max(to - HISTORY)
}

/// Before any traffic moves: every query on the stable arm, over the hour before the attempt; and the candidate's pods.
fn preflight(obs: &Observed, found: &Evidence) -> Vec<Question> {
    let pace = if found.tests.metrics.is_empty() { Duration::seconds(1) } else { scraped_yet(found) };
    let due = found.asked_at.is_none_or(|asked| obs.now >= asked + pace);
    let slot = world::candidate_slot(obs.rollout.status.as_ref().unwrap_or(&Default::default()));
    let started = obs.pods_of(slot).any(|p| p.ready);
    let all_there = !found.tests.metrics.is_empty() && found.candidate_scraped;
    if !due || all_there || (!found.tests.metrics.is_empty() && !started) {
        return Vec::new();
    }
    let to = obs.now - scrape(found).min(Duration::seconds(1));
    let metrics = &obs.rollout.spec.analysis.metrics;
    if found.tests.metrics.is_empty() {
        return metrics.iter().flat_map(|metric| past_of(obs, found, metric, to)).collect();
    }
    // An expression may have no value before there is traffic.
    let by_pod = metrics.iter().filter(|m| gateway(m).is_none() && m.value.is_none());
    by_pod.flat_map(|m| arm(obs, found, m, Arm::Candidate, found.t0, obs.now)).collect()
}

/// How far back stable is read. Histograms have many series, so that twice an hour of them could be too large an answer.
pub fn past(metric: &Metric) -> Duration {
    let buckets = fields(metric).iter().any(|(field, _)| *field == Field::Buckets);
    if buckets { HISTORY } else { BURSTS }
}

/// Stable's past before `to`, of a metric.
pub fn past_of(obs: &Observed, found: &Evidence, metric: &Metric, to: DateTime<Utc>) -> Vec<Question> {
    arm(obs, found, metric, Arm::Stable, to - past(metric), to)
        .into_iter()
        .map(|question| Question { past: true, ..question })
        .collect()
}

fn both_arms(
    obs: &Observed,
    found: &Evidence,
    metric: &Metric,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Vec<Question> {
    [Arm::Stable, Arm::Candidate].into_iter().flat_map(|a| arm(obs, found, metric, a, from, to)).collect()
}

fn arm(
    obs: &Observed,
    found: &Evidence,
    metric: &Metric,
    arm: Arm,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Vec<Question> {
    let matcher = matcher(obs, found, metric, arm);
    if matches!(&matcher, ArmMatch::Pods { names, .. } if names.is_empty()) {
        return Vec::new();
    }
    let status = obs.rollout.status.as_ref();
    let adoption = status.and_then(|s| s.adoption.as_ref());
    let drop_labels: Vec<String> =
        adoption.map(|a| a.labels.keys().map(|k| prometheus_label(k)).collect()).unwrap_or_default();
    let interval = Duration::milliseconds(found.interval_ms);
    let server = &obs.rollout.spec.analysis.prometheus;
    let from = if metric.value.is_some() { from.max(to - VALUES) } else { from };
    of_arm(metric, arm, &matcher, &Stretch { server, drop_labels: &drop_labels, interval, from, to })
}

/// Where is asked, and about which stretch of time.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// Name of the Prometheus server.
    pub server: &'a str,
    /// Labels that differ between the arms.
    pub drop_labels: &'a [String],
    /// Length of a look.
    pub interval: Duration,
    /// Oldest sample wanted.
    pub from: DateTime<Utc>,
    /// Newest sample wanted.
    pub to: DateTime<Utc>,
}

/// What is asked about one arm in a metric: each of its counters.
pub fn of_arm(metric: &Metric, arm: Arm, matcher: &ArmMatch, stretch: &Stretch<'_>) -> Vec<Question> {
    let question = |(field, selector): (Field, String)| Question {
        metric: metric.name.clone(),
        arm,
        field,
        server: stretch.server.to_owned(),
        selector,
        matcher: matcher.clone(),
        drop_labels: stretch.drop_labels.to_vec(),
        past: false,
        step: (field == Field::Value).then_some(stretch.interval),
        from: stretch.from,
        to: stretch.to,
    };
    fields(metric).into_iter().map(question).collect()
}

/// The counters of a metric, each with its selector.
pub fn fields(metric: &Metric) -> Vec<(Field, String)> {
    if let Some(ratio) = &metric.ratio {
        return match (&ratio.total, &ratio.good) {
            (Some(total), _) => vec![(Field::Total, total.clone()), (Field::Bad, ratio.bad.clone())],
            (None, Some(good)) => vec![(Field::Total, good.clone()), (Field::BadOfAll, ratio.bad.clone())],
            (None, None) => Vec::new(),
        };
    }
    if let Some(latency) = &metric.latency {
        return vec![(Field::Buckets, of_histogram(&latency.histogram, latency.native))];
    }
    if let Some(slo) = &metric.slo {
        return vec![(Field::Buckets, of_histogram(&slo.histogram, slo.native))];
    }
    if let Some(value) = &metric.value {
        return vec![(Field::Value, value.query.clone())];
    }
    let Some(mean) = &metric.mean else { return Vec::new() };
    match (&mean.histogram, &mean.sum, &mean.count) {
        (Some(histogram), _, _) => {
            vec![(Field::Buckets, suffixed(histogram, "_bucket")), (Field::Sum, suffixed(histogram, "_sum"))]
        }
        (None, Some(sum), Some(count)) => {
            let squares = mean.sum_of_squares.iter().map(|squares| (Field::SumSquares, squares.clone()));
            [(Field::Total, count.clone()), (Field::Sum, sum.clone())].into_iter().chain(squares).collect()
        }
        (None, _, _) => Vec::new(),
    }
}

/// Characters that a metric's selectors and arms take in status.
pub fn length(metric: &Metric) -> usize {
    let selectors: usize = fields(metric).iter().map(|(_, selector)| selector.len()).sum();
    selectors + gateway(metric).map_or(0, |g| g.label.len() + g.value.len())
}

/// The gateway's label of a metric, when its arms are told apart there.
pub fn gateway(metric: &Metric) -> Option<&GatewayArm> {
    metric.arms.as_ref().and_then(|a| a.gateway.as_ref())
}

/// The gateway's value for an arm's Service.
pub fn gateway_value(arm: &GatewayArm, namespace: &str, service: &str, port: &str) -> String {
    arm.value.replace("$(NAMESPACE)", namespace).replace("$(SERVICE)", service).replace("$(PORT)", port)
}

/// The label that holds the pod's name, where the arms are told apart by pods.
pub fn pod_label(metric: &Metric) -> &str {
    match &metric.arms {
        Some(Arms { pod_label: Some(label), gateway: _ }) => label,
        Some(Arms { pod_label: None, gateway: _ }) | None => "pod",
    }
}

fn matcher(obs: &Observed, found: &Evidence, metric: &Metric, arm: Arm) -> ArmMatch {
    if let Some(g) = gateway(metric) {
        let service = match arm {
            Arm::Stable => obs.rollout.spec.traffic.service.clone(),
            Arm::Candidate => world::candidate_service(obs),
        };
        let value = gateway_value(g, obs.namespace(), &service, &port(obs, found));
        return ArmMatch::Label { label: g.label.clone(), value };
    }
    let label = pod_label(metric).to_owned();
    let pods = match arm {
        Arm::Stable => &found.tests.pods.stable,
        Arm::Candidate => &found.tests.pods.candidate,
    };
    ArmMatch::Pods { label, names: pods.iter().map(|p| p.name.clone()).collect() }
}

/// The Service's port; when nothing tells it any more, the one of the attempt's start.
fn port(obs: &Observed, found: &Evidence) -> String {
    let known = world::service_port(obs);
    if known.is_empty() { found.port.clone() } else { known }
}

/// The series with a histogram's buckets. A native one is a single series under its own name.
fn of_histogram(selector: &str, native: bool) -> String {
    if native { selector.trim().to_owned() } else { suffixed(selector, "_bucket") }
}

/// `name{a="b"}` and `_bucket` give `name_bucket{a="b"}`.
fn suffixed(selector: &str, suffix: &str) -> String {
    match selector.split_once('{') {
        Some((name, rest)) => format!("{}{suffix}{{{rest}", name.trim_end()),
        None => format!("{}{suffix}", selector.trim()),
    }
}

/// A Kubernetes label key as Prometheus' label mapping writes it.
fn prometheus_label(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_native_histogram_is_asked_for_by_its_own_name() {
        assert_eq!(of_histogram("h{path=\"/x\"}", true), "h{path=\"/x\"}");
        assert_eq!(of_histogram("h", false), "h_bucket");
    }

    #[test]
    fn a_histograms_suffix_goes_before_the_matchers() {
        assert_eq!(suffixed("h", "_bucket"), "h_bucket");
        assert_eq!(suffixed("h{path=\"/x\"}", "_sum"), "h_sum{path=\"/x\"}");
    }
}
