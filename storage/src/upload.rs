//! One object being written, block by block and part by part, by a task of its own: whoever feeds it may be dropped at
//! any moment, and what was written until then is taken back.

use crate::error::Error;
use crate::key::Key;
use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// With one being filled, three parts are in memory at most.
const PARTS_AT_ONCE: usize = 2;
const PARTS_END_WITHIN: Duration = Duration::from_secs(60);
/// After that the sender is told, while the taking back goes on.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(5);

/// The feeding end.
pub(crate) struct Upload {
    blocks: mpsc::Sender<Message>,
    outcome: Option<oneshot::Receiver<Outcome>>,
}

/// With success comes the question whether anybody still wants the object; an answer that is dropped
/// unread, with the future that waited for it, means no.
type Outcome = Result<oneshot::Sender<()>, Error>;

enum Message {
    Block(Bytes),
    Last(Bytes),
}

struct Writer {
    store: Arc<dyn ObjectStore>,
    key: Key,
    part_bytes: usize,
    blocks: mpsc::Receiver<Message>,
}

impl Upload {
    pub(crate) fn start(store: Arc<dyn ObjectStore>, key: Key, part_bytes: usize) -> Self {
        let (blocks, incoming) = mpsc::channel(1);
        let (reply, outcome) = oneshot::channel();
        let writer = Writer {
            store,
            key,
            part_bytes,
            blocks: incoming,
        };
        tokio::spawn(writer.run(reply));
        Self {
            blocks,
            outcome: Some(outcome),
        }
    }

    /// Hands over a block that others follow.
    pub(crate) async fn block(&mut self, bytes: Bytes) -> Result<(), Error> {
        if self.blocks.send(Message::Block(bytes)).await.is_ok() {
            return Ok(());
        }
        self.ended().await
    }

    /// Hands over the rest and waits until the object is durable.
    pub(crate) async fn finish(mut self, rest: Bytes) -> Result<(), Error> {
        // When the writer has failed already, its outcome tells why.
        let _ = self.blocks.send(Message::Last(rest)).await;
        self.ended().await
    }

    /// Takes back what was written.
    pub(crate) async fn abort(mut self) {
        let (closed, _) = mpsc::channel(1);
        self.blocks = closed;
        let _ = timeout(TAKEN_BACK_WITHIN, self.ended()).await;
    }

    async fn ended(&mut self) -> Result<(), Error> {
        match self.outcome.take() {
            Some(outcome) => {
                let wanted = outcome.await.unwrap_or_else(|_| Err(writer_died()))?;
                wanted.send(()).map_err(|()| writer_died())
            }
            None => Err(writer_died()),
        }
    }
}

fn writer_died() -> Error {
    Error::Unavailable {
        doing: "write",
        key: String::new(),
        source: "the writing task ended early".into(),
    }
}

impl Writer {
    async fn run(mut self, reply: oneshot::Sender<Outcome>) {
        let (wanted, answer) = oneshot::channel();
        match self.write().await {
            Ok(()) => drop(reply.send(Ok(wanted))),
            Err(error) => {
                // Nothing is there to be taken back, whether somebody hears of it or not.
                let _ = reply.send(Err(error));
                return;
            }
        }
        if answer.await.is_err()
            && let Err(error) = self.store.delete(&self.key.location()).await
        {
            tracing::warn!(key = %self.key, %error, "an object nobody waited for stays behind");
        }
    }

    async fn write(&mut self) -> Result<(), Error> {
        let failed = |source| Error::of_store("write", self.key.as_str(), source);
        let location = self.key.location();
        // What fits into one part goes in one request.
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
                    return self.store.put(&location, whole).await.map(drop).map_err(failed);
                }
                None => return Err(given_up(&self.key)),
            }
        }
        let upload = self.store.put_multipart(&location).await.map_err(failed)?;
        let mut write = WriteMultipart::new_with_chunk_size(upload, self.part_bytes);
        loop {
            blocks.drain(..).for_each(|block| write.put(block));
            if let Err(source) = write.wait_for_capacity(PARTS_AT_ONCE).await {
                take_back(write, &self.key).await;
                return Err(failed(source));
            }
            match self.blocks.recv().await {
                Some(Message::Block(block)) => blocks.push(block),
                Some(Message::Last(rest)) => return self.complete(write, rest).await,
                None => {
                    take_back(write, &self.key).await;
                    return Err(given_up(&self.key));
                }
            }
        }
    }

    async fn complete(&self, mut write: WriteMultipart, rest: Bytes) -> Result<(), Error> {
        let failed = |source| Error::of_store("write", self.key.as_str(), source);
        // The last part goes alone, since `finish` does not wait for others when one fails. The rest may fill the part before.
        write.put(rest);
        if let Err(source) = write.wait_for_capacity(0).await {
            take_back(write, &self.key).await;
            return Err(failed(source));
        }
        write.finish().await.map(drop).map_err(failed)
    }
}

fn given_up(key: &Key) -> Error {
    Error::Unavailable {
        doing: "write",
        key: key.to_string(),
        source: "the sender gave up".into(),
    }
}

/// Lets the parts under way end first: one that arrives after the abort would stay for ever.
async fn take_back(mut write: WriteMultipart, key: &Key) {
    let parts_end = async { while write.wait_for_capacity(0).await.is_err() {} };
    let _ = timeout(PARTS_END_WITHIN, parts_end).await;
    if let Err(error) = write.abort().await {
        tracing::warn!(%key, %error, "failed to take back an unfinished upload");
    }
}
