//! Request coalescing: reads that are asked for at the same time share one query.
//!
//! *Problem.* Every waiting client polls its task. One query per request would occupy all database connections, and
//! most of the cost of a short query does not depend on the number of rows that it reads.
//!
//! *Mechanism.* A read joins the queue. If no query is running, it also spawns a Tokio task that runs one query after
//! the other until the queue is empty: each query takes up to [`BATCH`] reads from the front of the queue and answers
//! all of them. So a single read begins at once, and under load the queries grow instead of their number.
//!
//! *Invariants.*
//! - A read is answered only by a query that began after it was asked for: a client that has changed a row sees the
//!   change. Reads of the same key share one answer under the same condition.
//! - A query that fails, panics or exceeds its time limit fails only the reads that it has taken.
//! - A read whose client has disconnected is dropped when its turn comes; no query reads its key.
//! - The queue belongs to the running Tokio task as well: no read is lost while the runtime lives, even when all
//!   handles are dropped. At shutdown the server waits for its requests, and so for their reads.
//!
//! *Bounds.* One query at a time with at most [`BATCH`] keys. The queue holds one read per request in progress, which
//! the server limits, and those of clients that have disconnected during the query, which has a time limit.
//!
//! *Rejected.* A cache with an expiry time: it would answer with rows from before the request. Running the query in the
//! future of the first reader: the others would lose their answer when that client disconnects.

use entity::{DbErr, with_timeout};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Maximum number of reads that share a query.
const BATCH: usize = 64;

/// Time limit of a query. Reads that queue up behind it must not wait for a database that does not reply.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// The rows of a query by their keys. A key without a row is absent.
type Found<K, V> = Result<HashMap<K, V>, DbErr>;

/// Reads the values of these keys, which are all different.
type Query<K, V> = dyn Fn(Vec<K>) -> BoxFuture<'static, Found<K, V>> + Send + Sync;

/// Reads values by their keys; see the module. Clones share one queue.
pub(crate) struct Coalesced<K, V>(Arc<Shared<K, V>>);

struct Shared<K, V> {
    query: Box<Query<K, V>>,
    queue: Mutex<Queue<K, V>>,
}

struct Queue<K, V> {
    waiting: VecDeque<Read<K, V>>,
    /// `true` while a Tokio task runs queries.
    is_running: bool,
}

/// A read that waits for its answer.
struct Read<K, V> {
    key: K,
    answer: oneshot::Sender<Result<Option<V>, DbErr>>,
}

impl<K, V> Coalesced<K, V>
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + 'static,
{
    /// Reads with `query`, which gets different keys, at least one and at most [`BATCH`].
    pub(crate) fn new<F>(query: impl Fn(Vec<K>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Found<K, V>> + Send + 'static,
    {
        Self(Arc::new(Shared {
            query: Box::new(move |keys| query(keys).boxed()),
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                is_running: false,
            }),
        }))
    }

    /// The value of this key; `None` if it has none.
    ///
    /// # Errors
    /// Those of the query; one that satisfies [`entity::is_unavailable`] after the time limit.
    pub(crate) async fn read(&self, key: K) -> Result<Option<V>, DbErr> {
        let (answer, answered) = oneshot::channel();
        let was_running = {
            let mut queue = self.0.lock();
            queue.waiting.push_back(Read { key, answer });
            std::mem::replace(&mut queue.is_running, true)
        };
        if !was_running {
            tokio::spawn(run(self.0.clone()));
        }
        let panicked = |_| Err(DbErr::Custom("the query of a coalesced read panicked".to_owned()));
        answered.await.unwrap_or_else(panicked)
    }
}

impl<K, V> Shared<K, V> {
    fn lock(&self) -> MutexGuard<'_, Queue<K, V>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the reads of the next query. When there are none, the caller has to end.
    fn next_batch(&self) -> Vec<Read<K, V>> {
        let mut queue = self.lock();
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(read) = queue.waiting.pop_front()
        {
            if !read.answer.is_closed() {
                batch.push(read);
            }
        }
        queue.is_running = !batch.is_empty();
        batch
    }
}

/// Runs queries until no read waits.
async fn run<K, V>(shared: Arc<Shared<K, V>>)
where
    K: Copy + Eq + Hash,
    V: Clone,
{
    loop {
        let batch = shared.next_batch();
        if batch.is_empty() {
            return;
        }
        // `AssertUnwindSafe`: the query shares state with other queries only through the database. A panic drops the
        // senders of this batch, which their readers observe.
        let _ = AssertUnwindSafe(answer(&shared, batch)).catch_unwind().await;
    }
}

/// Runs one query and answers its reads.
async fn answer<K, V>(shared: &Shared<K, V>, batch: Vec<Read<K, V>>)
where
    K: Copy + Eq + Hash,
    V: Clone,
{
    let mut readers: HashMap<K, Vec<_>> = HashMap::with_capacity(batch.len());
    for Read { key, answer } in batch {
        readers.entry(key).or_default().push(answer);
    }
    let keys = readers.keys().copied().collect();
    let mut found = with_timeout(QUERY_TIMEOUT, (shared.query)(keys)).await;
    for (key, mut readers) in readers {
        // Most keys have one reader, who gets the value itself instead of a copy.
        let last = readers.pop();
        let value = found
            .as_mut()
            .map(|found| found.remove(&key))
            .map_err(|error| error.clone());
        // A reader who is gone needs no answer.
        for reader in readers {
            let _ = reader.send(value.clone());
        }
        last.map(|reader| reader.send(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::{Semaphore, mpsc};

    type Reads = Arc<Coalesced<u32, (u32, usize)>>;

    /// Reads that answer a key with itself and the number of the query. Each query waits for a permit of the semaphore.
    fn held() -> (Reads, Arc<Semaphore>, mpsc::UnboundedReceiver<Vec<u32>>) {
        let (permits, (sent, queries)) = (Arc::new(Semaphore::new(0)), mpsc::unbounded_channel());
        let (gate, number) = (permits.clone(), Arc::new(AtomicU32::new(0)));
        let reads = Coalesced::new(move |mut keys: Vec<u32>| {
            let (gate, number) = (gate.clone(), number.fetch_add(1, Ordering::SeqCst));
            keys.sort_unstable();
            sent.send(keys.clone()).unwrap();
            async move {
                gate.acquire().await.unwrap().forget();
                assert!(!keys.contains(&PANICS), "of a test");
                if keys.contains(&FAILS) {
                    return Err(DbErr::Custom("of a test".to_owned()));
                }
                let known = keys.into_iter().filter(|key| *key != ABSENT);
                Ok(known.map(|key| (key, (key, number as usize))).collect())
            }
        });
        (Arc::new(reads), permits, queries)
    }

    const ABSENT: u32 = 1_000;
    const FAILS: u32 = 1_001;
    const PANICS: u32 = 1_002;

    /// Asks for a key; the read has joined the queue when this returns.
    fn ask(reads: &Reads, key: u32) -> BoxFuture<'static, Result<Option<(u32, usize)>, DbErr>> {
        let reads = reads.clone();
        let mut read = async move { reads.read(key).await }.boxed();
        assert!((&mut read).now_or_never().is_none());
        read
    }

    #[tokio::test]
    async fn reads_that_arrive_during_a_query_share_the_next_one() {
        let (reads, permits, mut queries) = held();
        let first = ask(&reads, 1);
        assert_eq!(queries.recv().await.unwrap(), [1]);
        let later = [1, 2, 2, ABSENT].map(|key| ask(&reads, key));
        permits.add_permits(2);
        assert_eq!(first.await.unwrap(), Some((1, 0)));
        // The key of the running query is read again: that query began before the read.
        let later: Vec<_> = join_all(later).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(later, [Some((1, 1)), Some((2, 1)), Some((2, 1)), None]);
        assert_eq!(queries.recv().await.unwrap(), [1, 2, ABSENT]);
    }

    #[tokio::test]
    async fn a_query_takes_a_bounded_number_of_reads_in_the_order_of_their_arrival() {
        let (reads, permits, mut queries) = held();
        let mut asked = vec![ask(&reads, 0)];
        queries.recv().await.unwrap();
        asked.extend((1..=100).map(|key| ask(&reads, key)));
        permits.add_permits(3);
        assert!(join_all(asked).await.into_iter().all(|read| read.is_ok()));
        assert_eq!(queries.recv().await.unwrap(), Vec::from_iter(1..=64));
        assert_eq!(queries.recv().await.unwrap(), Vec::from_iter(65..=100));
    }

    #[tokio::test]
    async fn a_query_that_fails_or_panics_fails_only_its_own_reads() {
        for bad in [FAILS, PANICS] {
            let (reads, permits, mut queries) = held();
            let failing = [ask(&reads, bad)];
            queries.recv().await.unwrap();
            let waiting = ask(&reads, 1);
            permits.add_permits(2);
            assert!(join_all(failing).await.into_iter().all(|read| read.is_err()), "{bad}");
            assert_eq!(waiting.await.unwrap(), Some((1, 1)), "{bad}");
            assert!(!reads.0.lock().is_running, "the next read begins at once");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_query_without_a_reply_fails_its_own_reads_after_the_time_limit() {
        let (reads, permits, mut queries) = held();
        let silent = ask(&reads, 1);
        queries.recv().await.unwrap();
        let waiting = ask(&reads, 2);
        let error = silent.await.unwrap_err();
        assert!(entity::is_unavailable(&error), "{error}");
        permits.add_permits(1);
        assert_eq!(waiting.await.unwrap(), Some((2, 1)));
    }

    #[tokio::test]
    async fn a_key_that_only_disconnected_clients_asked_for_is_not_read() {
        let (reads, permits, mut queries) = held();
        let first = ask(&reads, 1);
        queries.recv().await.unwrap();
        drop((ask(&reads, 2), ask(&reads, 3)));
        let waiting = ask(&reads, 3);
        permits.add_permits(2);
        assert!(first.await.is_ok() && waiting.await.is_ok());
        assert_eq!(queries.recv().await.unwrap(), [3]);
    }

    #[tokio::test]
    async fn a_reader_who_disconnects_does_not_disturb_the_query_of_others() {
        let (reads, permits, mut queries) = held();
        let first = ask(&reads, 1);
        queries.recv().await.unwrap();
        let (gone, waiting) = (ask(&reads, 2), ask(&reads, 2));
        drop((first, gone, reads));
        permits.add_permits(2);
        assert_eq!(waiting.await.unwrap(), Some((2, 1)), "with no handle left");
    }
}
