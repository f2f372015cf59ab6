//! The permissions in `deploy/` are those of the table in the code, and no more than least privilege allows.

use understudy::cluster::rbac;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/10-rbac.yaml");

#[test]
fn rbac_manifest_is_current() {
    let wanted = rbac::manifest("understudy-system");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(FILE, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(FILE).unwrap_or_default();
    assert_eq!(
        found, wanted,
        "deploy/10-rbac.yaml is out of date: UPDATE=1 cargo test --test deploy_is_current"
    );
}

#[test]
fn nothing_is_granted_that_is_never_used() {
    for rule in rbac::RULES {
        assert!(!rule.verbs.contains(&"*") && rule.resource != "*" && rule.group != "*", "{rule:?}");
        let taboo = ["secrets", "pods/exec", "pods/log", "serviceaccounts", "roles", "clusterroles", "nodes"];
        assert!(!taboo.contains(&rule.resource), "{rule:?}");
        if rule.resource == "pods" {
            assert!(rule.verbs.iter().all(|v| ["list", "watch"].contains(v)), "{rule:?}");
        }
    }
}
