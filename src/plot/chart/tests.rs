use chrono::Duration;

use super::*;

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn point(k: i32) -> Point {
    let n = f64::from(k) * 10.0;
    Point {
        at: start() + Duration::seconds(15) * k,
        stable: (n, Some(0.01)),
        candidate: (n, Some(0.03)),
        limit: Some(0.0125),
        worse: (f64::from(k) * 0.1, 6.0),
        good: (f64::from(k) * -0.1, 3.0),
    }
}

fn chart(points: &[Point], marks: Vec<Mark>) -> Chart<'_> {
    Chart {
        title: "errors: ROLLBACK".into(),
        subtitle: "Evidence that 1.2.0 is worse: 1,000 : 1.".into(),
        unit: Unit::Share,
        value: "share of bad requests",
        start: start(),
        points,
        marks,
    }
}

fn mark(k: i32, text: &str) -> Mark {
    Mark { at: start() + Duration::seconds(15) * k, text: text.into() }
}

#[test]
fn the_picture_has_both_arms_the_limit_both_evidences_their_bars_and_what_was_decided() {
    let points: Vec<Point> = (1..=80).map(point).collect();
    let text = chart(&points, vec![mark(60, "rolled back")]).svg();
    for class in
        ["line stable", "line candidate", "line limit dashed", "line worse", "line good", "line good dashed"]
    {
        assert!(text.contains(&format!("<polyline class=\"{class}\"")), "{class}");
    }
    for words in
        ["errors: ROLLBACK", "rolled back", "time since 2027-01-15 08:00:00 UTC", "100 : 1", "2.0 %", "15m"]
    {
        assert!(text.contains(words), "{words}");
    }
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
}

#[test]
fn a_value_without_a_test_has_no_panel_of_evidence() {
    let points: Vec<Point> = (1..=80).map(|k| Point { good: (0.0, f64::INFINITY), ..point(k) }).collect();
    let text = chart(&points, vec![mark(60, "rolled back")]).svg();
    assert!(text.contains("<polyline class=\"line stable\"") && text.contains("rolled back"));
    assert!(!text.contains("evidence as odds") && !text.contains("dot stable"), "{text}");
}

#[test]
fn values_that_are_not_numbers_and_empty_traces_draw_no_nonsense() {
    let mut points: Vec<Point> = (1..=3).map(point).collect();
    points[1].candidate.1 = None;
    points[1].limit = Some(f64::NAN);
    points[2].worse = (f64::INFINITY, f64::INFINITY);
    points[2].good = (f64::NEG_INFINITY, 3.0);
    for chart in [chart(&points, Vec::new()), chart(&[], Vec::new())] {
        let text = chart.svg();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}

#[test]
fn a_long_trace_makes_a_small_file_that_keeps_its_peaks() {
    let mut points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i) / 125.0, 5.0)).collect();
    points[77_777].1 = 99.0;
    let thin = thinned(points);
    assert!(thin.len() < 4 * 801, "{}", thin.len());
    assert!(thin.iter().any(|p| p.1 == 99.0));
}

#[test]
fn a_stage_that_counts_from_zero_again_is_no_negative_gain() {
    let mut points: Vec<Point> = (1..=60).map(point).collect();
    for (k, p) in points.iter_mut().enumerate().skip(30) {
        p.candidate.0 = (k - 29) as f64;
    }
    let chart = chart(&points, Vec::new());
    let found = chart.stretches(900.0, |p| p.candidate);
    assert_eq!(found.len(), 60);
    assert!(found.iter().all(|(_, value)| (value - 0.03).abs() < 1e-9), "{found:?}");
}

#[test]
fn a_sentence_is_broken_at_spaces() {
    assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
    assert_eq!(wrapped("at 20 : 1 now", 8), ["at", "20\u{a0}:\u{a0}1", "now"]);
    assert!(wrapped("", 8).is_empty());
}
