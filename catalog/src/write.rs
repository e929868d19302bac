//! Statements that write rows.

use crate::error::Error;
use crate::schema::{TEXT_COLUMNS, VIDEO_COLUMNS, filter_words, part};
use crate::video::Video;
use domain::folding::words;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, QueryBuilder};
use std::collections::BTreeSet;

/// Number of rows of one statement: SQLite allows 32,766 parameters.
const ROWS: usize = 200;

/// Inserts or replaces rows of canonical entries, without their words in the full-text index.
pub(crate) async fn videos(connection: &mut SqliteConnection, entries: &[&Video]) -> Result<(), Error> {
    for entries in entries.chunks(ROWS) {
        let mut sql = QueryBuilder::new(format!("INSERT OR REPLACE INTO videos({VIDEO_COLUMNS}) "));
        sql.push_values(entries, |mut row, entry| {
            row.push_bind(entry.id)
                .push_bind(entry.account.0)
                .push_bind(part(entry.is_hidden()).hidden)
                .push_bind(entry.newest_ms())
                .push_bind(entry.published_at_ms)
                .push_bind(entry.duration_ms)
                .push_bind(entry.votes)
                .push_bind(entry.views)
                .push_bind(entry.owner.clone())
                .push_bind(entry.region.clone())
                .push_bind(entry.title.clone())
                .push_bind(entry.joined_tags());
        });
        sql.build().execute(&mut *connection).await?;
        let mut sql = QueryBuilder::new(format!("INSERT OR REPLACE INTO texts({TEXT_COLUMNS}) "));
        sql.push_values(entries, |mut row, entry| {
            row.push_bind(entry.id)
                .push_bind(entry.public_id.clone())
                .push_bind(entry.visibility.as_str())
                .push_bind(entry.created_at_ms)
                .push_bind(entry.description.clone())
                .push_bind(entry.details.clone());
        });
        sql.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Inserts or replaces the words of the properties of canonical entries.
pub(crate) async fn filters(connection: &mut SqliteConnection, entries: &[&Video]) -> Result<(), Error> {
    for entries in entries.chunks(ROWS) {
        let mut sql = QueryBuilder::new("INSERT OR REPLACE INTO filters(id, words) ");
        sql.push_values(entries, |mut row, entry| {
            row.push_bind(entry.id).push_bind(filter_words(entry));
        });
        sql.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Writes the numbers of votes and views of videos that are known.
pub(crate) async fn counts(connection: &mut SqliteConnection, entries: &[&Video]) -> Result<(), Error> {
    let rows = entries
        .iter()
        .map(|entry| format!("[{},{},{}]", entry.id, entry.votes, entry.views));
    let rows = format!("[{}]", rows.collect::<Vec<_>>().join(","));
    let query =
        "UPDATE videos SET votes = value ->> 1, views = value ->> 2 FROM json_each(?) WHERE videos.id = value ->> 0";
    sqlx::query(query).bind(rows).execute(connection).await?;
    Ok(())
}

/// Deletes rows.
pub(crate) async fn remove(connection: &mut SqliteConnection, ids: &[i64]) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    for query in [
        "DELETE FROM videos WHERE id IN (SELECT value FROM json_each(?))",
        "DELETE FROM texts WHERE id IN (SELECT value FROM json_each(?))",
    ] {
        sqlx::query(query).bind(json(ids)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Returns numbers as a JSON array.
pub(crate) fn json(numbers: &[i64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
    format!("[{}]", numbers.join(","))
}

/// The texts of a video as the full-text index has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub(crate) id: i64,
    pub(crate) hidden: bool,
    pub(crate) title: String,
    pub(crate) tags: String,
    pub(crate) description: String,
    pub(crate) filters: String,
}

impl Indexed {
    pub(crate) fn of(entry: &Video) -> Self {
        Self {
            id: entry.id,
            hidden: entry.is_hidden(),
            title: entry.title.clone(),
            tags: entry.joined_tags(),
            description: entry.description.clone(),
            filters: filter_words(entry),
        }
    }

    /// Adds the words to the index.
    pub(crate) async fn insert(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let index = part(self.hidden).index;
        let sql = format!("INSERT INTO {index}(rowid, title, tags, description, filters) VALUES (?, ?, ?, ?, ?)");
        self.execute(connection, sql).await
    }

    /// Removes the words from the index. A contentless index must be told the texts that it contains.
    pub(crate) async fn delete(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let index = part(self.hidden).index;
        let columns = "rowid, title, tags, description, filters";
        let sql = format!("INSERT INTO {index}({index}, {columns}) VALUES ('delete', ?, ?, ?, ?, ?)");
        self.execute(connection, sql).await
    }

    async fn execute(&self, connection: &mut SqliteConnection, sql: String) -> Result<(), Error> {
        let query = sqlx::query(AssertSqlSafe(sql));
        let query = query.bind(self.id).bind(&self.title).bind(&self.tags);
        query
            .bind(&self.description)
            .bind(&self.filters)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Returns the different words of the texts.
    pub(crate) fn words(&self) -> BTreeSet<String> {
        let texts = [&self.title, &self.tags, &self.description];
        texts.into_iter().flat_map(|text| words(text)).collect()
    }
}
