//! A preview as one object.

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::{Preview, Row, Setup, Stage};
use crate::backtest::{Refused, interval};

/// The preview for programs; `notes` is what reading the samples showed. Times are in seconds.
pub fn json(setup: &Setup<'_>, preview: &Preview, notes: &[String]) -> Value {
    let spec = &setup.rollout.spec;
    let refused = |r: &Refused| json!({"reason": r.reason, "message": r.message});
    let notes: Vec<&String> = notes.iter().chain(&preview.notes).collect();
    json!({
        "rollout": setup.rollout.metadata.name, "version": spec.version,
        "at": setup.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "inTime": preview.in_time(),
        "tooSlow": preview.slow,
        "refused": preview.refused.iter().map(refused).collect::<Vec<_>>(),
        "intervalSeconds": interval(setup.rollout).num_milliseconds() as f64 / 1000.0,
        "scrapeSeconds": setup.scrape.map(|s| s.num_milliseconds() as f64 / 1000.0),
        "metrics": preview.metrics.iter().map(metric).collect::<Vec<_>>(),
        "stages": preview.stages.iter().map(|stage| of_stage(stage, &preview.metrics)).collect::<Vec<_>>(),
        "shadowCost": preview.shadow.as_ref().map(|s| json!({"message": s.sentence, "overLimit": s.over})),
        "canarySeconds": preview.canary_seconds,
        "atLeastSeconds": preview.seconds,
        "notes": notes,
    })
}

fn metric(row: &Row) -> Value {
    let mut out = match &row.forecast {
        Ok((found, detail)) => {
            let mut out = serde_json::to_value(found).unwrap_or_default();
            out["proofRequests"] = json!(detail.proof_requests);
            out["detectWithinProof"] = json!(detail.passes);
            out
        }
        Err(why) => json!({"metric": row.name, "noForecast": why}),
    };
    out["perSecond"] = json!(row.per_second);
    out["observeOnly"] = json!(row.observe_only);
    out
}

fn of_stage(stage: &Stage, metrics: &[Row]) -> Value {
    let share = f64::from(stage.weight) / 100.0;
    let rates: Map<String, Value> =
        metrics.iter().filter_map(|row| Some((row.name.clone(), json!(row.per_second? * share)))).collect();
    let test = stage.ab_test.as_ref().map(|test| {
        json!({
            "metric": test.metric, "sessions": test.sessions, "perSecond": test.per_second, "seconds": test.seconds,
            "confidence": test.confidence, "halfWidth": test.half_width,
        })
    });
    json!({
        "stage": stage.place.to_string(), "weight": stage.weight, "holdSeconds": stage.hold,
        "atLeastSeconds": stage.seconds, "candidatePerSecond": rates, "abTest": test,
    })
}
