//! A file that was just stored and that no row names yet: kept by the transaction that names it, removed otherwise.

use crate::AppState;
use crate::error::{Error, Refusal};
use bytes::Bytes;
use domain::Code;
use entity::trash;
use futures::Stream;
use std::time::Duration;
use storage::{Key, PutError, Stored};

/// The sweeper removes what an upload left behind after this long; longer than any upload takes.
const ABANDONED_AFTER: Duration = Duration::from_secs(48 * 3_600);

/// A stored file without a row. Dropping it removes the file.
pub(crate) struct NewFile {
    state: AppState,
    key: Key,
    stored: Stored,
    settled: bool,
}

impl NewFile {
    /// Stores a stream. Its place is on the trash list first, so that a crash leaves nothing for ever; without a database
    /// nothing is stored at all.
    pub(crate) async fn put<S>(
        state: &AppState,
        key: Key,
        stream: S,
        declared_bytes: Option<u64>,
        limit_bytes: u64,
    ) -> Result<Self, Error>
    where
        S: Stream<Item = Result<Bytes, Error>>,
    {
        let places = [key.to_string()];
        state.in_time(trash::put(&state.db, &places, ABANDONED_AFTER)).await?;
        let stored = state.storage.put_stream(&key, stream, declared_bytes, limit_bytes);
        match stored.await {
            Ok(stored) => Ok(Self {
                state: state.clone(),
                key,
                stored,
                settled: false,
            }),
            Err(error) => {
                forget(state, &key).await;
                Err(of_put(error))
            }
        }
    }

    /// Its place, for the row.
    pub(crate) fn key(&self) -> String {
        self.key.to_string()
    }

    /// Its size and its hash, for the row.
    pub(crate) const fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Stays when the transaction that names it is committed, goes when it is not.
    pub(crate) async fn settle<T>(self, write: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let written = self.state.in_time(write).await;
        match &written {
            Ok(_) => self.keep(),
            // The commit may have arrived all the same: only the database can tell.
            Err(Error::Client(refusal)) if refusal.code == Code::Unavailable => self.leave(),
            Err(_) => self.discard().await,
        }
        written
    }

    /// A row names it now.
    fn keep(mut self) {
        self.settled = true;
    }

    /// Nobody will name it.
    pub(crate) async fn discard(mut self) {
        self.settled = true;
        remove(&self.state, &self.key).await;
    }

    /// Nobody can tell whether a row names it: the list of the trash will, once the database is back.
    fn leave(mut self) {
        self.settled = true;
        tracing::warn!(key = %self.key, "whether an upload was recorded is unknown; the sweeper will see");
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (state, key) = (self.state.clone(), self.key.clone());
            runtime.spawn(async move { remove(&state, &key).await });
        }
    }
}

async fn remove(state: &AppState, key: &Key) {
    match state.storage.delete(key).await {
        Ok(()) => forget(state, key).await,
        Err(error) => tracing::warn!(%error, "a refused upload waits for the sweeper"),
    }
}

async fn forget(state: &AppState, key: &Key) {
    if let Err(error) = state.in_time(trash::keep(&state.db, key.as_str())).await {
        tracing::debug!(%error, "the trash list keeps a file that is gone");
    }
}

fn of_put(error: PutError<Error>) -> Error {
    match error {
        PutError::TooLarge { limit_bytes } => too_large(limit_bytes).into(),
        PutError::Empty => Code::FileEmpty.into(),
        PutError::TooSlow => Code::RequestTimeout.into(),
        PutError::Source(error) => error,
        PutError::StorageFull => {
            tracing::warn!("the storage is full");
            Code::StorageFull.into()
        }
        PutError::Storage(error) => error.into(),
    }
}

/// The refusal of a file over the limit.
pub(crate) fn too_large(limit_bytes: u64) -> Refusal {
    Refusal::new(Code::UploadTooLarge)
        .detail(format!("accepted: up to {limit_bytes} bytes"))
        .field("file", Code::UploadTooLarge)
}
