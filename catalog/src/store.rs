//! A file of the catalog that is open: readers, the writer, and the words of all videos.

use crate::error::Error;
use crate::schema::VERSION;
use crate::video::Position;
use domain::vocabulary::{Frequency, Vocabulary};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Row, Sqlite, Transaction};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Number of lists and searches that run at the same time, of those that take longer than [`SHORT_TIMEOUT`], and of
/// lookups. Others wait for at most [`QUERY_TIMEOUT`].
const READERS: u32 = 4;
const LONG_READERS: u32 = 2;
const LOOKUP_READERS: u32 = 2;

/// Page cache of each reader in KiB: 48 MiB for lists and searches, and 2 MiB for lookups.
const READER_CACHE_KIB: i64 = 8 * 1024;
const LOOKUP_CACHE_KIB: i64 = 1024;

/// Maximum duration of a query once it has a reader. It is interrupted then. SQLite is several times slower in debug
/// builds, where it is not optimized.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });

/// Duration after which a list or search continues on the readers for long ones. Nearly all take less.
const SHORT_TIMEOUT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 300 } else { 60 });

/// Number of instructions of SQLite after which the deadline is checked. An instruction may fetch the next hit of the
/// full-text index, which takes up to some microseconds.
const INSTRUCTIONS: i32 = 1_000;

/// Number of pages in the write-ahead log (32 MiB) after which it is written back into the file. That waits for the
/// disk, so it should not happen after each batch.
const WAL_PAGES: &str = "8000";

/// An open file.
///
/// Lists and searches begin on readers for short ones. One that takes longer is interrupted and begins again on readers
/// for long ones, so that a few expensive searches keep only each other waiting. Lookups of few rows by a key have
/// readers of their own: pages of single videos, checks of accounts, and the position in the feed.
pub(crate) struct Store {
    path: PathBuf,
    short: Readers,
    long: Readers,
    lookups: Readers,
    pub(crate) writer: Mutex<SqliteConnection>,
    statistics: RwLock<Statistics>,
    /// The files are deleted when the last query ends.
    is_retired: AtomicBool,
}

/// Connections that only read, and the maximum duration of their queries.
struct Readers {
    pool: SqlitePool,
    timeout: Duration,
}

/// The readers for one run of a list or search.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) store: &'a Store,
    readers: &'a Readers,
}

/// Facts about all videos that are kept in memory.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) vocabulary: Vocabulary,
    /// Number of videos.
    pub(crate) videos: Frequency,
}

/// A read transaction whose statements have a common deadline.
pub(crate) type Reader = Transaction<'static, Sqlite>;

impl Store {
    /// Opens a complete file.
    ///
    /// # Errors
    /// The file is incomplete, has another version, or is damaged.
    pub(crate) async fn open(path: &Path) -> Result<Arc<Self>, Error> {
        let mut writer = options(path).connect().await?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut writer).await?;
        if version != VERSION {
            return Err(Error::NotFilled);
        }
        let statistics = Statistics::read(&mut writer).await?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            short: Readers::open(path, READERS, READER_CACHE_KIB, SHORT_TIMEOUT),
            long: Readers::open(path, LONG_READERS, READER_CACHE_KIB, QUERY_TIMEOUT),
            lookups: Readers::open(path, LOOKUP_READERS, LOOKUP_CACHE_KIB, QUERY_TIMEOUT),
            writer: Mutex::new(writer),
            statistics: RwLock::new(statistics),
            is_retired: AtomicBool::new(false),
        }))
    }

    /// The short and the long run of a list or search. The second one follows if the first one is [`Error::TooSlow`].
    pub(crate) fn runs(&self) -> [Run<'_>; 2] {
        [&self.short, &self.long].map(|readers| Run { store: self, readers })
    }

    /// Begins the read transaction of a lookup of few rows by a key.
    pub(crate) async fn look_up(&self) -> Result<Reader, Error> {
        self.lookups.begin().await
    }

    /// Replaces the connection of the writer, whose transaction ends.
    pub(crate) async fn renew(&self, writer: &mut SqliteConnection) -> Result<(), Error> {
        *writer = options(&self.path).connect().await?;
        Ok(())
    }

    pub(crate) async fn position(&self) -> Result<Position, Error> {
        let mut reader = self.look_up().await?;
        let query = "SELECT seq, token, as_of_ms FROM position";
        let row = sqlx::query(query).fetch_one(&mut *reader).await?;
        Ok(Position {
            seq: row.try_get(0)?,
            token: row.try_get(1)?,
            as_of_ms: row.try_get(2)?,
        })
    }

    /// Returns the number of matches in the full-text index up to which rows are sorted, rather than searched for in
    /// the order of the list. A step of this search costs about 50 times as much as reading and sorting a row. A page
    /// of 20 rows needs `20 N / h` steps if `h` of `N` rows match, so both cost the same for `h` near `30 sqrt(N)`.
    pub(crate) fn sorted_hits(&self) -> u32 {
        let Frequency { public, hidden } = self.statistics().videos;
        let root = public.saturating_add(hidden).max(0).isqrt();
        u32::try_from(root.saturating_mul(30)).unwrap_or(u32::MAX - 1)
    }

    pub(crate) fn statistics(&self) -> RwLockReadGuard<'_, Statistics> {
        self.statistics.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn statistics_mut(&self) -> RwLockWriteGuard<'_, Statistics> {
        self.statistics.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the files be deleted when the last query ends, or kept.
    pub(crate) fn retire(&self, is_retired: bool) {
        self.is_retired.store(is_retired, Ordering::Relaxed);
    }
}

impl Readers {
    fn open(path: &Path, count: u32, cache_kib: i64, timeout: Duration) -> Self {
        let options = options(path)
            .pragma("query_only", "1")
            .pragma("cache_size", (-cache_kib).to_string());
        let pool = SqlitePoolOptions::new().max_connections(count);
        let pool = pool.acquire_timeout(QUERY_TIMEOUT).test_before_acquire(false);
        Self {
            pool: pool.connect_lazy_with(options),
            timeout,
        }
    }

    async fn begin(&self) -> Result<Reader, Error> {
        let mut reader = self.pool.begin().await?;
        let deadline = Instant::now() + self.timeout;
        let mut handle = reader.lock_handle().await?;
        handle.set_progress_handler(INSTRUCTIONS, move || Instant::now() < deadline);
        drop(handle);
        Ok(reader)
    }
}

impl Run<'_> {
    /// Begins the read transaction. All its statements see the same state of the file.
    pub(crate) async fn read(&self) -> Result<Reader, Error> {
        self.readers.begin().await
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.is_retired.load(Ordering::Relaxed) {
            remove(&self.path);
        }
    }
}

impl Statistics {
    async fn read(connection: &mut SqliteConnection) -> Result<Self, Error> {
        let query = "SELECT public_videos, hidden_videos FROM position";
        let row = sqlx::query(query).fetch_one(&mut *connection).await?;
        let videos = frequency(&row, 0)?;
        let mut vocabulary = Vocabulary::default();
        let mut last = String::new();
        loop {
            // In pages, because a row of the driver needs ten times the memory of a word.
            let query = "SELECT word, public, hidden FROM words WHERE word > ? ORDER BY word LIMIT 1000";
            let rows = sqlx::query(query).bind(&last).fetch_all(&mut *connection).await?;
            for row in &rows {
                last = row.try_get(0)?;
                vocabulary.add(&last, frequency(row, 1)?);
            }
            if rows.is_empty() {
                break;
            }
        }
        Ok(Self { vocabulary, videos })
    }
}

/// Reads the numbers of public and hidden videos from two columns.
fn frequency(row: &SqliteRow, first: usize) -> Result<Frequency, Error> {
    Ok(Frequency {
        public: row.try_get(first)?,
        hidden: row.try_get(first + 1)?,
    })
}

/// The options of every connection to a complete file. With `synchronous=NORMAL` a power failure may lose the last
/// transactions, and their position with them: the feed is read again from there.
pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5))
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .pragma("temp_store", "memory")
}

/// Deletes a file with its write-ahead log. A file that cannot be deleted is deleted at the next start.
pub(crate) fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, ?name, "a file of the catalog was not deleted");
            }
            _ => {}
        }
    }
}
