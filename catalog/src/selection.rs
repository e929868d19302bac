//! The rows that a query selects, and the two plans to find those of a page.

use crate::completions::Completions;
use crate::error::Error;
use crate::expression::expression;
use crate::schema::{HIDDEN, PUBLIC, Part, column};
use crate::store::Reader;
use domain::library::{Query, Scope};
use domain::search::Search;
use sqlx::{QueryBuilder, Row, Sqlite};

/// Number of hits up to which a total is exact and facets count all of them.
pub const EXACT_HITS: u32 = 10_000;

/// Maximum number of rows of a walk, with words to be looked up for each row, and without. A walk that does not fill a
/// page within these is given up, and the matching rows are sorted: a word may occur in old videos only, for instance.
const WALKED_WITH_WORDS: u32 = 1_000;
const WALKED: u32 = 5_000;

/// The rows of a query.
pub(crate) struct Selection<'a> {
    pub(crate) query: &'a Query,
    has_words: bool,
    expression: Option<String>,
}

/// A row by its sort value and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) value: i64,
    pub(crate) id: i64,
}

/// The columns of a query for hits.
#[derive(Clone, Copy)]
enum Columns<'a> {
    /// None, and the ranges of the filter are not checked: an upper bound of the hits.
    None,
    /// The id of each hit.
    Id,
    /// Columns of `v`.
    Of(&'a str),
}

/// The rows from which a walk in the order of an index goes on.
#[derive(Clone, Copy)]
enum From {
    Start,
    /// Rows with the value of the last one, and a lower id.
    Equal(Key),
    /// Rows with a lower value.
    Below(i64),
}

impl<'a> Selection<'a> {
    /// All rows of a list.
    pub(crate) fn of_list(query: &'a Query) -> Self {
        Self {
            query,
            has_words: false,
            expression: expression(query, None, &Completions::default()),
        }
    }

    /// The hits of a search.
    pub(crate) async fn of_search(query: &'a Query, search: &Search, reader: &mut Reader) -> Result<Self, Error> {
        let completions = Completions::read(reader, &search.terms).await?;
        Ok(Self {
            query,
            has_words: true,
            expression: expression(query, Some(search), &completions),
        })
    }

    /// The rows that match a given expression.
    pub(crate) fn with_expression(query: &'a Query, expression: String) -> Self {
        Self {
            query,
            has_words: true,
            expression: Some(expression),
        }
    }

    pub(crate) fn parts(&self) -> &'static [Part] {
        match self.query.scope {
            Scope::Public => &[PUBLIC],
            Scope::Account(_) => &[PUBLIC, HIDDEN],
        }
    }

    /// Returns `true` if a row matches.
    pub(crate) async fn has_hit(&self, reader: &mut Reader) -> Result<bool, Error> {
        Ok(self.count_to(reader, 1, Columns::Id).await? > 0)
    }

    async fn count_to(&self, reader: &mut Reader, limit: u32, columns: Columns<'_>) -> Result<u32, Error> {
        let mut sql = QueryBuilder::new("SELECT count(*) FROM (");
        for (index, part) in self.parts().iter().enumerate() {
            sql.push(if index > 0 { " UNION ALL " } else { "" });
            self.push_hits(&mut sql, *part, columns);
        }
        sql.push(" LIMIT ").push_bind(limit).push(")");
        Ok(sql.build_query_scalar().fetch_one(&mut **reader).await?)
    }

    /// Returns the keys of up to `limit` rows after a key. Up to `sorted_hits` matches of the full-text index are
    /// sorted.
    pub(crate) async fn keys(
        &self,
        reader: &mut Reader,
        sorted_hits: u32,
        after: Option<Key>,
        limit: usize,
    ) -> Result<Vec<Key>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // The videos of an account are few, and in two parts.
        let is_account = self.query.scope != Scope::Public;
        if is_account
            || self.expression.is_some() && self.count_to(reader, sorted_hits + 1, Columns::None).await? <= sorted_hits
        {
            return self.sorted(reader, after, limit).await;
        }
        let has_conditions = self.expression.is_some() || self.has_ranges();
        let end = match (self.has_words, has_conditions) {
            (false, false) => None,
            (true, _) => self.boundary(reader, after, WALKED_WITH_WORDS).await?,
            (false, true) => self.boundary(reader, after, WALKED).await?,
        };
        let mut keys = match after {
            None => self.walk(reader, From::Start, end, limit).await?,
            Some(after) => self.walk(reader, From::Equal(after), end, limit).await?,
        };
        let left = limit - i64::try_from(keys.len()).unwrap_or(limit);
        if let Some(after) = after.filter(|_| left > 0) {
            keys.extend(self.walk(reader, From::Below(after.value), end, left).await?);
        }
        let is_page = i64::try_from(keys.len()).is_ok_and(|found| found == limit);
        if end.is_none() || is_page {
            return Ok(keys);
        }
        self.sorted(reader, after, limit).await
    }

    /// Reads all matching rows and sorts them.
    async fn sorted(&self, reader: &mut Reader, after: Option<Key>, limit: i64) -> Result<Vec<Key>, Error> {
        let column = column(self.query.sort);
        let mut sql = QueryBuilder::new("SELECT value, id FROM (");
        for (index, part) in self.parts().iter().enumerate() {
            sql.push(if index > 0 { " UNION ALL " } else { "" });
            let columns = format!("v.{column} AS value, v.id AS id");
            self.push_hits(&mut sql, *part, Columns::Of(&columns));
            if let Some(key) = after {
                sql.push(format!(" AND (v.{column}, v.id) < ("));
                sql.push_bind(key.value).push(", ").push_bind(key.id).push(")");
            }
        }
        sql.push(") ORDER BY value DESC, id DESC LIMIT ").push_bind(limit);
        read_keys(&mut sql, reader).await
    }

    /// Returns the public row that is `rows` rows after a key in the order of the list; `None` if there are fewer.
    async fn boundary(&self, reader: &mut Reader, after: Option<Key>, rows: u32) -> Result<Option<Key>, Error> {
        let steps = match after {
            None => vec![From::Start],
            Some(after) => vec![From::Equal(after), From::Below(after.value)],
        };
        let mut sql = QueryBuilder::new("SELECT value, id FROM (");
        for (number, from) in steps.into_iter().enumerate() {
            sql.push(if number > 0 { " UNION ALL " } else { "" });
            sql.push("SELECT * FROM (");
            self.push_walk(&mut sql, from);
            self.push_order(&mut sql, i64::from(rows) + 1);
            sql.push(")");
        }
        sql.push(") ORDER BY value DESC, id DESC LIMIT 1 OFFSET ")
            .push_bind(rows);
        Ok(read_keys(&mut sql, reader).await?.pop())
    }

    /// Reads public rows in the order of the index of the sort value, to `end` at most, until enough of them match.
    async fn walk(&self, reader: &mut Reader, from: From, end: Option<Key>, limit: i64) -> Result<Vec<Key>, Error> {
        let column = column(self.query.sort);
        let mut sql = QueryBuilder::new("");
        self.push_walk(&mut sql, from);
        if let Some(end) = end {
            sql.push(format!(" AND v.{column} >= ")).push_bind(end.value);
            sql.push(format!(" AND (v.{column}, v.id) >= ("));
            sql.push_bind(end.value).push(", ").push_bind(end.id).push(")");
        }
        self.push_equalities(&mut sql);
        self.push_ranges(&mut sql);
        if let Some(expression) = self.expression.as_ref().filter(|_| self.has_words) {
            let index = PUBLIC.index;
            // SQLite evaluates a correlated subquery after all other conditions.
            sql.push(format!(" AND EXISTS (SELECT 1 FROM {index} WHERE {index} MATCH "));
            sql.push_bind(expression.clone()).push(" AND rowid = v.id)");
        }
        self.push_order(&mut sql, limit);
        read_keys(&mut sql, reader).await
    }

    /// Appends a query for the keys of public rows from a point of the order of the list.
    fn push_walk(&self, sql: &mut QueryBuilder<Sqlite>, from: From) {
        let (column, hidden) = (column(self.query.sort), PUBLIC.hidden);
        sql.push(format!(
            "SELECT v.{column} AS value, v.id AS id FROM videos v WHERE v.hidden = {hidden}"
        ));
        match from {
            From::Start => {}
            From::Equal(key) => {
                sql.push(format!(" AND v.{column} = ")).push_bind(key.value);
                sql.push(" AND v.id < ").push_bind(key.id);
            }
            From::Below(value) => {
                sql.push(format!(" AND v.{column} < ")).push_bind(value);
            }
        }
    }

    fn push_order(&self, sql: &mut QueryBuilder<Sqlite>, limit: i64) {
        let column = column(self.query.sort);
        sql.push(format!(" ORDER BY v.{column} DESC, v.id DESC LIMIT "))
            .push_bind(limit);
    }

    /// Appends a query for the ids of the hits of a part. More conditions on the rowid of its index may follow.
    pub(crate) fn push_ids(&self, sql: &mut QueryBuilder<Sqlite>, part: Part) {
        self.push_hits(sql, part, Columns::Id);
    }

    /// Appends a query for the matching rows `v` of a part. More conditions may follow.
    fn push_hits(&self, sql: &mut QueryBuilder<Sqlite>, part: Part, columns: Columns<'_>) {
        let Part { hidden, index } = part;
        let selected = match columns {
            Columns::None => "1",
            Columns::Id => "v.id AS id",
            Columns::Of(columns) => columns,
        };
        let Some(expression) = &self.expression else {
            sql.push(format!("SELECT {selected} FROM videos v WHERE v.hidden = {hidden}"));
            return self.push_ranges(sql);
        };
        let is_index_enough = match columns {
            Columns::None => true,
            Columns::Id => !self.has_ranges(),
            Columns::Of(_) => false,
        };
        if is_index_enough {
            sql.push(format!("SELECT {index}.rowid AS id FROM {index} WHERE {index} MATCH "))
                .push_bind(expression.clone());
            return;
        }
        sql.push(format!(
            "SELECT {selected} FROM {index} CROSS JOIN videos v ON v.id = {index}.rowid WHERE {index} MATCH "
        ));
        sql.push_bind(expression.clone());
        self.push_ranges(sql);
    }

    fn has_ranges(&self) -> bool {
        self.ranges().iter().any(|(_, number)| number.is_some())
    }

    /// The conditions of the filter that the expression does not contain.
    fn ranges(&self) -> [(&'static str, Option<i64>); 4] {
        let filter = &self.query.filter;
        [
            ("duration_ms >= ", filter.min_duration_ms),
            ("duration_ms <= ", filter.max_duration_ms),
            ("published_at_ms >= ", filter.published_after_ms),
            ("published_at_ms < ", filter.published_before_ms),
        ]
    }

    fn push_ranges(&self, sql: &mut QueryBuilder<Sqlite>) {
        for (comparison, number) in self.ranges() {
            if let Some(number) = number {
                sql.push(format!(" AND v.{comparison}")).push_bind(number);
            }
        }
    }

    /// Appends the conditions of the filter that the expression contains, for a walk without the full-text index.
    fn push_equalities(&self, sql: &mut QueryBuilder<Sqlite>) {
        let filter = &self.query.filter;
        for tag in &filter.tags {
            sql.push(" AND instr(v.tags, ")
                .push_bind(format!("\u{1f}{tag}\u{1f}"))
                .push(") > 0");
        }
        for (column, text) in [("region", &filter.region), ("owner", &filter.owner)] {
            if let Some(text) = text {
                sql.push(format!(" AND v.{column} = ")).push_bind(text.clone());
            }
        }
    }
}

pub(crate) async fn read_keys(sql: &mut QueryBuilder<Sqlite>, reader: &mut Reader) -> Result<Vec<Key>, Error> {
    let rows = sql.build().fetch_all(&mut **reader).await?;
    let key = |row: &sqlx::sqlite::SqliteRow| {
        Ok(Key {
            value: row.try_get(0)?,
            id: row.try_get(1)?,
        })
    };
    rows.iter().map(key).collect()
}
