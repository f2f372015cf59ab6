//! Every reason that a rollout can give is explained in docs/conditions.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Functions whose next string literal is a reason.
const SAYS: [&str; 12] = [
    "hold(",
    "stall(",
    "stall_for(",
    "warn(",
    "Err((",
    "Cause::reject(",
    "Cause::leave(",
    "reason: ",
    "Finding::no(",
    "Some((",
    "Some((signal",
    "Wanted::Refused((",
];

/// Words that are states rather than reasons a person looks up.
const STATES: [&str; 3] = ["Starting", "Waiting", "Deleting"];

fn reasons(text: &str, out: &mut BTreeSet<String>) {
    for says in SAYS {
        for rest in text.split(says).skip(1) {
            let Some(literal) = rest.trim_start().strip_prefix('"') else { continue };
            let word = literal.split('"').next().unwrap_or_default();
            let camel = word.chars().next().is_some_and(|c| c.is_ascii_uppercase())
                && word.chars().all(|c| c.is_ascii_alphanumeric());
            if camel && !STATES.contains(&word) {
                out.insert(word.to_owned());
            }
        }
    }
}

fn walk(path: &Path, out: &mut BTreeSet<String>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, out);
        } else {
            reasons(&fs::read_to_string(&path).unwrap_or_default(), out);
        }
    }
}

#[test]
fn every_reason_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    walk(&root.join("src/rollout"), &mut found);
    assert!(found.len() > 25, "the search finds the reasons: {found:?}");
    let docs = fs::read_to_string(root.join("docs/conditions.md")).expect("docs/conditions.md exists");
    let missing: Vec<_> = found.iter().filter(|r| !docs.contains(&format!("`{r}`"))).collect();
    assert!(missing.is_empty(), "explain in docs/conditions.md: {missing:?}");
}
