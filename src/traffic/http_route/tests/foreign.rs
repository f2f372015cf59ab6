use super::*;

fn stable_only() -> Value {
    one_rule(json!([{"name": "m", "port": 80}, {"name": "o", "port": 80}]))
}

/// The rule's backends as `(name, weight)`.
fn weights(route: &Value) -> Vec<(&str, i64)> {
    let list = backends_of(route, 0).as_array().unwrap();
    list.iter().map(|b| (b["name"].as_str().unwrap(), b["weight"].as_i64().unwrap_or(1))).collect()
}

fn set_weight(route: &mut Value, backend: usize, weight: i64) {
    route["spec"]["rules"][0]["backendRefs"][backend]["weight"] = weight.into();
}

#[test]
fn weights_of_the_pair_changed_by_somebody_are_read_and_undone() {
    let user = stable_only();
    let mut originals = Originals::default();
    let split = after(&user, &mut originals, canary(50));
    for (stable, candidate, percent) in [(0, 100, 100), (100, 0, 0), (1, 2, 67)] {
        let mut edited = split.clone();
        set_weight(&mut edited, 0, stable);
        set_weight(&mut edited, 1, candidate);
        assert_eq!(read(&edited, &NAMES).candidate, percent);
        assert_same(&undone(&edited, &originals), &user);
        assert_same(&after(&edited, &mut originals.clone(), canary(50)), &split);
        assert_eq!(
            remember(&edited, &NAMES, Some(&originals)),
            originals,
            "nothing is learnt from our own edit"
        );
    }
}

#[test]
fn a_candidate_taken_out_by_hand_leaves_no_trace_of_our_weights() {
    let user = stable_only();
    let mut originals = Originals::default();
    for percent in [5, 50, 100] {
        let mut edited = after(&user, &mut originals, canary(percent));
        let rule = edited["spec"]["rules"][0]["backendRefs"].as_array_mut().unwrap();
        rule.retain(|b| b["name"] != "m-candidate");
        assert_eq!(read(&edited, &NAMES).candidate, 0);
        originals = remember(&edited, &NAMES, Some(&originals));
        assert_same(&undone(&edited, &originals), &user);
    }
}

#[test]
fn the_route_applied_again_from_git_is_the_users_own_and_can_be_split_again() {
    let user = stable_only();
    let mut originals = Originals::default();
    let split = after(&user, &mut originals, canary(25));
    let mut changed = user.clone();
    set_weight(&mut changed, 0, 3);
    assert_eq!(
        undo(&changed, &NAMES, &originals).unwrap(),
        None,
        "what the user wrote anew is not taken back"
    );
    let again = after(&changed, &mut originals, canary(25));
    assert_eq!(weights(&again), [("m", 9), ("m-candidate", 3), ("o", 4)]);
    assert_same(&undone(&again, &originals), &changed);
    assert_ne!(again, split);
}

#[test]
fn another_backends_weight_changed_during_the_split_is_kept() {
    let mut originals = Originals::default();
    let mut split = after(&stable_only(), &mut originals, canary(10));
    assert_eq!(weights(&split), [("m", 9), ("m-candidate", 1), ("o", 10)]);
    set_weight(&mut split, 2, 30);
    let back = undone(&split, &originals);
    assert_eq!(weights(&back), [("m", 10), ("o", 30)]);
    let on = after(&split, &mut originals, canary(50));
    assert_eq!(weights(&on), [("m", 1), ("m-candidate", 1), ("o", 6)]);
    assert_eq!(weights(&undone(&on, &originals)), [("m", 10), ("o", 30)]);
}

#[test]
fn a_backend_added_or_taken_away_during_the_split_is_respected() {
    let mut originals = Originals::default();
    let split = after(&stable_only(), &mut originals, canary(10));
    let mut less = split.clone();
    less["spec"]["rules"][0]["backendRefs"].as_array_mut().unwrap().pop();
    assert_eq!(weights(&undone(&less, &originals)), [("m", 10)]);
    let mut more = split.clone();
    let list = more["spec"]["rules"][0]["backendRefs"].as_array_mut().unwrap();
    list.push(json!({"name": "new", "port": 1, "weight": 5}));
    assert_eq!(weights(&undone(&more, &originals)), [("m", 10), ("o", 10), ("new", 5)]);
    let on = after(&more, &mut originals, canary(20));
    assert_eq!(weights(&on), [("m", 8), ("m-candidate", 2), ("o", 10), ("new", 5)]);
}

#[test]
fn a_port_changed_on_the_service_alone_takes_the_candidates_share_with_it() {
    let mut originals = Originals::default();
    let mut split = after(&stable_only(), &mut originals, canary(10));
    split["spec"]["rules"][0]["backendRefs"][0]["port"] = 9090.into();
    let back = undone(&split, &originals);
    assert_eq!(weights(&back), [("m", 10), ("o", 10)]);
    assert_eq!(backends_of(&back, 0)[0]["port"], 9090);
}

#[test]
fn a_rule_whose_own_list_is_unknown_gets_the_sum_of_the_pair() {
    let copied = one_rule(json!([
        {"name": "o", "port": 1, "weight": 7},
        {"name": "m-candidate", "port": 80, "weight": 5},
        {"name": "m", "port": 80, "weight": 95},
    ]));
    let back = undone(&copied, &Originals::default());
    assert_eq!(weights(&back), [("o", 7), ("m", 100)]);
    let candidate_only = one_rule(json!([{"name": "m-candidate", "port": 80}]));
    assert_eq!(
        *backends_of(&undone(&candidate_only, &Originals::default()), 0),
        json!([{"name": "m", "port": 80, "weight": 1}])
    );
    assert_eq!(remember(&copied, &NAMES, None), Originals::default());
    let huge = one_rule(json!([
        {"name": "m", "port": 80, "weight": 1_000_000}, {"name": "m-candidate", "port": 80, "weight": 1_000_000},
        {"name": "o", "port": 1, "weight": 1},
    ]));
    assert_eq!(weights(&undone(&huge, &Originals::default())), [("m", 1_000_000), ("o", 1)]);
}

#[test]
fn a_rule_added_meanwhile_is_no_override_and_is_split_at_the_next_step() {
    let user = stable_only();
    let mut originals = Originals::default();
    let mut split = after(&user, &mut originals, canary(5));
    let new = json!({"matches": [{"path": {"value": "/new"}}], "backendRefs": [{"name": "m", "port": 80}]});
    split["spec"]["rules"].as_array_mut().unwrap().insert(0, new.clone());
    let reading = read(&split, &NAMES);
    assert_eq!((reading.rules, reading.candidate, reading.lowest), (2, 5, 0));
    assert_eq!(lowest_known(&split, &NAMES, &originals), Some(5));
    let next = after(&split, &mut originals, canary(25));
    assert_eq!((read(&next, &NAMES).candidate, read(&next, &NAMES).lowest), (25, 25));
    let mut wanted = user.clone();
    wanted["spec"]["rules"].as_array_mut().unwrap().insert(0, new);
    assert_same(&undone(&next, &originals), &wanted);
    assert_same(&undone(&split, &remember(&user, &NAMES, None)), &wanted);
}

#[test]
fn the_same_route_from_git_is_an_override_because_its_rules_are_known() {
    let mut originals = Originals::default();
    after(&stable_only(), &mut originals, canary(5));
    assert_eq!(lowest_known(&stable_only(), &NAMES, &originals), Some(0));
}

#[test]
fn a_rule_whose_match_was_changed_during_the_split_is_known_again() {
    let user = route(json!([
        {"matches": [{"path": {"value": "/a"}}], "backendRefs": [{"name": "m", "port": 80}]},
        {"matches": [{"path": {"value": "/b"}}], "backendRefs": [{"name": "m", "port": 80}, {"name": "o", "port": 1}]},
    ]));
    let mut originals = Originals::default();
    let mut split = after(&user, &mut originals, canary(5));
    split["spec"]["rules"][0]["matches"][0]["path"]["value"] = "/z".into();
    let mut wanted = user.clone();
    wanted["spec"]["rules"][0]["matches"][0]["path"]["value"] = "/z".into();
    assert_same(&undone(&split, &originals), &wanted);
}

#[test]
fn twin_rules_are_told_apart_while_none_comes_or_goes() {
    let twin = |port: i32| json!({"backendRefs": [{"name": "m", "port": port}]});
    let user = route(json!([twin(80), twin(81)]));
    let mut originals = Originals::default();
    let mut split = after(&user, &mut originals, canary(5));
    assert_same(&undone(&split, &originals), &user);
    let mut more = split.clone();
    more["spec"]["rules"].as_array_mut().unwrap().push(twin(82));
    let back = undone(&more, &originals);
    assert_eq!(*backends_of(&back, 2), twin(82)["backendRefs"]);
    assert!(read(&back, &NAMES).only_stable);
    split["spec"]["rules"].as_array_mut().unwrap().remove(0);
    let back = undone(&split, &originals);
    assert_eq!(
        *backends_of(&back, 0),
        json!([{"name": "m", "port": 81, "weight": 20}]),
        "the sum of the pair"
    );
}

#[test]
fn weights_changed_in_the_shadow_stage_are_the_users() {
    let mut originals = Originals::default();
    let mut mirrored = after(&stable_only(), &mut originals, shadow(100));
    set_weight(&mut mirrored, 0, 4);
    let back = undone(&mirrored, &originals);
    assert_eq!(weights(&back), [("m", 4), ("o", 1)]);
    assert!(read(&back, &NAMES).only_stable);
    let mut wanted = stable_only();
    set_weight(&mut wanted, 0, 4);
    assert_same(&undone(&after(&mirrored, &mut originals, canary(5)), &originals), &wanted);
}

#[test]
fn a_candidate_named_in_a_backends_own_mirror_is_seen() {
    let own = json!([{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "m-candidate", "port": 80}}}]);
    let odd = one_rule(json!([{"name": "m", "port": 80, "filters": own}]));
    assert!(!read(&odd, &NAMES).only_stable);
}
