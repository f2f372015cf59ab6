//! The lab: a real Kubernetes control plane, a real gateway and Prometheus on one machine, without containers.
//!
//! Everything runs in network, process and mount namespaces of its own, so two labs never meet, nothing
//! leaves the machine, and killing the first process of the namespaces ends all of it. Pods are processes:
//! the lab's node agent ([`node`]) starts them with addresses of their own.
//!
//! ```text
//! inside      re-executes the program in namespaces of its own; the first process in there
//! build       control plane, Contour, Envoy, CRDs: built once, cached under build/lab/cache
//! components  one file per program that the lab runs
//! lab         Lab::create: starts them in order; what tests and the demo hold in their hands
//! node        the node agent: pods as processes
//! models, model_server, load   real models, the process that serves one, and the callers
//! cli         the `lab` command; one file per verb
//! suite       the `main` of a test program whose tests share one lab
//! measured    what tests measured, for `docs/fits.md`
//! ```
//!
//! A test binary or the demo runs its own lab in-process:
//!
//! ```no_run
//! fn main() -> anyhow::Result<()> {
//!     lab::inside()?; // from here on: own namespaces; all ends with this process
//!     lab::block_on(async {
//!         let lab = lab::Lab::create(lab::Options::default()).await?;
//!         lab.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: demo}").await?;
//!         Ok(())
//!     })
//! }
//! ```

pub mod access_log;
pub mod apply;
pub mod audit;
pub mod build;
pub mod cli;
pub mod client;
pub mod components;
pub mod controller;
pub mod demo;
pub mod http;
pub mod images;
pub mod inside;
pub mod lab;
pub mod load;
pub mod measured;
pub mod model_server;
pub mod models;
pub mod net;
pub mod node;
pub mod paths;
pub mod pki;
pub mod process;
pub mod prometheus;
pub mod scenario;
pub mod state;
pub mod suite;
pub mod wait;

pub use inside::{block_on, inside};
pub use lab::{Lab, Options};
pub use paths::build_dir;
