//! One file for each phase. A phase looks at the draft and decides the next thing; it never waits and never acts.

pub mod canary;
pub mod deleting;
pub mod gate;
pub mod judged;
pub mod pending;
pub mod preparing;
pub mod resting;
pub mod rolling_back;
pub mod settling;
pub mod shadow;
pub mod watching;
