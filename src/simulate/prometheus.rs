//! Counters of pods and of the gateway, scraped every second, and answers in the form that the rollout asks for.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

use crate::analysis::{Bound, Counter, RawSeries};
use crate::rollout::questions::{Answer, Answers, ArmMatch, Field, Question};

use super::world::World;

/// Bounds of the latency histogram, in seconds.
const BOUNDS: [f64; 5] = [0.05, 0.1, 0.25, 0.5, 1.0];
/// Share of the requests up to each bound, for a version that is not slow.
const SHARES: [f64; 5] = [0.6, 0.85, 0.97, 0.995, 1.0];
/// Samples older than this are forgotten; the hour before the start is kept apart.
pub const KEEP: Duration = Duration::seconds(1200);
/// Name of the gateway's only instance.
const GATEWAY: &str = "edge-0";

/// Whether and how Prometheus answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    #[default]
    Well,
    /// It cannot be reached.
    Away,
    /// It knows no series.
    Empty,
    /// It refuses every query.
    Refuses,
    /// Everything it scrapes now is NaN.
    NaN,
    /// It scrapes nothing now.
    Blind,
    /// It scrapes the gateway and no pod.
    GatewayOnly,
    /// Every series is there twice, as from two scrape jobs.
    Twice,
}

/// Samples of one target in order of time: the older ones are shared between copies.
#[derive(Clone, Debug, Default)]
struct Samples {
    older: Arc<Vec<(i64, Counters)>>,
    newer: Vec<(i64, Counters)>,
}

impl Samples {
    fn push(&mut self, at: i64, value: Counters) {
        self.newer.push((at, value));
        if self.newer.len() >= 40 {
            // The hour before the start was scraped at every hundredth second and is kept.
            let old = at - KEEP.num_milliseconds();
            let kept = self.older.iter().filter(|(t, _)| *t > old || t % 100_000 == 0);
            self.older = Arc::new(kept.copied().chain(self.newer.drain(..)).collect());
        }
    }

    fn window(&self, from: i64, to: i64) -> Vec<(i64, Counters)> {
        let within = |list: &[(i64, Counters)]| {
            let begin = list.partition_point(|(at, _)| *at < from);
            let end = list.partition_point(|(at, _)| *at <= to);
            list[begin..end.max(begin)].to_vec()
        };
        let mut out = within(&self.older);
        out.extend(within(&self.newer));
        out
    }
}

/// One scrape of one target: total, bad, buckets, good.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counters {
    total: f64,
    bad: f64,
    buckets: [f64; 5],
    good: f64,
}

/// Requests of one pod in one second.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// All.
    pub total: u64,
    /// Failed.
    pub bad: u64,
    /// Slow.
    pub slow: u64,
    /// Answered correctly.
    pub good: u64,
}

/// Everything that was counted and scraped.
#[derive(Clone, Debug, Default)]
pub struct Prometheus {
    /// How it answers.
    pub mood: Mood,
    now: BTreeMap<String, Counters>,
    samples: BTreeMap<String, Samples>,
}

impl Counters {
    fn add(&mut self, c: Counted) {
        self.total += c.total as f64;
        self.bad += c.bad as f64;
        self.good += c.good as f64;
        let quick = (c.total - c.slow) as f64;
        for (bucket, share) in self.buckets.iter_mut().zip(SHARES) {
            *bucket += quick * share;
        }
        self.buckets[4] += c.slow as f64;
    }
}

/// Key of a gateway's counters for a Service.
fn at_gateway(service: &str) -> String {
    format!("gateway/{service}")
}

impl Prometheus {
    /// Counts at a pod.
    pub fn count(&mut self, pod: &str, counted: Counted) {
        self.now.entry(pod.to_owned()).or_default().add(counted);
    }

    /// Counts at the gateway.
    pub fn count_at_gateway(&mut self, service: &str, counted: Counted) {
        self.now.entry(at_gateway(service)).or_default().add(counted);
    }

    /// The hour before: so many requests per second of a pod or Service, one in a hundred bad.
    pub fn remember_an_hour(&mut self, pods: &[String], service: &str, now: DateTime<Utc>) {
        let keys = pods.iter().cloned().chain([at_gateway(service)]);
        for key in keys {
            let mut sum = Counters::default();
            let end = now.timestamp_millis();
            let mut list = Vec::new();
            for second in (0..=3600).rev().filter(|s| s % 100 == 0) {
                sum.add(Counted { total: 5000, bad: 50, slow: 0, good: 4750 });
                list.push((end - second * 1000, sum));
            }
            self.samples.insert(key.clone(), Samples { older: Arc::new(list), newer: Vec::new() });
            self.now.insert(key, sum);
        }
    }

    /// The last scrape of everything, for comparing worlds.
    pub fn digest(&self, hasher: &mut impl Hasher) {
        (self.mood as u8).hash(hasher);
        for (key, c) in &self.now {
            (key, c.total.to_bits(), c.bad.to_bits(), c.good.to_bits(), c.buckets[0].to_bits()).hash(hasher);
        }
    }
}

/// One scrape of all that runs.
pub fn scrape(world: &mut World) {
    let at = world.now.timestamp_millis();
    let mood = world.prometheus.mood;
    let running: Vec<(String, bool)> = world
        .objects
        .pods
        .values()
        .filter(|p| p.started.is_some())
        .map(|p| (p.name.clone(), !world.behaviour(&p.version).unscraped))
        .collect();
    let prometheus = &mut world.prometheus;
    if mood == Mood::Blind {
        return;
    }
    for (pod, _) in running.iter().filter(|(_, scraped)| *scraped && mood != Mood::GatewayOnly) {
        prometheus.now.entry(pod.clone()).or_default();
        prometheus.push(pod, at, mood);
    }
    let gateway: Vec<String> = prometheus.now.keys().filter(|k| k.starts_with("gateway/")).cloned().collect();
    gateway.iter().for_each(|key| prometheus.push(key, at, mood));
}

impl Prometheus {
    fn push(&mut self, key: &str, at: i64, mood: Mood) {
        let mut value = self.now.get(key).copied().unwrap_or_default();
        if mood == Mood::NaN {
            value = Counters { total: f64::NAN, bad: f64::NAN, buckets: [f64::NAN; 5], good: f64::NAN };
        }
        self.samples.entry(key.to_owned()).or_default().push(at, value);
    }

    /// Answers to questions.
    pub fn answer(&self, asked: Vec<Question>) -> Answers {
        let any = !asked.is_empty();
        let given: Vec<_> = asked.into_iter().map(|q| (q.clone(), self.one(&q))).collect();
        let well = any && self.mood != Mood::Away && self.mood != Mood::Refuses;
        Answers { given, scrape: well.then(|| Duration::seconds(1)) }
    }

    fn one(&self, q: &Question) -> Answer {
        match self.mood {
            Mood::Away => {
                return Answer::Failed { transient: true, message: "connection refused".to_owned() };
            }
            Mood::Refuses => {
                return Answer::Failed { transient: false, message: "400: parse error".to_owned() };
            }
            Mood::Empty => return Answer::NoData,
            Mood::Well | Mood::NaN | Mood::Blind | Mood::GatewayOnly | Mood::Twice => {}
        }
        if q.field == Field::Value {
            return self.share_of_bad(q);
        }
        let mut series: Vec<RawSeries> =
            self.targets(q).iter().flat_map(|(key, target)| self.series(q, key, target)).collect();
        if self.mood == Mood::Twice {
            let second =
                |s: &RawSeries| RawSeries { labels: format!("{},job=\"second\"", s.labels), ..s.clone() };
            series.extend(series.clone().iter().map(second));
        }
        if series.is_empty() { Answer::NoData } else { Answer::Series(series) }
    }

    /// The only expression that is known: the share of bad requests in each step, over all pods of the arm.
    fn share_of_bad(&self, q: &Question) -> Answer {
        let (from, to) = (q.from.timestamp_millis(), q.to.timestamp_millis());
        let step = q.step.map_or(1000, |s| s.num_milliseconds()).max(1);
        let sum = |at: i64| {
            let windows = self
                .targets(q)
                .into_iter()
                .filter_map(|(key, _)| self.samples.get(&key)?.window(at - 1000, at).pop());
            windows.fold((0.0, 0.0), |(total, bad), (_, c)| (total + c.total, bad + c.bad))
        };
        let mut samples = Vec::new();
        let mut at = (from.div_euclid(step) + 1) * step;
        while at <= to {
            let ((t, b), (total, bad)) = (sum(at - step), sum(at));
            if total > t && self.mood != Mood::NaN {
                samples.push((at, (bad - b) / (total - t)));
            }
            at += step;
        }
        if samples.is_empty() || !q.selector.starts_with("error_share") {
            return Answer::NoData;
        }
        let one = RawSeries {
            arm: q.arm,
            target: String::new(),
            scrape: String::new(),
            counter: Counter::Value,
            labels: String::new(),
            samples,
        };
        Answer::Series(vec![one])
    }

    /// Keys of the counters that a question is about, each with the name of its target.
    fn targets(&self, q: &Question) -> Vec<(String, String)> {
        let known = [
            "http_requests_total",
            "http_request_duration_seconds",
            "generation_seconds",
            "feedback",
            "quality",
            "gateway_requests",
            "good_requests",
            "bad_requests",
            "error_share",
        ];
        if !known.iter().any(|name| q.selector.starts_with(name)) {
            return Vec::new();
        }
        match &q.matcher {
            ArmMatch::Pods { label: _, names } => names.iter().map(|n| (n.clone(), n.clone())).collect(),
            ArmMatch::Label { label: _, value } => {
                // As Contour names its clusters: namespace, Service, port.
                let service = value.split('_').nth(1).unwrap_or_default();
                vec![(at_gateway(service), GATEWAY.to_owned())]
            }
        }
    }

    fn series(&self, q: &Question, key: &str, target: &str) -> Vec<RawSeries> {
        let (from, to) = (q.from.timestamp_millis(), q.to.timestamp_millis());
        let window = self.samples.get(key).map(|s| s.window(from, to)).unwrap_or_default();
        if window.is_empty() {
            return Vec::new();
        }
        let make = |counter: Counter, label: String, value: &dyn Fn(&Counters) -> f64| RawSeries {
            arm: q.arm,
            target: target.to_owned(),
            scrape: "scrape".to_owned(),
            counter,
            labels: format!("{}{{{label}target=\"{target}\",of=\"{key}\"}}", q.selector),
            samples: window.iter().map(|(at, c)| (*at, value(c))).collect(),
        };
        let plain = |counter, value: &dyn Fn(&Counters) -> f64| vec![make(counter, String::new(), value)];
        match q.field {
            Field::Total if q.selector.starts_with("good_requests") => {
                plain(Counter::Total, &|c| c.total - c.bad)
            }
            Field::Total => plain(Counter::Total, &|c| c.total),
            // A counter of failures appears with the first failure.
            Field::Bad | Field::BadOfAll if window.iter().all(|(_, c)| c.bad == 0.0) => Vec::new(),
            Field::Bad => plain(Counter::Bad, &|c| c.bad),
            Field::BadOfAll => {
                let of = |counter| make(counter, String::new(), &|c| c.bad);
                vec![of(Counter::Bad), of(Counter::Total)]
            }
            Field::Sum => plain(Counter::Sum, &|c| c.good),
            Field::Value => Vec::new(),
            // Scores are 0 or 1, so a square is the score.
            Field::SumSquares => plain(Counter::SumSquares, &|c| c.good),
            Field::Buckets if q.selector.starts_with("quality") => vec![
                make(Counter::Bucket(Bound(0.5)), "le=\"0.5\",".to_owned(), &|c| c.total - c.good),
                make(Counter::Bucket(Bound(1.0)), "le=\"1\",".to_owned(), &|c| c.total),
                make(Counter::Total, "le=\"+Inf\",".to_owned(), &|c| c.total),
            ],
            Field::Buckets => {
                let long = if q.selector.starts_with("generation") { 10.0 } else { 1.0 };
                let bound = |i: usize| {
                    let edge = long * BOUNDS[i];
                    let label = format!("le=\"{edge}\",");
                    make(Counter::Bucket(Bound(edge)), label, &move |c| c.buckets[i])
                };
                let all = make(Counter::Total, "le=\"+Inf\",".to_owned(), &|c| c.total);
                (0..BOUNDS.len()).map(bound).chain([all]).collect()
            }
        }
    }
}

/// Whether every answer could be used.
pub fn usable(answers: &Answers) -> bool {
    !answers.given.is_empty() && answers.given.iter().all(|(_, a)| !matches!(a, Answer::Failed { .. }))
}
