use serde_json::json;

use super::*;

fn service(value: Value) -> Service {
    serde_json::from_value(value).unwrap()
}

fn selecting(selector: Value) -> Service {
    service(json!({"metadata": {"name": "m", "namespace": "ml"}, "spec": {"selector": selector}}))
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn origin() -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "m"},
        "spec": {"selector": {"matchLabels": {"app": "m"}},
                 "template": {"metadata": {"labels": {"app": "m", "team": "ml"}}, "spec": {"containers": []}}},
    }))
    .unwrap()
}

const MARK: Mark = Mark { rollout: "r", rollout_uid: "u-1" };

#[test]
fn a_service_of_the_origin_alone_follows() {
    let other = [labels(&[("app", "n"), ("team", "ml")])];
    assert_eq!(relation(&selecting(json!({"app": "m"})), &origin(), &other), Relation::Follows);
    assert_eq!(relation(&selecting(json!({"app": "n"})), &origin(), &other), Relation::Unrelated);
    let Relation::NotMovable(why) = relation(&selecting(json!({"team": "ml"})), &origin(), &other) else {
        panic!("it selects two workloads")
    };
    assert!(why.contains("app=n,team=ml") && why.contains("add a label"), "{why}");
}

#[test]
fn services_without_pods_are_nobodys_business_unless_named() {
    let external = service(
        json!({"metadata": {"name": "m"}, "spec": {"type": "ExternalName", "selector": {"app": "m"}}}),
    );
    let bare = service(json!({"metadata": {"name": "m"}, "spec": {}}));
    for (odd, word) in
        [(&external, "ExternalName"), (&bare, "no selector"), (&selecting(json!({"app": "x"})), "match")]
    {
        assert_eq!(relation(odd, &origin(), &[]), Relation::Unrelated);
        let Relation::NotMovable(why) = relation_of_named(odd, &origin(), &[]) else { panic!("{word}") };
        assert!(why.contains(word), "{why}");
    }
    assert_eq!(relation_of_named(&selecting(json!({"app": "m"})), &origin(), &[]), Relation::Follows);
}

#[test]
fn the_candidates_service_has_the_same_ports_and_nothing_that_only_one_can_have() {
    let user = service(json!({
        "metadata": {"name": "m", "namespace": "ml", "labels": {"team": "ml"}, "annotations": {
            "projectcontour.io/upstream-protocol.h2c": "80",
            "argocd.argoproj.io/tracking-id": "x", "meta.helm.sh/release-name": "x",
            "kustomize.toolkit.fluxcd.io/checksum": "x", "external-dns.alpha.kubernetes.io/hostname": "m.example",
            "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "externalIPs": ["1.2.3.4"],
            "healthCheckNodePort": 30000, "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Cluster",
            "loadBalancerClass": "x", "allocateLoadBalancerNodePorts": true, "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}, "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "selector": {"app": "m"},
            "ports": [{"name": "h", "port": 80, "targetPort": "http", "nodePort": 30001, "appProtocol": "kubernetes.io/h2c"}],
        },
    }));
    let ours = serde_json::to_value(candidate_service(&user, labels(&[("app", "m-a")]), &MARK)).unwrap();
    assert_eq!(
        ours,
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "m-candidate", "namespace": "ml",
                "labels": {"understudy.dev/rollout": "r", "understudy.dev/rollout-uid": "u-1"},
                "annotations": {"projectcontour.io/upstream-protocol.h2c": "80"}},
            "spec": {
                "type": "ClusterIP", "selector": {"app": "m-a"}, "internalTrafficPolicy": "Cluster",
                "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}},
                "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                "ports": [{"name": "h", "port": 80, "targetPort": "http", "appProtocol": "kubernetes.io/h2c"}],
            },
        })
    );
}

#[test]
fn a_headless_service_gets_a_headless_candidate() {
    let headless =
        service(json!({"metadata": {"name": "m"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}}));
    let ours = candidate_service(&headless, labels(&[("app", "m-a")]), &MARK);
    assert_eq!(ours.spec.unwrap().cluster_ip.as_deref(), Some("None"));
}

fn managed(manager: &str, operation: &str, spec: Value) -> Service {
    let mut out = selecting(json!({"app": "m"}));
    out.metadata.managed_fields = Some(vec![
        serde_json::from_value(
            json!({"manager": manager, "operation": operation, "fieldsV1": {"f:spec": spec}}),
        )
        .unwrap(),
    ]);
    out
}

#[test]
fn who_declares_a_selector_is_named() {
    let owner = |manager, operation, spec| selector_owner(&managed(manager, operation, spec), &[]);
    assert_eq!(owner("argocd", "Apply", json!({"f:selector": {}})).as_deref(), Some("argocd"));
    assert_eq!(
        owner("argocd", "Apply", json!({"f:ports": {}})).as_deref(),
        Some("argocd"),
        "it lost the field to us"
    );
    assert_eq!(owner("helm", "Update", json!({"f:selector": {}})).as_deref(), Some("helm"));
    assert_eq!(owner("helm", "Update", json!({"f:ports": {}})), None);
    assert_eq!(owner("kubectl-edit", "Update", json!({"f:selector": {}})), None, "a person, once");
    assert_eq!(owner("understudy", "Update", json!({"f:selector": {}})), None);
    let mut applied = selecting(json!({"app": "m"}));
    let last = |text: &str| Some(BTreeMap::from([(LAST_APPLIED.to_owned(), text.to_owned())]));
    applied.metadata.annotations = last(r#"{"spec":{"selector":{"app":"m"}}}"#);
    assert_eq!(selector_owner(&applied, &[]).as_deref(), Some("kubectl apply"));
    applied.metadata.annotations = last(r#"{"spec":{}}"#);
    assert_eq!(selector_owner(&applied, &[]), None);
}
