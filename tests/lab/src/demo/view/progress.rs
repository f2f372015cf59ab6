//! Where the rollout stands: phases and steps, and the shares as bars, planned and as the route says.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use understudy::api::{ModelRollout, ModelRolloutStatus, Phase};

use super::{Theme, fit, section};
use crate::demo::snapshot::Snapshot;

/// The way forward, in order.
const FORWARD: [Phase; 7] = [
    Phase::Pending,
    Phase::Preparing,
    Phase::Shadow,
    Phase::Canary,
    Phase::Watching,
    Phase::Settling,
    Phase::Active,
];
/// Room for the label before a bar and for the numbers behind it.
const LABEL: usize = 9;
const NUMBERS: usize = 19;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, theme: &Theme) {
    let status = snapshot.rollout.as_ref().and_then(|rollout| rollout.status.clone()).unwrap_or_default();
    let width = usize::from(area.width);
    let planned = planned(&status);
    let route = snapshot.route.unwrap_or_default();
    let mut lines = vec![phases(snapshot.rollout.as_ref(), &status, theme)];
    let mirror = if status.phase == Some(Phase::Shadow) { "mirrored" } else { "" };
    lines.push(bar("planned", planned, mirror, width, theme));
    lines.push(bar("route", route.candidate, if route.mirrored { "mirrored" } else { "" }, width, theme));
    let waiting = match (&status.rollback, &status.waiting_for) {
        (Some(rollback), _) => format!(" back because {}: {}", rollback.reason, rollback.message),
        (None, Some(waiting)) => format!(" waits for {waiting}"),
        (None, None) => format!(" {}", status.message),
    };
    let style = if status.rollback.is_some() { theme.bad } else { theme.strong };
    lines.extend(wrapped(&waiting, width, 2).into_iter().map(|text| Line::from(Span::styled(text, style))));
    section(frame, area, &title(&status), lines, theme);
}

fn title(status: &ModelRolloutStatus) -> String {
    let active = status.active.as_ref().map_or("nothing", |active| active.version.as_str());
    match &status.candidate {
        Some(candidate) => {
            format!("{active} serves, {} is tried (attempt {})", candidate.version, candidate.attempt)
        }
        None => format!("{active} serves"),
    }
}

/// The share that the operator has decided on. From settling on the route names only the user's Service, which selects
/// the version that serves.
fn planned(status: &ModelRolloutStatus) -> u32 {
    match status.phase {
        Some(Phase::Canary | Phase::Watching) => {
            status.step.as_ref().map_or(0, |step| u32::try_from(step.set).unwrap_or(0).min(100))
        }
        Some(
            Phase::Pending
            | Phase::Preparing
            | Phase::Shadow
            | Phase::Settling
            | Phase::Active
            | Phase::RollingBack
            | Phase::RolledBack
            | Phase::Deleting,
        )
        | None => 0,
    }
}

fn phases(rollout: Option<&ModelRollout>, status: &ModelRolloutStatus, theme: &Theme) -> Line<'static> {
    let Some(now) = status.phase else {
        return Line::from(Span::styled(" no ModelRollout yet", theme.faint));
    };
    let steps = rollout.map_or(0, |rollout| rollout.spec.strategy.canary.steps.len());
    let mut spans = Vec::new();
    for phase in FORWARD {
        let mut name = phase.to_string();
        if phase == Phase::Canary && now == Phase::Canary {
            let index = status.step.as_ref().map_or(0, |step| step.index);
            name = format!("Canary {}/{steps}", index + 1);
        }
        let back = matches!(now, Phase::RollingBack | Phase::RolledBack | Phase::Deleting);
        let span = if phase == now {
            Span::styled(format!(" [{name}]"), theme.strong)
        } else if phase < now && !back {
            Span::styled(format!(" {name}"), theme.good)
        } else {
            Span::styled(format!(" {name}"), theme.faint)
        };
        spans.push(span);
    }
    match now {
        Phase::RollingBack | Phase::RolledBack | Phase::Deleting => {
            spans.push(Span::styled(format!(" [{now}]"), theme.bad));
        }
        Phase::Pending
        | Phase::Preparing
        | Phase::Shadow
        | Phase::Canary
        | Phase::Watching
        | Phase::Settling
        | Phase::Active => {}
    }
    Line::from(spans)
}

/// `planned  ██████▒▒  75 : 25 mirrored`: stable full, the candidate shaded, so that it reads without colour too.
fn bar(label: &str, candidate: u32, note: &str, width: usize, theme: &Theme) -> Line<'static> {
    let room = width.saturating_sub(LABEL + NUMBERS + 1);
    let share = usize::try_from(candidate.min(100)).unwrap_or(0);
    let cells = (room * share + 50) / 100;
    // A share above 0 is seen, however small.
    let cells = if share > 0 { cells.max(1).min(room) } else { 0 };
    Line::from(vec![
        Span::styled(format!(" {}", fit(label, LABEL - 1)), theme.faint),
        Span::styled("█".repeat(room - cells), theme.stable),
        Span::styled("▒".repeat(cells), theme.candidate),
        Span::styled(format!(" {:>3} : {share} ", 100 - share), theme.strong),
        Span::styled(note.to_owned(), theme.candidate),
    ])
}

/// Broken at blanks into at most `rows` lines; what is left over is cut.
fn wrapped(text: &str, width: usize, rows: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let fits = |line: &String| line.chars().count() + word.trim_end().chars().count() <= width;
        let count = lines.len();
        match lines.last_mut() {
            Some(line) if count == rows || fits(line) => line.push_str(word),
            Some(_) | None => lines.push(format!("   {word}")),
        }
    }
    lines.into_iter().map(|line| fit(&line, width)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reasons_are_broken_at_blanks_and_the_rest_is_cut() {
        let lines = wrapped(" the candidate is worse than stable by far and away", 24, 2);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].trim_end(), " the candidate is worse");
        assert!(lines[1].ends_with('…') && lines[1].chars().count() == 24, "{lines:?}");
    }
}
