//! What is worth a line, told from two successive looks at the rollout. Pure.

use chrono::{DateTime, Utc};
use understudy::api::{MetricStatus, ModelRolloutStatus, Phase};

use super::snapshot::{Line, Share, Tone};

/// Remembers what was told, so that each change is told once.
#[derive(Clone, Debug, Default)]
pub struct Teller {
    /// Ids of the history entries that were told.
    told: Vec<String>,
    verdicts: Vec<(String, String)>,
    share: Option<Share>,
    waiting: String,
    phase: Option<Phase>,
}

impl Teller {
    /// Lines for what changed in the status.
    pub fn status(&mut self, at: DateTime<Utc>, status: &ModelRolloutStatus) -> Vec<Line> {
        let version = status.candidate.as_ref().map(|c| c.version.clone());
        let version =
            version.or_else(|| status.active.as_ref().map(|a| a.version.clone())).unwrap_or_default();
        let mut lines = Vec::new();
        let unseen = status.history.iter().filter(|entry| !self.told.contains(&entry.id));
        for entry in unseen {
            let why = if entry.message.is_empty() { &entry.reason } else { &entry.message };
            let text = format!("{} -> {}: {why}", or_nothing(&entry.from), entry.to);
            lines.push(Line::new(entry.at, tone(&entry.to), &entry.version, text));
        }
        self.told = status.history.iter().map(|entry| entry.id.clone()).collect();
        if lines.is_empty()
            && status.phase != self.phase
            && let Some(phase) = status.phase
        {
            lines.push(Line::new(
                at,
                tone(&phase.to_string()),
                &version,
                format!("{phase}: {}", status.message),
            ));
        }
        self.phase = status.phase;
        lines.extend(self.verdicts(at, &version, &status.analysis));
        // A countdown is no news: only the words count.
        let words = status.waiting_for.as_deref().map(without_digits).unwrap_or_default();
        if words != self.waiting
            && let Some(waiting) = &status.waiting_for
        {
            lines.push(Line::new(at, Tone::Plain, &version, format!("waits for: {waiting}")));
        }
        self.waiting = words;
        lines
    }

    /// A line when the route gives the candidate another share.
    pub fn route(&mut self, at: DateTime<Utc>, version: &str, share: Share) -> Option<Line> {
        let before = self.share.replace(share);
        if before == Some(share) {
            return None;
        }
        let Share { candidate, mirrored } = share;
        let before = before.unwrap_or_default();
        let tone = if candidate < before.candidate { Tone::Bad } else { Tone::Plain };
        let text = match (candidate, mirrored, before == Share::default()) {
            (0, false, true) => return None,
            (0, false, false) => "route: the candidate gets nothing".to_owned(),
            (0, true, _) => "route: mirrored to the candidate".to_owned(),
            (share, true, _) => format!("route: {share} % to the candidate, and mirrored"),
            (share, false, _) => format!("route: {share} % to the candidate"),
        };
        Some(Line::new(at, tone, version, text))
    }

    fn verdicts(&mut self, at: DateTime<Utc>, version: &str, analysis: &[MetricStatus]) -> Vec<Line> {
        let mut lines = Vec::new();
        for metric in analysis {
            let known =
                self.verdicts.iter().any(|(name, told)| *name == metric.metric && *told == metric.verdict);
            if known {
                continue;
            }
            // On the way to these two there is no news.
            let tone = match metric.verdict.as_str() {
                "Breach" => Tone::Bad,
                "Pass" => Tone::Good,
                _ => continue,
            };
            lines.push(Line::new(at, tone, version, format!("{}: {}", metric.metric, numbers(metric))));
        }
        self.verdicts = analysis.iter().map(|m| (m.metric.clone(), m.verdict.clone())).collect();
        lines
    }
}

/// A verdict with the numbers it stands on.
pub fn numbers(metric: &MetricStatus) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let mut text = format!(
        "{}, candidate {} of {}, stable {} of {}",
        metric.verdict,
        value(&metric.candidate.value),
        metric.candidate.n,
        value(&metric.stable.value),
        metric.stable.n
    );
    if let Some(limit) = &metric.limit {
        text += &format!(", limit {limit}");
    }
    if let Some(evidence) = &metric.evidence_worse {
        text += &format!(", evidence worse {evidence}");
    }
    text
}

fn tone(to: &str) -> Tone {
    match to {
        "RollingBack" | "RolledBack" => Tone::Bad,
        "Active" | "Watching" | "Settling" => Tone::Good,
        _ => Tone::Plain,
    }
}

fn or_nothing(text: &str) -> &str {
    if text.is_empty() { "(nothing)" } else { text }
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::sample;

    #[test]
    fn each_change_is_told_once_and_a_countdown_is_none() {
        let mut teller = Teller::default();
        let now = sample::at(10);
        let mut status = sample::canary();
        let first: Vec<String> = teller.status(now, &status).into_iter().map(|line| line.text).collect();
        assert!(first.iter().any(|text| text.contains("Canary(1)")), "{first:?}");
        assert!(first.iter().any(|text| text.starts_with("accuracy: Breach, candidate 0.7412")), "{first:?}");
        assert!(!first.iter().any(|text| text.contains("Inconclusive")), "{first:?}");
        assert!(first.iter().any(|text| text.starts_with("waits for")), "{first:?}");
        assert_eq!(teller.status(now, &status), []);
        status.waiting_for = status.waiting_for.map(|text| text.replace('4', "3"));
        assert_eq!(teller.status(now, &status), [], "a countdown was told as news");
        status.analysis[0].verdict = "Breach".to_owned();
        let lines = teller.status(now, &status);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].tone, Tone::Bad);
    }

    #[test]
    fn the_route_is_told_when_the_share_changes() {
        let mut teller = Teller::default();
        let share = |candidate, mirrored| Share { candidate, mirrored };
        let mut told = |share| teller.route(sample::at(0), "1.1.0", share).map(|line| line.text);
        assert_eq!(told(share(0, false)), None, "a route at rest is no news");
        assert_eq!(told(share(0, true)).as_deref(), Some("route: mirrored to the candidate"));
        assert_eq!(told(share(5, false)).as_deref(), Some("route: 5 % to the candidate"));
        assert_eq!(told(share(5, false)), None);
        assert_eq!(told(share(0, false)).as_deref(), Some("route: the candidate gets nothing"));
    }
}
