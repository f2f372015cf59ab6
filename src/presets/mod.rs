//! Metrics of well-known gateways and model servers, by one word. Each preset is a file with the exact names that the server
//! exports, and what they cannot see. Pure.
//!
//! An entry `{name: edge, preset: Envoy}` stands for several metrics, `edge-errors`, `edge-latency` and so on. They are written
//! out before anything else reads the rollout, so that plans, questions and evidence know plain metrics only.

mod envoy;
mod istio;
mod kserve;
mod sglang;
mod tgi;
mod triton;
mod vllm;

#[cfg(test)]
mod tests;

use crate::api::{
    Arms, Better, GatewayArm, Guarantee, Latency, Mean, Metric, ModelRolloutSpec, Preset, Ratio,
    RollbackOrHold, Unit,
};

/// Replaces each preset by its metrics.
pub fn write_out(spec: &mut ModelRolloutSpec) {
    let metrics = std::mem::take(&mut spec.analysis.metrics);
    spec.analysis.metrics = metrics.into_iter().flat_map(written_out).collect();
}

fn written_out(entry: Metric) -> Vec<Metric> {
    let Some(preset) = entry.preset else { return vec![entry] };
    // What the entry says of all holds for each; a metric that a preset only shows decides nothing whatever the entry says.
    let one = |part: Metric| Metric {
        name: format!("{}-{}", entry.name, part.name),
        arms: entry.arms.clone().or(part.arms),
        min_samples: entry.min_samples,
        weight: entry.weight,
        on_breach: entry.on_breach,
        observe_only: entry.observe_only || part.observe_only,
        ..part
    };
    parts(preset).into_iter().map(one).collect()
}

fn parts(preset: Preset) -> Vec<Metric> {
    match preset {
        Preset::Envoy => envoy::metrics(),
        Preset::Istio => istio::metrics(),
        Preset::KServe => kserve::metrics(),
        Preset::SGLang => sglang::metrics(),
        Preset::TGI => tgi::metrics(),
        Preset::Triton => triton::metrics(),
        Preset::VLLM => vllm::metrics(),
    }
}

fn named(name: &str) -> Metric {
    Metric {
        name: name.to_owned(),
        preset: None,
        ratio: None,
        latency: None,
        slo: None,
        mean: None,
        value: None,
        arms: None,
        worse: None,
        proof: None,
        detect: None,
        weight: 1.0,
        min_samples: 0,
        on_breach: RollbackOrHold::default(),
        observe_only: false,
    }
}

/// Bad events of all.
fn errors(bad: &str, total: &str) -> Metric {
    let ratio = Ratio { bad: bad.to_owned(), total: Some(total.to_owned()), good: None };
    Metric { ratio: Some(ratio), ..named("errors") }
}

/// Bad events beside good ones.
fn errors_beside(bad: &str, good: &str) -> Metric {
    let ratio = Ratio { bad: bad.to_owned(), total: None, good: Some(good.to_owned()) };
    Metric { ratio: Some(ratio), ..named("errors") }
}

/// A classic histogram of times.
fn latency(name: &str, histogram: &str, unit: Unit) -> Metric {
    let latency = Latency { histogram: histogram.to_owned(), native: false, unit };
    Metric { latency: Some(latency), ..named(name) }
}

/// A mean of which sum and count are known, in a unit of its own; lower is better.
fn mean(name: &str, sum: &str, count: &str) -> Metric {
    let mean = Mean {
        histogram: None,
        sum: Some(sum.to_owned()),
        count: Some(count.to_owned()),
        sum_of_squares: None,
        pass_fail: false,
        unbounded: true,
        guarantee: Guarantee::default(),
        better: Better::Lower,
    };
    Metric { mean: Some(mean), ..named(name) }
}

/// Reported, never decided on.
fn shown(metric: Metric) -> Metric {
    Metric { observe_only: true, ..metric }
}

/// Told apart by a label of the gateway's with the Service in it.
fn at_gateway(label: &str, value: &str, metrics: Vec<Metric>) -> Vec<Metric> {
    let gateway = GatewayArm { label: label.to_owned(), value: value.to_owned() };
    let arms = Arms { pod_label: None, gateway: Some(gateway) };
    metrics.into_iter().map(|metric| Metric { arms: Some(arms.clone()), ..metric }).collect()
}
