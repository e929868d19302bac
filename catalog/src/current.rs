//! The file in use, which changes while queries run.

use crate::error::Error;
use crate::store::Store;
use std::sync::{Arc, PoisonError, RwLock};

/// The file that new queries use. A query keeps the file with which it began.
#[derive(Default)]
pub(crate) struct Current {
    store: RwLock<Option<Arc<Store>>>,
}

impl Current {
    pub(crate) fn new(store: Option<Arc<Store>>) -> Self {
        Self {
            store: RwLock::new(store),
        }
    }

    /// Returns the file in use.
    pub(crate) fn store(&self) -> Result<Arc<Store>, Error> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        store.clone().ok_or(Error::NotFilled)
    }

    /// Lets queries use another file from now on. The files of the old one are deleted when its last query ends.
    pub(crate) fn replace(&self, new: Option<Arc<Store>>) {
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = std::mem::replace(&mut *store, new) {
            old.retire(true);
        }
    }

    /// Passes a result on. If the file turned out to be damaged, no query uses it any more.
    pub(crate) fn checked<T>(&self, store: &Arc<Store>, result: Result<T, Error>) -> Result<T, Error> {
        if matches!(result, Err(Error::Damaged)) {
            tracing::error!("the file of the catalog is damaged and must be filled again");
            if self.store().is_ok_and(|current| Arc::ptr_eq(&current, store)) {
                self.replace(None);
            }
        }
        result
    }
}
