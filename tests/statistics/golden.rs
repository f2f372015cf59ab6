//! Every golden trace, look by look.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use understudy::analysis::trace::{Kind, Settings, Trace};
use understudy::analysis::verdict::Direction;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stats")
}

/// One trace against what the reference printed for it: the first line is the command, then its columns.
fn check(name: &str) -> usize {
    let wanted = fs::read_to_string(directory().join(format!("{name}.out"))).unwrap();
    let mut lines = wanted.lines();
    let words: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let kind = match words[3] {
        "errors" => Kind::Errors,
        "latency" => Kind::Latency,
        _ => Kind::Score,
    };
    let (mut settings, mut start) = (Settings::default(), None);
    let mut rest = words[4..].iter();
    while let Some(word) = rest.next() {
        if word.contains('=') {
            settings.set(word).unwrap();
        } else {
            let seconds: f64 = rest.next().unwrap().parse().unwrap();
            start = DateTime::from_timestamp_millis((seconds * 1000.0) as i64);
        }
    }
    let text = fs::read_to_string(directory().join(format!("{name}.csv"))).unwrap();
    let looks: Vec<_> = Trace::read(&text, kind).unwrap().judge(&settings, start).collect();
    let wanted: Vec<Vec<&str>> = lines.skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(looks.len(), wanted.len(), "{name}: number of looks");
    for (look, want) in looks.iter().zip(&wanted) {
        let at = format!("{name} at {}", want[0]);
        let near = |found: f64, i: usize| (found - want[i].parse::<f64>().unwrap()).abs() <= 1e-6;
        assert_eq!(look.at.timestamp().to_string(), want[0], "{at}");
        assert!(near(look.n_candidate, 1) && near(look.n_stable, 2), "{at}: {look:?}");
        assert!(near(look.log_bad, 3) && near(look.log_ok, 4), "{at}: {look:?} for {want:?}");
        assert_eq!(look.decision.as_str(), want[5], "{at}");
        if let Some((towards, n)) = want[6].split_once(':') {
            let direction = if towards == "PROMOTE" { Direction::Promote } else { Direction::Rollback };
            let (requests, found) = look.forecast.unwrap_or_else(|| panic!("{at}: no forecast for {want:?}"));
            let off = (requests - n.parse::<f64>().unwrap()).abs();
            assert!(found == direction && off <= 1.0, "{at}: {:?} for {}", look.forecast, want[6]);
        }
    }
    looks.len()
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
