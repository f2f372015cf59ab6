use super::*;

fn entry(manager: &str, operation: &str, time: &str, fields: Value) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": "gateway.networking.k8s.io/v1",
           "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields})
}

fn applied_by_user() -> Value {
    entry(
        "kubectl",
        "Apply",
        "2026-10-01T00:00:00Z",
        json!({"f:spec": {"f:hostnames": {}, "f:parentRefs": {}, "f:rules": {}}}),
    )
}

fn status_of_gateway(time: &str) -> Value {
    let mut out = entry("contour", "Update", time, json!({"f:status": {"f:parents": {}}}));
    out["subresource"] = "status".into();
    out
}

fn route_with(fields: Vec<Value>) -> Value {
    let mut out = one_rule(json!([{"name": "m", "port": 80}]));
    out["metadata"]["managedFields"] = Value::Array(fields);
    out
}

/// What the API server does to managedFields when our patch changes the rules.
fn taken_by_us(route: &Value) -> Value {
    let mut out = route.clone();
    for one in out["metadata"]["managedFields"].as_array_mut().unwrap() {
        if let Some(spec) = one["fieldsV1"].get_mut("f:spec").and_then(Value::as_object_mut) {
            spec.remove("f:rules");
        }
    }
    let list = out["metadata"]["managedFields"].as_array_mut().unwrap();
    list.retain(|e| e["fieldsV1"] != json!({"f:spec": {}}));
    list.push(entry("understudy", "Update", "2026-10-02T00:00:00Z", json!({"f:spec": {"f:rules": {}}})));
    out
}

fn fields(route: &Value) -> Vec<Value> {
    let mut all = route["metadata"]["managedFields"].as_array().unwrap().clone();
    all.sort_by_key(ToString::to_string);
    all
}

#[test]
fn the_second_write_gives_the_rules_back_to_their_owner() {
    let user = route_with(vec![applied_by_user(), status_of_gateway("2026-10-01T00:00:01Z")]);
    let originals = remember(&user, &NAMES, None);
    let mut taken = taken_by_us(&user);
    taken["metadata"]["managedFields"][1] = status_of_gateway("2026-10-03T00:00:00Z");
    let edit = restore_managed_fields(&taken, &originals).unwrap();
    assert_eq!(edit.patch.0.len(), 2);
    let back = applied(&taken, &edit);
    let wanted = route_with(vec![applied_by_user(), status_of_gateway("2026-10-03T00:00:00Z")]);
    assert_eq!(fields(&back), fields(&wanted), "the gateway's later status is left alone");
    assert_eq!(restore_managed_fields(&back, &originals), None);
    assert_eq!(restore_managed_fields(&user, &originals), None);
}

#[test]
fn an_owner_of_nothing_but_the_rules_comes_back() {
    let rules_only = entry("ci", "Update", "2026-10-01T00:00:00Z", json!({"f:spec": {"f:rules": {}}}));
    let user = route_with(vec![rules_only]);
    let originals = remember(&user, &NAMES, None);
    let taken = taken_by_us(&user);
    assert_eq!(fields(&taken).len(), 1, "only we are left");
    let back = applied(&taken, &restore_managed_fields(&taken, &originals).unwrap());
    assert_eq!(fields(&back), fields(&user));
}

#[test]
fn what_an_owner_came_to_own_meanwhile_stays_with_it() {
    let user = route_with(vec![applied_by_user()]);
    let originals = remember(&user, &NAMES, None);
    let mut taken = taken_by_us(&user);
    taken["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"] = json!({"f:labels": {}});
    let back = applied(&taken, &restore_managed_fields(&taken, &originals).unwrap());
    let mut wanted = applied_by_user();
    wanted["fieldsV1"]["f:metadata"] = json!({"f:labels": {}});
    assert_eq!(fields(&back), [wanted]);
}

#[test]
fn owners_are_not_forgotten_while_the_rules_are_ours_and_new_ones_are_added() {
    let user = route_with(vec![applied_by_user()]);
    let mut originals = remember(&user, &NAMES, None);
    let mut taken = after(&taken_by_us(&user), &mut originals, canary(5));
    let edit = entry("kubectl-edit", "Update", "2026-10-03T00:00:00Z", json!({"f:spec": {"f:rules": {}}}));
    taken["metadata"]["managedFields"].as_array_mut().unwrap().push(edit.clone());
    originals = remember(&taken, &NAMES, Some(&originals));
    let managers: Vec<_> = originals.managed_fields.iter().map(|e| e["manager"].as_str().unwrap()).collect();
    assert_eq!(managers, ["kubectl", "kubectl-edit"]);
    let rewritten = route_with(vec![edit]);
    let fresh = remember(&rewritten, &NAMES, Some(&originals));
    assert_eq!(fresh.managed_fields.len(), 1, "a route that carries nothing of ours is remembered anew");
}

#[test]
fn the_last_writer_is_the_one_who_wrote_the_rules() {
    let labels = entry("labeller", "Update", "2026-10-09T00:00:00Z", json!({"f:metadata": {"f:labels": {}}}));
    let edit = entry("kubectl-edit", "Update", "2026-10-03T00:00:00Z", json!({"f:spec": {"f:rules": {}}}));
    let hosts = entry("dns", "Update", "2026-10-05T00:00:00Z", json!({"f:spec": {"f:hostnames": {}}}));
    let all = vec![applied_by_user(), edit, hosts, labels, status_of_gateway("2026-11-01T00:00:00Z")];
    assert_eq!(last_writer(&route_with(all)), "kubectl-edit");
    assert_eq!(last_writer(&taken_by_us(&route_with(vec![applied_by_user()]))), "kubectl");
    assert_eq!(last_writer(&one_rule(json!([]))), "unknown");
}

#[test]
fn what_is_remembered_survives_as_json() {
    let originals = remember(&route_with(vec![applied_by_user()]), &NAMES, None);
    let text = serde_json::to_string(&originals).unwrap();
    assert_eq!(serde_json::from_str::<Originals>(&text).unwrap(), originals);
    assert!(text.contains("backendRefs") && text.contains("managedFields"), "{text}");
}
