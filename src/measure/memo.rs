//! What follows from the same texts at every look: selectors, and the regular expressions in them, which take longer to compile
//! than a look takes otherwise.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Results of a pure function by what they follow from. When it is full it begins anew.
pub struct Memo<V> {
    known: Mutex<BTreeMap<String, V>>,
    most: usize,
}

impl<V: Clone> Memo<V> {
    /// Keeps at most so many results.
    pub const fn of(most: usize) -> Self {
        Self { known: Mutex::new(BTreeMap::new()), most }
    }

    /// The result for a key; worked out when it is not known. An error is not kept.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn get<E>(&self, key: String, work: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let new = work()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.most {
            known.clear();
        }
        known.insert(key, new.clone());
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_worked_out_once_and_an_error_each_time() {
        let (memo, mut worked) = (Memo::of(2), 0);
        for (key, wanted) in [("a", 1), ("a", 1), ("b", 2), ("c", 3), ("a", 4)] {
            let found = memo.get(key.to_owned(), || {
                worked += 1;
                Ok::<_, ()>(worked)
            });
            assert_eq!(found, Ok(wanted), "{key}");
        }
        assert_eq!(memo.get("d".to_owned(), || Err("no")), Err("no"));
        assert_eq!(memo.get("d".to_owned(), || Ok::<_, ()>(9)), Ok(9));
    }
}
