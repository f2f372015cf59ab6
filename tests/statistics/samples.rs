//! From raw samples to intervals: resets, births, losses, gaps, restarts.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use understudy::analysis::sample::{Birth, history};
use understudy::analysis::{Arm, Counter, Cursor, Discard, Looks, RawSeries, Span, Window, intervals};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn series(arm: Arm, target: &str, counter: Counter, samples: &[(i64, f64)]) -> RawSeries {
    let samples = samples.iter().map(|(t, v)| (at(*t).timestamp_millis(), *v)).collect();
    RawSeries {
        arm,
        target: target.into(),
        scrape: "m".into(),
        counter,
        labels: format!("{target} {counter:?}"),
        samples,
    }
}

fn stable(samples: &[(i64, f64)]) -> RawSeries {
    series(Arm::Stable, "s-1", Counter::Total, samples)
}

/// Stable counts ten requests every five seconds, from 60 s before t0 on.
fn steady(until: i64) -> RawSeries {
    let samples: Vec<(i64, f64)> = (-12..=until / 5).map(|k| (5 * k, 1000.0 + 10.0 * k as f64)).collect();
    stable(&samples)
}

struct Scene {
    series: Vec<RawSeries>,
    started: BTreeMap<String, DateTime<Utc>>,
    discarded: Vec<Span>,
}

impl Scene {
    fn new(series: Vec<RawSeries>) -> Self {
        Self { series, started: BTreeMap::new(), discarded: Vec::new() }
    }

    fn read(&self, cursor: &Cursor, until: i64) -> Looks {
        let window = Window {
            interval: Duration::seconds(10),
            until: at(until),
            lookback: Duration::seconds(60),
            series: &self.series,
            started: &self.started,
            discarded: &self.discarded,
            birth: Birth::ByStartTime,
        };
        intervals(cursor, &window)
    }

    fn candidate(&self, until: i64) -> Vec<(f64, f64)> {
        let looks = self.read(&Cursor::start(at(0)), until);
        looks.intervals.iter().map(|interval| (interval.candidate.n, interval.candidate.bad)).collect()
    }
}

fn candidate(counter: Counter, samples: &[(i64, f64)]) -> RawSeries {
    series(Arm::Candidate, "c-1", counter, samples)
}

#[test]
fn a_restarted_counter_is_read_from_zero_and_history_before_t0_is_only_a_base() {
    let total = candidate(Counter::Total, &[(-5, 70.0), (10, 100.0), (20, 7.0), (30, 27.0)]);
    assert_eq!(Scene::new(vec![steady(30), total]).candidate(30), [(30.0, 0.0), (7.0, 0.0), (20.0, 0.0)]);
}

#[test]
fn a_new_pod_counts_from_zero_once_and_an_old_one_only_from_its_first_sample() {
    let total = candidate(Counter::Total, &[(20, 40.0), (30, 60.0)]);
    let mut scene = Scene::new(vec![steady(200), total]);
    assert_eq!(scene.candidate(30)[1..], [(0.0, 0.0), (20.0, 0.0)]);
    scene.started.insert("c-1".into(), at(12));
    assert_eq!(scene.candidate(30)[1..], [(40.0, 0.0), (20.0, 0.0)]);

    // Away for longer than the lookback and back: its history is not counted a second time.
    let mut looks = scene.read(&Cursor::start(at(0)), 120);
    scene.series[1] = candidate(Counter::Total, &[(130, 500.0), (140, 510.0)]);
    looks = scene.read(&looks.cursor, 140);
    let gains: Vec<f64> = looks.intervals.iter().map(|interval| interval.candidate.n).collect();
    assert_eq!(gains, [0.0, 10.0]);
}

#[test]
fn an_error_label_that_appears_late_counts_from_zero() {
    let total = candidate(Counter::Total, &[(0, 100.0), (10, 110.0), (20, 120.0)]);
    let bad = candidate(Counter::Bad, &[(20, 6.0)]);
    assert_eq!(Scene::new(vec![steady(20), total, bad]).candidate(20), [(10.0, 0.0), (10.0, 6.0)]);
}

#[test]
fn the_whole_pod_waits_when_one_of_its_counters_is_missing() {
    for missing in [f64::NAN, f64::INFINITY, -1.0] {
        let total = candidate(Counter::Total, &[(0, 100.0), (10, 150.0), (20, 200.0)]);
        let bad = candidate(Counter::Bad, &[(0, 5.0), (10, missing), (20, 9.0)]);
        assert_eq!(Scene::new(vec![steady(20), total, bad]).candidate(20), [(0.0, 0.0), (100.0, 4.0)]);
    }
}

#[test]
fn a_pod_that_is_gone_gains_nothing_more_and_keeps_what_it_had() {
    let gone = candidate(Counter::Total, &[(0, 100.0), (10, 150.0), (20, 180.0)]);
    let stays = series(
        Arm::Candidate,
        "c-2",
        Counter::Total,
        &[(0, 5.0), (10, 6.0), (20, 7.0), (30, 8.0), (40, 9.0)],
    );
    let gains = Scene::new(vec![steady(40), gone, stays]).candidate(40);
    assert_eq!(gains, [(51.0, 0.0), (31.0, 0.0), (1.0, 0.0), (1.0, 0.0)]);
}

#[test]
fn more_errors_than_requests_in_an_interval_are_taken_as_they_came() {
    let total = candidate(Counter::Total, &[(0, 100.0), (10, 100.0), (20, 110.0)]);
    let bad = candidate(Counter::Bad, &[(0, 5.0), (10, 8.0), (20, 8.0)]);
    assert_eq!(Scene::new(vec![steady(20), total, bad]).candidate(20), [(0.0, 3.0), (10.0, 0.0)]);
}

/// One NaN observation makes a sum NaN for ever. A count without its sum would look like scores of 0.
#[test]
fn a_sum_that_stays_nan_takes_its_counts_with_it_however_long() {
    let ticks = || (0..60i64).map(|k| 10 * k);
    let count: Vec<(i64, f64)> = ticks().map(|t| (t, 10.0 * t as f64)).collect();
    let from = |t: i64| if t < 50 { 8.0 * t as f64 } else { f64::NAN };
    let sum: Vec<(i64, f64)> = ticks().map(|t| (t, from(t))).collect();
    let scene = Scene::new(vec![candidate(Counter::Total, &count), candidate(Counter::Sum, &sum)]);
    let looks = scene.read(&Cursor::start(at(0)), 590);
    let (mut n, mut scores) = (0.0, 0.0);
    for interval in &looks.intervals {
        n += interval.candidate.n;
        scores += interval.candidate.sum;
    }
    assert_eq!((n, scores), (400.0, 320.0), "what came before the NaN, and nothing after it");
    // A pod without the sum that another has is no pod of zeros either.
    let other = series(Arm::Stable, "s-1", Counter::Sum, &ticks().map(|t| (t, t as f64)).collect::<Vec<_>>());
    let bare = Scene::new(vec![steady(590), other, candidate(Counter::Total, &count)]);
    assert!(bare.candidate(590).iter().all(|gain| gain.0 == 0.0));
    // Recreated, it counts again.
    let mut again = scene;
    let late = |t: i64, v: f64| if t < 300 { f64::NAN } else { v };
    again.series[1] =
        candidate(Counter::Sum, &ticks().map(|t| (t, late(t, 8.0 * (t - 300) as f64))).collect::<Vec<_>>());
    let looks = again.read(&Cursor::start(at(0)), 590);
    let last = &looks.intervals.last().unwrap().candidate;
    assert_eq!((last.n, last.sum), (100.0, 80.0));
}

#[test]
fn a_gap_of_both_arms_is_one_longer_interval() {
    let scene = Scene::new(vec![
        stable(&[(0, 100.0), (10, 110.0), (50, 150.0), (60, 160.0)]),
        candidate(Counter::Total, &[(0, 10.0), (10, 11.0), (50, 15.0), (60, 16.0)]),
    ]);
    let looks = scene.read(&Cursor::start(at(0)), 60);
    let seen: Vec<(u32, f64, f64)> =
        looks.intervals.iter().map(|i| (i.looks, i.stable.n, i.candidate.n)).collect();
    assert_eq!(seen, [(1, 10.0, 1.0), (4, 40.0, 4.0), (1, 10.0, 1.0)]);
    let during = scene.read(&Cursor::start(at(0)), 40);
    assert_eq!((during.cursor.at, during.empty_looks), (at(10), 3));
}

#[test]
fn a_discarded_interval_still_moves_the_bases() {
    let total = candidate(Counter::Total, &[(0, 0.0), (10, 50.0), (20, 60.0), (30, 70.0)]);
    let mut scene = Scene::new(vec![steady(30), total]);
    scene.discarded = vec![
        Span { from: at(2), to: at(10), why: Discard::WarmUp },
        Span { from: at(22), to: at(24), why: Discard::ForeignEdit },
    ];
    let looks = scene.read(&Cursor::start(at(0)), 30);
    let seen: Vec<_> = looks.intervals.iter().map(|i| (i.discarded, i.candidate.n)).collect();
    assert_eq!(seen, [(Some(Discard::WarmUp), 50.0), (None, 10.0), (Some(Discard::ForeignEdit), 10.0)]);
}

#[test]
fn series_that_the_data_plane_dropped_and_made_anew_count_from_zero() {
    let at_gateway = |arm, samples: &[(i64, f64)]| series(arm, "gw-1", Counter::Total, samples);
    let scene = Scene::new(vec![
        at_gateway(Arm::Stable, &[(0, 100.0), (10, 110.0), (20, 120.0), (30, 130.0), (40, 140.0)]),
        at_gateway(Arm::Candidate, &[(10, 8.0), (30, 12.0), (40, 15.0)]),
    ]);
    // At 10 s the candidate's series is new on a target that was scraped before; at 30 s it was absent at 20 s.
    let gains: Vec<f64> = scene.candidate(40).iter().map(|gain| gain.0).collect();
    assert_eq!(gains, [8.0, 0.0, 12.0, 3.0]);
}

#[test]
fn the_same_counter_twice_is_refused_and_the_cursor_stays() {
    let twice: Vec<(i64, f64)> = (0..8).map(|k| (10 * k, 100.0 + 7.0 * k as f64)).collect();
    let later: Vec<(i64, f64)> = twice.iter().map(|(t, v)| (t + 4, v + 2.0)).collect();
    for copy in [twice.clone(), later] {
        let mut second = candidate(Counter::Total, &copy);
        second.labels = "job=\"other\"".into();
        let scene = Scene::new(vec![steady(60), candidate(Counter::Total, &twice), second]);
        let looks = scene.read(&Cursor::start(at(0)), 60);
        assert_eq!((looks.problems.len(), looks.intervals.len(), looks.cursor.at), (1, 0, at(0)));
        assert!(looks.problems[0].to_string().contains("c-1 is counted twice"), "{}", looks.problems[0]);
    }
    let other: Vec<(i64, f64)> = twice.iter().map(|(t, v)| (*t, v * 1.1)).collect();
    let scene = Scene::new(vec![candidate(Counter::Total, &twice), candidate(Counter::Total, &other)]);
    assert!(scene.read(&Cursor::start(at(0)), 60).problems.is_empty());
}

#[test]
fn a_pod_with_two_ports_is_read_port_by_port() {
    let port = |counter, scrape: &str, samples: &[(i64, f64)]| RawSeries {
        scrape: scrape.into(),
        ..candidate(counter, samples)
    };
    let series = vec![
        steady(20),
        port(Counter::Total, "worker-1", &[(1, 100.0), (11, 110.0)]),
        port(Counter::Total, "worker-2", &[(3, 200.0), (13, 220.0)]),
        port(Counter::Bad, "proxy", &[(4, 5.0), (14, 8.0)]),
    ];
    assert_eq!(Scene::new(series).candidate(20), [(0.0, 0.0), (30.0, 3.0)]);
}

#[test]
fn history_is_what_stable_gained_in_the_stretch() {
    let series = [steady(600), candidate(Counter::Total, &[(0, 1.0), (10, 99.0)])];
    assert_eq!(history(&series, at(0), at(600)).n, 1200.0);
}

/// The state must not depend on when anybody looked: one look at a time, or all at once after a restart.
#[test]
fn a_restart_reads_each_interval_exactly_once() {
    let mut total = Vec::new();
    let mut bad = Vec::new();
    for k in 0..120i64 {
        let t = 5 * k + 1;
        if k % 17 == 9 || (40..46).contains(&k) {
            continue;
        }
        total.push((t, ((k * 31) % 400) as f64 + if k > 60 { 0.0 } else { 500.0 }));
        bad.push((t, if k % 11 == 3 { f64::NAN } else { k as f64 }));
    }
    let mut scene = Scene::new(vec![
        steady(600),
        candidate(Counter::Total, &total),
        candidate(Counter::Bad, &bad),
        series(Arm::Candidate, "c-2", Counter::Total, &[(222, 9.0), (231, 12.0), (420, 40.0), (429, 44.0)]),
    ]);
    scene.started.insert("c-1".into(), at(1));
    scene.started.insert("c-2".into(), at(200));
    let whole = scene.read(&Cursor::start(at(0)), 600);
    for pieces in [1, 3, 7] {
        let mut cursor = Cursor::start(at(0));
        let mut read = Vec::new();
        for until in (1..=600).step_by(pieces * 4 + 3).chain([600]) {
            // Only what a restarted controller would fetch: two lookbacks before the cursor.
            let oldest = (cursor.at - Duration::seconds(120)).timestamp_millis();
            let fetched = scene.series.iter().map(|one| {
                let fresh =
                    |sample: &&(i64, f64)| sample.0 > oldest && sample.0 <= at(until).timestamp_millis();
                RawSeries { samples: one.samples.iter().filter(fresh).copied().collect(), ..one.clone() }
            });
            let part = Scene {
                series: fetched.filter(|one| !one.samples.is_empty()).collect(),
                started: scene.started.clone(),
                discarded: Vec::new(),
            };
            let looks = part.read(&cursor, until);
            read.extend(looks.intervals);
            cursor = looks.cursor;
        }
        assert_eq!((read, cursor), (whole.intervals.clone(), whole.cursor.clone()), "pieces of {pieces}");
    }
}
