use serde_json::json;

use super::*;

fn service() -> Service {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "m", "resourceVersion": "7", "managedFields": [
            {"manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
             "time": "2026-10-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:ports": {}, "f:selector": {}}}}]},
        "spec": {"selector": {"app": "m", "team": "ml"}, "ports": [{"port": 80}]},
    }))
    .unwrap()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn only_the_selector_is_written_and_only_on_the_object_as_read() {
    let wanted = map(&[("app", "m-a"), ("team", "ml")]);
    let edit = selector_edit(&service(), &wanted).unwrap();
    assert_eq!(
        serde_json::to_value(&edit.patch).unwrap(),
        json!([
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "replace", "path": "/spec/selector", "value": {"app": "m-a", "team": "ml"}},
        ])
    );
    let mut now = serde_json::to_value(service()).unwrap();
    json_patch::patch(&mut now, &edit.patch).unwrap();
    assert_eq!(now, edit.object);
    let now: Service = serde_json::from_value(now).unwrap();
    assert_eq!(selector_edit(&now, &wanted), None);
}

#[test]
fn the_selectors_owner_is_remembered_and_put_back() {
    let remembered = owners(&service(), &[]);
    assert_eq!(last_writer(&service()), "kubectl");
    let mut taken = service();
    let ours = json!({"manager": "understudy", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "time": "2026-10-02T00:00:00Z", "fieldsV1": {"f:spec": {"f:selector": {}}}});
    let fields = taken.metadata.managed_fields.as_mut().unwrap();
    fields[0].fields_v1.as_mut().unwrap().0["f:spec"].as_object_mut().unwrap().remove("f:selector");
    fields.push(serde_json::from_value(ours).unwrap());
    assert_eq!(
        owners(&taken, &remembered),
        remembered,
        "what was remembered stays while the selector is ours"
    );
    let edit = give_back(&taken, &remembered).unwrap();
    let mut now = serde_json::to_value(&taken).unwrap();
    json_patch::patch(&mut now, &edit.patch).unwrap();
    assert_eq!(now, edit.object);
    assert_eq!(now, serde_json::to_value(service()).unwrap());
    assert_eq!(give_back(&service(), &remembered), None);
    assert_eq!(give_back(&service(), &[]), None, "a selector that is not ours is left alone");
}

#[test]
fn the_candidates_service_follows_later_changes_of_the_users() {
    use crate::workload::{services::candidate_service, slot::Mark};
    let mark = Mark { rollout: "r", rollout_uid: "u" };
    let wanted = |user: &Service| candidate_service(user, map(&[("app", "m-a")]), &mark);
    let mut present = wanted(&service());
    present.metadata.resource_version = Some("3".to_owned());
    let spec = present.spec.as_mut().unwrap();
    (spec.cluster_ip, spec.cluster_ips) = (Some("10.0.0.9".to_owned()), Some(vec!["10.0.0.9".to_owned()]));
    assert_eq!(renew_service(&present, &wanted(&service())), None, "an address is the API server's");
    let mut user = service();
    user.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].port = 81;
    user.metadata.annotations = Some(map(&[("projectcontour.io/upstream-protocol.h2c", "81")]));
    let edit = renew_service(&present, &wanted(&user)).unwrap();
    let mut now = serde_json::to_value(&present).unwrap();
    json_patch::patch(&mut now, &edit.patch).unwrap();
    assert_eq!(now, edit.object);
    assert_eq!(now["spec"]["ports"][0]["port"], 81);
    assert_eq!(now["spec"]["clusterIP"], "10.0.0.9");
    assert_eq!(now["metadata"]["annotations"]["projectcontour.io/upstream-protocol.h2c"], "81");
}
