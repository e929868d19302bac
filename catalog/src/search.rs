//! Searches: hits, totals, corrections, facets.

use crate::corrections::{ENOUGH_HITS, corrections};
use crate::error::Error;
use crate::facets::{Facet, FacetCounts, facets};
use crate::list::{entries, last_of_page};
use crate::schema::Part;
use crate::selection::{Columns, EXACT_HITS, Key, Selection};
use crate::store::{Reader, Statistics, Store};
use crate::video::{ID_SEPARATOR, ROW_SEPARATOR, SEPARATOR, Video};
use domain::folding::{Token, tokens};
use domain::library::{Cursor, Query, RankedHits, Sort};
use domain::ranking::{RANKED_HITS, relevance, weight};
use domain::search::{Correction, Search, Term};
use serde::{Deserialize, Serialize};
use sqlx::QueryBuilder;
use std::cmp::Reverse;
use std::ops::Range;

/// Share of the public videos that a prefix is assumed to occur in, for its weight.
const PREFIX_SHARE: i64 = 100;

/// A video that was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hit {
    /// The video.
    pub video: Video,
    /// The parts of the title that match, as ranges of characters (Unicode scalar values), ascending, without overlap.
    pub highlight: Vec<Range<usize>>,
}

/// A page of a search.
#[derive(Clone, Debug)]
pub struct SearchPage {
    /// The hits, in the order of the query.
    pub hits: Vec<Hit>,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<Cursor>,
    /// Number of videos that match, at most [`EXACT_HITS`].
    pub total: u32,
    /// True if more videos match.
    pub total_at_least: bool,
    /// Words that were looked for instead of words without a hit.
    pub corrections: Vec<Correction>,
    /// The facets that were asked for, in this order.
    pub facets: Vec<FacetCounts>,
}

/// A search after its corrections.
struct Corrected {
    search: Search,
    corrections: Vec<Correction>,
    total: u32,
}

pub(crate) async fn search(
    store: &Store,
    query: &Query,
    search: &Search,
    cursor: Option<&Cursor>,
    wanted: &[Facet],
) -> Result<SearchPage, Error> {
    let fingerprint = query.fingerprint(Some(search));
    if cursor.is_some_and(|cursor| cursor.fingerprint != fingerprint || cursor.sort != query.sort) {
        return Err(Error::CursorInvalid);
    }
    let mut reader = store.read().await?;
    let corrected = corrected(store, &mut reader, query, search, cursor).await?;
    let Corrected {
        search,
        corrections,
        total,
    } = corrected;
    let selection = Selection::new(query, Some(&search));
    let is_empty = search.terms.is_empty() || total == 0;
    let facets = facets(&selection, &mut reader, wanted, if is_empty { 0 } else { total }).await?;
    let limit = query.page.get();
    let after = cursor.map(|cursor| Key {
        value: cursor.value,
        id: cursor.id,
    });
    let (keys, ranked) = if is_empty {
        (Vec::new(), None)
    } else if query.sort == Sort::Relevance {
        let fixed = cursor.and_then(|cursor| cursor.ranked.clone());
        let ranking = Ranking::new(store, &search, fixed);
        ranking.keys(&selection, &mut reader, after, limit + 1).await?
    } else {
        (
            selection
                .keys(&mut reader, store.sorted_hits(), after, limit + 1)
                .await?,
            None,
        )
    };
    let next = last_of_page(&keys, limit).map(|last| Cursor {
        sort: query.sort,
        value: last.value,
        id: last.id,
        fingerprint,
        ranked,
        corrections: corrections.clone(),
    });
    let ids: Vec<i64> = keys.iter().take(limit).map(|key| key.id).collect();
    let videos = entries(&mut reader, &ids).await?;
    let hits = videos.into_iter().map(|video| {
        let words: Vec<Token> = tokens(&video.title).collect();
        let highlight = search.highlight(&video.title, &words);
        Hit { video, highlight }
    });
    Ok(SearchPage {
        hits: hits.collect(),
        next,
        total: total.min(EXACT_HITS),
        total_at_least: total > EXACT_HITS,
        corrections,
        facets,
    })
}

/// Counts the matching videos, and corrects the search if they are few. A following page has the corrections of the
/// first one.
async fn corrected(
    store: &Store,
    reader: &mut Reader,
    query: &Query,
    search: &Search,
    cursor: Option<&Cursor>,
) -> Result<Corrected, Error> {
    if search.terms.is_empty() {
        return Ok(Corrected {
            search: search.clone(),
            corrections: Vec::new(),
            total: 0,
        });
    }
    let mut corrected = Corrected {
        search: search.clone(),
        corrections: cursor.map_or_else(Vec::new, |cursor| cursor.corrections.clone()),
        total: 0,
    };
    if cursor.is_none() {
        corrected.total = Selection::new(query, Some(search)).count(reader).await?;
        if corrected.total >= ENOUGH_HITS {
            return Ok(corrected);
        }
        corrected.corrections = corrections(store, reader, query, search).await?;
        if corrected.corrections.is_empty() {
            return Ok(corrected);
        }
    }
    corrected.search = search.clone().corrected(&corrected.corrections);
    corrected.total = Selection::new(query, Some(&corrected.search)).count(reader).await?;
    Ok(corrected)
}

/// The order by relevance: the weights of the terms, and the ids that are ranked.
struct Ranking<'a> {
    search: &'a Search,
    weights: Vec<u8>,
    /// The hits of the first page, on the following ones.
    fixed: Option<RankedHits>,
}

impl<'a> Ranking<'a> {
    fn new(store: &Store, search: &'a Search, fixed: Option<RankedHits>) -> Self {
        let weights = match &fixed {
            Some(fixed) => fixed.weights.clone(),
            None => {
                let statistics = store.statistics();
                let terms = search.terms.iter().map(|term| weight_of(&statistics, term));
                terms.collect()
            }
        };
        Self { search, weights, fixed }
    }

    /// Returns the keys of up to `limit` hits after a key, and the hits that are ranked.
    async fn keys(
        self,
        selection: &Selection<'_>,
        reader: &mut Reader,
        after: Option<Key>,
        limit: usize,
    ) -> Result<(Vec<Key>, Option<RankedHits>), Error> {
        let mut keys = self.rank(selection, reader).await?;
        let ranked = match self.fixed {
            Some(fixed) => fixed,
            None => RankedHits {
                // With fewer hits than are ranked, none is too old.
                oldest: keys
                    .iter()
                    .map(|key| key.id)
                    .min()
                    .filter(|_| keys.len() >= RANKED_HITS as usize)
                    .unwrap_or(0),
                newest: keys.iter().map(|key| key.id).max().unwrap_or(0),
                weights: self.weights,
            },
        };
        let before = |key: &Key| after.is_none_or(|after| (key.value, key.id) < (after.value, after.id));
        keys.retain(before);
        keys.sort_unstable_by_key(|key| Reverse((key.value, key.id)));
        keys.truncate(limit);
        Ok((keys, Some(ranked)))
    }

    /// Computes the relevance of the hits that are ranked.
    async fn rank(&self, selection: &Selection<'_>, reader: &mut Reader) -> Result<Vec<Key>, Error> {
        let mut keys = Vec::new();
        for part in selection.parts() {
            let mut sql = QueryBuilder::new("SELECT group_concat(row, char(30)) FROM (");
            selection.push_hits(
                &mut sql,
                *part,
                Columns::Of("v.id || char(29) || v.title || v.tags AS row"),
            );
            self.push_range(&mut sql, *part);
            sql.push(")");
            let rows: Option<String> = sql.build_query_scalar().fetch_one(&mut **reader).await?;
            let rows = rows.unwrap_or_default();
            keys.extend(rows.split(ROW_SEPARATOR).filter_map(|row| self.key(row)));
        }
        if self.fixed.is_none() {
            keys.sort_unstable_by_key(|key| Reverse(key.id));
            keys.truncate(RANKED_HITS as usize);
        }
        Ok(keys)
    }

    /// The key of a row: its id, title and tags with separators.
    fn key(&self, row: &str) -> Option<Key> {
        let (id, row) = row.split_once(ID_SEPARATOR)?;
        let (title, tags) = row.split_at(row.find(SEPARATOR).unwrap_or(row.len()));
        let (title, tags): (Vec<Token>, Vec<Token>) = (tokens(title).collect(), tokens(tags).collect());
        Some(Key {
            value: relevance(self.search, &self.weights, &title, &tags),
            id: id.parse().ok()?,
        })
    }

    fn push_range(&self, sql: &mut QueryBuilder<sqlx::Sqlite>, part: Part) {
        let index = part.index;
        match &self.fixed {
            Some(fixed) => {
                sql.push(format!(" AND {index}.rowid >= ")).push_bind(fixed.oldest);
                sql.push(format!(" AND {index}.rowid <= ")).push_bind(fixed.newest);
            }
            None => {
                sql.push(format!(" ORDER BY {index}.rowid DESC LIMIT {RANKED_HITS}"));
            }
        }
    }
}

/// The weight of a term: that of its rarest word.
fn weight_of(statistics: &Statistics, term: &Term) -> u8 {
    let public = |word: &String| statistics.vocabulary.frequency(word).public;
    let words = term.words.iter().map(public).min().unwrap_or(0);
    let containing = term.alternatives.iter().map(public).fold(words, i64::max);
    let videos = statistics.videos.public;
    let assumed = if term.is_prefix { videos / PREFIX_SHARE } else { 0 };
    weight(videos, containing.max(assumed))
}
