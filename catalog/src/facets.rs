//! Facets: the most frequent tags and regions of the hits of a search.

use crate::error::Error;
use crate::hits::{Hits, texts};
use crate::selection::EXACT_HITS;
use crate::store::Reader;
use crate::video::{ROW_SEPARATOR, SEPARATOR, split_tags};
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

pub(crate) async fn facets(hits: &Hits, reader: &mut Reader, facets: &[Facet]) -> Result<Vec<FacetCounts>, Error> {
    if facets.is_empty() || hits.count() == 0 {
        let none = |facet: &Facet| FacetCounts {
            facet: *facet,
            counts: Vec::new(),
            at_least: false,
        };
        return Ok(facets.iter().map(none).collect());
    }
    let rows = texts(reader, hits.newest(EXACT_HITS), "coalesce(v.region, '') || v.tags").await?;
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
            at_least: hits.count() > EXACT_HITS,
        }
    };
    Ok(facets.iter().map(count).collect())
}
