//! A map of bounded size whose entries expire. When it is full, the entry that would expire first is evicted. The
//! longest waits expire last, so a flood of new entries cannot push them out.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// A bounded map with expiring entries. `get` takes O(1), `put` and `remove` O(log n).
pub(super) struct ExpiringMap<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// The keys in the order of their expiry.
    by_expiry: BTreeSet<(Instant, K)>,
    capacity: usize,
}

struct Entry<V> {
    value: V,
    expires_at: Instant,
}

impl<K: Copy + Hash + Ord, V> ExpiringMap<K, V> {
    /// An empty map of at most `capacity` entries.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            by_expiry: BTreeSet::new(),
            capacity,
        }
    }

    /// The value of `key`, unless it has expired.
    pub(super) fn get(&self, key: K, now: Instant) -> Option<&V> {
        let entry = self.entries.get(&key).filter(|entry| entry.expires_at > now);
        entry.map(|entry| &entry.value)
    }

    /// Sets the value of `key` and its expiry. Removes expired entries, and evicts until there is room.
    pub(super) fn put(&mut self, key: K, value: V, expires_at: Instant, now: Instant) {
        self.remove(key);
        while let Some(&(first_expiry, first)) = self.by_expiry.first()
            && (first_expiry <= now || self.entries.len() >= self.capacity)
        {
            self.remove(first);
        }
        self.by_expiry.insert((expires_at, key));
        self.entries.insert(key, Entry { value, expires_at });
    }

    /// Removes `key`.
    pub(super) fn remove(&mut self, key: K) {
        if let Some(entry) = self.entries.remove(&key) {
            self.by_expiry.remove(&(entry.expires_at, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_full_map_evicts_the_entry_that_expires_first() {
        let (mut map, now) = (ExpiringMap::new(3), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        for (key, seconds) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
            map.put(key, key, after(seconds), now);
        }
        let kept: Vec<_> = (1..=4).filter(|key| map.get(*key, now).is_some()).collect();
        assert_eq!(kept, [1, 3, 4]);
        assert_eq!((map.entries.len(), map.by_expiry.len()), (3, 3));
    }

    #[test]
    fn an_expired_entry_is_not_found_and_is_removed_by_the_next_insert() {
        let (mut map, now) = (ExpiringMap::new(10), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        map.put("a", 1, after(1), now);
        map.put("a", 2, after(2), now);
        assert_eq!((map.get("a", after(1)), map.get("a", after(2))), (Some(&2), None));
        map.put("b", 3, after(9), after(5));
        assert_eq!((map.entries.len(), map.by_expiry.len()), (1, 1));
    }
}
