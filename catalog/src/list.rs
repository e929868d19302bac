//! Lists without a search text.

use crate::error::Error;
use crate::selection::{Key, Selection};
use crate::store::Run;
use crate::video::Video;
use crate::write::json;
use domain::library::{Cursor, Query};
use sqlx::sqlite::SqliteConnection;
use std::collections::HashMap;

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// The videos, in the order of the list.
    pub videos: Vec<Video>,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<Cursor>,
}

pub(crate) async fn list(run: Run<'_>, query: &Query, cursor: Option<&Cursor>) -> Result<Page, Error> {
    let fingerprint = query.fingerprint(None);
    let after = match cursor {
        Some(cursor) if cursor.fingerprint != fingerprint || cursor.sort != query.sort => {
            return Err(Error::CursorInvalid);
        }
        Some(Cursor { value, id, .. }) => Some(Key { value: *value, id: *id }),
        None => None,
    };
    let mut reader = run.read().await?;
    let limit = query.page.get();
    let keys = Selection::of_list(query)
        .keys(&mut reader, run.store.sorted_hits(), after, limit + 1)
        .await?;
    let next = last_of_page(&keys, limit).map(|last| Cursor {
        sort: query.sort,
        value: last.value,
        id: last.id,
        fingerprint,
        ranked: None,
        corrections: Vec::new(),
    });
    let ids: Vec<i64> = keys.iter().take(limit).map(|key| key.id).collect();
    let videos = entries(&mut reader, &ids).await?;
    Ok(Page { videos, next })
}

/// Returns the last key of a page if more keys follow.
pub(crate) fn last_of_page(keys: &[Key], limit: usize) -> Option<Key> {
    let last = keys.get(limit - 1).copied();
    last.filter(|_| keys.len() > limit)
}

/// Returns videos by their ids, in this order. Ids without a video are left out.
pub(crate) async fn entries(reader: &mut SqliteConnection, ids: &[i64]) -> Result<Vec<Video>, Error> {
    let sql = "SELECT * FROM videos JOIN texts USING (id) WHERE id IN (SELECT value FROM json_each(?))";
    let query = sqlx::query(sql).bind(json(ids));
    let rows = query.fetch_all(reader).await?;
    let found: Result<Vec<Video>, Error> = rows.iter().map(Video::from_row).collect();
    let mut found: HashMap<i64, Video> = found?.into_iter().map(|entry| (entry.id, entry)).collect();
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}
