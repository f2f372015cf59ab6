//! The first two lines: what this is, how long it has been going on, and how far each version got; and the last line.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::{Theme, fit, fit_right};
use crate::demo::snapshot::{ActState, Snapshot, elapsed};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, theme: &Theme) {
    let clock = elapsed(snapshot.began, snapshot.now);
    let playing = snapshot.acts.iter().find(|act| act.state == ActState::Playing);
    let title = match (playing, &snapshot.doing) {
        (_, Some(doing)) => format!(" Understudy  {doing} ..."),
        (Some(act), None) => format!(" Understudy  {} is released: {}", act.version, act.what),
        (None, None) => " Understudy".to_owned(),
    };
    let width = usize::from(area.width);
    let room = width.saturating_sub(clock.len() + 2);
    let head = Line::from(vec![
        Span::styled(fit(&title, room), theme.strong),
        Span::styled(fit_right(&clock, width - room), theme.strong),
    ]);
    let mut acts = Vec::new();
    for act in &snapshot.acts {
        let (text, style) = match &act.state {
            ActState::Waiting => (format!(" {}", act.version), theme.faint),
            ActState::Playing => (format!(" ▶ {}", act.version), theme.strong),
            ActState::Done(word) => (format!(" {} {word}", act.version), theme.good),
            ActState::Wrong(word) => (format!(" {} {word}!", act.version), theme.bad),
        };
        acts.push(Span::styled(text, style));
        acts.push(Span::styled(" ·", theme.faint));
    }
    acts.pop();
    frame.render_widget(Paragraph::new(vec![head, Line::from(acts)]), area);
}

pub(super) fn draw_foot(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, theme: &Theme) {
    let namespace = snapshot.rollout.as_ref().and_then(|rollout| rollout.metadata.namespace.clone());
    let place = namespace.map(|namespace| format!("ModelRollout {namespace}/digits")).unwrap_or_default();
    let width = usize::from(area.width);
    let keys = if snapshot.keep { " q leaves; the lab goes on" } else { " q ends it and takes the lab down" };
    let line = format!("{keys}{}", fit_right(&format!("{place} "), width.saturating_sub(keys.len())));
    frame.render_widget(Paragraph::new(Span::styled(line, theme.faint)), area);
}
