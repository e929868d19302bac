//! The handle of the catalog: its directory and the file in use.

use crate::apply::{Applied, apply};
use crate::current::Current;
use crate::error::Error;
use crate::facets::Facet;
use crate::fill::Filling;
use crate::list::{self, Page};
use crate::search::{self, SearchPage};
use crate::store::{Store, remove};
use crate::video::{Account, Change, Position, Video};
use domain::UserId;
use domain::library::{Cursor, Query, Visibility};
use domain::search::Search;
use sqlx::Row;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Beginning and end of the names of files; between them is their number.
const PREFIX: &str = "catalog-";
const SUFFIX: &str = ".db";

/// The catalog of a process. Clones share it.
#[derive(Clone)]
pub struct Catalog {
    shared: Arc<Shared>,
}

struct Shared {
    directory: PathBuf,
    current: Arc<Current>,
    next_number: AtomicU64,
}

/// The result of opening a catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It answers; the feed continues at [`Catalog::position`].
    Ready,
    /// It must be filled first.
    Empty,
}

impl Catalog {
    /// Opens the catalog in a directory, which is created if it does not exist and belongs to this process alone. Files
    /// that are incomplete, damaged or of another version are deleted.
    ///
    /// # Errors
    /// The directory cannot be read or written.
    pub async fn open(directory: &Path) -> Result<(Self, Opened), Error> {
        tokio::fs::create_dir_all(directory).await?;
        let mut files = files(directory).await?;
        files.sort_by_key(|(number, _)| *number);
        let next = files.last().map_or(1, |(number, _)| number + 1);
        let mut current = None;
        for (_, path) in files.iter().rev() {
            if current.is_none() {
                match Store::open(path).await {
                    Ok(store) => {
                        current = Some(store);
                        continue;
                    }
                    Err(error) => tracing::warn!(%error, ?path, "the catalog is filled again"),
                }
            }
            remove(path);
        }
        let opened = if current.is_some() {
            Opened::Ready
        } else {
            Opened::Empty
        };
        let shared = Shared {
            directory: directory.to_owned(),
            current: Arc::new(Current::new(current)),
            next_number: AtomicU64::new(next),
        };
        Ok((
            Self {
                shared: Arc::new(shared),
            },
            opened,
        ))
    }

    /// Begins to fill a new file. The current one goes on answering and may still be changed.
    ///
    /// # Errors
    /// The file cannot be created.
    pub async fn fill(&self) -> Result<Filling, Error> {
        let number = self.shared.next_number.fetch_add(1, Ordering::Relaxed);
        let path = self.shared.directory.join(format!("{PREFIX}{number}{SUFFIX}"));
        Filling::create(self.shared.current.clone(), path).await
    }

    /// Applies changes of the feed up to `position`, in transactions of at most [`BATCH`](crate::BATCH) rows; the last
    /// one writes the position. Changes before the position of the catalog are ignored.
    ///
    /// # Errors
    /// [`Error::NotFilled`], or the file cannot be written: then the position is unchanged.
    pub async fn apply(&self, changes: &[Change], position: Position) -> Result<Applied, Error> {
        let store = self.store()?;
        let applied = apply(&store, changes, position).await;
        self.checked(&store, applied)
    }

    /// Returns a page of a list. [`Sort::Relevance`](domain::library::Sort::Relevance) means newest first here.
    ///
    /// # Errors
    /// [`Error::NotFilled`], [`Error::CursorInvalid`], [`Error::Busy`], [`Error::TooSlow`] or [`Error::Damaged`].
    pub async fn list(&self, query: &Query, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let store = self.store()?;
        let [short, long] = store.runs();
        let page = match list::list(short, query, cursor).await {
            Err(Error::TooSlow) => list::list(long, query, cursor).await,
            page => page,
        };
        self.checked(&store, page)
    }

    /// Returns a page of a search. If fewer than three videos match, words without a hit are corrected, on the first
    /// page and then on all pages of the walk. The facets are those of the whole search, on every page.
    ///
    /// # Errors
    /// As [`Catalog::list`].
    pub async fn search(
        &self,
        search: &Search,
        query: &Query,
        cursor: Option<&Cursor>,
        facets: &[Facet],
    ) -> Result<SearchPage, Error> {
        let store = self.store()?;
        let [short, long] = store.runs();
        let page = match search::search(short, query, search, cursor, facets).await {
            Err(Error::TooSlow) => search::search(long, query, search, cursor, facets).await,
            page => page,
        };
        self.checked(&store, page)
    }

    /// Returns a public video.
    ///
    /// # Errors
    /// As [`Catalog::list`].
    pub async fn public(&self, id: i64) -> Result<Option<Video>, Error> {
        let store = self.store()?;
        let found = async {
            let mut reader = store.look_up().await?;
            list::entries(&mut reader, &[id]).await
        };
        let mut entries = self.checked(&store, found.await)?;
        Ok(entries.pop().filter(|entry| entry.visibility == Visibility::Public))
    }

    /// Returns a public or unlisted video by the part of its public address that cannot be guessed.
    ///
    /// # Errors
    /// As [`Catalog::list`].
    pub async fn of_link(&self, public_id: &str) -> Result<Option<Video>, Error> {
        let store = self.store()?;
        let query = "SELECT id FROM texts WHERE public_id = ?";
        let found = async {
            let mut reader = store.look_up().await?;
            let id: Option<i64> = sqlx::query_scalar(query)
                .bind(public_id)
                .fetch_optional(&mut *reader)
                .await?;
            let ids: Vec<i64> = id.into_iter().collect();
            list::entries(&mut reader, &ids).await
        };
        let mut entries = self.checked(&store, found.await)?;
        Ok(entries.pop().filter(|entry| entry.visibility != Visibility::Private))
    }

    /// Returns what is known about an account.
    ///
    /// # Errors
    /// As [`Catalog::list`].
    pub async fn account(&self, id: UserId) -> Result<Option<Account>, Error> {
        let store = self.store()?;
        let query = "SELECT tokens_valid_after_ms, disabled FROM accounts WHERE id = ?";
        let found = async {
            let mut reader = store.look_up().await?;
            let row = sqlx::query(query).bind(id.0).fetch_optional(&mut *reader).await?;
            let account = row.map(|row| {
                Ok(Account {
                    id,
                    tokens_valid_after_ms: row.try_get(0)?,
                    is_disabled: row.try_get(1)?,
                })
            });
            account.transpose()
        };
        self.checked(&store, found.await)
    }

    /// Returns the ids of the videos with ids above `after` in order, at most `limit`.
    ///
    /// # Errors
    /// As [`Catalog::list`].
    pub async fn video_ids(&self, after: i64, limit: u32) -> Result<Vec<i64>, Error> {
        let store = self.store()?;
        let query = "SELECT id FROM videos WHERE id > ? ORDER BY id LIMIT ?";
        let found = async {
            let mut reader = store.look_up().await?;
            let ids = sqlx::query_scalar(query).bind(after).bind(limit);
            Ok(ids.fetch_all(&mut *reader).await?)
        };
        self.checked(&store, found.await)
    }

    /// Returns the position up to which the catalog is complete.
    ///
    /// # Errors
    /// As [`Catalog::list`].
    pub async fn position(&self) -> Result<Position, Error> {
        let store = self.store()?;
        let found = store.position().await;
        self.checked(&store, found)
    }

    /// Deletes the file. The catalog must be filled again: the feed was trimmed, or the database was restored.
    pub fn discard(&self) {
        self.shared.current.replace(None);
    }

    fn store(&self) -> Result<Arc<Store>, Error> {
        self.shared.current.store()
    }

    fn checked<T>(&self, store: &Arc<Store>, result: Result<T, Error>) -> Result<T, Error> {
        self.shared.current.checked(store, result)
    }
}

/// The files of a directory, with their numbers.
async fn files(directory: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let mut found = Vec::new();
    let mut entries = tokio::fs::read_dir(directory).await?;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok());
        found.extend(number.map(|number: u64| (number, entry.path())));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Run;
    use domain::library::{Filter, PageSize, Scope, Sort};
    use std::time::{Duration, Instant};

    fn all() -> Query {
        Query {
            scope: Scope::Public,
            filter: Filter::default(),
            sort: Sort::Newest,
            page: PageSize::default(),
        }
    }

    #[tokio::test]
    async fn queries_that_do_not_end_are_interrupted_and_keep_only_each_other_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let (catalog, _) = Catalog::open(directory.path()).await.unwrap();
        let position = Position {
            seq: 1,
            token: 1,
            as_of_ms: 1,
        };
        let filling = catalog.fill().await.unwrap();
        filling.finish(position).await.unwrap().publish().await.unwrap();
        let store = catalog.store().unwrap();
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let started = Instant::now();
        let (begun, mut is_begun) = tokio::sync::watch::channel(0);
        // More of them than there are readers: the last ones wait for a reader.
        let queries = (0..12).map(|_| {
            let (store, begun) = (store.clone(), begun.clone());
            tokio::spawn(async move {
                let count = async |run: Run<'_>| {
                    let mut reader = run.read().await?;
                    begun.send_modify(|begun| *begun += 1);
                    let counted = sqlx::query_scalar(endless).fetch_one(&mut *reader).await;
                    Ok::<i64, Error>(counted?)
                };
                let [short, long] = store.runs();
                match count(short).await {
                    Err(Error::TooSlow) => count(long).await,
                    counted => counted,
                }
            })
        });
        let queries = queries.collect::<Vec<_>>();
        // All have been short ones, and the first two are long ones.
        is_begun.wait_for(|begun| *begun >= 14).await.unwrap();
        let waited = Instant::now();
        for _ in 0..20 {
            assert_eq!(catalog.position().await.unwrap(), position);
            assert!(catalog.of_link("none").await.unwrap().is_none());
            assert!(catalog.list(&all(), None).await.unwrap().videos.is_empty());
        }
        assert!(waited.elapsed() < crate::QUERY_TIMEOUT);
        for query in queries {
            let result = query.await.unwrap();
            assert!(matches!(result, Err(Error::TooSlow | Error::Busy)), "{result:?}");
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
        assert_eq!(catalog.position().await.unwrap(), position);
    }

    #[tokio::test]
    async fn changes_are_applied_again_after_the_file_could_not_grow() {
        let directory = tempfile::tempdir().unwrap();
        let (catalog, _) = Catalog::open(directory.path()).await.unwrap();
        let at = |seq| Position {
            seq,
            token: seq,
            as_of_ms: 1,
        };
        let filling = catalog.fill().await.unwrap();
        filling.finish(at(1)).await.unwrap().publish().await.unwrap();
        let library = crate::synthetic::Library::new(1_000);
        let changes: Vec<_> = (1..=300).map(|id| Change::Video(Box::new(library.video(id)))).collect();
        let store = catalog.store().unwrap();
        // SQLite rolls a transaction back that finds the file full.
        let full = "PRAGMA max_page_count = 1";
        sqlx::query(full)
            .execute(&mut *store.writer.lock().await)
            .await
            .unwrap();
        let refused = catalog.apply(&changes, at(2)).await;
        assert!(matches!(refused, Err(Error::Database(_))), "{refused:?}");
        assert_eq!(catalog.position().await.unwrap(), at(1));
        assert_eq!(catalog.apply(&changes, at(3)).await.unwrap(), Applied::Moved);
        assert_eq!(catalog.position().await.unwrap(), at(3));
        assert_eq!(
            catalog.video_ids(0, 1_000).await.unwrap(),
            (1..=300).collect::<Vec<_>>()
        );
        assert_eq!(catalog.video_ids(100, 2).await.unwrap(), [101, 102]);
    }
}
