//! What the clients see, as the load generator counts it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use understudy::analysis::verdict::group;

use super::{Theme, fit_right, section};
use crate::demo::snapshot::Snapshot;
use crate::load::Counts;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, theme: &Theme) {
    let Some(load) = &snapshot.load else {
        let none = Line::from(Span::styled(" no load yet", theme.faint));
        return section(frame, area, "clients", vec![none], theme);
    };
    let total = &load.total;
    let failed = if total.failed == 0 { Style::new() } else { theme.bad };
    let mut lines = vec![Line::from(vec![
        Span::styled(" requests  ", theme.faint),
        Span::styled(group(total.requests as f64), theme.strong),
        Span::raw(format!(" answered or failed, now {:.0}/s, ", load.rate)),
        Span::styled(format!("{} failed", group(total.failed as f64)), failed),
    ])];
    let status = snapshot.rollout.as_ref().and_then(|rollout| rollout.status.clone()).unwrap_or_default();
    let stable = status.active.map(|active| active.version);
    // The last two versions seen, at most: the one that serves and the one that is tried.
    let recent = load.recent.iter().filter(|(_, counts)| counts.requests > 0);
    for (version, counts) in recent.rev().take(2) {
        let style = if stable.as_ref() == Some(version) { theme.stable } else { theme.candidate };
        lines.push(of_version(version, counts, load.versions.get(version), style, theme));
    }
    section(frame, area, "clients, the last 5 seconds by version", lines, theme);
}

fn of_version(
    version: &str,
    recent: &Counts,
    all: Option<&Counts>,
    style: Style,
    theme: &Theme,
) -> Line<'static> {
    let answered = recent.correct + recent.wrong;
    let right = if answered == 0 { 0.0 } else { 100.0 * recent.correct as f64 / answered as f64 };
    let mean = recent.sum_millis / recent.requests.max(1) as f64;
    let failed = if recent.failed == 0 { Style::new() } else { theme.bad };
    Line::from(vec![
        Span::styled(format!(" {version} "), style),
        Span::raw(format!("{}/s  ", fit_right(&format!("{:.0}", recent.requests as f64 / 5.0), 5))),
        Span::raw(format!("right {right:>5.1} %  mean {mean:>5.1} ms  max {:>5.0} ms  ", recent.max_millis)),
        Span::styled(format!("failed {}", group(recent.failed as f64)), failed),
        Span::styled(format!(" ({} in all)", group(all.map_or(0, |all| all.requests) as f64)), theme.faint),
    ])
}
