//! The three kinds: their schemas, what they refuse, and that what they accept can be read.

mod cases;
mod read;
mod schema;
