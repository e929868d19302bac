//! Facets: the most frequent tags and regions of the hits of a search.

use crate::error::Error;
use crate::selection::{Columns, EXACT_HITS, Selection};
use crate::store::Reader;
use crate::video::{ROW_SEPARATOR, SEPARATOR, split_tags};
use sqlx::QueryBuilder;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Maximum number of values of a facet.
pub const FACET_VALUES: usize = 50;

/// A property by whose values hits are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Facet {
    /// Each tag of a video.
    Tags,
    /// The region.
    Region,
}

/// The values of a facet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetCounts {
    /// The facet.
    pub facet: Facet,
    /// The most frequent values with their numbers of hits, at most [`FACET_VALUES`]; equal numbers in the order of the
    /// values.
    pub counts: Vec<(String, u64)>,
    /// True if only the [`EXACT_HITS`] hits with the highest ids were counted.
    pub at_least: bool,
}

pub(crate) async fn facets(
    selection: &Selection<'_>,
    reader: &mut Reader,
    facets: &[Facet],
    total: u32,
) -> Result<Vec<FacetCounts>, Error> {
    if facets.is_empty() || total == 0 {
        let none = |facet: &Facet| FacetCounts {
            facet: *facet,
            counts: Vec::new(),
            at_least: false,
        };
        return Ok(facets.iter().map(none).collect());
    }
    let rows = rows(selection, reader).await?;
    let count = |facet: &Facet| {
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for row in rows.split(ROW_SEPARATOR) {
            let (region, tags) = row.split_at(row.find(SEPARATOR).unwrap_or(row.len()));
            match facet {
                Facet::Region if region.is_empty() => {}
                Facet::Region => *counts.entry(region).or_default() += 1,
                Facet::Tags => split_tags(tags).for_each(|tag| *counts.entry(tag).or_default() += 1),
            }
        }
        let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(value, count)| (Reverse(*count), *value));
        let counts = counts.into_iter().take(FACET_VALUES);
        FacetCounts {
            facet: *facet,
            counts: counts.map(|(value, count)| (value.to_owned(), count)).collect(),
            at_least: total > EXACT_HITS,
        }
    };
    Ok(facets.iter().map(count).collect())
}

/// Returns region and tags of the newest hits.
async fn rows(selection: &Selection<'_>, reader: &mut Reader) -> Result<String, Error> {
    let columns = Columns::Of("v.id AS id, coalesce(v.region, '') || v.tags AS row");
    let parts = selection.parts();
    let mut sql = QueryBuilder::new("SELECT group_concat(row, char(30)) FROM (SELECT row FROM (");
    for (number, part) in parts.iter().enumerate() {
        sql.push(if number > 0 {
            " UNION ALL SELECT * FROM ("
        } else {
            "SELECT * FROM ("
        });
        selection.push_hits(&mut sql, *part, columns);
        sql.push(format!(" ORDER BY {}.rowid DESC LIMIT {EXACT_HITS})", part.index));
    }
    sql.push(")");
    if parts.len() > 1 {
        sql.push(format!(" ORDER BY id DESC LIMIT {EXACT_HITS}"));
    }
    sql.push(")");
    let rows: Option<String> = sql.build_query_scalar().fetch_one(&mut **reader).await?;
    Ok(rows.unwrap_or_default())
}
