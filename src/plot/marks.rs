//! Texts of marks above the panels: in lanes, so that none collides with another, nor with another's line.

use super::svg::{Anchor, Svg, width};

/// Height of a lane.
pub const LANE: f64 = 17.0;

/// A mark's text in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<'a> {
    text: &'a str,
    /// Where its line is.
    x: f64,
    /// From the top, from 0.
    pub lane: usize,
    /// From where to where it stands.
    span: (f64, f64),
    /// On which side of its line.
    pub anchor: Anchor,
}

/// Places texts at rising positions on a page that ends at `right`.
pub fn placed<'a>(marks: impl Iterator<Item = (f64, &'a str)>, right: f64) -> Vec<Placed<'a>> {
    let mut ends: Vec<f64> = Vec::new();
    let place = |(x, text): (f64, &'a str)| {
        let long = width(text);
        let (span, anchor) = if x + 4.0 + long > right {
            ((x - 4.0 - long, x), Anchor::End)
        } else {
            ((x, x + 4.0 + long), Anchor::Start)
        };
        let lane = ends.iter().rposition(|end| *end >= span.0).map_or(0, |lane| lane + 1);
        if lane == ends.len() {
            ends.push(span.1);
        } else {
            ends[lane] = span.1;
        }
        Placed { text, x, lane, span, anchor }
    };
    marks.map(place).collect()
}

/// How many lanes there are.
pub fn lanes(all: &[Placed<'_>]) -> usize {
    all.iter().map(|one| one.lane + 1).max().unwrap_or(0)
}

/// Draws the texts below `top`, each with its line down to the lower edge of the lanes; where a text stands, the line of
/// another mark is left out. Then the lines go on through the `panels`, each from its upper to its lower edge.
pub fn draw(page: &mut Svg, all: &[Placed<'_>], top: f64, panels: &[(f64, f64)]) {
    let edge = |lane: usize| top + LANE * lane as f64 + 6.0;
    for one in all {
        let free = |lane: usize| {
            let there = |other: &&Placed<'_>| other.lane == lane && other.x != one.x;
            !all.iter().filter(there).any(|other| other.span.0 < one.x && one.x < other.span.1)
        };
        let own = (edge(one.lane), edge(one.lane + 1));
        let below = (one.lane + 1..lanes(all)).filter(|lane| free(*lane)).map(|l| (edge(l), edge(l + 1)));
        for (from, to) in std::iter::once(own).chain(below).chain(panels.iter().copied()) {
            page.line("mark dotted", (one.x, from), (one.x, to));
        }
        let gap = if one.anchor == Anchor::End { -4.0 } else { 4.0 };
        page.text("small", (one.x + gap, edge(one.lane) + 11.0), one.anchor, one.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_close_stand_in_lanes_of_their_own() {
        let marks =
            [(100.0, "canary 1 of 3"), (110.0, "errors proven"), (400.0, "promoted"), (880.0, "ended clean")];
        let found = placed(marks.into_iter(), 900.0);
        let lanes: Vec<usize> = found.iter().map(|one| one.lane).collect();
        assert_eq!(lanes, [0, 1, 0, 0]);
        assert_eq!(found[3].anchor, Anchor::End, "what would leave the page stands on the left");
    }

    #[test]
    fn a_line_stops_where_the_text_of_another_stands() {
        let marks =
            [(700.0, "early"), (890.0, "a text that is so long that it begins before the line of the other")];
        let found = placed(marks.into_iter(), 900.0);
        assert_eq!((found[1].lane, found[1].anchor), (1, Anchor::End));
        let mut page = Svg::new(900.0, 300.0, "t");
        draw(&mut page, &found, 0.0, &[(100.0, 200.0)]);
        let lines = page.finish().lines().filter(|l| l.contains("x1=\"700.0\"")).count();
        assert_eq!(lines, 2, "its own lane and the panel, not the lane below");
    }
}
