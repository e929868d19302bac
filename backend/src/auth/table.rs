//! A map of bounded size whose entries count until a moment. When it is full, the entry that would be forgotten first makes room:
//! a flood of new entries never removes those that weigh most, and never all of them.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// See the module. `get` and `put` take O(log n).
pub(super) struct Table<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// The same keys by the moment until which they count.
    order: BTreeSet<(Instant, K)>,
    capacity: usize,
}

struct Entry<V> {
    value: V,
    until: Instant,
}

impl<K: Copy + Hash + Ord, V> Table<K, V> {
    /// An empty table of at most `capacity` entries.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeSet::new(),
            capacity,
        }
    }

    /// The value under `key`, unless it no longer counts.
    pub(super) fn get(&self, key: K, now: Instant) -> Option<&V> {
        let entry = self.entries.get(&key).filter(|entry| entry.until > now);
        entry.map(|entry| &entry.value)
    }

    /// Sets the value under `key`, which counts until `until`.
    pub(super) fn put(&mut self, key: K, value: V, until: Instant, now: Instant) {
        self.remove(key);
        while let Some(&(until, oldest)) = self.order.first()
            && (until <= now || self.entries.len() >= self.capacity)
        {
            self.remove(oldest);
        }
        self.order.insert((until, key));
        self.entries.insert(key, Entry { value, until });
    }

    /// Forgets `key`.
    pub(super) fn remove(&mut self, key: K) {
        if let Some(entry) = self.entries.remove(&key) {
            self.order.remove(&(entry.until, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_full_table_forgets_one_entry_and_that_is_the_one_that_counts_least() {
        let (mut table, now) = (Table::new(3), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        for (key, seconds) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
            table.put(key, key, after(seconds), now);
        }
        let kept: Vec<_> = (1..=4).filter(|key| table.get(*key, now).is_some()).collect();
        assert_eq!(kept, [1, 3, 4]);
        assert_eq!((table.entries.len(), table.order.len()), (3, 3));
    }

    #[test]
    fn what_no_longer_counts_is_not_found_and_goes_when_something_comes() {
        let (mut table, now) = (Table::new(10), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        table.put("a", 1, after(1), now);
        table.put("a", 2, after(2), now);
        assert_eq!((table.get("a", after(1)), table.get("a", after(2))), (Some(&2), None));
        table.put("b", 3, after(9), after(5));
        assert_eq!((table.entries.len(), table.order.len()), (1, 1));
    }
}
