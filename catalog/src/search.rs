//! Searches: hits, totals, corrections, facets.

use crate::corrections::{ENOUGH_HITS, corrections};
use crate::error::Error;
use crate::facets::{Facet, FacetCounts, facets};
use crate::hits::{Hits, texts};
use crate::list::{entries, last_of_page};
use crate::selection::{EXACT_HITS, Key, Selection};
use crate::store::{Reader, Run, Statistics, Store};
use crate::video::{ID_SEPARATOR, ROW_SEPARATOR, SEPARATOR, Video};
use domain::folding::{Token, tokens};
use domain::library::{Cursor, Query, RankedHits, Sort};
use domain::ranking::{RANKED_HITS, relevance, weight};
use domain::search::{Correction, Search, Term};
use serde::{Deserialize, Serialize};
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
struct Corrected<'a> {
    search: Search,
    corrections: Vec<Correction>,
    selection: Selection<'a>,
    hits: Hits,
}

pub(crate) async fn search(
    run: Run<'_>,
    query: &Query,
    search: &Search,
    cursor: Option<&Cursor>,
    wanted: &[Facet],
) -> Result<SearchPage, Error> {
    let fingerprint = query.fingerprint(Some(search));
    if cursor.is_some_and(|cursor| cursor.fingerprint != fingerprint || cursor.sort != query.sort) {
        return Err(Error::CursorInvalid);
    }
    let (store, mut reader) = (run.store, run.read().await?);
    let found = corrected(store, &mut reader, query, search, cursor).await?;
    let facets = facets(&found.hits, &mut reader, wanted).await?;
    let limit = query.page.get();
    let (keys, ranked) = found.keys(store, &mut reader, cursor, limit + 1).await?;
    let next = last_of_page(&keys, limit).map(|last| Cursor {
        sort: query.sort,
        value: last.value,
        id: last.id,
        fingerprint,
        ranked,
        corrections: found.corrections.clone(),
    });
    let ids: Vec<i64> = keys.iter().take(limit).map(|key| key.id).collect();
    let videos = entries(&mut reader, &ids).await?;
    let hits = videos.into_iter().map(|video| {
        let words: Vec<Token> = tokens(&video.title).collect();
        let highlight = found.search.highlight(&video.title, &words);
        Hit { video, highlight }
    });
    let total = found.hits.count();
    Ok(SearchPage {
        hits: hits.collect(),
        next,
        total: total.min(EXACT_HITS),
        total_at_least: total > EXACT_HITS,
        corrections: found.corrections,
        facets,
    })
}

/// Reads the hits, and corrects the search if they are few. A following page has the corrections of the first one.
async fn corrected<'a>(
    store: &Store,
    reader: &mut Reader,
    query: &'a Query,
    search: &Search,
    cursor: Option<&Cursor>,
) -> Result<Corrected<'a>, Error> {
    let mut corrected = Corrected {
        search: search.clone(),
        corrections: cursor.map_or_else(Vec::new, |cursor| cursor.corrections.clone()),
        selection: Selection::of_search(query, search, reader).await?,
        hits: Hits::default(),
    };
    if search.terms.is_empty() {
        corrected.corrections.clear();
        return Ok(corrected);
    }
    if cursor.is_none() {
        corrected.hits = Hits::read(&corrected.selection, reader).await?;
        if corrected.hits.count() >= ENOUGH_HITS {
            return Ok(corrected);
        }
        corrected.corrections = corrections(store, reader, query, search).await?;
        if corrected.corrections.is_empty() {
            return Ok(corrected);
        }
    }
    corrected.search = search.clone().corrected(&corrected.corrections);
    corrected.selection = Selection::of_search(query, &corrected.search, reader).await?;
    corrected.hits = Hits::read(&corrected.selection, reader).await?;
    Ok(corrected)
}

impl Corrected<'_> {
    /// Returns the keys of up to `limit` hits after a cursor, and the hits that are ranked.
    async fn keys(
        &self,
        store: &Store,
        reader: &mut Reader,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<(Vec<Key>, Option<RankedHits>), Error> {
        if self.hits.count() == 0 {
            return Ok((Vec::new(), None));
        }
        let after = cursor.map(|cursor| Key {
            value: cursor.value,
            id: cursor.id,
        });
        let sort = self.selection.query.sort;
        if sort == Sort::Relevance {
            let ranked = cursor.and_then(|cursor| cursor.ranked.clone());
            let (mut keys, ranked) = self.ranked(store, reader, ranked).await?;
            keys.retain(|key| after.is_none_or(|after| (key.value, key.id) < (after.value, after.id)));
            keys.sort_unstable_by_key(|key| Reverse((key.value, key.id)));
            keys.truncate(limit);
            return Ok((keys, Some(ranked)));
        }
        let keys = match self.hits.sorted(reader, sort, after, limit).await? {
            Some(keys) => keys,
            None => {
                let sorted_hits = store.sorted_hits();
                self.selection.keys(reader, sorted_hits, after, limit).await?
            }
        };
        Ok((keys, None))
    }
    /// Returns the keys of the hits that are ranked, in any order. The first page fixes these hits and the weights of
    /// the words for the following ones.
    async fn ranked(
        &self,
        store: &Store,
        reader: &mut Reader,
        fixed: Option<RankedHits>,
    ) -> Result<(Vec<Key>, RankedHits), Error> {
        let (ranked, ids) = match fixed {
            Some(ranked) => {
                let ids = self.hits.within(&ranked, &self.selection, reader).await?;
                (ranked, ids)
            }
            None => {
                let ids = self.hits.newest(RANKED_HITS).to_vec();
                (self.first_ranked(store, &ids), ids)
            }
        };
        let rows = texts(reader, &ids, "v.id || char(29) || v.title || v.tags").await?;
        let keys = rows.split(ROW_SEPARATOR);
        let keys = keys.filter_map(|row| self.key(row, &ranked.weights)).collect();
        Ok((keys, ranked))
    }

    fn first_ranked(&self, store: &Store, ids: &[i64]) -> RankedHits {
        let statistics = store.statistics();
        let weights = self.search.terms.iter().map(|term| weight_of(&statistics, term));
        // With fewer hits than are ranked, none is too old.
        let is_full = ids.len() >= RANKED_HITS as usize;
        RankedHits {
            oldest: ids.last().copied().filter(|_| is_full).unwrap_or(0),
            newest: ids.first().copied().unwrap_or(0),
            weights: weights.collect(),
        }
    }

    /// The key of a row: its id, title and tags with separators.
    fn key(&self, row: &str, weights: &[u8]) -> Option<Key> {
        let (id, row) = row.split_once(ID_SEPARATOR)?;
        let (title, tags) = row.split_at(row.find(SEPARATOR).unwrap_or(row.len()));
        let (title, tags): (Vec<Token>, Vec<Token>) = (tokens(title).collect(), tokens(tags).collect());
        Some(Key {
            value: relevance(&self.search, weights, &title, &tags),
            id: id.parse().ok()?,
        })
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
