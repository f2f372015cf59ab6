//! `make demo`: real versions of a real model are released, and taken back, on a real cluster.

pub mod lines;
#[cfg(test)]
mod sample;
pub mod snapshot;
pub mod view;
