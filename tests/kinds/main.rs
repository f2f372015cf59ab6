//! The three kinds: their schemas, what they refuse, and that what they accept can be read.

mod cases;
mod read;
mod schema;
mod server;

/// Every case on a real API server. It installs the kinds there and creates objects in the namespace `default`, so it
/// asks for a server by a variable of its own: `LAB_KUBECONFIG=... cargo test --test kinds -- --ignored`.
#[tokio::test]
#[ignore = "needs the API server of a lab: its kubeconfig in LAB_KUBECONFIG"]
async fn the_api_server_refuses_and_accepts_what_the_cases_say() {
    let path = std::env::var("LAB_KUBECONFIG").expect("LAB_KUBECONFIG names the kubeconfig of a lab");
    let kubeconfig = kube::config::Kubeconfig::read_from(path).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    server::install(&client).await.unwrap();
    let wrong = server::wrong(&client).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
