//! One Service that selects both arms at once: how traffic is split where there is no gateway.

use std::collections::BTreeMap;
use std::fmt;

use super::labels::{selected_slot, selector_for};
use crate::api::{Adoption, Slot, keys};

type Labels = BTreeMap<String, String>;

/// What a Service's selector leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The pods of one slot.
    Slot(Slot),
    /// The pods of the stable version and of the candidate.
    Both,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot(slot) => write!(f, "slot {slot}"),
            Self::Both => f.write_str("both versions"),
        }
    }
}

/// The selector that both arms' pods have: what the user's says apart from the changed labels, and what only the pods of
/// this workload share. Between slots that is a label of ours. The origin's pods have none of ours, so while it is the stable
/// arm it is every other label of its template. Nothing when there is no such label.
pub fn selector(
    adoption: &Adoption,
    original: &Labels,
    stable: Slot,
    origin_labels: &Labels,
    workload: &str,
) -> Option<Labels> {
    let unchanged = |(key, _): &(&String, &String)| !adoption.labels.contains_key(*key);
    let own = |labels: &Labels| -> Labels {
        labels.iter().filter(unchanged).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let mut out = own(original);
    match stable {
        Slot::Origin => {
            let shared = own(origin_labels);
            if shared.is_empty() {
                return None;
            }
            out.extend(shared);
        }
        Slot::A | Slot::B => drop(out.insert(keys::WORKLOAD.to_owned(), workload.to_owned())),
    }
    Some(out)
}

/// The selector that leads there; nothing where both arms have no label in common that would do.
pub fn wanted(adoption: &Adoption, original: &Labels, reach: Reach, both: Option<&Labels>) -> Option<Labels> {
    match reach {
        Reach::Slot(slot) => Some(selector_for(adoption, original, slot)),
        Reach::Both => both.cloned(),
    }
}

/// What a selector leads to; nothing when it is none that we would write.
pub fn reached(
    adoption: &Adoption,
    original: &Labels,
    both: Option<&Labels>,
    selector: &Labels,
) -> Option<Reach> {
    let slot = selected_slot(adoption, original, selector).map(Reach::Slot);
    slot.or_else(|| (both == Some(selector)).then_some(Reach::Both))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::OriginalSelector;

    fn labels(list: &[(&str, &str)]) -> Labels {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn adoption() -> Adoption {
        let selector = labels(&[("app", "scorer"), ("tier", "model")]);
        let services = vec![OriginalSelector { name: "scorer".into(), selector, owners: Vec::new() }];
        Adoption { labels: labels(&[("app", "scorer")]), services }
    }

    #[test]
    fn between_slots_the_label_of_ours_selects_both() {
        let (adoption, origin) = (adoption(), labels(&[("app", "scorer"), ("tier", "model")]));
        let original = &adoption.services[0].selector;
        let both = selector(&adoption, original, Slot::A, &origin, "scorer");
        assert_eq!(both, Some(labels(&[("tier", "model"), (keys::WORKLOAD, "scorer")])));
        assert_eq!(reached(&adoption, original, both.as_ref(), both.as_ref().unwrap()), Some(Reach::Both));
    }

    #[test]
    fn with_the_origin_as_stable_every_shared_label_is_asked_for() {
        let adoption = adoption();
        let original = &adoption.services[0].selector;
        let of = |list| selector(&adoption, original, Slot::Origin, &labels(list), "scorer");
        let shared = [("app", "scorer"), ("team", "fraud"), ("tier", "model")];
        assert_eq!(of(&shared), Some(labels(&[("team", "fraud"), ("tier", "model")])));
        assert_eq!(of(&[("app", "scorer")]), None, "the label that tells the slots apart is none in common");
    }

    #[test]
    fn a_selector_of_one_slot_is_told_from_that_of_both() {
        let adoption = adoption();
        let original = &adoption.services[0].selector;
        let both = labels(&[("tier", "model"), (keys::WORKLOAD, "scorer")]);
        let at = |selector: &Labels| reached(&adoption, original, Some(&both), selector);
        for reach in [Reach::Slot(Slot::Origin), Reach::Slot(Slot::B), Reach::Both] {
            assert_eq!(at(&wanted(&adoption, original, reach, Some(&both)).unwrap()), Some(reach));
        }
        assert_eq!(at(&labels(&[("tier", "model")])), None);
    }
}
