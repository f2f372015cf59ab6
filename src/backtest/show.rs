//! A replay as pictures, one for each metric.

use crate::plot::axis::elapsed;
use crate::plot::{Chart, Mark, unit};

use super::replay::{Decision, Replay, Setup, What};
use super::report::{end_text, place_text};

/// Marks that have room.
const MARKS: usize = 12;

/// The picture of a metric, by its place in the manifest.
pub fn chart<'a>(setup: &Setup<'_>, replay: &'a Replay, metric: usize) -> Option<Chart<'a>> {
    let (points, verdict, kind) =
        (replay.points.get(metric)?, replay.verdicts.get(metric)?, replay.kinds.get(metric)?);
    let ours = |d: &&Decision| d.metric.as_ref().is_none_or(|name| *name == verdict.metric);
    let mark = |d: &Decision| {
        let text = match d.what {
            What::Begins => place_text(d.place, &setup.rollout.spec),
            What::Proven => "proven".to_owned(),
            What::Unproven => "no longer proven".to_owned(),
            What::Breach => "BREACH".to_owned(),
            What::Guard => "GUARD".to_owned(),
            What::NoEvidence => "no evidence".to_owned(),
            What::Evidence => "evidence again".to_owned(),
            What::Waits => return None,
            What::Held => "held".to_owned(),
            What::Ends => end_text(&replay.end),
        };
        Some(Mark { at: d.at, text })
    };
    let mut marks: Vec<Mark> = replay.decisions.iter().filter(ours).filter_map(mark).collect();
    let many = marks.len().saturating_sub(MARKS);
    // The first step and the latest decisions tell most.
    marks.drain(1.min(many)..many + 1.min(many));
    let (unit, value) = unit(*kind);
    let when = elapsed((replay.ended_at - setup.from).num_seconds() as f64);
    Some(Chart {
        title: format!("{}: {} after {when}", verdict.metric, end_text(&replay.end)),
        subtitle: verdict.sentence.clone(),
        unit,
        value,
        start: setup.from,
        points,
        marks,
    })
}
