//! The live view: one frame drawn from one snapshot. Pure; the terminal is the screen's.

mod clients;
mod events;
mod header;
mod metrics;
mod odds;
mod progress;
mod theme;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::snapshot::Snapshot;

pub use theme::Theme;

/// Draws everything. Made for 80 x 24; more room goes to the events, less cuts them first.
pub fn draw(frame: &mut Frame<'_>, snapshot: &Snapshot, theme: &Theme) {
    let metric_rows = metrics::rows(snapshot);
    let [head, progress, metrics, clients, events, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(6),
        Constraint::Length(metric_rows + 2),
        Constraint::Length(4),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    header::draw(frame, head, snapshot, theme);
    progress::draw(frame, progress, snapshot, theme);
    metrics::draw(frame, metrics, snapshot, theme);
    clients::draw(frame, clients, snapshot, theme);
    events::draw(frame, events, snapshot, theme);
    header::draw_foot(frame, foot, snapshot, theme);
}

/// A titled rule and lines below it.
fn section(frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<Line<'static>>, theme: &Theme) {
    if area.height == 0 {
        return;
    }
    let width = usize::from(area.width);
    let used = title.chars().count() + 4;
    let rule = format!("── {title} {}", "─".repeat(width.saturating_sub(used)));
    let mut all = vec![Line::from(Span::styled(rule, theme.faint))];
    all.extend(lines);
    frame.render_widget(Paragraph::new(all), area);
}

/// Text in a field: cut with an ellipsis, or filled with blanks.
fn fit(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return format!("{text}{}", " ".repeat(width - length));
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        cut.push('…');
    }
    cut
}

/// As [`fit`], at the right end of the field.
fn fit_right(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length >= width { fit(text, width) } else { format!("{}{text}", " ".repeat(width - length)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::sample;
    use crate::demo::snapshot::Share;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::style::Color;

    fn drawn(snapshot: &Snapshot, theme: &Theme, width: u16, height: u16) -> TestBackend {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| draw(frame, snapshot, theme)).expect("a frame");
        terminal.backend().clone()
    }

    fn text(backend: &TestBackend) -> Vec<String> {
        let buffer = backend.buffer();
        let row = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
        (0..buffer.area.height).map(row).collect()
    }

    fn line<'a>(lines: &'a [String], start: &str) -> &'a str {
        let found = lines.iter().find(|line| line.trim_start().starts_with(start));
        found.unwrap_or_else(|| panic!("no line starts with {start:?} in\n{}", lines.join("\n")))
    }

    #[test]
    fn a_canary_shows_versions_step_shares_metrics_clients_and_events() {
        let lines = text(&drawn(&sample::snapshot(sample::canary()), &Theme::coloured(), 80, 24));
        assert!(lines[0].contains("1:23"), "{}", lines[0]);
        assert!(line(&lines, "1.0.0").contains("▶ 1.2.0"), "{lines:#?}");
        assert!(line(&lines, "Pending").contains("[Canary 2/3]"));
        assert!(line(&lines, "planned").contains("75 : 25"));
        assert!(line(&lines, "route").contains("75 : 25"));
        assert!(line(&lines, "waits for").contains("4 s of its hold"));
        let accuracy = line(&lines, "accuracy");
        assert!(accuracy.contains("0.7412") && accuracy.contains("Breach"), "{accuracy}");
        let errors = line(&lines, "errors");
        assert!(errors.contains("0.12 %") && errors.contains("12:1"), "{errors}");
        assert!(line(&lines, "requests").contains("33,100"));
        assert!(lines.iter().any(|line| line.contains("event 39")), "the last event is missing");
        assert!(lines[23].contains("q"), "{}", lines[23]);
    }

    #[test]
    fn bars_are_as_long_as_the_shares() {
        let mut snapshot = sample::snapshot(sample::canary());
        snapshot.route = Some(Share { candidate: 50, mirrored: true });
        let lines = text(&drawn(&snapshot, &Theme::coloured(), 100, 24));
        let (planned, route) = (line(&lines, "planned"), line(&lines, "route"));
        let cells = |line: &str, symbol: char| line.chars().filter(|c| *c == symbol).count();
        let (stable, candidate) = (cells(planned, '█'), cells(planned, '▒'));
        assert!(stable.abs_diff(3 * candidate) <= 4, "{planned}");
        assert!(cells(route, '█').abs_diff(cells(route, '▒')) <= 1, "{route}");
        assert!(route.contains("mirrored"), "{route}");
    }

    #[test]
    fn without_colour_no_cell_has_one() {
        let coloured = |theme: &Theme| {
            let backend = drawn(&sample::snapshot(sample::canary()), theme, 80, 24);
            let cells = backend.buffer().content();
            cells.iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
        };
        assert!(coloured(&Theme::coloured()) > 0);
        assert_eq!(coloured(&Theme::plain()), 0);
    }

    #[test]
    fn every_size_is_drawn_without_a_panic_and_the_head_stays() {
        for (width, height) in [(1, 1), (20, 5), (40, 12), (80, 24), (200, 60)] {
            drawn(&sample::snapshot(sample::canary()), &Theme::coloured(), width, height);
        }
        let empty = Snapshot { rollout: None, route: None, load: None, ..sample::snapshot(sample::canary()) };
        let lines = text(&drawn(&empty, &Theme::plain(), 60, 16));
        assert!(lines[0].contains("Understudy"), "{}", lines[0]);
    }

    #[test]
    fn fields_are_cut_with_an_ellipsis_and_filled_with_blanks() {
        assert_eq!(fit("accuracy", 5), "accu…");
        assert_eq!(fit("ok", 4), "ok  ");
        assert_eq!(fit_right("ok", 4), "  ok");
        assert_eq!(fit("x", 0), "");
    }
}
