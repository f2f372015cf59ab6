//! One kind's objects in memory: what the watch says, and what our own writes returned before the watch did.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Namespace and name. The namespace is empty for kinds without one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// A key from its parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of an object.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.is_empty() {
            true => f.write_str(&self.name),
            false => write!(f, "{}/{}", self.namespace, self.name),
        }
    }
}

/// What a change did to an object: before and after.
pub type Change<T> = (Key, Option<Arc<T>>, Option<Arc<T>>);

struct Entry<T> {
    uid: String,
    version: u64,
    value: Arc<T>,
}

struct Inner<T> {
    objects: BTreeMap<Key, Entry<T>>,
    /// UIDs that we deleted and that the watch may still show for a while.
    gone: HashMap<Key, String>,
}

/// The objects of one kind.
///
/// Of one object (one UID) the newest resourceVersion that anyone showed is kept, so a pass after a write of ours sees
/// that write even while the watch lags, and a stale watch never takes it back.
pub struct Shelf<T> {
    inner: RwLock<Inner<T>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { inner: RwLock::new(Inner { objects: BTreeMap::new(), gone: HashMap::new() }) }
    }
}

/// The resourceVersion as the number that it is; 0 when it is none, which any other replaces.
fn version_of(meta: &ObjectMeta) -> u64 {
    meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0)
}

impl<T> Shelf<T> {
    /// The object of that name.
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.read().objects.get(key).map(|e| e.value.clone())
    }

    /// The objects of a namespace, by name.
    pub fn list(&self, namespace: &str) -> Vec<Arc<T>> {
        let from = Key::new(namespace, "");
        let inner = self.read();
        let range = inner.objects.range(from..).take_while(|(k, _)| k.namespace == namespace);
        range.map(|(_, e)| e.value.clone()).collect()
    }

    /// Keys and objects of all namespaces.
    pub fn all(&self) -> Vec<(Key, Arc<T>)> {
        self.read().objects.iter().map(|(k, e)| (k.clone(), e.value.clone())).collect()
    }

    /// Takes in one object, from the watch or from the answer to a write. `None` when it was known already or is older.
    pub fn put(&self, meta: &ObjectMeta, value: T) -> Option<Change<T>> {
        let mut inner = self.write();
        let key = Key::of(meta);
        put(&mut inner, key, meta, value)
    }

    /// The watch says that the object is no more.
    pub fn remove(&self, meta: &ObjectMeta) -> Option<Change<T>> {
        let key = Key::of(meta);
        let uid = meta.uid.as_deref().unwrap_or_default();
        let mut inner = self.write();
        if inner.gone.get(&key).is_some_and(|g| g == uid) {
            inner.gone.remove(&key);
        }
        take(&mut inner, key, uid)
    }

    /// We deleted the object: it is no more, whatever the watch still shows of it.
    pub fn forget(&self, key: Key, uid: &str) -> Option<Change<T>> {
        let mut inner = self.write();
        inner.gone.insert(key.clone(), uid.to_owned());
        take(&mut inner, key, uid)
    }

    /// A full list of a namespace, or of all of them, replaces what was known there; what we know to be newer stays.
    pub fn replace(&self, namespace: Option<&str>, listed: Vec<(ObjectMeta, T)>) -> Vec<Change<T>> {
        let mut inner = self.write();
        let mut changes = Vec::new();
        let keys: std::collections::HashSet<Key> = listed.iter().map(|(meta, _)| Key::of(meta)).collect();
        inner.gone.retain(|k, _| keys.contains(k) || namespace.is_some_and(|n| k.namespace != n));
        let mut missing: HashMap<Key, String> = inner
            .objects
            .iter()
            .filter(|(k, _)| namespace.is_none_or(|n| k.namespace == n))
            .map(|(k, e)| (k.clone(), e.uid.clone()))
            .collect();
        for (meta, value) in listed {
            let key = Key::of(&meta);
            missing.remove(&key);
            changes.extend(put(&mut inner, key, &meta, value));
        }
        for (key, uid) in missing {
            changes.extend(take(&mut inner, key, &uid));
        }
        changes
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner<T>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner<T>> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put<T>(inner: &mut Inner<T>, key: Key, meta: &ObjectMeta, value: T) -> Option<Change<T>> {
    let uid = meta.uid.clone().unwrap_or_default();
    let version = version_of(meta);
    if inner.gone.get(&key).is_some_and(|g| *g == uid) {
        return None;
    }
    if let Some(old) = inner.objects.get(&key)
        && version <= old.version
        && version != 0
        && (old.uid == uid || version < old.version)
    {
        return None;
    }
    inner.gone.remove(&key);
    let value = Arc::new(value);
    let old = inner.objects.insert(key.clone(), Entry { uid, version, value: value.clone() });
    Some((key, old.map(|e| e.value), Some(value)))
}

fn take<T>(inner: &mut Inner<T>, key: Key, uid: &str) -> Option<Change<T>> {
    if inner.objects.get(&key).is_none_or(|e| e.uid != uid) {
        return None;
    }
    let old = inner.objects.remove(&key)?;
    Some((key, Some(old.value), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(name: &str, uid: &str, version: &str) -> ObjectMeta {
        ObjectMeta {
            namespace: Some("n".into()),
            name: Some(name.into()),
            uid: Some(uid.into()),
            resource_version: Some(version.into()),
            ..ObjectMeta::default()
        }
    }

    fn at(shelf: &Shelf<i32>, name: &str) -> Option<i32> {
        shelf.get(&Key::new("n", name)).map(|v| *v)
    }

    #[test]
    fn a_watch_that_lags_does_not_take_our_own_write_back() {
        let shelf = Shelf::default();
        shelf.put(&meta("r", "u1", "98"), 0);
        assert!(shelf.put(&meta("r", "u1", "100"), 1).is_some(), "our write's answer");
        assert!(
            shelf.put(&meta("r", "u1", "99"), 9).is_none(),
            "the watch, older (as text it would be newer)"
        );
        assert!(shelf.put(&meta("r", "u1", "100"), 1).is_none(), "the watch's echo wakes nobody");
        assert_eq!(at(&shelf, "r"), Some(1));
        assert!(shelf.replace(None, vec![(meta("r", "u1", "99"), 9)]).is_empty(), "nor does a stale list");
        assert_eq!(at(&shelf, "r"), Some(1));
    }

    #[test]
    fn what_we_deleted_does_not_come_back_until_it_is_made_anew() {
        let shelf = Shelf::default();
        shelf.put(&meta("d", "u1", "5"), 1);
        shelf.forget(Key::new("n", "d"), "u1");
        assert!(shelf.put(&meta("d", "u1", "6"), 1).is_none(), "the watch has not seen the deletion yet");
        assert_eq!(at(&shelf, "d"), None);
        shelf.remove(&meta("d", "u1", "7"));
        shelf.put(&meta("d", "u2", "8"), 2);
        assert_eq!(at(&shelf, "d"), Some(2));
        shelf.remove(&meta("d", "u1", "7"));
        assert_eq!(at(&shelf, "d"), Some(2), "a late deletion of the former one is not one of this");
    }

    #[test]
    fn a_list_of_one_namespace_leaves_the_others_alone() {
        let shelf = Shelf::default();
        let mut other = meta("x", "u9", "3");
        other.namespace = Some("m".into());
        shelf.put(&other, 7);
        shelf.put(&meta("a", "u1", "4"), 1);
        let changes = shelf.replace(Some("n"), vec![(meta("b", "u2", "5"), 2)]);
        assert_eq!(changes.len(), 2);
        assert_eq!(shelf.list("n").iter().map(|v| **v).collect::<Vec<_>>(), [2]);
        assert_eq!(shelf.list("m").len(), 1);
    }
}
