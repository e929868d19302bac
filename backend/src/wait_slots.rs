//! The limit on requests that wait for a change, per process and per account.
//!
//! A waiting request occupies its connection, and with HTTP/2 one of the permits for concurrent requests that all
//! connections share. So at most an eighth of the connections may wait, and one account takes at most a quarter of
//! that.
//!
//! A client that disconnects frees its slot at once, unless it has begun to send a further request on the connection:
//! hyper then notices the end only after the reply. So no slot is taken for longer than the longest wait, 30 s.

use domain::UserId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections of the server per waiting request.
const CONNECTIONS_PER_SLOT: usize = 8;
/// Slots of the process per slot of one account.
const SLOTS_PER_ACCOUNT_SLOT: usize = 4;

/// The slots of a process. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct WaitSlots {
    max: usize,
    taken: Arc<Mutex<HashMap<UserId, usize>>>,
}

impl WaitSlots {
    /// The slots of a server with this maximum number of connections.
    pub(crate) fn of_connections(connections: usize) -> Self {
        Self {
            max: (connections / CONNECTIONS_PER_SLOT).max(1),
            taken: Arc::default(),
        }
    }

    /// Takes a slot; `None` when the process or the account has none left.
    pub(crate) fn take(&self, account: UserId) -> Option<WaitSlot> {
        let mut taken = self.lock();
        let all: usize = taken.values().sum();
        let of_account = taken.get(&account).copied().unwrap_or_default();
        if all >= self.max || of_account >= (self.max / SLOTS_PER_ACCOUNT_SLOT).max(1) {
            return None;
        }
        taken.insert(account, of_account + 1);
        Some(WaitSlot {
            slots: self.clone(),
            account,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot of one waiting request. Dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct WaitSlot {
    slots: WaitSlots,
    account: UserId,
}

impl Drop for WaitSlot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        if let Some(of_account) = taken.get_mut(&self.account) {
            *of_account -= 1;
            if *of_account == 0 {
                taken.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_of_the_connections_may_wait_and_a_quarter_of_that_for_one_account() {
        let slots = WaitSlots::of_connections(64);
        let of = |account| slots.take(UserId(account));
        let first = (of(1), of(1));
        assert!(first.0.is_some() && first.1.is_some() && of(1).is_none());
        let others: Vec<_> = [2, 2, 3, 3, 4, 4].map(of).into_iter().flatten().collect();
        assert_eq!(others.len(), 6);
        assert!(of(5).is_none(), "the process has no slot left");
        drop(first);
        assert!(of(5).is_some());
        drop(others);
        assert_eq!(slots.lock().len(), 0);
    }

    #[test]
    fn a_small_server_has_one_slot() {
        let slots = WaitSlots::of_connections(8);
        let first = slots.take(UserId(1));
        assert!(first.is_some() && slots.take(UserId(2)).is_none());
    }
}
