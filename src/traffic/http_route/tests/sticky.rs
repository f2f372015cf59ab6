use super::*;
use crate::api::Sticky;

pub(super) fn by_header() -> &'static Sticky {
    static STICKY: std::sync::LazyLock<Sticky> =
        std::sync::LazyLock::new(|| Sticky { header: Some("x-session".into()), cookie: None });
    &STICKY
}

pub(super) fn by_cookie() -> &'static Sticky {
    static STICKY: std::sync::LazyLock<Sticky> =
        std::sync::LazyLock::new(|| Sticky { header: None, cookie: Some("sid".into()) });
    &STICKY
}

fn sticking(percent: i32) -> Split<'static> {
    Split { sticky: Some(by_header()), ..canary(percent) }
}

fn user() -> Value {
    route(json!([
        {"name": "first", "matches": [{"path": {"type": "PathPrefix", "value": "/a"}}, {"path": {"type": "Exact", "value": "/b"},
            "headers": [{"type": "Exact", "name": "x", "value": "y"}]}],
         "filters": [{"type": "URLRewrite", "n": 1}], "timeouts": {"request": "5s"},
         "backendRefs": [{"name": "m", "port": 80, "weight": 2}, {"name": "o", "port": 81}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/static"}}], "backendRefs": [{"name": "o", "port": 81}]},
    ]))
}

/// What somebody does to a route.
type Change = fn(&mut Value);

fn rule_of(route: &mut Value, at: usize) -> &mut Value {
    &mut route["spec"]["rules"][at]
}

fn list_of(route: &mut Value) -> &mut Vec<Value> {
    route["spec"]["rules"].as_array_mut().unwrap()
}

fn error(route: &Value, to: Split<'_>) -> RouteError {
    split(route, &NAMES, &to, &remember(route, &NAMES, None)).unwrap_err()
}

#[test]
fn each_rule_of_the_service_gets_two_that_are_as_it_is_but_for_a_header_and_the_backends() {
    let mut originals = Originals::default();
    let split = after(&user(), &mut originals, sticking(50));
    let rules = rules(&split);
    assert_eq!(rules.len(), 4);
    assert_eq!(rules[0]["backendRefs"].as_array().unwrap().len(), 3, "without a session by weight");
    assert_eq!(rules[1], user()["spec"]["rules"][1]);
    for (rule, digits) in [(&rules[2], "[8-9a-fA-F]"), (&rules[3], "[0-7]")] {
        let header = json!({"type": "RegularExpression", "name": "x-session",
            "value": format!("(?:understudy-50-m){{0}}^.*{digits}[0-9a-fA-F]$")});
        let own = json!({"type": "Exact", "name": "x", "value": "y"});
        assert_eq!(
            rule["matches"][0],
            json!({"path": {"type": "PathPrefix", "value": "/a"}, "headers": [header]})
        );
        assert_eq!(
            rule["matches"][1],
            json!({"path": {"type": "Exact", "value": "/b"}, "headers": [own, header]})
        );
        assert_eq!(
            (rule.get("name"), &rule["filters"], &rule["timeouts"]),
            (None, &user()["spec"]["rules"][0]["filters"], &user()["spec"]["rules"][0]["timeouts"])
        );
    }
    assert_eq!(rules[2]["backendRefs"], user()["spec"]["rules"][0]["backendRefs"]);
    assert_eq!(
        rules[3]["backendRefs"],
        json!([{"name": "m-candidate", "port": 80, "weight": 2}, {"name": "o", "port": 81, "weight": 1}])
    );
    let wanted =
        Reading { rules: 1, candidate: 50, lowest: 50, mirror: None, sticky: Some(50), only_stable: false };
    assert_eq!(read(&split, &NAMES), wanted);
    assert_same(&undone(&split, &originals), &user());
}

#[test]
fn a_rule_for_every_path_says_so() {
    let bare = route(json!([{"backendRefs": [{"name": "m", "port": 80}]}]));
    let split = after(&bare, &mut Originals::default(), sticking(10));
    assert_eq!(rules(&split)[1]["matches"][0]["path"], json!({"type": "PathPrefix", "value": "/"}));
}

#[test]
fn back_to_nothing_and_on_to_a_step_without_sessions_is_one_write() {
    let mut originals = Originals::default();
    let split = after(&user(), &mut originals, sticking(50));
    assert_eq!(super::split(&split, &NAMES, &sticking(50), &originals).unwrap(), None, "it is as wanted");
    for to in [canary(0), canary(75), canary(100), sticking(100), sticking(0)] {
        let edit = super::split(&split, &NAMES, &to, &originals).unwrap().unwrap();
        let next = applied(&split, &edit);
        assert_eq!(edit.patch.0.len(), 2, "the version and the list");
        assert_eq!((read(&next, &NAMES).sticky, read(&next, &NAMES).candidate), (None, to.candidate));
        assert_same(&undone(&next, &originals), &user());
    }
    let back = super::split(&split, &NAMES, &canary(0), &originals).unwrap().unwrap();
    assert_same(&applied(&split, &back), &user());
}

#[test]
fn they_follow_what_the_user_changes() {
    let changes: [Change; 7] = [
        |r| rule_of(r, 0)["matches"] = json!([{"path": {"type": "PathPrefix", "value": "/z"}}]),
        |r| rule_of(r, 0)["filters"] = json!([{"type": "URLRewrite", "n": 2}]),
        |r| rule_of(r, 0)["timeouts"] = json!({"request": "9s"}),
        |r| rule_of(r, 0)["name"] = "second".into(),
        |r| {
            list_of(r).insert(0, json!({"matches": [{"path": {"type": "PathPrefix", "value": "/n"}}], "backendRefs": [{"name": "m", "port": 80}]}))
        },
        |r| {
            list_of(r).insert(1, json!({"matches": [{"path": {"type": "PathPrefix", "value": "/n"}}], "backendRefs": [{"name": "o", "port": 80}]}))
        },
        |r| {
            list_of(r).push(json!({"matches": [{"path": {"type": "PathPrefix", "value": "/n"}}], "backendRefs": [{"name": "m", "port": 80}]}))
        },
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let (mut originals, mut expected) = (Originals::default(), user());
        let mut live = after(&user(), &mut originals, sticking(50));
        change(&mut live);
        change(&mut expected);
        // A name is not copied, a rule that was added is not divided yet, and one that leads elsewhere has none.
        let now = if at < 3 { Sessions::Behind } else { Sessions::AsWanted };
        assert_eq!(sessions(&live, &NAMES, &sticking(50), &originals), now, "change {at}");
        assert_same(&undone(&live, &originals), &expected);
        let next = after(&live, &mut originals, sticking(50));
        assert_eq!(sessions(&next, &NAMES, &sticking(50), &originals), Sessions::AsWanted, "change {at}");
        assert_same(&next, &after(&expected, &mut Originals::default(), sticking(50)));
        assert_same(&undone(&next, &originals), &expected);
    }
}

#[test]
fn a_rule_that_is_gone_takes_its_sessions_with_it() {
    let mut originals = Originals::default();
    let mut two = user();
    list_of(&mut two).push(json!({"backendRefs": [{"name": "m", "port": 80}]}));
    let mut live = after(&two, &mut originals, sticking(50));
    list_of(&mut live).remove(2);
    assert_eq!(sessions(&live, &NAMES, &sticking(50), &originals), Sessions::Behind);
    let next = after(&live, &mut originals, sticking(50));
    assert_same(&next, &after(&user(), &mut Originals::default(), sticking(50)));
    list_of(&mut live).remove(0);
    assert_eq!((read(&live, &NAMES).rules, read(&live, &NAMES).sticky), (0, Some(50)));
    let mut alone = live.clone();
    list_of(&mut alone).remove(1);
    assert_eq!(read(&alone, &NAMES).candidate, 100, "of what still leads to either, all");
    assert_eq!(undone(&live, &originals)["spec"]["rules"], json!([user()["spec"]["rules"][1]]));
}

#[test]
fn rules_that_the_user_puts_behind_ours_come_before_them_again() {
    let mut originals = Originals::default();
    let mut live = after(&user(), &mut originals, sticking(50));
    list_of(&mut live)
        .push(json!({"matches": [{"path": {"value": "/n"}}], "backendRefs": [{"name": "o", "port": 80}]}));
    assert_eq!(sessions(&live, &NAMES, &sticking(50), &originals), Sessions::Behind);
    let next = after(&live, &mut originals, sticking(50));
    assert_eq!(rules(&next)[2], rules(&live)[4]);
    assert_eq!(sessions(&next, &NAMES, &sticking(50), &originals), Sessions::AsWanted);
}

#[test]
fn what_somebody_makes_of_them_is_read_for_what_it_gives() {
    let stable_gone: Change = |r| drop(list_of(r).remove(2));
    let cases: [(&str, Change, i32, i32, Sessions); 9] = [
        ("nothing", |_| {}, 50, 50, Sessions::AsWanted),
        ("both gone", |r| list_of(r).truncate(2), 50, 50, Sessions::Fewer),
        ("the candidate's gone", |r| drop(list_of(r).pop()), 50, 25, Sessions::Fewer),
        // Its sessions go by weight now, and those of the candidate to the candidate as before.
        ("the stable's gone", stable_gone, 75, 50, Sessions::Fewer),
        (
            "the candidate's sessions to the Service",
            |r| rule_of(r, 3)["backendRefs"] = rule_of(r, 2)["backendRefs"].clone(),
            50,
            0,
            Sessions::Behind,
        ),
        (
            "all sessions to the candidate",
            |r| rule_of(r, 2)["backendRefs"] = rule_of(r, 3)["backendRefs"].clone(),
            100,
            50,
            Sessions::Behind,
        ),
        (
            "a wider expression",
            |r| {
                let value = "(?:understudy-50-m){0}^.*[0-9][0-9a-fA-F]$";
                rule_of(r, 3)["matches"][0]["headers"][0]["value"] = value.into();
            },
            100,
            0,
            Sessions::Behind,
        ),
        (
            "a match without the session",
            |r| rule_of(r, 3)["matches"].as_array_mut().unwrap().push(json!({"path": {"value": "/c"}})),
            100,
            0,
            Sessions::Behind,
        ),
        (
            "an exact value",
            |r| rule_of(r, 3)["matches"][0]["headers"][0]["type"] = "Exact".into(),
            100,
            0,
            Sessions::Behind,
        ),
    ];
    for (what, change, candidate, lowest, stand) in cases {
        let mut originals = Originals::default();
        let split = after(&user(), &mut originals, sticking(50));
        let mut live = split.clone();
        change(&mut live);
        assert_eq!(read(&live, &NAMES).candidate, candidate, "{what}");
        assert_eq!(lowest_known(&live, &NAMES, &originals), Some(lowest), "{what}");
        assert_eq!(sessions(&live, &NAMES, &sticking(50), &originals), stand, "{what}");
        assert_eq!(remember(&live, &NAMES, Some(&originals)), originals, "{what}: learnt from our edit");
        assert_same(&after(&live, &mut originals.clone(), sticking(50)), &split);
        assert_same(&undone(&live, &originals), &user());
    }
}

#[test]
fn the_true_share_of_the_sessions_is_judged_on_what_the_services_select() {
    let split = after(&user(), &mut Originals::default(), sticking(10));
    assert_eq!(share(&split, &NAMES, false, true), 10);
    assert_eq!(share(&split, &NAMES, true, true), 100);
    assert_eq!(share(&split, &NAMES, true, false), 90);
    assert_eq!(share(&split, &NAMES, false, false), 0);
}

#[test]
fn another_steps_sessions_are_renewed() {
    let mut originals = Originals::default();
    let ten = after(&user(), &mut originals, sticking(10));
    assert_eq!(sessions(&ten, &NAMES, &sticking(50), &originals), Sessions::Behind);
    let fifty = after(&ten, &mut originals, sticking(50));
    assert_same(&fifty, &after(&user(), &mut Originals::default(), sticking(50)));
    let by_cookie = Split { sticky: Some(by_cookie()), ..canary(50) };
    assert_eq!(sessions(&fifty, &NAMES, &by_cookie, &originals), Sessions::Behind);
    let other = after(&fifty, &mut originals, by_cookie);
    assert_eq!(rules(&other)[3]["matches"][0]["headers"][0]["name"], "cookie");
    assert_eq!((read(&other, &NAMES).candidate, read(&other, &NAMES).sticky), (50, Some(50)));
}

#[test]
fn two_rollouts_share_a_route_without_touching_each_others_rules() {
    let others = Names { service: "o", candidate: "o-candidate", ..NAMES };
    let rule = |name: &str| json!({"matches": [{"path": {"value": format!("/{name}")}}], "backendRefs": [{"name": name, "port": 80}]});
    let user = route(json!([rule("m"), rule("o")]));
    let (mine, theirs) = (remember(&user, &NAMES, None), remember(&user, &others, None));
    let put = |route: &Value, names, originals| match split(route, names, &sticking(50), originals).unwrap() {
        Some(edit) => applied(route, &edit),
        None => route.clone(),
    };
    let both = put(&put(&user, &NAMES, &mine), &others, &theirs);
    assert_eq!(rules(&both).len(), 6);
    assert_eq!(split(&both, &NAMES, &sticking(50), &mine).unwrap(), None, "they do not fight for a place");
    assert_eq!(split(&both, &others, &sticking(50), &theirs).unwrap(), None);
    assert_eq!(remember(&both, &NAMES, Some(&mine)), mine);
    assert_same(&undone(&both, &mine), &put(&user, &others, &theirs));
}

#[test]
fn limits_are_refused_with_what_to_do() {
    let rule = |n: usize| json!({"matches": [{"path": {"value": format!("/{n}")}}], "backendRefs": [{"name": "m", "port": 80}]});
    let six = route((0..6).map(rule).collect());
    let have = RouteError::TooManyRules { route: "r".into(), have: 18 };
    assert_eq!(error(&six, sticking(5)), have);
    assert!(
        have.to_string().contains("would have 18 rules with those of the A/B test, a route may have 16"),
        "{have}"
    );
    assert!(split(&six, &NAMES, &canary(5), &Originals::default()).is_ok());
    let five = after(&route((0..5).map(rule).collect()), &mut Originals::default(), sticking(5));
    assert_eq!(rules(&five).len(), 15);
    let matches = |n: usize| (0..n).map(|n| json!({"path": {"value": format!("/{n}")}})).collect::<Vec<_>>();
    let wide = |n| route(json!([{"matches": matches(n), "backendRefs": [{"name": "m", "port": 80}]}]));
    assert_eq!(error(&wide(43), sticking(5)), RouteError::TooManyMatches { route: "r".into(), have: 129 });
    after(&wide(42), &mut Originals::default(), sticking(5));
    let headers =
        |n: usize| (0..n).map(|n| json!({"name": format!("h{n}"), "value": "x"})).collect::<Vec<_>>();
    let full = |n| {
        route(json!([{"matches": [{"headers": headers(n)}], "backendRefs": [{"name": "m", "port": 80}]}]))
    };
    assert!(matches!(error(&full(16), sticking(5)), RouteError::TooManyHeaders { .. }));
    after(&full(15), &mut Originals::default(), sticking(5));
    let taken = route(
        json!([{"matches": [{"headers": [{"name": "X-Session", "value": "x"}]}], "backendRefs": [{"name": "m"}]}]),
    );
    assert_eq!(
        error(&taken, sticking(5)),
        RouteError::HeaderMatched { rule: "rule 1 of HTTPRoute \"r\"".into(), header: "x-session".into() }
    );
}

#[test]
fn a_rule_that_leads_elsewhere_keeps_its_place_before_ours() {
    let rule =
        |name: &str, one: Value| json!({"matches": [one], "backendRefs": [{"name": name, "port": 80}]});
    let header = |value: &str| json!({"headers": [{"name": "h", "value": value}]});
    let query = json!({"queryParams": [{"name": "q", "value": "1"}]});
    let two = json!({"headers": [{"name": "h", "value": "1"}, {"name": "i", "value": "1"}]});
    let other = json!({"headers": [{"name": "i", "value": "1"}]});
    // Ours, the other, whether ours stands first, and whether our copy would overtake it.
    let cases = [
        (json!({}), query.clone(), true, true),
        (json!({}), header("1"), true, false),
        (query.clone(), header("1"), true, true),
        (json!({}), two, true, false),
        (header("1"), other.clone(), false, true),
        (header("1"), other, true, false),
        (header("1"), header("2"), false, false),
        (json!({}), json!({"path": {"type": "PathPrefix", "value": "/longer"}}), true, false),
        (json!({}), json!({"method": "GET", "queryParams": query["queryParams"]}), true, false),
    ];
    for (ours, other, first, overtakes) in cases {
        let mut both = vec![rule("m", ours), rule("o", other)];
        if !first {
            both.reverse();
        }
        let user = route(both.into());
        let found = split(&user, &NAMES, &sticking(5), &remember(&user, &NAMES, None));
        assert_eq!(matches!(found, Err(RouteError::Overtakes { .. })), overtakes, "{user}");
        assert_eq!(found.is_err(), overtakes);
    }
}
