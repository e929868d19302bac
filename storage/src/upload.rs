//! Writing one object, block by block, in a Tokio task of its own.
//!
//! *Problem.* The future of an upload may be dropped at any await point, as when its client disconnects. `Drop` cannot
//! await the requests that remove the unfinished object.
//!
//! *Mechanism.* The caller sends blocks to a [`Writer`] in its own task. A channel that is closed before the last block
//! means that the caller was dropped, and the writer aborts the upload. After the last block, the writer reports
//! success together with a channel on which the caller confirms that it received the report. Without the confirmation
//! the writer deletes the object.
//!
//! *Invariant.* Either the caller has seen success and the object exists, or nothing is left in the store. Only the
//! death of the process can leave an unfinished upload, which [`Storage::open`](crate::Storage::open) or the lifecycle
//! rule of the bucket removes.

use crate::error::Error;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Number of parts of one upload that are sent concurrently. With the part being filled, three are in memory.
const MAX_PARTS_IN_FLIGHT: usize = 2;
/// Time that an abort waits for parts in flight.
const PARTS_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that the caller of [`Upload::abort`] waits. The abort itself continues in the background.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);

/// The caller's end of an upload.
pub(crate) struct Upload {
    blocks: mpsc::Sender<Message>,
    outcome: Option<oneshot::Receiver<Outcome>>,
}

/// The report of the writer. On success it contains the channel for the confirmation. If the caller was dropped, the
/// channel is dropped with it, and the writer deletes the object.
type Outcome = Result<oneshot::Sender<()>, Error>;

/// A message to the writer.
enum Message {
    /// A block that others follow.
    Block(Bytes),
    /// The last block, which may be empty.
    Last(Bytes),
}

/// The task that writes the object.
struct Writer {
    store: Arc<dyn ObjectStore>,
    location: Path,
    part_bytes: usize,
    blocks: mpsc::Receiver<Message>,
}

impl Upload {
    pub(crate) fn start(store: Arc<dyn ObjectStore>, location: Path, part_bytes: usize) -> Self {
        let (blocks, incoming) = mpsc::channel(1);
        let (reply, outcome) = oneshot::channel();
        let writer = Writer {
            store,
            location,
            part_bytes,
            blocks: incoming,
        };
        tokio::spawn(writer.run(reply));
        Self {
            blocks,
            outcome: Some(outcome),
        }
    }

    /// Sends a block that others follow.
    pub(crate) async fn block(&mut self, bytes: Bytes) -> Result<(), Error> {
        if self.blocks.send(Message::Block(bytes)).await.is_ok() {
            return Ok(());
        }
        self.outcome().await
    }

    /// Sends the last block and waits until the object is durable.
    pub(crate) async fn finish(mut self, rest: Bytes) -> Result<(), Error> {
        // Sending fails if the writer has failed; the reason is in its report.
        let _ = self.blocks.send(Message::Last(rest)).await;
        self.outcome().await
    }

    /// Removes everything that was written.
    pub(crate) async fn abort(mut self) {
        let (closed, _) = mpsc::channel(1);
        self.blocks = closed;
        let _ = timeout(ABORT_TIMEOUT, self.outcome()).await;
    }

    /// Waits for the report of the writer and confirms it.
    async fn outcome(&mut self) -> Result<(), Error> {
        match self.outcome.take() {
            Some(outcome) => {
                let confirm = outcome.await.unwrap_or_else(|_| Err(writer_ended()))?;
                confirm.send(()).map_err(|()| writer_ended())
            }
            None => Err(writer_ended()),
        }
    }
}

fn writer_ended() -> Error {
    Error::Unavailable {
        doing: "write",
        key: String::new(),
        source: "the writing task ended early".into(),
    }
}

impl Writer {
    /// Writes the object, reports, and deletes the object if the report is not confirmed.
    async fn run(mut self, reply: oneshot::Sender<Outcome>) {
        let (confirm, confirmed) = oneshot::channel();
        match self.write().await {
            Ok(()) => drop(reply.send(Ok(confirm))),
            Err(error) => {
                // `write` has removed everything, so it does not matter if the caller still exists.
                let _ = reply.send(Err(error));
                return;
            }
        }
        if confirmed.await.is_err()
            && let Err(error) = self.store.delete(&self.location).await
        {
            tracing::warn!(key = %self.location, %error, "failed to remove an object whose upload was canceled");
        }
    }

    /// Writes the object. After an error nothing is left in the store.
    async fn write(&mut self) -> Result<(), Error> {
        let failed = |source| Error::of_store("write", self.location.as_ref(), source);
        // An object that fits into one part is stored with a single request.
        let (mut blocks, mut bytes) = (Vec::new(), 0);
        while bytes < self.part_bytes {
            match self.blocks.recv().await {
                Some(Message::Block(block)) => {
                    bytes += block.len();
                    blocks.push(block);
                }
                Some(Message::Last(rest)) => {
                    blocks.push(rest);
                    let whole = PutPayload::from_iter(blocks);
                    return self.store.put(&self.location, whole).await.map(drop).map_err(failed);
                }
                None => return Err(caller_dropped(&self.location)),
            }
        }
        let upload = self.store.put_multipart(&self.location).await.map_err(failed)?;
        let mut write = WriteMultipart::new_with_chunk_size(upload, self.part_bytes);
        loop {
            blocks.drain(..).for_each(|block| write.put(block));
            if let Err(source) = write.wait_for_capacity(MAX_PARTS_IN_FLIGHT).await {
                abort_multipart(write, &self.location).await;
                return Err(failed(source));
            }
            match self.blocks.recv().await {
                Some(Message::Block(block)) => blocks.push(block),
                Some(Message::Last(rest)) => return self.complete(write, rest).await,
                None => {
                    abort_multipart(write, &self.location).await;
                    return Err(caller_dropped(&self.location));
                }
            }
        }
    }

    /// Completes a multipart upload.
    async fn complete(&self, mut write: WriteMultipart, rest: Bytes) -> Result<(), Error> {
        let failed = |source| Error::of_store("write", self.location.as_ref(), source);
        // All full parts are sent before the last one: `finish` does not wait for parts in flight when one of them
        // fails.
        write.put(rest);
        if let Err(source) = write.wait_for_capacity(0).await {
            abort_multipart(write, &self.location).await;
            return Err(failed(source));
        }
        write.finish().await.map(drop).map_err(failed)
    }
}

fn caller_dropped(location: &Path) -> Error {
    Error::Unavailable {
        doing: "write",
        key: location.to_string(),
        source: "the upload was canceled".into(),
    }
}

/// Aborts a multipart upload after its parts in flight have ended: a part that arrives after the abort is never
/// removed.
async fn abort_multipart(mut write: WriteMultipart, location: &Path) {
    let parts_end = async { while write.wait_for_capacity(0).await.is_err() {} };
    let _ = timeout(PARTS_TIMEOUT, parts_end).await;
    if let Err(error) = write.abort().await {
        tracing::warn!(key = %location, %error, "failed to abort an unfinished upload");
    }
}
