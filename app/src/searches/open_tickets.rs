//! The tickets that this process has to compute, each once, and the slots of those that it computes at the moment.

use domain::UserId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use storage::SearchId;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Maximum number of tickets that a process computes at the same time.
const COMPUTED_AT_ONCE: usize = 2;
/// Maximum number of tickets of an account in one process that wait or are computed.
pub(super) const OPEN_MAX: usize = 20;

/// The open tickets of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OpenTickets {
    tickets: Arc<Mutex<HashMap<SearchId, UserId>>>,
    slots: Arc<Semaphore>,
}

/// A ticket that only its holder computes in this process. Closed when dropped.
pub(super) struct OpenTicket {
    all: OpenTickets,
    account: UserId,
    id: SearchId,
}

/// The outcome of opening a ticket.
pub(super) enum Opened {
    /// The caller computes it.
    Now(OpenTicket),
    /// It is open already.
    Before,
    /// The account has too many open tickets.
    TooMany,
}

impl Default for OpenTickets {
    fn default() -> Self {
        Self {
            tickets: Arc::default(),
            slots: Arc::new(Semaphore::new(COMPUTED_AT_ONCE)),
        }
    }
}

impl OpenTickets {
    /// Opens a ticket, unless it is open or its account has too many.
    pub(super) fn open(&self, account: UserId, id: SearchId) -> Opened {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        if tickets.contains_key(&id) {
            return Opened::Before;
        }
        if tickets.values().filter(|owner| **owner == account).count() >= OPEN_MAX {
            return Opened::TooMany;
        }
        tickets.insert(id, account);
        Opened::Now(OpenTicket {
            all: self.clone(),
            account,
            id,
        })
    }

    /// Waits until fewer than [`COMPUTED_AT_ONCE`] tickets are computed.
    pub(super) async fn slot(&self) -> SemaphorePermit<'_> {
        self.slots.acquire().await.expect("the semaphore is never closed")
    }
}

impl OpenTicket {
    pub(super) const fn account(&self) -> UserId {
        self.account
    }

    pub(super) const fn id(&self) -> SearchId {
        self.id
    }
}

impl Drop for OpenTicket {
    fn drop(&mut self) {
        let mut tickets = self.all.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_open_once_and_an_account_has_a_bounded_number_of_them() {
        let tickets = OpenTickets::default();
        let (ana, eva) = (UserId(1), UserId(2));
        let mut held = Vec::new();
        for _ in 0..OPEN_MAX {
            let Opened::Now(open) = tickets.open(ana, SearchId::begin()) else {
                panic!("refused after {}", held.len());
            };
            assert!(matches!(tickets.open(ana, open.id()), Opened::Before));
            held.push(open);
        }
        assert!(matches!(tickets.open(ana, SearchId::begin()), Opened::TooMany));
        assert!(matches!(tickets.open(eva, SearchId::begin()), Opened::Now(_)));
        held.pop();
        assert!(matches!(tickets.open(ana, SearchId::begin()), Opened::Now(_)));
        assert_eq!(tickets.tickets.lock().unwrap().len(), OPEN_MAX - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn only_some_tickets_are_computed_at_once() {
        let tickets = OpenTickets::default();
        let mut slots = Vec::new();
        for _ in 0..COMPUTED_AT_ONCE {
            slots.push(tickets.slot().await);
        }
        let soon = std::time::Duration::from_secs(1);
        assert!(tokio::time::timeout(soon, tickets.slot()).await.is_err());
        slots.pop();
        assert!(tokio::time::timeout(soon, tickets.slot()).await.is_ok());
    }
}
