//! The statistics against a reference: golden traces, simulated rollouts, and the rules of a look.

mod counted;
mod golden;
mod looks;
mod samples;
mod simulation;
mod studies;
mod values;
