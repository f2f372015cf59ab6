//! A preview in words.

use chrono::{Duration, SecondsFormat};

use super::{Place, Preview, Row, Setup, Stage};
use crate::analysis::verdict::group;
use crate::api::Advance;
use crate::api::duration::in_words;
use crate::backtest::interval;
use crate::rollout::about;

/// The preview for people; `notes` is what reading the samples showed.
pub fn text(setup: &Setup<'_>, preview: &Preview, notes: &[String]) -> String {
    let spec = &setup.rollout.spec;
    let name = setup.rollout.metadata.name.as_deref().unwrap_or_default();
    let scrape = setup
        .scrape
        .map_or(String::new(), |s| format!(", scraped every {} s", s.num_milliseconds() as f64 / 1000.0));
    let mut out = format!(
        "{name} {}, from stable's traffic in the hour before {}. Looks every {}{scrape}.\n\n",
        spec.version,
        setup.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        in_words(interval(setup.rollout))
    );
    out += &table(&metrics(setup, preview));
    let unforeseen = |row: &Row| row.forecast.as_ref().err().map(|why| format!("{}: {why}\n", row.name));
    out.extend(preview.metrics.iter().filter_map(unforeseen));
    out += "\n";
    out += &table(&stages(preview));
    out += &length(setup, preview);
    out.extend(preview.stages.iter().filter_map(ab_test));
    if let Some(shadow) = &preview.shadow {
        out += &format!("Shadow stage: {}\n", shadow.sentence);
    }
    out.extend(notes.iter().chain(&preview.notes).map(|note| format!("Note: {note}\n")));
    out += "\n";
    out += &verdict(preview);
    out
}

/// Times are those of a typical run, as the operator says them.
fn metrics(setup: &Setup<'_>, preview: &Preview) -> Vec<Vec<String>> {
    let look = interval(setup.rollout).num_milliseconds() as f64 / 1000.0;
    let time = |seconds: Option<i64>| seconds.map(|s| about(s as f64));
    let one = |row: &Row| {
        let (f, detail) = row.forecast.as_ref().ok()?;
        let after = |seconds: Option<i64>, requests: Option<i64>| match (time(seconds), requests) {
            (Some(time), Some(n)) => Some(format!("{time} ({} requests)", group(n as f64))),
            (time, _) => time,
        };
        let none = if detail.passes { "good enough by its proof" } else { "not found" };
        let found = after(f.detection_seconds, f.detection_requests).unwrap_or_else(|| none.to_owned());
        let outright = f.outright_looks.map_or("-".to_owned(), |n| {
            format!("{} looks ({})", group(n as f64), in_words(Duration::seconds((n as f64 * look) as i64)))
        });
        let name = if row.observe_only { format!("{} (shown only)", row.name) } else { row.name.clone() };
        let proof = after(f.proof_seconds, detail.proof_requests).unwrap_or_else(|| "never".to_owned());
        Some(vec![name, f.per_second.clone(), proof, f.detect.clone(), found, outright])
    };
    let head = ["metric", "stable/s", "proven after", "one with", "is found after", "9 of 10 failing"];
    let head = head.map(str::to_owned).to_vec();
    let rows: Vec<_> = preview.metrics.iter().filter_map(one).collect();
    if rows.is_empty() { Vec::new() } else { [head].into_iter().chain(rows).collect() }
}

fn stages(preview: &Preview) -> Vec<Vec<String>> {
    let counted: Vec<(&str, f64)> =
        preview.metrics.iter().filter_map(|row| Some((row.name.as_str(), row.per_second?))).collect();
    let head = ["candidate", "weight", "hold", "at least"].map(str::to_owned);
    let of = counted.iter().map(|(name, _)| format!("{name}/s"));
    let head = head.into_iter().chain(of).collect();
    let one = |stage: &Stage| {
        let words = |seconds: f64| in_words(Duration::seconds(seconds.ceil() as i64));
        let at_least = if stage.seconds > stage.hold { about(stage.seconds) } else { words(stage.hold) };
        let cells = [stage.place.to_string(), format!("{} %", stage.weight), words(stage.hold), at_least];
        let rates = counted.iter().map(|(_, n)| format!("{:.2}", n * f64::from(stage.weight) / 100.0));
        cells.into_iter().chain(rates).collect()
    };
    [head].into_iter().chain(preview.stages.iter().map(one)).collect()
}

fn length(setup: &Setup<'_>, preview: &Preview) -> String {
    let words = |seconds: f64| in_words(Duration::seconds(seconds.ceil() as i64));
    let holds = super::stages::seconds(&preview.stages, |place| matches!(place, Place::Step(_)));
    let waits = if preview.canary_seconds > holds { ", which wait for the slowest proof" } else { "" };
    let how = match setup.rollout.spec.strategy.advance {
        Advance::AfterHold => "takes at least",
        Advance::WhenProven => "with all its holds, which advance: WhenProven may cut short, takes at least",
    };
    format!(
        "The rollout {how} {}: {} of canary steps{waits}, and its other stages. Until pods are ready comes on top.\n",
        words(preview.seconds),
        words(preview.canary_seconds)
    )
}

fn ab_test(stage: &Stage) -> Option<String> {
    let test = stage.ab_test.as_ref()?;
    let width = test.half_width.map_or(String::new(), |w| {
        let digits = (1.0 - w.log10()).floor().clamp(0.0, 8.0) as usize;
        format!("; its {} % interval will reach about {w:.digits$} to each side", test.confidence)
    });
    Some(format!(
        "A/B test in {}: {} sessions of {} for each version, of {:.2} per second at {} %, take about {}{width}\n",
        stage.place,
        group(test.sessions as f64),
        test.metric,
        test.per_second,
        stage.weight,
        about(test.seconds)
    ))
}

fn verdict(preview: &Preview) -> String {
    let mut out = String::new();
    for refused in &preview.refused {
        out += &format!("It would not begin ({}): {}\n", refused.reason, refused.message);
    }
    if preview.shadow.as_ref().is_some_and(|shadow| shadow.over) {
        out += "It would not begin (ShadowOverBudget): see the shadow stage above\n";
    }
    for slow in &preview.slow {
        out += &format!("Too slow: {slow}\n");
    }
    if preview.in_time() {
        out += "In time: every metric that can be proven is, and every step has its samples, before its deadline. Times are those \
                of the typical run; single runs take half or twice as long.\n";
    }
    out
}

/// Columns side by side; the last cell of a line has no blanks after it.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |i: usize| rows.iter().filter_map(|row| Some(row.get(i)?.chars().count())).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:<w$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
