//! `understudy plan`: the same samples, of stable alone and before anything moves.

use std::time::SystemTime;

use serde_json::Value;

use super::made_up::{self, T0, World};
use super::real::{installed, start, written};
use super::traffic::{AFTER, SCRAPE, pods};
use super::{Folder, exit, manifest};

/// A plan from the hour before the candidate's start.
fn plan(world: &World, manifest: &str, more: &[&str]) -> (i32, String, String) {
    let file = world.folder.write("rollout.yaml", manifest);
    let (at, uri) = (T0.to_string(), world.server.uri());
    let mut args = vec!["plan", file.as_str()];
    for (option, value) in
        [("--prometheus", uri.as_str()), ("--at", at.as_str()), ("--stable", "pod=~\"fraud-a-.*\"")]
    {
        if !more.contains(&option) {
            args.extend([option, value]);
        }
    }
    args.extend(more);
    exit(&args)
}

fn in_json(world: &World, manifest: &str) -> (i32, Value) {
    let (code, out, error) = plan(world, manifest, &["-o", "json"]);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}")))
}

fn line<'a>(text: &'a str, begin: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("no {begin:?} in {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_can_decide_is_in_time_with_a_table_and_exit_code_0() {
    let world = made_up::world("plan-good", 1, 900, -7200).await;
    let (code, text, error) = plan(&world, &manifest(""), &[]);
    assert_eq!((code, error.as_str()), (0, ""), "{text}");
    let cells = |begin| -> Vec<String> {
        line(&text, begin).split("  ").map(str::trim).filter(|c| !c.is_empty()).map(str::to_owned).collect()
    };
    // 400 requests each 15 s, of which the candidate gets 5 % and 25 %.
    assert_eq!(cells("errors ")[..2], ["errors", "26.67"], "{text}");
    assert_eq!(cells("errors ")[3], "2 times as many bad");
    assert_eq!(cells("step 1"), ["step 1", "5 %", "5 min", "5 min", "1.33"]);
    assert_eq!(cells("step 2"), ["step 2", "25 %", "5 min", "5 min", "6.67"]);
    assert_eq!(cells("watch"), ["watch", "99 %", "20 min", "20 min", "26.40"]);
    assert!(text.contains("Looks every 15 s, scraped every 15 s."), "{text}");
    assert!(line(&text, "In time: ").contains("typical run"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_slow_says_what_would_do_and_with_that_it_is_in_time() {
    let world = made_up::world("plan-slow", 1, 900, -7200).await;
    let hasty = manifest("").replace("evidence: 30m", "evidence: 1m");
    let (code, found) = in_json(&world, &hasty);
    assert_eq!((code, &found["inTime"]), (1, &Value::Bool(false)), "{found:#}");
    let slow = found["tooSlow"][0].as_str().unwrap();
    assert!(slow.starts_with("errors: the proof takes about "), "{slow}");
    let deadline = slow.rsplit("deadlines.evidence: ").next().unwrap().strip_suffix(" would do").unwrap();
    let (code, found) = in_json(&world, &hasty.replace("evidence: 1m", &format!("evidence: {deadline}")));
    assert_eq!((code, &found["inTime"]), (0, &Value::Bool(true)), "{deadline}: {found:#}");
    assert!(found["metrics"][0]["proofSeconds"].as_i64() > Some(600), "{found:#}");
    let (_, text, _) = plan(&world, &hasty, &[]);
    assert_eq!(line(&text, "Too slow: "), format!("Too slow: {slow}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ab_test_and_a_budget_are_reckoned() {
    let world = made_up::world("plan-ab", 1, 900, -7200).await;
    let more = manifest("")
        .replace("{weight: 25, hold: 5m}", "{weight: 25, hold: 5m, abTest: {metric: errors, sessions: 6000}}")
        .replace("    canary: {", "    shadow: {duration: 1h, minRequests: 0, budget: {costPerThousandRequests: '0.5', limit: '40'}}\n    canary: {");
    let (code, found) = in_json(&world, &more);
    assert_eq!(code, 1, "{found:#}");
    let step = &found["stages"][2];
    let seconds = step["abTest"]["seconds"].as_f64().unwrap();
    // 6,000 sessions of the candidate at a quarter of 26.67 a second.
    assert!((seconds - 900.0).abs() < 5.0 && step["atLeastSeconds"] == step["abTest"]["seconds"], "{step:#}");
    let width = step["abTest"]["halfWidth"].as_f64().unwrap();
    assert!((width - 1.96 * (2.0 * 0.01 * 0.99 / 6000.0_f64).sqrt()).abs() < 2e-5, "{width}");
    let cost = &found["shadowCost"];
    assert_eq!(cost["overLimit"], true);
    let said = cost["message"].as_str().unwrap();
    assert!(said.contains("more than its limit of 40") && said.contains("(96,000 requests)"), "{said}");
    let (code, found) = in_json(&world, &more.replace("limit: '40'", "limit: '50'"));
    assert_eq!((code, &found["shadowCost"]["overLimit"]), (0, &Value::Bool(false)), "{found:#}");
    // An hour of shadow, two steps, the watch.
    assert!(found["atLeastSeconds"].as_f64().unwrap() >= 3600.0 + 300.0 + seconds + 1200.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_would_refuse_is_said_with_its_words() {
    let mut often = pods(1);
    often[0].failure_in = 3;
    let world = made_up::of("plan-refused", often, 900, -7200).await;
    let (code, text, _) = plan(&world, &manifest(""), &[]);
    assert_eq!(code, 1, "{text}");
    let said = line(&text, "It would not begin (EventFrequent): ");
    assert!(said.contains("33 % of stable's events are bad") && said.contains("passFail: true"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_without_traffic_is_too_slow_and_a_short_one_is_said() {
    let mut idle = pods(1);
    idle[0].requests = 0;
    let world = made_up::of("plan-idle", idle, 900, -7200).await;
    let (code, text, _) = plan(&world, &manifest(""), &[]);
    assert_eq!(code, 1, "{text}");
    assert!(line(&text, "Too slow: errors: ").contains("its 100 samples do not come"), "{text}");
    let young = made_up::world("plan-young", 1, 900, -900).await;
    let (code, text, _) = plan(&young, &manifest(""), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(line(&text, "Note: only ").contains("of stable are known in this hour"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_ends_with_2_and_says_why() {
    let world = made_up::world("plan-errors", 1, 900, -7200).await;
    let says = |manifest: &str, more: &[&str], words: &[&str]| {
        let (code, out, error) = plan(&world, manifest, more);
        assert_eq!((code, out.as_str()), (2, ""), "{error}");
        words.iter().for_each(|word| assert!(error.contains(word), "{word:?} is not in {error}"));
    };
    let ours = manifest("");
    says(&ours, &["--prometheus", "http://127.0.0.1:1"], &["cannot be reached", "port-forward"]);
    says(
        &ours,
        &["--stable", "pod=~\"other-.*\""],
        &["no series of the stable", "Asked: ", "other-.*", "are scraped"],
    );
    says(&ours, &["--at", "2200-01-01T00:00:00Z"], &["--at 2200-01-01T00:00:00Z lies in the future"]);
    let shown =
        ours.replace("total: http_requests_total}}", "total: http_requests_total}, observeOnly: true}");
    says(&shown, &[], &["no metric that decides", "spec.analysis.metrics"]);
    let file = world.folder.write("rollout.yaml", &ours);
    let (code, _, error) = exit(&["plan", &file, "--prometheus", &world.server.uri()]);
    assert_eq!(code, 2);
    assert!(error.contains("say --stable 'pod=~\"...\"'"), "{error}");
}

#[test]
fn on_a_real_prometheus_it_reckons_from_the_same_hour() {
    if !installed() {
        eprintln!("not run: there is no prometheus or promtool here");
        return;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    let t0 = (now - 3 * AFTER) / SCRAPE * SCRAPE;
    let folder = Folder::new("plan-real");
    let server = start(&folder, &written(t0, 1).0);
    let (file, at) = (folder.write("rollout.yaml", &manifest("")), t0.to_string());
    let args = ["plan", &file, "--prometheus", &server.1, "--at", &at, "--stable", "pod=~\"fraud-a-.*\""];
    let (code, out, error) = exit(&[&args[..], &["-o", "json"]].concat());
    assert_eq!(code, 0, "{out}{error}");
    let found: Value = serde_json::from_str(&out).unwrap();
    let rate = found["metrics"][0]["perSecond"].as_f64().unwrap();
    assert!((rate - 400.0 / 15.0).abs() < 0.2, "{rate}");
    assert_eq!(found["scrapeSeconds"], 15.0);
}
