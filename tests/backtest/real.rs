//! Against a real Prometheus with history that the test writes, where `prometheus` and `promtool` are installed.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::traffic::{AFTER, SCRAPE, pods};
use super::{Folder, backtest, manifest, understudy};

/// A Prometheus of this test, ended with it.
pub struct Prometheus(Child, pub String);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn installed() -> bool {
    let runs = |program: &str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    runs("promtool") && runs("prometheus")
}

pub fn start(folder: &Folder, history: &str) -> Prometheus {
    let (file, data) = (folder.write("history", history), folder.path("data"));
    let made =
        Command::new("promtool").args(["tsdb", "create-blocks-from", "openmetrics", &file, &data]).output();
    assert!(made.as_ref().is_ok_and(|made| made.status.success()), "{made:?}");
    let config = folder.write("prometheus.yml", "{}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={config}"))
        .arg(format!("--storage.tsdb.path={data}"))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(["--storage.tsdb.retention.time=10y", "--log.level=error"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Prometheus(child, format!("http://127.0.0.1:{port}"));
    let begin = Instant::now();
    while !ready(port) {
        assert!(begin.elapsed() < Duration::from_secs(30), "Prometheus does not start");
        std::thread::sleep(Duration::from_millis(100));
    }
    server
}

fn ready(port: u16) -> bool {
    use std::io::Read as _;
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let sent = stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n").is_ok();
    let mut text = String::new();
    sent && stream.read_to_string(&mut text).is_ok() && text.starts_with("HTTP/1.0 200")
}

/// The same counters as Prometheus' own text and as a trace for `judge`, which begins with the candidate.
pub fn written(t0: i64, times: u64) -> (String, String) {
    let (mut history, mut trace) =
        ("# TYPE http_requests counter\n".to_owned(), "ts,arm,series,name,value\n".to_owned());
    for (pod, arm) in pods(times).into_iter().zip(["base", "cand"]) {
        for (code, which) in [("200", 0), ("500", 1)] {
            for (t, good, bad) in pod.scrapes() {
                let value = if which == 0 { good } else { bad };
                history += &format!(
                    "http_requests_total{{job=\"x\",instance=\"{0}\",pod=\"{0}\",code=\"{code}\"}} {value} {1}\n",
                    pod.name,
                    t0 + t
                );
            }
        }
        for (t, good, bad) in pod.scrapes().filter(|(t, _, _)| *t >= 0) {
            trace += &format!("{0},{arm},{1},n,{2}\n{0},{arm},{1},x,{bad}\n", t0 + t, pod.name, good + bad);
        }
    }
    (history + "# EOF\n", trace)
}

#[test]
fn it_decides_on_real_history_what_judge_decides_on_the_same_samples() {
    if !installed() {
        eprintln!("not run: there is no prometheus or promtool here");
        return;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    let t0 = (now - 3 * AFTER) / SCRAPE * SCRAPE;
    let folder = Folder::new("real");
    let (history, trace) = written(t0, 3);
    let server = start(&folder, &history);
    let file = folder.write("rollout.yaml", &manifest(""));
    let (from, to) = (t0.to_string(), (t0 + AFTER).to_string());
    let arms = ["--stable", "pod=~\"fraud-a-.*\"", "--candidate", "pod=~\"fraud-b-.*\"", "-o", "json"];
    let args = ["-f", &file, "--prometheus", &server.1, "--from", &from, "--to", &to];
    let found = backtest(&[&args[..], &arms[..]].concat()).unwrap();
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["outcome"], "RolledBack", "{found:#}");
    let breach = found["decisions"].as_array().unwrap().iter().find(|d| d["what"] == "Breach").unwrap();
    let numbers = &breach["numbers"];

    // The same budget and planned looks as the manifest gives the canary's ledger.
    let alpha = (-numbers["barWorse"].as_f64().unwrap()).exp().to_string();
    let trace = folder.write("trace.csv", &trace);
    let horizon = (5 + 30 + 5 + 30) * 4;
    let (alpha, horizon) = (format!("alpha={alpha}"), format!("horizon={horizon}"));
    let judged = understudy(&["judge", &trace, "errors", &alpha, &horizon]).unwrap();
    let looks: Vec<Vec<&str>> = judged.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let rollback = looks.iter().find(|look| look[5] == "ROLLBACK").expect("judge rolls back too");
    let (ts, n_candidate, n_stable, log_e): (i64, f64, f64, f64) = (
        rollback[0].parse().unwrap(),
        rollback[1].parse().unwrap(),
        rollback[2].parse().unwrap(),
        rollback[3].parse().unwrap(),
    );
    // The controller decides one scrape after the end of the look.
    assert_eq!(breach["seconds"].as_f64().unwrap() as i64, ts - t0 + SCRAPE);
    assert_eq!(numbers["candidate"]["n"].as_f64(), Some(n_candidate));
    assert_eq!(numbers["stable"]["n"].as_f64(), Some(n_stable));
    let ours = numbers["logEvidenceWorse"].as_f64().unwrap();
    assert!((ours - log_e).abs() < 1e-5, "{ours} and {log_e}");
}
