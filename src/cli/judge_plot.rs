//! The picture of a judged trace.

use super::judge::KindArg;
use crate::analysis::trace::{Decision, Look};
use crate::analysis::{Kind, MetricVerdict};
use crate::plot::axis::elapsed;
use crate::plot::{Chart, Mark, Point, unit};

/// A trace's looks, as far as they are drawn.
pub struct Picture {
    name: &'static str,
    kind: Kind,
    points: Vec<Point>,
    marks: Vec<Mark>,
    /// The decision so far, and the sentence of the look that made it.
    last: Option<(Decision, String)>,
}

impl Picture {
    /// Of a trace that counts `what`, tested as `kind`.
    pub fn new(what: KindArg, kind: Kind) -> Self {
        let name = match what {
            KindArg::Errors => "errors",
            KindArg::Latency => "latency",
            KindArg::Score => "score",
        };
        Self { name, kind, points: Vec::new(), marks: Vec::new(), last: None }
    }

    /// One look more. What is decided first is marked; a rollback is final, and its numbers are those of its look.
    pub fn add(&mut self, look: &Look, verdict: &MetricVerdict) {
        self.points.push(Point::of(look.at, verdict));
        let before = self.last.as_ref().map(|(decision, _)| *decision);
        if before == Some(Decision::Rollback) {
            return;
        }
        let marked = match look.decision {
            Decision::Rollback => Some("ROLLBACK: worse than allowed"),
            Decision::Promote if before != Some(Decision::Promote) => Some("PROMOTE: proven good enough"),
            Decision::Inconclusive | Decision::NoData | Decision::WarmUp | Decision::Unusable
                if before == Some(Decision::Promote) =>
            {
                Some("no longer proven")
            }
            Decision::Promote
            | Decision::Inconclusive
            | Decision::NoData
            | Decision::WarmUp
            | Decision::Unusable => None,
        };
        self.marks.extend(marked.map(|text| Mark { at: look.at, text: text.to_owned() }));
        self.last = Some((look.decision, verdict.sentence.clone()));
    }

    /// The file.
    pub fn svg(mut self) -> String {
        let start = self.points.first().map(|p| p.at).unwrap_or_default();
        let (decision, subtitle) = self.last.unwrap_or((Decision::NoData, "There was no look.".to_owned()));
        let decided =
            self.marks.last().filter(|_| matches!(decision, Decision::Rollback | Decision::Promote));
        let when = decided.map_or_else(
            || format!("at the end, after {} looks", self.points.len()),
            |mark| {
                let looks = self.points.iter().take_while(|p| p.at <= mark.at).count();
                format!("after {} and {looks} looks", elapsed((mark.at - start).num_seconds() as f64))
            },
        );
        // A verdict that comes and goes at each look is one mark for each time: only the first and the last few are told apart.
        let many = self.marks.len().saturating_sub(MARKS);
        self.marks.drain(1.min(many)..many + 1.min(many));
        let (unit, value) = unit(self.kind);
        let title = format!("{}: {} {when}", self.name, decision.as_str());
        Chart { title, subtitle, unit, value, start, points: &self.points, marks: self.marks }.svg()
    }
}

/// Marks that have room.
const MARKS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::trace::{Kind, Settings, Trace};

    /// Stable fails 1 %, the candidate so many times as often from the start on.
    fn picture(times: u32) -> String {
        let mut text = "ts,arm,series,name,value\n".to_owned();
        for k in 0..=200u32 {
            let (ts, n) = (k * 15, k * 100);
            text += &format!(
                "{ts},base,s,n,{n}\n{ts},base,s,x,{k}\n{ts},cand,c,n,{n}\n{ts},cand,c,x,{}\n",
                k * times
            );
        }
        let trace = Trace::read(&text, Kind::Errors).unwrap();
        let mut judge = trace.judge(&Settings::default(), None);
        let mut picture = Picture::new(KindArg::Errors, trace.plan(&Settings::default()).kind);
        while let Some((at, verdict)) = judge.step() {
            let look = judge.look(at, &verdict);
            picture.add(&look, &verdict);
        }
        picture.svg()
    }

    #[test]
    fn the_title_says_the_verdict_and_when_and_a_line_marks_it() {
        let worse = picture(5);
        assert!(worse.contains("<title>errors: ROLLBACK after "), "{worse}");
        assert!(worse.contains(">ROLLBACK: worse than allowed</text>"));
        assert!(!worse.contains("PROMOTE"));
        let good = picture(1);
        assert!(good.contains("<title>errors: PROMOTE after "));
        assert!(good.contains(">PROMOTE: proven good enough</text>"));
    }
}
