use super::*;

#[test]
fn a_pair_takes_the_place_of_the_service_with_explicit_small_weights() {
    let user = one_rule(json!([{"name": "m", "port": 80}]));
    let split = after(&user, &mut Originals::default(), canary(5));
    assert_eq!(
        *backends_of(&split, 0),
        json!([{"name": "m", "port": 80, "weight": 19}, {"name": "m-candidate", "port": 80, "weight": 1}])
    );
    let reading = read(&split, &NAMES);
    assert_eq!(
        reading,
        Reading { rules: 1, candidate: 5, lowest: 5, mirror: None, sticky: None, only_stable: false }
    );
}

#[test]
fn an_arm_without_share_is_not_in_the_list() {
    let user = one_rule(json!([{"name": "m", "port": 80, "weight": 7}]));
    let mut originals = Originals::default();
    let all = after(&user, &mut originals, canary(100));
    assert_eq!(*backends_of(&all, 0), json!([{"name": "m-candidate", "port": 80, "weight": 1}]));
    assert_eq!(read(&all, &NAMES).candidate, 100);
    let none = after(&all, &mut originals, canary(0));
    assert_same(&none, &user);
    assert!(read(&none, &NAMES).only_stable);
}

#[test]
fn other_backends_keep_their_part_of_the_traffic() {
    let user = one_rule(json!([
        {"name": "old", "port": 80, "weight": 1},
        {"name": "m", "port": 80, "weight": 2, "filters": [{"type": "RequestHeaderModifier"}]},
        {"name": "m", "port": 81, "weight": 1},
    ]));
    let split = after(&user, &mut Originals::default(), canary(25));
    let weights: Vec<_> = backends_of(&split, 0)
        .as_array()
        .unwrap()
        .iter()
        .map(|b| (b["name"].as_str().unwrap(), b["port"].as_i64().unwrap(), b["weight"].as_i64().unwrap()))
        .collect();
    // 100, 150, 50, 75, 25 by their divisor 25.
    assert_eq!(
        weights,
        [("old", 80, 4), ("m", 80, 6), ("m-candidate", 80, 2), ("m", 81, 3), ("m-candidate", 81, 1)]
    );
    assert_eq!(
        backends_of(&split, 0)[2]["filters"],
        backends_of(&user, 0)[1]["filters"],
        "the pair differs in name only"
    );
    assert_eq!(read(&split, &NAMES).candidate, 25);
}

#[test]
fn only_the_service_of_this_namespace_counts() {
    let strangers = json!([
        {"name": "m", "namespace": "other", "port": 80},
        {"name": "m", "kind": "InferencePool", "group": "inference.networking.k8s.io"},
        {"name": "m", "namespace": "ml", "kind": "Service", "group": "", "port": 80},
    ]);
    let split = after(&one_rule(strangers), &mut Originals::default(), canary(50));
    let names: Vec<_> =
        backends_of(&split, 0).as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["m", "m", "m", "m-candidate"]);
    assert_eq!(backends_of(&split, 0)[3]["namespace"], "ml");
    let only_strangers = one_rule(json!([{"name": "m", "namespace": "other", "port": 80}]));
    let error = split_error(&only_strangers, canary(50));
    assert!(matches!(error, RouteError::NoRule { .. }), "{error}");
}

fn split_error(route: &Value, to: Split<'_>) -> RouteError {
    split(route, &NAMES, &to, &remember(route, &NAMES, None)).unwrap_err()
}

#[test]
fn every_rule_that_names_the_service_is_split_and_no_other() {
    let rules: Vec<Value> = (0..16)
        .map(|i| {
            let name = if i == 7 { "other" } else { "m" };
            json!({"matches": [{"path": {"value": format!("/{i}")}}], "backendRefs": [{"name": name, "port": 80}]})
        })
        .collect();
    let user = route(Value::Array(rules));
    let mut originals = Originals::default();
    let split = after(&user, &mut originals, canary(1));
    let reading = read(&split, &NAMES);
    assert_eq!((reading.rules, reading.candidate, reading.lowest), (15, 1, 1));
    assert_eq!(backends_of(&split, 7), backends_of(&user, 7));
    assert_same(&undone(&split, &originals), &user);
}

#[test]
fn a_service_without_weight_stays_without() {
    let user = route(json!([
        {"matches": [{"path": {"value": "/a"}}], "backendRefs": [{"name": "m", "port": 80, "weight": 0}, {"name": "o", "port": 80}]},
        {"backendRefs": [{"name": "m", "port": 80}]},
    ]));
    let mut originals = Originals::default();
    let split = after(&user, &mut originals, canary(10));
    assert_eq!(backends_of(&split, 0), backends_of(&user, 0));
    let reading = read(&split, &NAMES);
    assert_eq!((reading.rules, reading.lowest, reading.candidate), (1, 10, 10));
    assert_same(&undone(&split, &originals), &user);
}

#[test]
fn splitting_again_is_nothing_to_do_and_never_adds_up() {
    let user =
        one_rule(json!([{"name": "m", "port": 80, "weight": 3}, {"name": "o", "port": 80, "weight": 5}]));
    let mut originals = Originals::default();
    let once = after(&user, &mut originals, canary(50));
    assert_eq!(split(&once, &NAMES, &canary(50), &originals).unwrap(), None);
    let twice = after(&after(&once, &mut originals, canary(5)), &mut originals, canary(50));
    assert_same(&twice, &once);
    let defaulted = json!([
        {"group": "", "kind": "Service", "name": "m", "port": 80, "weight": 19},
        {"group": "", "kind": "Service", "name": "m-candidate", "port": 80, "weight": 1},
    ]);
    let read_back = one_rule(defaulted);
    let plain = remember(&one_rule(json!([{"name": "m", "port": 80}])), &NAMES, None);
    assert_eq!(split(&read_back, &NAMES, &canary(5), &plain).unwrap(), None, "defaults are no difference");
}

#[test]
fn the_mirror_is_a_filter_of_ours_and_goes_with_the_first_weight() {
    let user = route(json!([{
        "filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "log", "port": 1}}}],
        "backendRefs": [{"name": "m", "port": 80}],
    }, {"matches": [{"path": {"value": "/b"}}], "backendRefs": [{"name": "m", "port": 81}]}]));
    let mut originals = Originals::default();
    let mirrored = after(&user, &mut originals, shadow(100));
    assert_eq!(
        mirrored["spec"]["rules"][1]["filters"],
        json!([{"type": "RequestMirror", "requestMirror":
            {"backendRef": {"group": "", "kind": "Service", "name": "m-candidate", "port": 81}}}])
    );
    assert_eq!(mirrored["spec"]["rules"][0]["filters"].as_array().unwrap().len(), 2);
    let reading = read(&mirrored, &NAMES);
    assert_eq!((reading.candidate, reading.mirror, reading.only_stable), (0, Some(100), false));
    assert_eq!(split(&mirrored, &NAMES, &shadow(100), &originals).unwrap(), None);
    let part = after(&mirrored, &mut originals, shadow(30));
    assert_eq!(read(&part, &NAMES).mirror, Some(30));
    let step = after(&part, &mut originals, canary(1));
    assert_eq!(read(&step, &NAMES).mirror, None);
    assert!(step["spec"]["rules"][1].get("filters").is_none());
    assert_same(&undone(&step, &originals), &user);
    assert_same(&undone(&mirrored, &originals), &user);
}

#[test]
fn limits_of_the_api_are_refused_with_what_to_do() {
    let many = (0..16).map(|i| json!({"name": if i == 0 { "m" } else { "o" }, "port": i + 1})).collect();
    let error = split_error(&one_rule(Value::Array(many)), canary(5));
    assert_eq!(error, RouteError::TooManyBackends { rule: "rule 1 of HTTPRoute \"r\"".into(), have: 17 });
    let large =
        one_rule(json!([{"name": "m", "port": 1, "weight": 999_983}, {"name": "o", "port": 1, "weight": 1}]));
    let error = split_error(&large, canary(1));
    assert!(error.to_string().contains("98998317 for a share of 1 %"), "{error}");
    let filters: Vec<Value> = (0..16).map(|i| json!({"type": "X", "n": i})).collect();
    let full = route(json!([{"filters": filters, "backendRefs": [{"name": "m", "port": 80}]}]));
    assert!(matches!(split_error(&full, shadow(100)), RouteError::TooManyFilters { .. }));
    let alone = one_rule(json!([{"name": "m", "port": 1, "weight": 999_983}]));
    assert_eq!(read(&after(&alone, &mut Originals::default(), canary(1)), &NAMES).candidate, 1);
}

#[test]
fn the_true_share_is_judged_on_what_the_services_select() {
    let user = one_rule(json!([{"name": "m", "port": 80}]));
    let split = after(&user, &mut Originals::default(), canary(99));
    assert_eq!(share(&split, &NAMES, false, true), 99);
    assert_eq!(share(&split, &NAMES, true, true), 100, "settling: both lead to the new version");
    assert_eq!(share(&split, &NAMES, true, false), 1, "settled: the candidate's Service leads to nothing");
    assert_eq!(share(&user, &NAMES, true, false), 100);
    assert_eq!(share(&user, &NAMES, false, true), 0);
}

#[test]
fn shares_are_rounded_so_that_none_looks_smaller_than_it_is() {
    let odd = one_rule(
        json!([{"name": "m", "port": 1, "weight": 999}, {"name": "m-candidate", "port": 1, "weight": 1}]),
    );
    let reading = read(&odd, &NAMES);
    assert_eq!((reading.candidate, reading.lowest), (1, 0));
    let fraction = json!({"type": "RequestMirror", "requestMirror":
        {"backendRef": {"name": "m-candidate", "port": 1}, "fraction": {"numerator": 1, "denominator": 1000}}});
    let mirrored = route(json!([{"filters": [fraction], "backendRefs": [{"name": "m", "port": 1}]}]));
    assert_eq!(read(&mirrored, &NAMES).mirror, Some(1));
}
