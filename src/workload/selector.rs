//! Label selectors, as plain JSON has them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};
use serde_json::Value;

/// Whether a label selector admits pods with these labels: an empty one admits all, none at all or one that cannot be read
/// admits none.
pub fn admits(selector: Option<&Value>, labels: &BTreeMap<String, String>) -> bool {
    let read = selector.and_then(|value| serde_json::from_value::<LabelSelector>(value.clone()).ok());
    let selector = read.and_then(|selector| Selector::try_from(selector).ok());
    selector.is_some_and(|selector| selector.matches(labels))
}
