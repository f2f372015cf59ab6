//! Pictures, as SVG text: how a metric's arms, limit and evidence went over time. Pure; no font is measured, no library is
//! needed.

pub mod axis;
mod chart;
mod marks;
mod point;
pub mod svg;

pub use axis::Unit;
pub use chart::{Chart, Mark};
pub use point::{Point, unit};
pub use svg::{Anchor, Area, Svg};
