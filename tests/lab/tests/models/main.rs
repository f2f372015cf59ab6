//! The models that the lab serves, the process that serves them, and the load that tells who did what.

mod attribution;
mod load;
mod manifests;
mod predictions;
mod serving;
mod stopping;
mod support;
