//! Slots: what runs in them, how their pods are told apart, and which Services lead to them.
//!
//! Everything here is computed from objects that are passed in. This module knows no API server and no clock.

pub mod both;
pub mod capacity;
pub mod companions;
pub mod covering;
pub mod labels;
pub mod selector;
pub mod services;
pub mod slot;
pub mod template;
