use serde_json::{Value, json};

use super::{Cover, Kind, Labels, Served, gaps};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn served() -> Served<'static> {
    let both = labels(&[("understudy.dev/workload", "m")]);
    let slot = |slot: &str| {
        labels(&[("app", &format!("m-{slot}")), ("tier", "x"), ("understudy.dev/workload", "m")])
    };
    Served {
        namespace: "shop",
        origin: labels(&[("app", "m"), ("tier", "x")]),
        slots: vec![slot("a"), slot("b")],
        both_slots: both,
        service: "m",
        service_labels: labels(&[("app", "m")]),
        candidate: "m-candidate".to_owned(),
        candidate_labels: labels(&[("understudy.dev/rollout", "m")]),
        candidate_selector: labels(&[("understudy.dev/rollout", "m")]),
    }
}

fn cover(kind: Kind, namespace: &str, name: &str, spec: &Value) -> Cover {
    Cover { kind, object: json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec}) }
}

/// A gap that the object it prints closes.
fn closes(covers: &[Cover]) -> Value {
    let found = gaps(covers, &served());
    assert_eq!(found.len(), 1, "{found:#?}");
    let mut covers = covers.to_vec();
    covers.push(Cover { kind: covers[0].kind, object: found[0].add.clone() });
    assert_eq!(gaps(&covers, &served()), []);
    found[0].add["spec"].clone()
}

#[test]
fn a_policy_about_the_origin_alone_needs_one_about_the_slots() {
    let spec = json!({"podSelector": {"matchLabels": {"app": "m"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]});
    let added = closes(&[cover(Kind::NetworkPolicy, "shop", "m", &spec)]);
    assert_eq!(added["podSelector"], json!({"matchLabels": {"understudy.dev/workload": "m"}}));
    assert_eq!(added["ingress"], spec["ingress"]);
}

#[test]
fn a_policy_of_any_namespace_that_lets_the_origin_through_needs_one_that_lets_the_slots() {
    let peer = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
        "podSelector": {"matchLabels": {"app": "m"}}});
    let other = json!({"podSelector": {"matchLabels": {"app": "web"}}});
    let spec = json!({"podSelector": {"matchLabels": {"app": "features"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [other, peer], "ports": [{"port": 5432}]}, {"from": [other]}]});
    let policy = cover(Kind::NetworkPolicy, "data", "features", &spec);
    assert_eq!(gaps(std::slice::from_ref(&policy), &served())[0].elsewhere.as_deref(), Some("data"));
    let added = closes(&[policy]);
    assert_eq!(added["podSelector"], spec["podSelector"]);
    let rules = added["ingress"].as_array().unwrap();
    assert_eq!(rules.len(), 1, "the rule of others stays theirs: {added}");
    assert_eq!(rules[0]["ports"], spec["ingress"][0]["ports"]);
    assert_eq!(rules[0]["from"].as_array().unwrap().len(), 1);
}

#[test]
fn a_policy_about_all_pods_and_one_about_others_leave_no_gap() {
    let all = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    let tier =
        json!({"podSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["x"]}]}});
    let web =
        json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [{"podSelector": {}}]}]});
    let covers = [
        cover(Kind::NetworkPolicy, "shop", "all", &all),
        cover(Kind::NetworkPolicy, "shop", "tier", &tier),
        cover(Kind::NetworkPolicy, "shop", "web", &web),
        cover(Kind::NetworkPolicy, "other", "m", &json!({"podSelector": {"matchLabels": {"app": "m"}}})),
    ];
    assert_eq!(gaps(&covers, &served()), []);
}

#[test]
fn monitors_find_by_the_labels_of_pods_and_services() {
    let spec = json!({"selector": {"matchLabels": {"app": "m"}}, "endpoints": [{"port": "http"}],
        "namespaceSelector": {"matchNames": ["shop"]}});
    let added = closes(&[cover(Kind::PodMonitor, "monitoring", "m", &spec)]);
    assert_eq!(added["selector"], json!({"matchLabels": {"understudy.dev/workload": "m"}}));
    let added = closes(&[cover(Kind::ServiceMonitor, "monitoring", "m", &spec)]);
    assert_eq!(added["selector"], json!({"matchLabels": {"understudy.dev/rollout": "m"}}));
    assert_eq!(added["endpoints"], spec["endpoints"]);
    let elsewhere = json!({"selector": {"matchLabels": {"app": "m"}}});
    let covers = [Kind::PodMonitor, Kind::ServiceMonitor].map(|kind| cover(kind, "else", "m", &elsewhere));
    assert_eq!(gaps(&covers, &served()), [], "they look into their own namespace only");
}

#[test]
fn what_names_the_service_needs_one_that_names_the_candidate() {
    let target = json!({"group": "", "kind": "Service", "name": "m", "sectionName": "http"});
    let spec = json!({"targetRefs": [target], "validation": {"hostname": "m.shop"}});
    let added = closes(&[cover(Kind::BackendTlsPolicy, "shop", "m", &spec)]);
    assert_eq!(added["targetRefs"][0]["name"], "m-candidate");
    assert_eq!(added["targetRefs"][0]["sectionName"], "http");
    for host in ["m", "m.shop", "m.shop.svc", "m.shop.svc.cluster.local"] {
        let added = closes(&[cover(Kind::DestinationRule, "shop", "m", &json!({"host": host}))]);
        assert_eq!(added["host"], "m-candidate.shop.svc.cluster.local");
    }
    for (namespace, host) in
        [("other", "m"), ("shop", "m.other"), ("shop", "m.shop.example.org"), ("shop", "mm")]
    {
        assert_eq!(
            gaps(&[cover(Kind::DestinationRule, namespace, "m", &json!({"host": host}))], &served()),
            []
        );
    }
}
