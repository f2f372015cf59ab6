//! Each metric: stable against candidate, the limit, the verdict, and how far the evidence is towards a rollback.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use understudy::analysis::verdict::group;
use understudy::api::{ArmNumbers, MetricStatus, ModelRollout};

use super::odds::{Evidence, short};
use super::{Theme, fit, fit_right, section};
use crate::demo::snapshot::Snapshot;

/// Cells of the gauge.
const GAUGE: usize = 8;
/// Metrics that are shown at most, so that there is room for the rest.
const MOST: usize = 6;

/// Lines that the metrics take.
pub(super) fn rows(snapshot: &Snapshot) -> u16 {
    let metrics = snapshot.rollout.as_ref().map_or(0, |rollout| rollout.spec.analysis.metrics.len());
    u16::try_from(metrics.clamp(1, MOST)).unwrap_or(1)
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, theme: &Theme) {
    let title = format!(
        "{} {} {} {} {}towards back",
        fit("metric", 6),
        fit_right("stable of n", 14),
        fit_right("candidate of n", 16),
        fit_right("limit", 8),
        fit("verdict", 13)
    );
    let mut lines = Vec::new();
    if let Some(rollout) = &snapshot.rollout {
        let analysis = rollout.status.as_ref().map(|status| status.analysis.clone()).unwrap_or_default();
        for metric in rollout.spec.analysis.metrics.iter().take(MOST) {
            let found = analysis.iter().find(|status| status.metric == metric.name);
            lines.push(match found {
                Some(status) => row(rollout, status, theme),
                None => {
                    Line::from(Span::styled(format!(" {}  nothing judged yet", metric.name), theme.faint))
                }
            });
        }
    }
    section(frame, area, &title, lines, theme);
}

fn row(rollout: &ModelRollout, metric: &MetricStatus, theme: &Theme) -> Line<'static> {
    let share = is_share(rollout, &metric.metric);
    let style = verdict_style(&metric.verdict, theme);
    let worse = metric.evidence_worse.as_deref().unwrap_or_default();
    let covered = Evidence::read(worse).map_or(0.0, Evidence::covered);
    // Rounded down: a full gauge means that the bar was reached.
    let full = (covered * GAUGE as f64) as usize;
    Line::from(vec![
        Span::styled(format!(" {} ", fit(&metric.metric, 9)), theme.strong),
        Span::styled(fit_right(&arm(&metric.stable, share), 14), theme.stable),
        Span::raw(" "),
        Span::styled(fit_right(&arm(&metric.candidate, share), 16), theme.candidate),
        Span::raw(format!(" {} ", fit_right(&value(metric.limit.as_ref(), share), 8))),
        Span::styled(fit(&metric.verdict, 13), style),
        Span::styled("■".repeat(full), theme.bad),
        Span::styled("·".repeat(GAUGE - full), theme.faint),
        Span::raw(format!(" {}", short(worse))),
    ])
}

fn arm(numbers: &ArmNumbers, share: bool) -> String {
    format!("{} /{}", value(numbers.value.as_ref(), share), fit_right(&group(numbers.n as f64), 6))
}

/// A share as percent, a mean as it is.
fn value(text: Option<&String>, share: bool) -> String {
    let Some(text) = text else { return "-".to_owned() };
    match (share, text.parse::<f64>()) {
        (true, Ok(number)) => format!("{:.2} %", number * 100.0),
        (true, Err(_)) | (false, _) => text.clone(),
    }
}

fn is_share(rollout: &ModelRollout, name: &str) -> bool {
    rollout.spec.analysis.metrics.iter().any(|metric| metric.name == name && metric.mean.is_none())
}

fn verdict_style(verdict: &str, theme: &Theme) -> Style {
    match verdict {
        "Pass" => theme.good,
        "Breach" => theme.bad,
        _ => Style::new(),
    }
}
