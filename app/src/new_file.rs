//! A stored file that no row refers to yet.
//!
//! *Problem.* The bytes of an upload are stored before the transaction that creates its row. A refusal, a disconnect or
//! a crash in between must not leave a file behind.
//!
//! *Mechanism.* The key is written to the trash list before the first byte is stored; the background task `trash`
//! removes listed files after [`ABANDONED_AFTER`]. The transaction that creates the row also takes the key off the
//! list. Otherwise dropping [`NewFile`] removes the file at once, except when it is unknown if the transaction
//! committed: then the trash list decides.

use crate::app::Core;
use crate::trash::{remove_listed, unlist};
use crate::{Error, Refusal};
use bytes::Bytes;
use domain::Code;
use entity::trash;
use futures::Stream;
use std::time::Duration;
use storage::{Key, PutError, Stored};

/// Time after which the background task `trash` removes the file of an upload that never finished; longer than any
/// upload takes.
const ABANDONED_AFTER: Duration = Duration::from_secs(48 * 3_600);

/// A stored file without a row. Dropping it removes the file.
pub struct NewFile {
    app: Core,
    key: Key,
    stored: Stored,
    /// `true` when the file is kept, removed, or left to the trash list; `Drop` then does nothing.
    decided: bool,
}

impl NewFile {
    /// Lists the key as trash, then stores a stream under it. If the database does not answer, nothing is stored.
    ///
    /// # Errors
    /// `upload_too_large` beyond `limit_bytes`, `file_empty`, `request_timeout`, `storage_full`, errors of the stream,
    /// of the database and of the storage.
    pub async fn put<S>(
        app: &Core,
        key: Key,
        stream: S,
        declared_bytes: Option<u64>,
        limit_bytes: u64,
    ) -> Result<Self, Error>
    where
        S: Stream<Item = Result<Bytes, Error>>,
    {
        let keys = [key.to_string()];
        app.with_timeout(trash::add_keys(&app.db, &keys, ABANDONED_AFTER))
            .await?;
        let stored = app.storage.put_stream(&key, stream, declared_bytes, limit_bytes);
        match stored.await {
            Ok(stored) => Ok(Self {
                app: app.clone(),
                key,
                stored,
                decided: false,
            }),
            Err(error) => {
                // Nothing is stored under the key, so a failure leaves only an entry that the background task removes.
                let _ = unlist(app, key.as_str()).await;
                Err(from_put_error(error))
            }
        }
    }

    /// The storage key, for the row.
    #[must_use]
    pub fn key(&self) -> String {
        self.key.to_string()
    }

    /// Size and hash, for the row.
    #[must_use]
    pub const fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Runs the transaction that creates the row: keeps the file when it commits, removes the file when it does not.
    ///
    /// # Errors
    /// Those of the transaction; `unavailable` when it takes too long.
    pub async fn commit<T>(self, write: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let written = self.app.with_timeout(write).await;
        self.decide(&written).await;
        written
    }

    /// Keeps or removes the file by the outcome of the transaction that creates the row.
    pub(crate) async fn decide<T>(self, written: &Result<T, Error>) {
        match written {
            Ok(_) => self.keep(),
            // The commit may have succeeded although its acknowledgment was lost.
            Err(Error::Client(refusal)) if refusal.code == Code::Unavailable => self.leave_on_trash_list(),
            Err(_) => self.discard().await,
        }
    }

    /// Keeps the file, because a row refers to it.
    fn keep(mut self) {
        self.decided = true;
    }

    /// Removes the file.
    pub async fn discard(mut self) {
        self.decided = true;
        remove_listed(&self.app, self.key.as_str()).await;
    }

    /// Keeps the file while it is unknown if a row refers to it. If the transaction did not commit, the key is still on
    /// the trash list, and the background task `trash` removes the file.
    fn leave_on_trash_list(mut self) {
        self.decided = true;
        tracing::warn!(key = %self.key, "unknown if an upload was committed; its file stays on the trash list until this is known");
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.decided {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (app, key) = (self.app.clone(), self.key.clone());
            runtime.spawn(async move { remove_listed(&app, key.as_str()).await });
        }
    }
}

fn from_put_error(error: PutError<Error>) -> Error {
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
#[must_use]
pub fn too_large(limit_bytes: u64) -> Refusal {
    Refusal::new(Code::UploadTooLarge)
        .detail(format!("accepted: up to {limit_bytes} bytes"))
        .field("file", Code::UploadTooLarge)
}
