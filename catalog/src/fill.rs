//! Filling of a new file.
//!
//! Rows are written without indexes, without a journal and without waiting for the disk: a file of an interrupted fill
//! is deleted. At the end the indexes are built, each in one pass, and the file is synchronized with the disk. Only
//! then the version is written, which makes the file complete.

use crate::apply::{Applied, apply, change_accounts};
use crate::current::Current;
use crate::error::Error;
use crate::schema::{INDEXES, TABLES, VERSION};
use crate::store::{Store, options, remove};
use crate::video::{Account, Change, Position, Video};
use crate::write::{filters, videos};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::path::PathBuf;
use std::sync::Arc;

/// Page cache of the connection that fills, in KiB. Rows and words are appended, so few pages are read again.
const CACHE_KIB: i64 = 8 * 1024;

/// Memory of the full-text index for words that are not written yet, in bytes, during a fill and afterwards. Each time
/// that it is used up, a segment is written.
const FILL_HASH_BYTES: u32 = 16 << 20;
const HASH_BYTES: u32 = 1 << 20;

/// Number of segments of a level that FTS5 merges in parts while changes are written, and from which it merges all of
/// them in one transaction. During a fill it does neither: all segments are merged once, at the end.
const AUTOMERGE: u32 = 4;
const CRISISMERGE: u32 = 16;
const NEVER: u32 = 1_999;

/// Number of the first videos that are indexed together, and then of those indexed one by one. See [`build_index`].
const FIRST: u32 = 50;
const SINGLE: u32 = 4;

/// The words of the properties of each video, until they are indexed.
const FILTERS: &str = "CREATE TABLE filters(id INTEGER PRIMARY KEY, words TEXT NOT NULL)";

/// A new file that is being filled. Dropping it deletes the file.
pub struct Filling {
    current: Arc<Current>,
    file: IncompleteFile,
    connection: SqliteConnection,
}

/// A complete file that is not in use yet.
pub struct Filled {
    current: Arc<Current>,
    store: Arc<Store>,
}

/// Deletes the file unless it was completed.
struct IncompleteFile {
    path: PathBuf,
    is_complete: bool,
}

impl Drop for IncompleteFile {
    fn drop(&mut self) {
        if !self.is_complete {
            remove(&self.path);
        }
    }
}

impl Filling {
    pub(crate) async fn create(current: Arc<Current>, path: PathBuf) -> Result<Self, Error> {
        let file = IncompleteFile {
            path,
            is_complete: false,
        };
        let mut connection = SqliteConnectOptions::new()
            .filename(&file.path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off)
            .locking_mode(SqliteLockingMode::Exclusive)
            .pragma("cache_size", (-CACHE_KIB).to_string())
            .pragma("temp_store", "memory")
            .connect()
            .await?;
        sqlx::raw_sql(TABLES).execute(&mut connection).await?;
        sqlx::raw_sql(FILTERS).execute(&mut connection).await?;
        Ok(Self {
            current,
            file,
            connection,
        })
    }

    /// Adds videos, best in pages of some thousands in the order of their ids. A video that is added again replaces
    /// itself.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn push(&mut self, entries: &[Video]) -> Result<(), Error> {
        let entries: Vec<_> = entries.iter().map(Video::canonical).collect();
        let entries: Vec<&Video> = entries.iter().map(AsRef::as_ref).collect();
        let mut transaction = self.connection.begin().await?;
        videos(&mut transaction, &entries).await?;
        filters(&mut transaction, &entries).await?;
        Ok(transaction.commit().await?)
    }

    /// Adds accounts.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn push_accounts(&mut self, accounts: &[Account]) -> Result<(), Error> {
        let accounts = accounts.iter().map(|account| (account.id.0, Some(*account))).collect();
        let mut transaction = self.connection.begin().await?;
        change_accounts(&mut transaction, &accounts).await?;
        Ok(transaction.commit().await?)
    }

    /// Builds the indexes. `position` is that of the feed before the first row was read.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn finish(mut self, position: Position) -> Result<Filled, Error> {
        self.build(position).await?;
        self.connection.close().await?;
        let path = self.file.path.clone();
        tokio::fs::File::open(&path).await?.sync_all().await?;
        let mut connection = options(&path).synchronous(SqliteSynchronous::Full).connect().await?;
        let version = AssertSqlSafe(format!("PRAGMA user_version = {VERSION}"));
        sqlx::query(version).execute(&mut connection).await?;
        connection.close().await?;
        let store = Store::open(&path).await?;
        self.file.is_complete = true;
        // Until it is published, the file belongs to no catalog.
        store.retire(true);
        Ok(Filled {
            current: self.current,
            store,
        })
    }

    async fn build(&mut self, position: Position) -> Result<(), Error> {
        let mut steps = build_index("public_fts", 0);
        steps.extend(build_index("hidden_fts", 1));
        for index in ["public_fts", "hidden_fts"] {
            steps.push(format!(
                "CREATE VIRTUAL TABLE temp.{index}_words USING fts5vocab(main, {index}, row)"
            ));
        }
        steps.push("DROP TABLE filters".to_owned());
        steps.push(WORDS.to_owned());
        steps.push(INDEXES.to_owned());
        steps.push(format!(
            "INSERT INTO position(one, seq, token, as_of_ms, public_videos, hidden_videos)
             SELECT 1, {}, {}, {}, count(*) FILTER (WHERE hidden = 0), count(*) FILTER (WHERE hidden = 1) FROM videos",
            position.seq, position.token, position.as_of_ms
        ));
        for step in steps {
            let started = std::time::Instant::now();
            sqlx::raw_sql(AssertSqlSafe(step.clone()))
                .execute(&mut self.connection)
                .await?;
            tracing::debug!(step, elapsed = ?started.elapsed(), "a step of a fill ended");
        }
        Ok(())
    }
}

/// Returns the statements that index the videos of a part, in one segment.
///
/// FTS5 keeps segments in levels, and four segments of a level become one of the next. A segment on a low level would
/// soon be merged with those of changes, and be written again and again: in parts, and as a whole when the level has 16
/// segments, which took a single change 19 s in a library of a million. FTS5 has no means to place a segment, but
/// `optimize` writes it two levels above the highest one if there are segments on several levels. So the first videos
/// are raised to a high level, which costs nothing as they are few. At the end one video and the first word are taken
/// apart from the rest, so that the segments are on two levels.
fn build_index(index: &str, hidden: u8) -> Vec<String> {
    let columns = "title, tags, description";
    let set = |name: &str, value: u32| format!("INSERT INTO {index}({index}, rank) VALUES ('{name}', {value})");
    let insert = |offset: u32, count: i64| {
        format!(
            "INSERT INTO {index}(rowid, {columns}, filters)
             SELECT id, {columns}, words FROM videos JOIN texts USING (id) JOIN filters USING (id)
             WHERE hidden = {hidden} ORDER BY id LIMIT {count} OFFSET {offset}"
        )
    };
    let optimize = format!("INSERT INTO {index}({index}) VALUES ('optimize')");
    let mut steps = vec![
        set("hashsize", FILL_HASH_BYTES),
        set("crisismerge", NEVER),
        set("automerge", 0),
        insert(1, i64::from(FIRST)),
    ];
    for number in 0..SINGLE {
        steps.extend([insert(1 + FIRST + number, 1), optimize.clone()]);
    }
    steps.extend([
        insert(1 + FIRST + SINGLE, -1),
        set("usermerge", 2),
        set("merge", 1),
        insert(0, 1),
        optimize,
        set("usermerge", AUTOMERGE),
        set("automerge", AUTOMERGE),
        set("crisismerge", CRISISMERGE),
        set("hashsize", HASH_BYTES),
    ]);
    steps
}

/// Counts the videos of each word, without the words of properties.
const WORDS: &str = "
INSERT INTO words(word, public, hidden)
SELECT term, sum(public), sum(hidden) FROM (
    SELECT term, doc AS public, 0 AS hidden FROM public_fts_words
    UNION ALL SELECT term, 0, doc FROM hidden_fts_words)
WHERE unicode(term) < 983040 GROUP BY term";

impl Filled {
    /// Applies changes as [`Catalog::apply`](crate::Catalog::apply) does, so that the file is not behind the one in use
    /// when it is published.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn apply(&self, changes: &[Change], position: Position) -> Result<Applied, Error> {
        apply(&self.store, changes, position).await
    }

    /// Lets queries use this file from now on. Queries that run end on the old one, which is deleted then.
    ///
    /// # Errors
    /// [`Error::Behind`] if the position is before that of the file in use. The file is deleted.
    pub async fn publish(self) -> Result<(), Error> {
        let position = self.store.position().await?;
        if let Ok(current) = self.current.store() {
            // A current file that cannot be read is no reason to keep it.
            if current.position().await.is_ok_and(|current| current.seq > position.seq) {
                return Err(Error::Behind);
            }
        }
        self.store.retire(false);
        self.current.replace(Some(self.store.clone()));
        Ok(())
    }
}
