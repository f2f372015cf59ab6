//! Every golden trace, look by look.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Duration, Utc};
use understudy::analysis::budget::{LedgerBudget, MetricBudget};
use understudy::analysis::sample::Birth;
use understudy::analysis::{
    Arm, Bound, BreachKind, Counter, Counts, Cursor, Kind, Limit, Looks, MetricPlan, MetricState, Outcome,
    RawSeries, Reason, Stage, Window, advance, intervals,
};

struct Case {
    kind: String,
    start: f64,
    options: HashMap<String, String>,
    looks: Vec<Want>,
}

struct Want {
    ts: i64,
    n_cand: f64,
    n_base: f64,
    bad: f64,
    ok: f64,
    decision: String,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stats")
}

fn case(name: &str) -> Case {
    let text = fs::read_to_string(directory().join(name)).unwrap();
    let mut lines = text.lines();
    let words: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let mut start = f64::NEG_INFINITY;
    let mut options = HashMap::new();
    let mut rest = words[4..].iter();
    while let Some(word) = rest.next() {
        match word.split_once('=') {
            Some((key, value)) => drop(options.insert(key.to_string(), value.to_string())),
            None => start = rest.next().unwrap().parse().unwrap(),
        }
    }
    let looks = lines.skip(1).map(|line| {
        let f: Vec<&str> = line.split(',').collect();
        let number = |i: usize| f[i].parse::<f64>().unwrap();
        Want {
            ts: f[0].parse().unwrap(),
            n_cand: number(1),
            n_base: number(2),
            bad: number(3),
            ok: number(4),
            decision: f[5].into(),
        }
    });
    Case { kind: words[3].into(), start, options, looks: looks.collect() }
}

impl Case {
    fn number(&self, key: &str, default: f64) -> f64 {
        self.options.get(key).map_or(default, |text| text.parse().unwrap())
    }

    fn plan(&self, series: &[RawSeries]) -> MetricPlan {
        let has = |wanted: fn(Counter) -> bool| series.iter().any(|one| wanted(one.counter));
        let kind = match self.kind.as_str() {
            "errors" => Kind::Ratio,
            "latency" => Kind::Latency,
            _ if has(|counter| counter == Counter::SumSquares) => Kind::MeanSumSquares,
            _ if has(|counter| matches!(counter, Counter::Bucket(_))) => Kind::MeanHistogram,
            _ => Kind::MeanSumCount,
        };
        let ledger = LedgerBudget {
            alpha: self.number("alpha", 0.01),
            horizon: self.number("horizon", 2000.0) as u32,
        };
        let budget = MetricBudget {
            shadow: ledger,
            canary: ledger,
            watch: ledger,
            guard_paired: None,
            guard_absolute: None,
        };
        let mut plan = MetricPlan::new("m", "v7", kind, budget);
        if self.kind == "score" {
            let m = 1.0 - self.number("margin", 0.0);
            plan.worse = Limit::ratio(m, self.number("slack", 0.02));
            plan.proof = Limit::ratio(m, self.number("slack_promote", 0.05));
        } else {
            plan.worse = Limit::ratio(self.number("rho", 1.25), self.number("eps", 0.0005));
            plan.proof = Limit::ratio(self.number("rho_promote", 1.5), self.number("eps_promote", 0.001));
        }
        plan.alpha_promote = self.number("alpha_promote", 0.05);
        plan.phi = self.number("phi", 1.0);
        plan.min_samples = self.number("min_n", 100.0) as u32;
        plan.stale = self.number("stale", 4.0) as u32;
        if let Some(quantiles) = self.options.get("quantiles") {
            plan.quantiles = quantiles.split(',').map(|q| q.parse().unwrap()).collect();
        }
        plan
    }
}

fn time(seconds: f64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis((seconds * 1000.0) as i64).unwrap()
}

fn counter(name: &str, latency: bool) -> Vec<Counter> {
    match name {
        "n" => vec![Counter::Total],
        "x" => vec![Counter::Bad],
        "sum" => vec![Counter::Sum],
        "sumsq" => vec![Counter::SumSquares],
        "le_+Inf" if latency => vec![Counter::Bucket(Bound(f64::INFINITY)), Counter::Total],
        other => {
            let bound = other.strip_prefix("le_").unwrap().replace("+Inf", "inf");
            vec![Counter::Bucket(Bound(bound.parse().unwrap()))]
        }
    }
}

fn read(name: &str, latency: bool) -> Vec<RawSeries> {
    let text = fs::read_to_string(directory().join(name)).unwrap();
    let mut series: BTreeMap<(String, String, Counter), Vec<(i64, f64)>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let f: Vec<&str> = line.split(',').collect();
        let value = f[4].trim().parse().unwrap_or(f64::NAN);
        let at = (f[0].parse::<f64>().unwrap() * 1000.0) as i64;
        for counter in counter(f[3], latency) {
            series.entry((f[1].into(), f[2].into(), counter)).or_default().push((at, value));
        }
    }
    let one = |((arm, pod, counter), samples): ((String, String, Counter), _)| RawSeries {
        arm: if arm == "cand" { Arm::Candidate } else { Arm::Stable },
        target: format!("{arm}/{pod}"),
        scrape: String::new(),
        counter,
        labels: format!("{counter:?}"),
        samples,
    };
    series.into_iter().map(one).collect()
}

/// Samples as looks of the grid that the trace was made on.
fn looks(series: &[RawSeries]) -> Looks {
    let times = &series[0].samples;
    let edge = |sample: &(i64, f64)| time(sample.0 as f64 / 1000.0);
    let window = Window {
        interval: edge(&times[1]) - edge(&times[0]),
        until: series.iter().filter_map(|one| one.samples.last().map(edge)).max().unwrap(),
        lookback: Duration::days(1),
        series,
        started: &BTreeMap::new(),
        discarded: &[],
        birth: Birth::AfterFirstLook,
    };
    intervals(&Cursor::start(edge(&times[0])), &window)
}

fn decision(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "PROMOTE",
        Outcome::Breach(breach) if breach.by == BreachKind::Limit => "ROLLBACK",
        Outcome::Inconclusive { .. } => "INCONCLUSIVE",
        Outcome::Unavailable(Reason::NoData) => "NO_DATA",
        Outcome::Unavailable(Reason::NoBounds) | Outcome::WarmUp => "WARMUP",
        Outcome::Breach(_) | Outcome::Unavailable(_) => "another verdict",
    }
}

fn check(name: &str) -> usize {
    let case = case(&format!("{name}.out"));
    let series = read(&format!("{name}.csv"), case.kind == "latency");
    let plan = case.plan(&series);
    let all = looks(&series);
    let (before, tested): (Vec<_>, Vec<_>) =
        all.intervals.into_iter().partition(|interval| interval.end < time(case.start.max(0.0)));
    let mut history = Counts::default();
    before.iter().for_each(|interval| history.add(&interval.stable));
    let mut state = MetricState::start(&plan, Stage::Canary, all.cursor.t0, Some(&history));
    assert_eq!(tested.len(), case.looks.len(), "{name}: number of looks");
    for (interval, want) in tested.into_iter().zip(&case.looks) {
        let at = format!("{name} at {}", want.ts);
        assert_eq!(interval.end.timestamp(), want.ts, "{at}");
        let cursor = Cursor { at: interval.end, ..all.cursor.clone() };
        let one = Looks { intervals: vec![interval], cursor, empty_looks: 0, problems: Vec::new() };
        // Through the saved form at every look: what a restart reads must be the same state.
        let saved = serde_json::to_string(&state).unwrap();
        let (next, verdict) = advance(&plan, &serde_json::from_str(&saved).unwrap(), &one);
        assert!((verdict.log_bad - want.bad).abs() <= 1e-6, "{at}: bad {} for {}", verdict.log_bad, want.bad);
        assert!((verdict.log_ok - want.ok).abs() <= 1e-6, "{at}: ok {} for {}", verdict.log_ok, want.ok);
        assert_eq!(decision(&verdict.outcome), want.decision, "{at}: {:?}", verdict.outcome);
        assert_eq!((verdict.candidate.n, verdict.stable.n), (want.n_cand, want.n_base), "{at}");
        state = next;
    }
    case.looks.len()
}

#[test]
fn every_golden_trace_gives_the_reference_evidence_and_decision_at_every_look() {
    let mut names: Vec<String> = fs::read_dir(directory())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".csv").map(String::from))
        .collect();
    names.sort();
    assert_eq!(names.len(), 19);
    let looks: usize = names.iter().map(|name| check(name)).sum();
    assert!(looks > 1000, "{looks}");
}
