//! What happened last.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Theme, fit, section};
use crate::demo::snapshot::{Snapshot, elapsed};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, theme: &Theme) {
    let rows = usize::from(area.height).saturating_sub(1);
    let first = snapshot.lines.len().saturating_sub(rows);
    let lines = snapshot.lines[first..].iter().map(|line| {
        let head = format!(" {:>5} {:<6} ", elapsed(snapshot.began, line.at), line.version);
        let room = usize::from(area.width).saturating_sub(head.chars().count());
        Line::from(vec![
            Span::styled(head, theme.faint),
            Span::styled(fit(&line.text, room), theme.tone(line.tone)),
        ])
    });
    section(frame, area, "events", lines.collect(), theme);
}
