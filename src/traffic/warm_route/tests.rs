use super::*;
use crate::api::Sticky;
use crate::traffic::http_route::remember;

const NAMES: Names = Names { namespace: "ml", service: "m", candidate: "m-candidate" };
const MARK: Mark = Mark { rollout: "r", rollout_uid: "u-1" };

fn route() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "r", "namespace": "ml", "labels": {"argo": "x"}, "annotations": {"argo": "x"}},
        "spec": {
            "parentRefs": [{"name": "gw", "sectionName": "http"}], "hostnames": ["m.example"],
            "rules": [
                {"backendRefs": [{"name": "m", "port": 80, "weight": 4}, {"name": "o", "port": 1}]},
                {"matches": [{"path": {"value": "/g"}}], "backendRefs": [{"name": "m", "port": 81}, {"name": "m", "port": 80}]},
            ],
        },
    })
}

#[test]
fn it_names_both_services_on_every_port_behind_a_header_that_no_client_sends() {
    let originals = remember(&route(), &NAMES, None);
    let warm = warm_route(&route(), &NAMES, &MARK, "random", &originals, None);
    assert_eq!(warm["metadata"]["name"], "m-understudy");
    assert_eq!(warm["spec"]["parentRefs"], route()["spec"]["parentRefs"]);
    assert_eq!(warm["spec"]["hostnames"], route()["spec"]["hostnames"]);
    let rules = warm["spec"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 1);
    let header = json!([{"type": "Exact", "name": "x-understudy-warm", "value": "random"}]);
    assert_eq!(rules[0]["matches"].as_array().unwrap().len(), 1, "another match would let clients in");
    assert_eq!(rules[0]["matches"][0]["headers"], header);
    let backends: Vec<_> = rules[0]["backendRefs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| (b["name"].as_str().unwrap(), b["port"].as_i64().unwrap(), b["weight"].as_i64().unwrap()))
        .collect();
    assert_eq!(backends, [("m", 80, 1), ("m-candidate", 80, 1), ("m", 81, 1), ("m-candidate", 81, 1)]);
    assert_eq!(originals_of(&warm), Some(originals));
    assert_eq!(secret_of(&warm), Some("random"));
    let uid = warm["metadata"]["labels"]["understudy.dev/rollout-uid"].as_str();
    assert_eq!((uid, warm["metadata"]["annotations"].get("argo")), (Some("u-1"), None));
}

#[test]
fn a_port_stays_known_when_the_present_route_names_it_no_more() {
    let originals = remember(&route(), &NAMES, None);
    let mut elsewhere = route();
    elsewhere["spec"]["rules"] = json!([{"backendRefs": [{"name": "m-candidate", "port": 80}]}]);
    let warm = warm_route(&elsewhere, &NAMES, &MARK, "random", &originals, None);
    assert_eq!(warm["spec"]["rules"][0]["backendRefs"].as_array().unwrap().len(), 4);
}

#[test]
fn many_ports_need_more_rules_behind_the_same_header() {
    let mut many = route();
    let all: Vec<Value> = (1..=10).map(|port| json!({"name": "m", "port": port})).collect();
    many["spec"]["rules"] = json!([{ "backendRefs": all }]);
    let warm = warm_route(&many, &NAMES, &MARK, "random", &Originals::default(), None);
    let rules = warm["spec"]["rules"].as_array().unwrap();
    let sizes: Vec<_> = rules.iter().map(|r| r["backendRefs"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [16, 4]);
    assert!(rules.iter().all(|r| r["matches"][0]["headers"][0]["value"] == "random"));
}

#[test]
fn it_is_renewed_when_anything_it_says_has_changed() {
    let originals = remember(&route(), &NAMES, None);
    let warm = warm_route(&route(), &NAMES, &MARK, "random", &originals, None);
    let mut stored = warm.clone();
    stored["metadata"]["resourceVersion"] = "5".into();
    stored["status"] = json!({"parents": []});
    assert!(is_current(&stored, &warm));
    let mut other_host = route();
    other_host["spec"]["hostnames"] = json!(["n.example"]);
    assert!(!is_current(&stored, &warm_route(&other_host, &NAMES, &MARK, "random", &originals, None)));
    assert!(!is_current(
        &stored,
        &warm_route(&route(), &NAMES, &MARK, "random", &Originals::default(), None)
    ));
    let taken_over = Mark { rollout: "r", rollout_uid: "u-2" };
    assert!(!is_current(&stored, &warm_route(&route(), &NAMES, &taken_over, "random", &originals, None)));
}

#[test]
fn a_renewed_route_is_as_wanted_and_keeps_what_others_added_to_its_metadata() {
    let originals = remember(&route(), &NAMES, None);
    let mut stored = warm_route(&route(), &NAMES, &MARK, "random", &originals, None);
    stored["metadata"]["resourceVersion"] = "5".into();
    stored["metadata"]["labels"]["added"] = "x".into();
    assert_eq!(renew(&stored, &warm_route(&route(), &NAMES, &MARK, "random", &originals, None)), None);
    let mut moved = route();
    moved["spec"]["hostnames"] = json!(["n.example"]);
    let wanted =
        warm_route(&moved, &NAMES, &Mark { rollout: "r", rollout_uid: "u-2" }, "random", &originals, None);
    let edit = renew(&stored, &wanted).unwrap();
    json_patch::patch(&mut stored, &edit.patch).unwrap();
    assert_eq!(stored, edit.object);
    assert!(is_current(&stored, &wanted));
    assert_eq!(stored["metadata"]["labels"]["added"], "x");
}

#[test]
fn before_sessions_stick_every_match_asks_for_a_regular_expression_too() {
    let mut many = route();
    let all: Vec<Value> = (1..=10).map(|port| json!({"name": "m", "port": port})).collect();
    many["spec"]["rules"] = json!([{ "backendRefs": all }]);
    let sticky = Sticky { header: None, cookie: Some("sid".into()) };
    let coming = Split { candidate: 50, mirror: None, sticky: Some(&sticky) };
    let none = Originals::default();
    let warm = warm_route(&many, &NAMES, &MARK, "random", &none, Some(&coming));
    let rules = warm["spec"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 2, "a gateway that takes a part of the rules must find none to take");
    for rule in rules {
        let one = &rule["matches"].as_array().unwrap()[..];
        let header = header_match(&NAMES, &sticky, 50, Whose::Candidate);
        assert_eq!((one.len(), &one[0]["headers"][0]["value"]), (1, &json!("random")));
        assert_eq!(
            one[0]["headers"],
            json!([{"type": "Exact", "name": "x-understudy-warm", "value": "random"}, header])
        );
    }
    assert_eq!(secret_of(&warm), Some("random"));
    let plain = warm_route(&many, &NAMES, &MARK, "random", &none, None);
    let mut stored = plain.clone();
    stored["metadata"]["resourceVersion"] = "5".into();
    assert!(asks_for_sessions(&warm) && !asks_for_sessions(&plain));
    let edit = renew(&stored, &warm).unwrap();
    assert!(is_current(&edit.object, &warm), "a spec whose sessions stick now");
    assert!(renew(&edit.object, &plain).is_some(), "and one whose sessions do not any more");
}
