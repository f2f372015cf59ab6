//! The only module that talks to the API server: client, stores fed by watches, writes, status, Events and the Lease.
//!
//! It knows no rollout logic: it reads objects, and it carries out what a [`crate::rollout::Plan`] says, in its order.

pub mod apply;
pub mod client;
mod covering;
pub mod error;
pub mod events;
pub mod lease;
pub mod merge;
mod meter;
mod policies;
pub mod raw;
pub mod rbac;
mod rebase;
pub mod rows;
pub mod shelf;
pub mod status;
pub mod store;
pub mod stores;
pub mod topics;
mod watch;
mod write;
mod write_own;

pub use apply::Writer;
pub use covering::Covers;
pub use error::{Class, WriteError};
pub use stores::Stores;
