use super::*;
use crate::measure::together::Wanted;
use crate::measure::{ArmMatcher, Series};
use crate::rollout::questions::fields;

const ALL: [Preset; 7] =
    [Preset::Envoy, Preset::Istio, Preset::KServe, Preset::SGLang, Preset::TGI, Preset::Triton, Preset::VLLM];

fn entry(preset: Preset) -> Metric {
    Metric { preset: Some(preset), weight: 2.0, min_samples: 70, ..named("edge") }
}

/// Series as the servers name and label them; the values of the labels are made up.
fn exported(preset: Preset) -> Vec<&'static str> {
    match preset {
        Preset::Envoy => vec![
            "envoy_cluster_upstream_rq_xx envoy_response_code_class=5 envoy_cluster_name=ml_m_80",
            "envoy_cluster_upstream_rq_xx envoy_response_code_class=2 envoy_cluster_name=ml_m_80",
            "envoy_cluster_upstream_rq_time_bucket envoy_cluster_name=ml_m_80 le=0.5",
        ],
        Preset::Istio => vec![
            "istio_requests_total reporter=source response_code=503 destination_service=m.ml.svc.cluster.local",
            "istio_requests_total reporter=source response_code=200 destination_service=m.ml.svc.cluster.local",
            "istio_request_duration_milliseconds_bucket reporter=source le=0.5 destination_service=m.ml.svc.cluster.local",
        ],
        Preset::KServe => vec!["request_predict_seconds_bucket model_name=m le=0.005 pod=p"],
        Preset::SGLang => vec![
            "sglang:time_to_first_token_seconds_bucket model_name=m le=0.001 pod=p",
            "sglang:e2e_request_latency_seconds_bucket model_name=m le=0.1 pod=p",
        ],
        Preset::TGI => vec![
            "tgi_request_failure err=overloaded pod=p",
            "tgi_request_count pod=p",
            "tgi_request_queue_duration_bucket le=0.1 pod=p",
            "tgi_request_duration_bucket le=0.1 pod=p",
        ],
        Preset::Triton => vec![
            "nv_inference_request_failure model=m reason=BACKEND version=1 pod=p",
            "nv_inference_request_success model=m version=1 pod=p",
            "nv_inference_request_duration_us model=m version=1 pod=p",
        ],
        Preset::VLLM => vec![
            "http_requests_total handler=/v1/chat/completions method=POST status=5xx pod=p",
            "http_requests_total handler=/v1/chat/completions method=POST status=2xx pod=p",
            "vllm:time_to_first_token_seconds_bucket engine=0 model_name=m le=0.001 pod=p",
            "vllm:e2e_request_latency_seconds_bucket engine=0 model_name=m le=0.3 pod=p",
        ],
    }
}

fn series(line: &str) -> Series {
    let mut words = line.split(' ');
    let name = ("__name__".to_owned(), words.next().unwrap_or_default().to_owned());
    let labels = words.filter_map(|word| word.split_once('=')).map(|(l, v)| (l.to_owned(), v.to_owned()));
    Series { labels: std::iter::once(name).chain(labels).collect(), samples: Vec::new() }
}

fn arm(metric: &Metric) -> ArmMatcher {
    match metric.arms.as_ref().and_then(|arms| arms.gateway.as_ref()) {
        Some(gateway) => {
            let value = gateway
                .value
                .replace("$(NAMESPACE)", "ml")
                .replace("$(SERVICE)", "m")
                .replace("$(PORT)", "80");
            ArmMatcher::Labels([(gateway.label.clone(), value)].into())
        }
        None => ArmMatcher::Pods { label: "pod".to_owned(), names: vec!["p".to_owned()] },
    }
}

#[test]
fn every_selector_finds_a_series_of_its_server_and_every_series_is_found() {
    for preset in ALL {
        let all: Vec<Series> = exported(preset).into_iter().map(series).collect();
        let mut found = vec![false; all.len()];
        for metric in written_out(entry(preset)) {
            for (_, selector) in fields(&metric) {
                let wanted = Wanted::new(&selector, &arm(&metric), &[]).unwrap();
                let taken: Vec<usize> = (0..all.len()).filter(|i| wanted.takes(&all[*i])).collect();
                assert!(!taken.is_empty(), "{preset:?}: {selector} finds nothing");
                taken.into_iter().for_each(|i| found[i] = true);
            }
        }
        assert!(found.iter().all(|one| *one), "{preset:?}: {found:?}");
    }
}

#[test]
fn what_the_entry_says_holds_for_each_of_its_metrics() {
    for preset in ALL {
        let metrics = written_out(entry(preset));
        assert!(metrics.iter().any(|m| !m.observe_only), "{preset:?} decides nothing");
        for metric in metrics {
            assert!(metric.name.starts_with("edge-") && metric.preset.is_none(), "{}", metric.name);
            assert_eq!((metric.weight, metric.min_samples), (2.0, 70));
        }
    }
    let named_otherwise = Arms { pod_label: Some("kubernetes_pod_name".to_owned()), gateway: None };
    let entry = Metric { arms: Some(named_otherwise.clone()), ..entry(Preset::Envoy) };
    assert!(written_out(entry).iter().all(|m| m.arms == Some(named_otherwise.clone())));
}

#[test]
fn a_metric_that_is_written_out_stays_as_it_is() {
    let metric = errors("b", "t");
    assert_eq!(written_out(metric.clone()), [metric]);
}
