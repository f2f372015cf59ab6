use serde_json::json;

use super::*;

fn template() -> PodTemplateSpec {
    serde_json::from_value(json!({
        "metadata": {"labels": {"app": "m"}},
        "spec": {"containers": [
            {"name": "server", "image": "m:1", "args": ["--fast"], "env": [
                {"name": "MODEL_URI", "value": "file://1"},
                {"name": "CACHE", "value": "$(MODEL_ROOT)/cache"},
                {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            ]},
            {"name": "proxy", "image": "p:1"},
        ]},
    }))
    .unwrap()
}

fn serving(value: serde_json::Value) -> Serving {
    serde_json::from_value(value).unwrap()
}

fn env_of(template: &PodTemplateSpec) -> Vec<(String, Option<String>)> {
    let server = &template.spec.as_ref().unwrap().containers[0];
    server.env.iter().flatten().map(|e| (e.name.clone(), e.value.clone())).collect()
}

#[test]
fn a_variable_of_the_same_name_is_replaced_in_place_and_a_new_one_comes_first() {
    let version = serving(json!({"container": "server", "image": "m:2", "args": ["--slow"], "env": [
        {"name": "MODEL_URI", "value": "file://2"}, {"name": "MODEL_ROOT", "value": "/m"}, {"name": "SECRET", "value": "x"},
    ]}));
    let applied = apply_serving(&template(), Some(&version)).unwrap();
    let names: Vec<_> =
        env_of(&applied).into_iter().map(|(n, v)| format!("{n}={}", v.unwrap_or_default())).collect();
    assert_eq!(names, ["MODEL_ROOT=/m", "MODEL_URI=file://2", "CACHE=$(MODEL_ROOT)/cache", "SECRET=x"]);
    let server = &applied.spec.as_ref().unwrap().containers[0];
    assert_eq!(server.image.as_deref(), Some("m:2"));
    assert_eq!(server.args.as_deref(), Some(&["--slow".to_owned()][..]));
    assert!(
        server.env.as_ref().unwrap()[3].value_from.is_none(),
        "a value and a source at once are refused by the API"
    );
    assert_eq!(applied.spec.as_ref().unwrap().containers[1], template().spec.unwrap().containers[1]);
}

#[test]
fn what_serving_leaves_out_is_the_origins() {
    let applied = apply_serving(&template(), Some(&serving(json!({"container": "server"})))).unwrap();
    assert_eq!(applied, template());
    assert_eq!(apply_serving(&template(), None).unwrap(), template());
}

#[test]
fn an_unknown_container_is_named_with_those_that_exist() {
    let error = apply_serving(&template(), Some(&serving(json!({"container": "model"})))).unwrap_err();
    assert!(error.to_string().contains("\"model\" (it has: server, proxy)"), "{error}");
}

#[test]
fn applying_twice_is_applying_once_even_with_empty_values() {
    let version = serving(
        json!({"container": "server", "args": [], "env": [{"name": "NEW", "value": ""}, {"name": "CACHE"}]}),
    );
    let once = apply_serving(&template(), Some(&version)).unwrap();
    assert_eq!(apply_serving(&once, Some(&version)).unwrap(), once);
    assert_eq!(env_of(&once)[0], ("NEW".to_owned(), None));
    assert!(once.spec.as_ref().unwrap().containers[0].args.is_none());
    let read_back: PodTemplateSpec = serde_json::from_value(serde_json::to_value(&once).unwrap()).unwrap();
    assert!(matches(&read_back, Some(&version)));
}

#[test]
fn a_running_template_matches_the_version_that_it_is() {
    let one = serving(
        json!({"container": "server", "image": "m:1", "env": [{"name": "MODEL_URI", "value": "file://1"}]}),
    );
    let two = serving(json!({"container": "server", "image": "m:2"}));
    assert!(matches(&template(), Some(&one)));
    assert!(!matches(&template(), Some(&two)));
    assert!(!matches(&template(), None));
    assert!(!matches(&template(), Some(&serving(json!({"container": "server"})))), "it says nothing");
    assert!(!matches(&template(), Some(&serving(json!({"container": "other", "image": "m:1"})))));
}

#[test]
fn the_hash_is_a_label_value_and_leaves_our_labels_out() {
    let mut ours = template();
    let labels = ours.metadata.as_mut().unwrap().labels.as_mut().unwrap();
    labels.insert(crate::api::keys::SLOT.into(), "a".into());
    labels.insert(crate::api::keys::TEMPLATE_HASH.into(), "x".into());
    assert_eq!(hash(&ours), hash(&template()));
    assert_eq!(hash(&ours).len(), 16);
    assert!(hash(&ours).chars().all(|c| c.is_ascii_hexdigit()));
    let mut other = template();
    other.metadata.as_mut().unwrap().labels.as_mut().unwrap().insert("app".into(), "n".into());
    assert_ne!(hash(&other), hash(&template()));
}

fn origin(pod: serde_json::Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "m"},
        "spec": {"selector": {"matchLabels": {"app": "m"}}, "template": {"spec": pod}},
    }))
    .unwrap()
}

#[test]
fn a_claim_for_one_node_cannot_be_held_twice() {
    let pod = origin(json!({"containers": [], "volumes": [
        {"name": "tmp", "emptyDir": {}},
        {"name": "weights", "persistentVolumeClaim": {"claimName": "w"}},
    ]}));
    let with = |modes: &[&str]| {
        not_copyable(&pod, &BTreeMap::from([("w".into(), modes.iter().map(|m| (*m).to_owned()).collect())]))
    };
    assert!(with(&["ReadWriteOnce"]).unwrap().contains("ReadOnlyMany"));
    assert!(with(&["ReadWriteOncePod"]).is_some());
    assert_eq!(with(&["ReadWriteMany"]), None);
    assert_eq!(with(&["ReadWriteOnce", "ReadOnlyMany"]), None);
    assert_eq!(not_copyable(&pod, &BTreeMap::new()), None);
}

#[test]
fn a_node_port_or_a_fixed_dns_name_cannot_be_had_twice() {
    let none = BTreeMap::new();
    let port =
        origin(json!({"containers": [{"name": "s", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}));
    assert!(not_copyable(&port, &none).unwrap().contains("8080"));
    let init = origin(
        json!({"containers": [], "initContainers": [{"name": "i", "ports": [{"containerPort": 1, "hostPort": 2}]}]}),
    );
    assert!(not_copyable(&init, &none).is_some());
    assert!(
        not_copyable(&origin(json!({"containers": [], "hostname": "h", "subdomain": "d"})), &none).is_some()
    );
    assert_eq!(not_copyable(&origin(json!({"containers": [], "hostname": "h"})), &none), None);
    let plain = origin(json!({"containers": [{"name": "s", "ports": [{"containerPort": 80}]}]}));
    assert_eq!(not_copyable(&plain, &none), None);
}
