use super::*;

/// A status of one parent at a generation; `conditions` as type and status.
fn parent(name: &str, generation: Option<i64>, conditions: &[(&str, &str)]) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(type_, status)| {
            let mut c = json!({"type": type_, "status": status, "reason": "Because", "message": "of this"});
            if let Some(generation) = generation {
                c["observedGeneration"] = generation.into();
            }
            c
        })
        .collect();
    json!({"parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name},
           "controllerName": "example/c", "conditions": conditions})
}

fn with_parents(names: &[&str], status: Vec<Value>) -> Value {
    let mut out = one_rule(json!([{"name": "m", "port": 80}]));
    out["spec"]["parentRefs"] = names.iter().map(|n| json!({"name": n})).collect();
    out["status"] = json!({"parents": status});
    out
}

const GOOD: &[(&str, &str)] = &[("Accepted", "True"), ("ResolvedRefs", "True")];
const BAD: &[(&str, &str)] = &[("Accepted", "True"), ("ResolvedRefs", "False")];

#[test]
fn all_parents_must_have_taken_the_present_generation() {
    let both = |a, b| programmed(&with_parents(&["a", "b"], vec![a, b]), &[]);
    assert_eq!(both(parent("a", Some(3), GOOD), parent("b", Some(3), GOOD)), Programmed::Yes);
    assert_eq!(both(parent("a", Some(3), GOOD), parent("b", Some(2), GOOD)), Programmed::Unknown);
    assert_eq!(
        both(parent("a", Some(3), GOOD), parent("b", Some(2), BAD)),
        Programmed::Unknown,
        "an old refusal"
    );
    assert_eq!(
        both(parent("a", None, GOOD), parent("b", Some(0), GOOD)),
        Programmed::Yes,
        "some never set it"
    );
    assert_eq!(
        programmed(&with_parents(&["a", "b"], vec![parent("a", Some(3), GOOD)]), &[]),
        Programmed::Unknown
    );
    assert_eq!(both(parent("a", Some(3), &GOOD[..1]), parent("b", Some(3), GOOD)), Programmed::Unknown);
}

#[test]
fn a_refusal_names_the_parent_and_the_reason() {
    let refused = with_parents(&["a", "b"], vec![parent("a", Some(3), GOOD), parent("b", Some(3), BAD)]);
    let Programmed::No(why) = programmed(&refused, &[]) else { panic!("not refused") };
    assert_eq!(why, "b (controller example/c): ResolvedRefs is false, Because: of this");
    assert_eq!(programmed(&refused, &["a".into()]), Programmed::Yes, "only the named parent counts");
    assert!(matches!(programmed(&refused, &["b".into()]), Programmed::No(_)));
}

#[test]
fn a_parent_that_the_route_does_not_have_is_said() {
    let one = with_parents(&["a"], vec![parent("a", Some(3), GOOD)]);
    let Programmed::No(why) = programmed(&one, &["z".into()]) else { panic!("not refused") };
    assert!(why.contains("\"z\"") && why.contains("(a)"), "{why}");
    assert!(matches!(programmed(&with_parents(&[], vec![]), &[]), Programmed::No(_)));
}
