use serde_json::json;

use super::*;

fn map(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn origin(selector: &[(&str, &str)], pods: &[(&str, &str)]) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "m"},
        "spec": {"selector": {"matchLabels": map(selector)},
                 "template": {"metadata": {"labels": map(pods)}, "spec": {"containers": []}}},
    }))
    .unwrap()
}

fn service(name: &str, selector: &[(&str, &str)]) -> Service {
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"selector": map(selector)}})).unwrap()
}

const PODS: &[(&str, &str)] = &[("app", "m"), ("part", "api"), ("team", "ml"), ("tier", "x")];

#[test]
fn the_first_label_by_name_that_everybody_selects_by_is_changed() {
    let deployment = origin(&[("app", "m"), ("team", "ml")], PODS);
    let (s, t) =
        (service("m", &[("team", "ml"), ("app", "m")]), service("grpc", &[("team", "ml"), ("tier", "x")]));
    let adoption = choose(&deployment, &[&s, &t]).unwrap();
    assert_eq!(adoption.labels, map(&[("team", "ml")]), "app is not in grpc's selector");
    let names: Vec<_> = adoption.services.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["grpc", "m"]);
}

#[test]
fn without_a_label_in_common_one_of_each_is_changed() {
    let deployment = origin(&[("app", "m")], PODS);
    let (s, t) = (service("s", &[("part", "api")]), service("t", &[("tier", "x"), ("part", "api")]));
    let adoption = choose(&deployment, &[&s, &t]).unwrap();
    assert_eq!(
        adoption.labels,
        map(&[("app", "m"), ("part", "api")]),
        "t has part, which is changed already"
    );
    for slot in Slot::OURS {
        let pods = pod_labels(&adoption, &map(PODS), slot, "m");
        for one in [map(&[("app", "m")]), map(&[("part", "api")]), map(&[("tier", "x"), ("part", "api")])] {
            assert!(!one.iter().all(|(k, v)| pods.get(k) == Some(v)), "{one:?} still selects {pods:?}");
        }
    }
}

#[test]
fn services_of_others_have_no_say() {
    let deployment = origin(&[("app", "m")], PODS);
    let (s, other) = (service("s", &[("app", "m")]), service("other", &[("app", "n")]));
    let adoption = choose(&deployment, &[&s, &other]).unwrap();
    assert_eq!(adoption.services.len(), 1);
    assert_eq!(adoption.labels, map(&[("app", "m")]));
}

#[test]
fn what_cannot_be_told_apart_is_refused_with_what_to_do() {
    let lone = choose(&origin(&[("app", "m")], PODS), &[&service("s", &[("app", "n")])]).unwrap_err();
    assert!(lone.to_string().contains("traffic.service"), "{lone}");
    let blind = choose(&origin(&[], PODS), &[&service("s", &[("app", "m")])]).unwrap_err();
    assert_eq!(blind, AdoptionError::NoSelector { deployment: "m".into() });
}

#[test]
fn an_expression_with_one_value_is_as_good_as_a_label() {
    let mut deployment = origin(&[], PODS);
    deployment.spec.as_mut().unwrap().selector = serde_json::from_value(json!({"matchExpressions": [
        {"key": "app", "operator": "In", "values": ["m"]}, {"key": "canary", "operator": "DoesNotExist"},
    ]}))
    .unwrap();
    assert_eq!(choose(&deployment, &[&service("s", &[("app", "m")])]).unwrap().labels, map(&[("app", "m")]));
}

#[test]
fn selectors_lead_to_each_slot_and_back() {
    let adoption = Adoption { labels: map(&[("app", "m")]), services: vec![] };
    let original = map(&[("app", "m"), ("team", "ml")]);
    assert_eq!(selector_for(&adoption, &original, Slot::Origin), original);
    assert_eq!(selector_for(&adoption, &original, Slot::B), map(&[("app", "m-b"), ("team", "ml")]));
    for slot in [Slot::Origin, Slot::A, Slot::B] {
        let selector = selector_for(&adoption, &original, slot);
        assert_eq!(selected_slot(&adoption, &original, &selector), Some(slot));
        let pods = pod_labels(&adoption, &map(PODS), slot, "m");
        assert!(selector.iter().all(|(k, v)| pods.get(k) == Some(v)), "{slot} is reached");
        for other in [Slot::Origin, Slot::A, Slot::B].into_iter().filter(|o| *o != slot) {
            let pods = pod_labels(&adoption, &map(PODS), other, "m");
            assert!(
                !selector.iter().all(|(k, v)| pods.get(k) == Some(v)),
                "{slot}'s selector reaches {other}"
            );
        }
    }
    assert_eq!(selected_slot(&adoption, &original, &map(&[("app", "x")])), None);
}

#[test]
fn a_service_that_selects_by_other_labels_still_reaches_one_slot_only() {
    let adoption = Adoption { labels: map(&[("app", "m")]), services: vec![] };
    let late = map(&[("tier", "x")]);
    let selector = selector_for(&adoption, &late, Slot::A);
    let on = |slot| pod_labels(&adoption, &map(PODS), slot, "m");
    assert!(selector.iter().all(|(k, v)| on(Slot::A).get(k) == Some(v)));
    assert!(!selector.iter().all(|(k, v)| on(Slot::B).get(k) == Some(v)));
}

#[test]
fn long_values_stay_label_values_and_stay_apart() {
    let long = "v".repeat(63);
    let other = format!("{}w", "v".repeat(62));
    let values: Vec<_> = [(&long, Slot::A), (&long, Slot::B), (&other, Slot::A)]
        .into_iter()
        .map(|(v, slot)| value_for(v, slot))
        .collect();
    assert!(values.iter().all(|v| v.len() <= 63 && v.ends_with(['a', 'b'])), "{values:?}");
    assert_ne!(values[0], values[2]);
    assert_eq!(value_for(&"v".repeat(61), Slot::A).len(), 63);
    assert_eq!(value_for("", Slot::B), "b");
}
