//! The process that serves one version of the model `digits`: the real input of the tests and the demo.
//!
//! It loads the artifact that its environment names, refuses one whose digest is another, answers predictions, counts
//! feedback, and stops as a well-behaved server does: it says that it is not ready, keeps serving what still arrives,
//! asks its clients to connect elsewhere, and leaves when nobody has come for a moment.

mod artifact;
mod drain;
mod inference;
mod metrics;
mod routes;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::serve::ListenerExt as _;
use tokio::net::{TcpListener, TcpSocket};

pub use artifact::Artifact;
pub use inference::{Image, Refused, Scores};
pub use routes::{POD_HEADER, VERSION_HEADER};

/// What the process is told by its environment (each has a flag of the same meaning for trying by hand).
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The artifact: a path or a file:// URL.
    #[arg(long, env = "MODEL_URI")]
    pub model_uri: String,
    /// Its registered digest, `sha256:<hex>`. The server refuses to serve anything else.
    #[arg(long, env = "MODEL_DIGEST")]
    pub model_digest: String,
    /// The version it must be.
    #[arg(long, env = "MODEL_VERSION")]
    pub model_version: String,
    /// The address to serve on.
    #[arg(long, env = "POD_IP", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub address: IpAddr,
    /// The port to serve on.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Named in every answer, so that a caller knows which pod it got.
    #[arg(long, env = "POD_NAME", default_value = "")]
    pub pod: String,
    /// Extra time that loading takes, as large weights do.
    #[arg(long, env = "MODEL_LOAD_MILLIS", default_value_t = 0)]
    pub load_millis: u64,
    /// How long, at least, it keeps accepting connections once told to stop.
    #[arg(long, env = "DRAIN_MILLIS", default_value_t = 2000)]
    pub drain_millis: u64,
}

/// Runs the verb `lab model-server` until SIGTERM or SIGINT.
///
/// One thread: a prediction takes microseconds, and a test machine has few cores.
///
/// # Errors
/// When the artifact cannot be loaded or is not what was registered, or the address cannot be served on.
pub fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let address = SocketAddr::new(args.address, args.port);
        let listener = listen(address).with_context(|| format!("cannot listen on {address}"))?;
        serve(args, listener, drain::told_to_stop()).await
    });
    // Requests that never end must not keep the process.
    runtime.shutdown_background();
    served
}

/// With room for the connections that arrive while a busy machine keeps us waiting.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Serves on `listener` until `stop` resolves, then drains.
///
/// # Errors
/// When the artifact cannot be loaded or is not what was registered.
pub async fn serve(
    args: &Args,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let state = Arc::new(routes::Served::new(args)?);
    let told = Arc::clone(&state);
    let minimum = Duration::from_millis(args.drain_millis);
    let (drained, done) = tokio::sync::oneshot::channel();
    let drain = async move {
        stop.await;
        drain::drain(&told.drain, minimum).await;
        // The receiver is gone when serving has failed already; then there is nothing to tell.
        let _gone = drained.send(());
    };
    // Without this the answers wait for acknowledgements of the kernel's own delay.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::warn!(%error, "cannot set TCP_NODELAY");
        }
    });
    let serving = axum::serve(listener, routes::router(Arc::clone(&state))).with_graceful_shutdown(drain);
    let finished = async {
        // An error means that serving ended without a drain; the other arm reports it.
        if done.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(drain::FINISH_LIMIT).await;
    };
    let mut serving = std::pin::pin!(serving.into_future());
    let mut finished = std::pin::pin!(finished);
    let mut load = std::pin::pin!(load(args));
    let mut loaded = false;
    loop {
        tokio::select! {
            model = &mut load, if !loaded => {
                state.loaded(model?);
                loaded = true;
            }
            ended = &mut serving => return ended.context("serving failed"),
            () = &mut finished => {
                let waiting = state.in_flight();
                tracing::warn!(waiting, "left with requests that did not end");
                return Ok(());
            }
        }
    }
}

/// Reads and checks the artifact, off the runtime.
async fn load(args: &Args) -> Result<Artifact> {
    tokio::time::sleep(Duration::from_millis(args.load_millis)).await;
    let path = PathBuf::from(args.model_uri.strip_prefix("file://").unwrap_or(&args.model_uri));
    let (digest, version) = (args.model_digest.clone(), args.model_version.clone());
    let loading = tokio::task::spawn_blocking(move || Artifact::load(&path, &digest, &version));
    loading.await.context("loading the artifact was cut short")?
}
