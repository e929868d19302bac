//! The requests of this process that write to resumable uploads, so that a newcomer can wake the holder at once. The
//! holders of other processes look into the database (`entity::upload`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The holders of this process by the id of their upload. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActiveUploads(Arc<Mutex<HashMap<String, Arc<Notify>>>>);

/// The entry of one holder, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct ActiveUpload {
    all: ActiveUploads,
    id: String,
    /// Notified when another request asks for the upload.
    pub(crate) wanted: Arc<Notify>,
}

impl ActiveUploads {
    /// Adds the holder of an upload. It replaces an earlier one, which has lost the upload.
    pub(crate) fn enter(&self, id: &str) -> ActiveUpload {
        let wanted = Arc::new(Notify::new());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(id.to_owned(), wanted.clone());
        ActiveUpload {
            all: self.clone(),
            id: id.to_owned(),
            wanted,
        }
    }

    /// Wakes the holder of an upload, if it is in this process.
    pub(crate) fn wake(&self, id: &str) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wanted) = all.get(id) {
            wanted.notify_one();
        }
    }
}

impl Drop for ActiveUpload {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all
            .get(&self.id)
            .is_some_and(|wanted| Arc::ptr_eq(wanted, &self.wanted))
        {
            all.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newcomer_wakes_the_holder_and_a_replaced_holder_removes_nothing() {
        let all = ActiveUploads::default();
        all.wake("a");
        let first = all.enter("a");
        let second = all.enter("a");
        drop(first);
        all.wake("a");
        second.wanted.notified().await;
        drop(second);
        assert!(all.0.lock().unwrap().is_empty());
    }
}
