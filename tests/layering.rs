//! The pure modules know no client, no runtime and no clock, and arrows between modules point one way.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules that decide. They get the time and the world as values.
const PURE: [&str; 13] = [
    "api",
    "presets",
    "registry",
    "analysis",
    "plot",
    "workload",
    "traffic",
    "rollout",
    "simulate",
    "course",
    "synthetic",
    "backtest",
    "preview",
];

/// Words that stand for I/O, a runtime or a clock.
const FORBIDDEN: [&str; 14] = [
    "tokio::",
    "futures::",
    "reqwest",
    "axum",
    "kube::Client",
    "kube::Api",
    "kube::runtime",
    "Utc::now",
    "Local::now",
    "SystemTime",
    "Instant::now",
    "std::fs",
    "std::net",
    "std::env",
];

/// Which modules each module may use. What is not listed here may use everything.
const ARROWS: [(&str, &[&str]); 13] = [
    ("api", &["api"]),
    ("presets", &["presets", "api"]),
    ("analysis", &["analysis"]),
    ("plot", &["plot", "analysis"]),
    ("registry", &["registry", "api"]),
    ("workload", &["workload", "api"]),
    ("traffic", &["traffic", "workload", "api"]),
    ("rollout", &["rollout", "analysis", "registry", "workload", "traffic", "api"]),
    ("course", &["course", "rollout", "analysis", "api"]),
    ("backtest", &["backtest", "course", "plot", "rollout", "analysis", "api"]),
    ("preview", &["preview", "backtest", "rollout", "analysis", "api"]),
    ("synthetic", &["synthetic", "course", "presets", "rollout", "analysis", "api"]),
    ("measure", &["measure", "analysis"]),
];

fn sources(module: &str) -> Vec<PathBuf> {
    fn walk(path: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut out = Vec::new();
    walk(&root.join(module), &mut out);
    out.extend(Some(root.join(format!("{module}.rs"))).filter(|p| p.exists()));
    out
}

/// Lines of code, without comments and without the tests at a file's end.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).expect("a source file can be read");
    let lines = text.lines().map(str::to_owned).enumerate();
    lines
        .take_while(|(_, l)| !l.starts_with("#[cfg(test)]"))
        .filter(|(_, l)| !l.trim_start().starts_with("//"))
        .map(|(n, l)| (n + 1, l))
        .collect()
}

fn is_test(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == "tests")
        || path.file_stem().is_some_and(|s| s.to_string_lossy().contains("test"))
}

#[test]
fn pure_modules_reach_for_no_io_no_runtime_and_no_clock() {
    let mut found = Vec::new();
    for module in PURE {
        for path in sources(module).into_iter().filter(|p| !is_test(p)) {
            for (number, line) in code(&path) {
                for word in FORBIDDEN.iter().filter(|w| line.contains(**w)) {
                    found.push(format!("{}:{number}: {word}", path.display()));
                }
            }
        }
    }
    assert!(found.is_empty(), "pure modules must get what they need as values:\n{}", found.join("\n"));
}

#[test]
fn arrows_point_one_way() {
    let mut found = Vec::new();
    for (module, allowed) in ARROWS {
        for path in sources(module).into_iter().filter(|p| !is_test(p)) {
            for (number, line) in code(&path) {
                for used in line.split("crate::").skip(1) {
                    let name: String =
                        used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    if !name.is_empty() && !allowed.contains(&name.as_str()) {
                        found.push(format!("{}:{number}: {module} -> {name}", path.display()));
                    }
                }
            }
        }
    }
    assert!(found.is_empty(), "these arrows point the wrong way:\n{}", found.join("\n"));
}

#[test]
fn no_source_file_is_longer_than_400_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = fs::read_dir(root.join("src")).into_iter().flatten().flatten();
    let modules = all.map(|e| e.path().file_stem().unwrap_or_default().to_string_lossy().into_owned());
    let long: Vec<String> = modules
        .flat_map(|m| sources(&m))
        .filter_map(|p| {
            let lines = fs::read_to_string(&p).ok()?.lines().count();
            (lines > 400).then(|| format!("{}: {lines}", p.display()))
        })
        .collect();
    assert!(long.is_empty(), "split these files:\n{}", long.join("\n"));
}

#[test]
fn the_test_itself_sees_what_it_looks_for() {
    assert!(sources("rollout").len() > 20, "the walk finds the state machine");
    let decide = sources("rollout").into_iter().find(|p| p.ends_with("decide.rs")).expect("decide.rs exists");
    assert!(code(&decide).iter().any(|(_, l)| l.contains("pub fn decide")));
}
