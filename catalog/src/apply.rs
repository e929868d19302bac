//! Changes of the feed.
//!
//! A transaction applies at most [`BATCH`] changes. It reads the old rows and writes as little as possible: nothing
//! for a row that is equal, two columns if only votes and views differ, which are most changes, and words only if a
//! text differs. Then the words of the old texts are removed from the index, and those of the new ones are added. The
//! numbers in `words` change with them, and the copy of these numbers in memory after the commit.

use crate::error::Error;
use crate::list::entries;
use crate::store::Store;
use crate::video::{Account, Change, Position, Video};
use crate::write::{Indexed, counts, remove, videos};
use domain::vocabulary::Frequency;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// Maximum number of changes of a transaction. Larger ones delay readers.
pub const BATCH: usize = 200;

/// The result of applying changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The catalog is at the new position.
    Moved,
    /// The catalog was ahead of the position, and is unchanged.
    Outdated,
}

pub(crate) async fn apply(store: &Store, changes: &[Change], position: Position) -> Result<Applied, Error> {
    let mut writer = store.writer.lock().await;
    let mut rest = changes;
    loop {
        let (batch, after) = rest.split_at(rest.len().min(BATCH));
        let end = after.is_empty().then_some(position);
        let applied = transaction(store, &mut writer, Batch::of(batch), position.seq, end).await;
        if applied.is_err() {
            // SQLite has rolled it back on some errors, such as a full disk, and the connection does not know it.
            store.renew(&mut writer).await?;
        }
        let applied = applied?;
        if after.is_empty() || applied == Applied::Outdated {
            return Ok(applied);
        }
        rest = after;
    }
}

/// The last change of each row in a batch; `None` for a removal.
#[derive(Default)]
struct Batch<'a> {
    videos: BTreeMap<i64, Option<Cow<'a, Video>>>,
    accounts: BTreeMap<i64, Option<Account>>,
}

impl<'a> Batch<'a> {
    fn of(changes: &'a [Change]) -> Self {
        let mut batch = Self::default();
        for change in changes {
            match change {
                Change::Video(entry) => drop(batch.videos.insert(entry.id, Some(entry.canonical()))),
                Change::VideoRemoved(id) => drop(batch.videos.insert(*id, None)),
                Change::Account(account) => drop(batch.accounts.insert(account.id.0, Some(*account))),
                Change::AccountRemoved(id) => drop(batch.accounts.insert(id.0, None)),
            }
        }
        batch
    }
}

/// Applies a batch. `end` is written if the changes up to it are complete.
async fn transaction(
    store: &Store,
    writer: &mut SqliteConnection,
    batch: Batch<'_>,
    seq: i64,
    end: Option<Position>,
) -> Result<Applied, Error> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let query = "SELECT seq FROM position";
    let current: i64 = sqlx::query_scalar(query).fetch_one(&mut *transaction).await?;
    if seq < current {
        return Ok(Applied::Outdated);
    }
    let mut differences = Differences::default();
    change_videos(&mut transaction, &batch.videos, &mut differences).await?;
    differences.write(&mut transaction).await?;
    change_accounts(&mut transaction, &batch.accounts).await?;
    if let Some(Position { seq, token, as_of_ms }) = end {
        let query = "UPDATE position SET seq = ?, token = ?, as_of_ms = max(as_of_ms, ?)";
        sqlx::query(query)
            .bind(seq)
            .bind(token)
            .bind(as_of_ms)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    let mut statistics = store.statistics_mut();
    statistics.videos = statistics.videos.plus(differences.videos);
    for (word, change) in &differences.words {
        statistics.vocabulary.add(word, *change);
    }
    Ok(Applied::Moved)
}

/// Changes of the numbers in `words` and of the numbers of videos.
#[derive(Default)]
struct Differences {
    words: HashMap<String, Frequency>,
    videos: Frequency,
}

impl Differences {
    fn add(&mut self, texts: &Indexed, sign: i64) {
        let change = Frequency {
            public: if texts.hidden { 0 } else { sign },
            hidden: if texts.hidden { sign } else { 0 },
        };
        self.videos = self.videos.plus(change);
        for word in texts.words() {
            let sum = self.words.entry(word).or_default();
            *sum = sum.plus(change);
        }
    }

    async fn write(&mut self, connection: &mut SqliteConnection) -> Result<(), Error> {
        self.words.retain(|_, change| *change != Frequency::default());
        if self.videos != Frequency::default() {
            let query = "UPDATE position SET public_videos = public_videos + ?, hidden_videos = hidden_videos + ?";
            let query = sqlx::query(query).bind(self.videos.public).bind(self.videos.hidden);
            query.execute(&mut *connection).await?;
        }
        if self.words.is_empty() {
            return Ok(());
        }
        // Words consist of letters and digits, so they need no escapes in JSON.
        let rows = self
            .words
            .iter()
            .map(|(word, Frequency { public, hidden })| format!("[\"{word}\",{public},{hidden}]"));
        let rows = format!("[{}]", rows.collect::<Vec<_>>().join(","));
        let query = "INSERT INTO words(word, public, hidden)
            SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true
            ON CONFLICT(word) DO UPDATE SET public = public + excluded.public, hidden = hidden + excluded.hidden";
        sqlx::query(query).bind(&rows).execute(&mut *connection).await?;
        let query = "DELETE FROM words
            WHERE word IN (SELECT value ->> 0 FROM json_each(?)) AND public <= 0 AND hidden <= 0";
        sqlx::query(query).bind(&rows).execute(&mut *connection).await?;
        Ok(())
    }
}

async fn change_videos(
    connection: &mut SqliteConnection,
    changes: &BTreeMap<i64, Option<Cow<'_, Video>>>,
    differences: &mut Differences,
) -> Result<(), Error> {
    let ids: Vec<i64> = changes.keys().copied().collect();
    let known = entries(connection, &ids).await?;
    let known: HashMap<i64, Video> = known.into_iter().map(|entry| (entry.id, entry)).collect();
    let (mut changed, mut counted, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for (id, new) in changes {
        let (old, new) = (known.get(id), new.as_deref());
        match (old, new) {
            (None, None) => continue,
            (Some(_), None) => removed.push(*id),
            (Some(old), Some(new)) if old == new => continue,
            (Some(old), Some(new)) if *old == new.with_counts_of(old) => counted.push(new),
            (_, Some(new)) => changed.push(new),
        }
        let (old, new) = (old.map(Indexed::of), new.map(Indexed::of));
        if old == new {
            continue;
        }
        if let Some(old) = old {
            old.delete(connection).await?;
            differences.add(&old, -1);
        }
        if let Some(new) = new {
            new.insert(connection).await?;
            differences.add(&new, 1);
        }
    }
    counts(connection, &counted).await?;
    videos(connection, &changed).await?;
    remove(connection, &removed).await
}

/// Writes and removes accounts.
pub(crate) async fn change_accounts(
    connection: &mut SqliteConnection,
    accounts: &BTreeMap<i64, Option<Account>>,
) -> Result<(), Error> {
    for (id, account) in accounts {
        match account {
            Some(account) => {
                let query = "INSERT OR REPLACE INTO accounts(id, tokens_valid_after_ms, disabled) VALUES (?, ?, ?)";
                let query = sqlx::query(query).bind(id).bind(account.tokens_valid_after_ms);
                query.bind(account.is_disabled).execute(&mut *connection).await?;
            }
            None => {
                let query = "DELETE FROM accounts WHERE id = ?";
                sqlx::query(query).bind(id).execute(&mut *connection).await?;
            }
        }
    }
    Ok(())
}
