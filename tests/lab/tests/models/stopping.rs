//! A pod that goes while traffic flows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lab::load::{Config, Images, Question, Target, attribute, start};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::support::{Server, models};

/// As a Service's address: a new connection goes to one of two pods, a connection stays where it is.
async fn service(old: SocketAddr, new: SocketAddr, followed: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            let pod = if followed.load(Ordering::Relaxed) { new } else { old };
            tokio::spawn(async move {
                let mut pod = TcpStream::connect(pod).await?;
                copy_bidirectional(&mut caller, &mut pod).await
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_stops_under_300_requests_per_second_loses_none() {
    let [old, new] = [Server::start("1.0.0").await, Server::start("1.1.0").await];
    let followed = Arc::new(AtomicBool::new(false));
    let address = service(old.address, new.address, Arc::clone(&followed)).await;
    let kept = Target { rate: 200.0, ..Target::service(address, true) };
    let fresh = Target { rate: 100.0, ..Target::service(address, false) };
    let images = Images::read(&models().holdout).expect("the holdout");
    let load = start(Config::new(vec![kept, fresh], Duration::from_secs(5)), images).expect("load");

    tokio::time::sleep(Duration::from_secs(1)).await;
    let stopped = old.stop();
    // Rules follow a moment later; new connections still reach the pod that stops.
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(!stopped.is_finished(), "it left before anybody knew");
    followed.store(true, Ordering::Relaxed);
    let left = tokio::time::timeout(Duration::from_secs(3), stopped).await;
    left.expect("it leaves when nobody comes any more").expect("no panic").expect("a clean end");
    assert!(!load.is_finished(), "it left only when the load was over");

    let recording = load.finished().await.expect("a recording");
    let question = Question { pods: &[], bad: &[], slow_after: Duration::from_millis(500) };
    let report = attribute(&recording, None, &question);
    assert_eq!(report.outside, 0, "{}", report.table());
    assert!(report.requests >= 1450, "{}", report.table());
    assert!(report.versions["1.0.0"].requests > 250, "{}", report.table());
    assert!(report.versions["1.1.0"].requests > 700, "{}", report.table());
}

#[tokio::test]
async fn while_it_drains_it_is_not_ready_and_asks_to_close_connections() {
    let server = Server::start("1.0.0").await;
    let address = server.address;
    let stopped = server.stop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let connections = lab::load::Connections::new(address, lab::load::Mode::NewConnection);
    let request = http::Request::get("/readyz").header("host", "test").body(http_body_util::Full::default());
    let answer = connections.send(request.expect("valid")).await.expect("an answer");
    assert_eq!(answer.code, 503);
    assert_eq!(answer.headers["connection"], "close");
    stopped.await.expect("no panic").expect("a clean end");
}

#[tokio::test]
async fn requests_that_never_end_do_not_keep_a_pod() {
    let server = Server::start("1.5.0").await;
    let address = server.address;
    let waiting = tokio::spawn(async move {
        let connections = lab::load::Connections::new(address, lab::load::Mode::NewConnection);
        let body = super::support::holdout()[0].to_string();
        let request = http::Request::post("/predict").header("host", "test").body(body.into());
        connections.send(request.expect("valid")).await
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stopped = tokio::time::timeout(Duration::from_secs(15), server.stop()).await;
    stopped.expect("it leaves in time").expect("no panic").expect("a clean end");
    waiting.abort();
}
