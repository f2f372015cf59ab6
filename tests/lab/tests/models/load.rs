//! The load keeps its rate, its bounds and its books.

use std::time::{Duration, Instant};

use lab::load::{Config, Images, Outcome, Question, Target, attribute, start};

use super::support::{Server, models};

fn images() -> Images {
    Images::read(&models().holdout).expect("the holdout")
}

fn question() -> Question<'static> {
    Question { pods: &[], bad: &[], slow_after: Duration::from_millis(50) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_sends_steadily_and_stops_by_itself() {
    let server = Server::start("1.1.0").await;
    let began = Instant::now();
    let load = start(Config::new(vec![Target::gateway(server.address)], Duration::from_secs(2)), images());
    let recording = load.expect("load").finished().await.expect("a recording");
    assert!((1.9..8.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
    assert_eq!(recording.records.len(), 600);
    // Open loop: half of the requests leave in the first half, however busy the machine is.
    let early = recording.records.iter().filter(|record| record.sent < 1_000_000).count();
    assert!((200..=310).contains(&early), "{early} in the first second");

    let report = attribute(&recording, None, &question());
    let version = &report.versions["1.1.0"];
    assert_eq!((report.failures, version.requests, version.failed.count), (0, 600, 0), "{}", report.table());
    assert!(version.accuracy.is_some_and(|accuracy| accuracy > 0.95), "{}", report.table());
    assert_eq!(version.correct + version.wrong.count, 600);
    let feedback = server.metric("feedback_total").await;
    assert!((80.0..=160.0).contains(&feedback), "{feedback} of 600 are feedback; a fifth was asked for");
    let predicted = server.metric(r#"http_requests_total{code="200",path="/predict"}"#).await;
    assert_eq!(predicted + feedback, 600.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_of_requests_or_a_word_ends_it_early() {
    let server = Server::start("1.0.0").await;
    let mut config = Config::new(vec![Target::service(server.address, false)], Duration::from_secs(60));
    config.count = Some(10);
    let counted = start(config.clone(), images()).expect("load").finished().await.expect("a recording");
    assert_eq!(counted.records.len(), 10);

    config.count = None;
    let load = start(config, images()).expect("load");
    tokio::time::sleep(Duration::from_millis(300)).await;
    load.stop();
    let stopped = tokio::time::timeout(Duration::from_secs(5), load.finished()).await;
    let stopped = stopped.expect("it ends soon").expect("a recording");
    assert!((5..=30).contains(&stopped.records.len()), "{}", stopped.records.len());
    assert!(stopped.records.iter().all(|record| record.outcome == Outcome::Answered(200)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_can_be_watched_while_it_runs() {
    let server = Server::start("1.2.0").await;
    let config = Config::new(vec![Target::gateway(server.address)], Duration::from_secs(3));
    let load = start(config, images()).expect("load");
    let read = load.reader();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let live = read();
    assert!((1.4..3.0).contains(&live.seconds), "{live:?}");
    assert!((200.0..=330.0).contains(&live.rate), "{live:?}");
    let counts = &live.versions["1.2.0"];
    assert!(counts.requests > 300 && counts.wrong > 20 && counts.correct > counts.wrong, "{live:?}");
    assert_eq!(counts.requests, live.total.requests);
    let recording = load.finished().await.expect("a recording");
    assert_eq!(read().total.requests, recording.records.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_the_callers_patience_and_no_more() {
    let server = Server::start("1.5.0").await;
    let mut config = Config::new(vec![Target::gateway(server.address)], Duration::from_secs(1));
    config.timeout = Duration::from_millis(400);
    let recording = start(config, images()).expect("load").finished().await.expect("a recording");
    assert_eq!(recording.records.len(), 300, "a closed loop would have sent fewer");
    let report = attribute(&recording, None, &question());
    assert_eq!(report.versions["(none)"].errors["timeout"], 300, "{}", report.table());
    assert!(recording.records.iter().all(|record| (390_000..1_500_000).contains(&record.taken)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_listens_every_request_is_refused_and_counted_as_outside() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = gone.local_addr().expect("it is bound");
    drop(gone);
    let mut config = Config::new(vec![Target::service(address, true)], Duration::from_secs(60));
    config.count = Some(20);
    let recording = start(config, images()).expect("load").finished().await.expect("a recording");
    let report = attribute(&recording, None, &question());
    assert_eq!((report.outside, report.versions["(none)"].errors["refused"]), (20, 20), "{}", report.table());
}
