//! A metric over time: both arms with the limit, below them the evidence both ways with its bars, and marks where something
//! was decided.

use chrono::{DateTime, Utc};

use super::axis::{self, Unit, elapsed};
use super::marks::{self, LANE};
use super::point::Point;
use super::svg::{Anchor, Area, Svg, width};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const PANEL: f64 = 190.0;
/// Above a panel: its name and its legend.
const HEAD: f64 = 44.0;
/// Characters of a line below the title.
const CHARACTERS: usize = 138;
/// Stretches of time whose own values are shown as dots.
const STRETCHES: usize = 60;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// When.
    pub at: DateTime<Utc>,
    /// In a few words.
    pub text: String,
}

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart<'a> {
    /// With the verdict.
    pub title: String,
    /// Its numbers, in a sentence or two.
    pub subtitle: String,
    /// In what the arms' values are.
    pub unit: Unit,
    /// What they are.
    pub value: &'a str,
    /// When the axis of time begins.
    pub start: DateTime<Utc>,
    /// In order of time.
    pub points: &'a [Point],
    /// In order of time.
    pub marks: Vec<Mark>,
}

/// A panel with its axes.
struct Panel {
    at: Area,
    seconds: f64,
    low: f64,
    high: f64,
}

impl Panel {
    fn x(&self, seconds: f64) -> f64 {
        self.at.x + self.at.width * seconds / self.seconds
    }

    fn y(&self, value: f64) -> f64 {
        // Far outside is as good as anywhere outside, and a file with infinities is none.
        let part = ((value - self.low) / (self.high - self.low)).clamp(-20.0, 20.0);
        self.at.bottom() - self.at.height * part
    }

    fn curve(&self, points: impl Iterator<Item = (f64, Option<f64>)>) -> Vec<(f64, f64)> {
        let known = points.filter_map(|(t, value)| Some((t, value.filter(|v| !v.is_nan())?)));
        thinned(known.map(|(t, value)| (self.x(t), self.y(value))).collect())
    }
}

impl Chart<'_> {
    /// The picture.
    pub fn svg(&self) -> String {
        let lines = wrapped(&self.subtitle, CHARACTERS);
        let last = self.points.last().map(|p| p.at).max(self.marks.last().map(|mark| mark.at));
        let seconds = last.map_or(0.0, |at| self.seconds(at)).max(1.0);
        let across = |y: f64| Area { x: LEFT, y, width: WIDTH - LEFT - RIGHT, height: PANEL };
        let x = |mark: &Mark| LEFT + (WIDTH - LEFT - RIGHT) * self.seconds(mark.at) / seconds;
        let placed = marks::placed(self.marks.iter().map(|one| (x(one), one.text.as_str())), WIDTH - 8.0);
        let top = 34.0 + 16.0 * lines.len() as f64;
        let first = top + LANE * marks::lanes(&placed) as f64 + 10.0 + HEAD;
        let second = first + PANEL + HEAD;
        // What is not tested has no evidence to be shown.
        let tested = self.points.iter().any(|p| p.good.1.is_finite());
        let last = across(if tested { second } else { first });
        let mut page = Svg::new(WIDTH, last.bottom() + 52.0, &self.title);
        page.text("title", (16.0, 27.0), Anchor::Start, &self.title);
        for (i, line) in lines.iter().enumerate() {
            page.text("muted", (16.0, 47.0 + 16.0 * i as f64), Anchor::Start, line);
        }
        // Not through the heads of the panels, where names and legends stand.
        let panels = [(first, first + PANEL), (last.y, last.bottom())];
        marks::draw(&mut page, &placed, top, if tested { &panels } else { &panels[..1] });
        let (low, high) = self.values();
        self.draw_values(&mut page, &Panel { at: across(first), seconds, low, high }, tested);
        if tested {
            let (low, high) = self.evidence();
            self.draw_evidence(&mut page, &Panel { at: last, seconds, low, high });
        }
        times(&mut page, &Panel { at: last, seconds, low: 0.0, high: 1.0 }, self.start);
        page.finish()
    }

    fn seconds(&self, at: DateTime<Utc>) -> f64 {
        axis::seconds(at - self.start)
    }

    fn curve(&self, panel: &Panel, of: impl Fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
        panel.curve(self.points.iter().map(|p| (self.seconds(p.at), of(p))))
    }

    /// The range of the arms' values. The first few requests of a stage give any value, so the outermost are left out.
    fn values(&self) -> (f64, f64) {
        let mut all: Vec<f64> = Vec::new();
        for of in [|p: &Point| p.stable.1, |p: &Point| p.candidate.1, |p: &Point| p.limit] {
            let mut known: Vec<f64> = self.points.iter().filter_map(of).filter(|v| v.is_finite()).collect();
            all.extend(known.last());
            known.sort_by(f64::total_cmp);
            let cut = known.len() / 20;
            all.extend(known.get(cut));
            all.extend(known.len().checked_sub(cut + 1).and_then(|i| known.get(i)));
        }
        let low = all.iter().copied().fold(f64::INFINITY, f64::min);
        let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let spare = if high > low { 0.12 * (high - low) } else { 0.1 * high.abs().max(0.01) };
        match self.unit {
            _ if low > high => (0.0, 1.0),
            Unit::Share => (0.0, (high + spare).max(1e-4)),
            Unit::Number => (low - spare, high + spare),
        }
    }

    /// The range of log evidence: so that both bars are in sight, and what is far beyond them is not.
    fn evidence(&self) -> (f64, f64) {
        let finite = |v: &f64| v.is_finite();
        let bars = self.points.iter().flat_map(|p| [p.worse.1, p.good.1]).filter(finite).fold(3.0, f64::max);
        let all = || self.points.iter().flat_map(|p| [p.worse.0, p.good.0]).filter(finite);
        let (low, high) = (all().fold(0.0, f64::min), all().fold(0.0, f64::max));
        ((low - 0.5).max(-bars), (high * 1.05).clamp(1.2 * bars, 2.2 * bars))
    }

    fn draw_values(&self, page: &mut Svg, panel: &Panel, summed: bool) {
        let marks = axis::marks(panel.low, panel.high);
        let step = marks.windows(2).next().map_or(0.0, |pair| pair[1] - pair[0]);
        let labels: Vec<_> = marks.into_iter().map(|v| (v, self.unit.text(v, step))).collect();
        let over = if summed { ", over the stage so far (dots: over short stretches)" } else { "" };
        let name = format!("{}{over}", self.value);
        frame(page, panel, &name, &labels);
        legend(
            page,
            panel,
            &[
                ("stable", "stable"),
                ("candidate", "candidate"),
                ("limit dashed", "limit: worse is rolled back"),
            ],
        );
        page.clipped(panel.at, |page| {
            page.curve("limit dashed", &self.curve(panel, |p| p.limit));
            for (class, of) in [
                ("stable", (|p: &Point| p.stable) as fn(&Point) -> (f64, Option<f64>)),
                ("candidate", |p: &Point| p.candidate),
            ] {
                for (t, value) in self.stretches(panel.seconds, of).into_iter().filter(|_| summed) {
                    page.dot(class, (panel.x(t), panel.y(value)));
                }
                page.curve(class, &self.curve(panel, |p| of(p).1));
            }
        });
    }

    /// An arm's values over short stretches of time, from what its sums gained in them; each with the stretch's middle.
    fn stretches(&self, seconds: f64, of: fn(&Point) -> (f64, Option<f64>)) -> Vec<(f64, f64)> {
        let mut all = vec![(0.0, 0.0); STRETCHES];
        let mut before = (0.0, 0.0);
        for p in self.points {
            let (n, value) = of(p);
            let sums = (n, n * value.unwrap_or(0.0));
            // A stage counts from 0 again.
            let (n0, x0) = if n < before.0 { (0.0, 0.0) } else { before };
            let i = ((self.seconds(p.at) / seconds * STRETCHES as f64 - 1e-6).ceil() as usize)
                .clamp(1, STRETCHES)
                - 1;
            all[i].0 += sums.0 - n0;
            all[i].1 += sums.1 - x0;
            before = sums;
        }
        let middle = |i: usize| (i as f64 + 0.5) * seconds / STRETCHES as f64;
        let known = all.iter().enumerate().filter(|(_, (n, _))| *n > 0.0);
        known.map(|(i, (n, x))| (middle(i), x / n)).collect()
    }

    fn draw_evidence(&self, page: &mut Svg, panel: &Panel) {
        let labels: Vec<_> =
            axis::decades(panel.low, panel.high).into_iter().map(|v| (v, axis::odds(v))).collect();
        let beyond = |log: f64| log > panel.high || log < panel.low;
        let cut = if self.points.iter().any(|p| beyond(p.worse.0) || beyond(p.good.0)) {
            "; lines that leave the panel go on"
        } else {
            ""
        };
        frame(page, panel, &format!("evidence as odds, on a log scale{cut}"), &labels);
        legend(
            page,
            panel,
            &[
                ("worse", "worse than the limit"),
                ("worse dashed", "its bar: rolled back"),
                ("good", "good enough"),
                ("good dashed", "its bar: proven"),
            ],
        );
        page.clipped(panel.at, |page| {
            page.curve("worse dashed", &self.curve(panel, |p| Some(p.worse.1).filter(|b| b.is_finite())));
            page.curve("good dashed", &self.curve(panel, |p| Some(p.good.1).filter(|b| b.is_finite())));
            page.curve("worse", &self.curve(panel, |p| Some(p.worse.0)));
            page.curve("good", &self.curve(panel, |p| Some(p.good.0)));
        });
    }
}

fn frame(page: &mut Svg, panel: &Panel, name: &str, labels: &[(f64, String)]) {
    page.text("bold", (panel.at.x, panel.at.y - 24.0), Anchor::Start, name);
    for (value, label) in labels {
        let y = panel.y(*value);
        page.line("grid", (panel.at.x, y), (panel.at.right(), y));
        page.text("small muted", (panel.at.x - 6.0, y + 4.0), Anchor::End, label);
    }
    page.area("frame", panel.at);
}

fn legend(page: &mut Svg, panel: &Panel, items: &[(&str, &str)]) {
    let (mut x, y) = (panel.at.x, panel.at.y - 8.0);
    for (class, text) in items {
        page.line(&format!("line {class}"), (x, y - 4.0), (x + 24.0, y - 4.0));
        page.text("small", (x + 30.0, y), Anchor::Start, text);
        x += 46.0 + width(text);
    }
}

fn times(page: &mut Svg, panel: &Panel, start: DateTime<Utc>) {
    let y = panel.at.bottom();
    for t in axis::times(panel.seconds) {
        page.line("frame", (panel.x(t), y), (panel.x(t), y + 5.0));
        page.text("small muted", (panel.x(t), y + 18.0), Anchor::Middle, &elapsed(t));
    }
    let middle = panel.at.x + panel.at.width / 2.0;
    page.text("muted", (middle, y + 38.0), Anchor::Middle, &axis::since(start));
}

/// At most four points for each pixel of width: the first, the lowest, the highest and the last. The line looks the same.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= 2 * WIDTH as usize {
        return points;
    }
    let column = |x: f64| x.floor() as i64;
    let mut out = Vec::new();
    for group in points.chunk_by(|a, b| column(a.0) == column(b.0)) {
        let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let picked =
            [group.first(), group.iter().min_by(by_height), group.iter().max_by(by_height), group.last()];
        let mut picked: Vec<(f64, f64)> = picked.into_iter().flatten().copied().collect();
        picked.sort_by(|a, b| a.0.total_cmp(&b.0));
        picked.dedup();
        out.extend(picked);
    }
    out
}

/// Lines of at most so many characters, broken at spaces; three at most.
fn wrapped(text: &str, characters: usize) -> Vec<String> {
    // Odds stay together.
    let text = text.replace(" : ", "\u{a0}:\u{a0}");
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= characters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.truncate(3);
    lines
}

#[cfg(test)]
mod tests;
