//! A namespace that exists only in memory, with everything in it that a rollout meets: the user's objects, an API server
//! that refuses stale writes, controllers that make pods and endpoints, a gateway that divides requests by the route as it
//! stands, and a Prometheus that counts them. A script tells what people and versions do; the operator's own
//! [`decide`](crate::rollout::decide) does the rest. What it does is written down line by line, and the promises of the
//! crate are checked after every write.
//!
//! Nothing here reads a clock or a file: the same script gives the same log, always.

mod check;
mod companions;
mod controllers;
mod end;
mod expect;
mod fields;
mod guard;
mod log;
mod network;
mod objects;
mod operator;
mod people;
mod prometheus;
mod routes;
mod run;
mod script;
mod server;
mod sessions;
mod setup;
mod slots;
mod traffic;
mod world;

pub use end::End;
pub use run::{Marks, Simulation, Trouble};
pub use script::{Script, ScriptError};
