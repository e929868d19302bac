//! The newest hits of a search, read once.
//!
//! The total, the rows that are ranked and those of the facets are all about the hits with the highest ids. So their
//! ids are read in one pass over the full-text index, and then the rows of as many of them as are needed: a pass for
//! two frequent words costs more than anything else.

use crate::error::Error;
use crate::schema::column;
use crate::selection::{EXACT_HITS, Key, Selection, read_keys};
use crate::store::Reader;
use crate::write::json;
use domain::library::{RankedHits, Sort};
use sqlx::{AssertSqlSafe, QueryBuilder};
use std::ops::RangeInclusive;

/// The ids of the newest hits, descending; one more than [`EXACT_HITS`] if there are more.
#[derive(Default)]
pub(crate) struct Hits {
    ids: Vec<i64>,
}

impl Hits {
    pub(crate) async fn read(selection: &Selection<'_>, reader: &mut Reader) -> Result<Self, Error> {
        let ids = ids(selection, reader, None, EXACT_HITS + 1).await?;
        Ok(Self { ids })
    }

    /// Number of hits, at most one more than [`EXACT_HITS`].
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.ids.len()).unwrap_or(u32::MAX)
    }

    /// Returns the ids of the newest hits.
    pub(crate) fn newest(&self, count: u32) -> &[i64] {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.ids.get(..count).unwrap_or(&self.ids)
    }

    /// Returns the hits with these ids, which are read if they are older than the newest hits.
    pub(crate) async fn within(
        &self,
        ranked: &RankedHits,
        selection: &Selection<'_>,
        reader: &mut Reader,
    ) -> Result<Vec<i64>, Error> {
        let range = ranked.oldest..=ranked.newest;
        let is_complete = self.count() <= EXACT_HITS || self.ids.last().is_some_and(|oldest| *oldest <= *range.start());
        if is_complete {
            return Ok(self.ids.iter().copied().filter(|id| range.contains(id)).collect());
        }
        ids(selection, reader, Some(range), u32::MAX).await
    }

    /// Returns the keys of up to `limit` hits after a key; `None` if there are too many to sort them.
    pub(crate) async fn sorted(
        &self,
        reader: &mut Reader,
        sort: Sort,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Option<Vec<Key>>, Error> {
        if self.count() > EXACT_HITS {
            return Ok(None);
        }
        let column = column(sort);
        let mut sql = QueryBuilder::new(format!("SELECT v.{column}, v.id FROM json_each("));
        sql.push_bind(json(&self.ids))
            .push(") hit CROSS JOIN videos v ON v.id = hit.value");
        if let Some(key) = after {
            sql.push(format!(" WHERE (v.{column}, v.id) < ("));
            sql.push_bind(key.value).push(", ").push_bind(key.id).push(")");
        }
        sql.push(format!(" ORDER BY v.{column} DESC, v.id DESC LIMIT "));
        sql.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        read_keys(&mut sql, reader).await.map(Some)
    }
}

/// Returns a text for each of the videos, in this order, joined by [`ROW_SEPARATOR`](crate::video::ROW_SEPARATOR).
/// `text` is an expression in the columns of `v`.
pub(crate) async fn texts(reader: &mut Reader, ids: &[i64], text: &str) -> Result<String, Error> {
    let sql =
        format!("SELECT group_concat({text}, char(30)) FROM json_each(?) hit CROSS JOIN videos v ON v.id = hit.value");
    let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(json(ids));
    let texts: Option<String> = query.fetch_one(&mut **reader).await?;
    Ok(texts.unwrap_or_default())
}

/// Returns the ids of the hits with the highest ids, descending.
async fn ids(
    selection: &Selection<'_>,
    reader: &mut Reader,
    range: Option<RangeInclusive<i64>>,
    limit: u32,
) -> Result<Vec<i64>, Error> {
    let mut sql = QueryBuilder::new("SELECT group_concat(id, ' ') FROM (SELECT id FROM (");
    for (number, part) in selection.parts().iter().enumerate() {
        sql.push(if number > 0 { " UNION ALL " } else { "" });
        sql.push("SELECT * FROM (");
        selection.push_ids(&mut sql, *part);
        if let Some(range) = &range {
            sql.push(format!(" AND {}.rowid >= ", part.index))
                .push_bind(*range.start());
            sql.push(format!(" AND {}.rowid <= ", part.index))
                .push_bind(*range.end());
        }
        sql.push(format!(" ORDER BY {}.rowid DESC LIMIT {limit})", part.index));
    }
    sql.push(")");
    if selection.parts().len() > 1 {
        sql.push(format!(" ORDER BY id DESC LIMIT {limit}"));
    }
    sql.push(")");
    let found: Option<String> = sql.build_query_scalar().fetch_one(&mut **reader).await?;
    let found = found.unwrap_or_default();
    let ids: Result<Vec<i64>, _> = found.split_ascii_whitespace().map(str::parse).collect();
    ids.map_err(|_| Error::Damaged)
}
