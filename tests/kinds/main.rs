//! The three kinds: their schemas, and that what they accept can be read. What they refuse is tried on the lab's API
//! server (`tests/lab/tests/kinds`).

mod cases;
mod read;
mod schema;
