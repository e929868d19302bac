//! A catalog without indexes: every query reads all videos. It is the specification of lists and searches.

use catalog::{EXACT_HITS, FACET_VALUES, Facet, Video};
use domain::folding::{Token, tokens, words};
use domain::library::{Query, Scope, Sort, Visibility};
use domain::ranking::{RANKED_HITS, relevance, weight};
use domain::search::{Search, Term};
use domain::vocabulary::distance;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The words of the texts of a video, by number: title, tags, description.
type Texts = [Vec<u32>; 3];

pub(crate) struct Model {
    videos: Vec<(Video, Texts)>,
    numbers: BTreeMap<String, u32>,
    /// Number of public videos of each word.
    frequencies: BTreeMap<String, i64>,
}

/// The answer to a search.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) total: usize,
    pub(crate) corrections: Vec<(usize, Vec<String>)>,
    pub(crate) facets: Vec<Vec<(String, u64)>>,
    /// All hits in their order.
    pub(crate) ids: Vec<i64>,
}

/// A term by the numbers of its words. The last word may be a prefix: any of several.
struct Numbered {
    words: Vec<BTreeSet<u32>>,
    alternatives: BTreeSet<u32>,
}

impl Model {
    pub(crate) fn new(entries: &[Video]) -> Self {
        let mut model = Self {
            videos: Vec::new(),
            numbers: BTreeMap::new(),
            frequencies: BTreeMap::new(),
        };
        for entry in entries {
            let texts = [entry.title.clone(), entry.tags.join(" "), entry.description.clone()];
            let all: BTreeSet<String> = texts.iter().flat_map(|text| words(text)).collect();
            for word in all {
                let public = i64::from(entry.visibility == Visibility::Public);
                *model.frequencies.entry(word).or_default() += public;
            }
            let texts = texts.map(|text| words(&text).map(|word| model.number(word)).collect());
            model.videos.push((entry.clone(), texts));
        }
        model
    }

    fn number(&mut self, word: String) -> u32 {
        let next = u32::try_from(self.numbers.len()).unwrap();
        *self.numbers.entry(word).or_insert(next)
    }

    pub(crate) fn list(&self, query: &Query) -> Vec<i64> {
        let videos = self.videos.iter().filter(|(entry, _)| is_selected(entry, query));
        ordered(videos.map(|(entry, _)| (value(entry, query.sort), entry.id)).collect())
    }

    pub(crate) fn search(&self, query: &Query, search: &Search) -> Answer {
        let mut hits = self.hits(query, search);
        let (mut search, mut corrections) = (search.clone(), Vec::new());
        if hits.len() < 3 {
            for index in 0..search.terms.len() {
                let replacements = self.replacements(query, &search.terms[index]);
                if !replacements.is_empty() && corrections.len() < 4 {
                    search.terms[index].alternatives.clone_from(&replacements);
                    corrections.push((index, replacements));
                }
            }
            hits = self.hits(query, &search);
        }
        let ids = if query.sort == Sort::Relevance {
            self.ranked(&search, &hits)
        } else {
            ordered(hits.iter().map(|entry| (value(entry, query.sort), entry.id)).collect())
        };
        let facets = [Facet::Tags, Facet::Region]
            .map(|facet| facet_counts(&hits, facet))
            .to_vec();
        Answer {
            total: hits.len(),
            corrections,
            facets,
            ids,
        }
    }

    fn hits(&self, query: &Query, search: &Search) -> Vec<&Video> {
        let number = |terms: &[Term]| terms.iter().map(|term| self.numbered(term)).collect::<Vec<_>>();
        let (terms, excluded) = (number(&search.terms), number(&search.excluded));
        let is_hit = |(entry, texts): &&(Video, Texts)| {
            is_selected(entry, query)
                && !terms.is_empty()
                && terms.iter().all(|term| term.is_in(texts))
                && !excluded.iter().any(|term| term.is_in(texts))
        };
        self.videos.iter().filter(is_hit).map(|(entry, _)| entry).collect()
    }

    fn numbered(&self, term: &Term) -> Numbered {
        let last = term.words.len() - 1;
        let of = |(index, word): (usize, &String)| -> BTreeSet<u32> {
            if term.is_prefix && index == last {
                let words = self.numbers.range(word.clone()..);
                words
                    .take_while(|(known, _)| known.starts_with(word))
                    .map(|(_, number)| *number)
                    .collect()
            } else {
                self.numbers.get(word).copied().into_iter().collect()
            }
        };
        let alternatives = term
            .alternatives
            .iter()
            .filter_map(|word| self.numbers.get(word).copied());
        Numbered {
            words: term.words.iter().enumerate().map(of).collect(),
            alternatives: alternatives.collect(),
        }
    }

    /// The words instead of a term that no video of the scope contains.
    fn replacements(&self, query: &Query, term: &Term) -> Vec<String> {
        let in_scope = |term: &Term| {
            let numbered = self.numbered(term);
            self.videos
                .iter()
                .any(|(entry, texts)| is_in_scope(entry, query.scope) && numbered.is_in(texts))
        };
        if term.words.len() != 1 || term.is_quoted || in_scope(term) {
            return Vec::new();
        }
        let word: Vec<char> = term.words[0].chars().collect();
        let bound = match word.len() {
            0..=2 => return Vec::new(),
            3..=7 => 1,
            _ => 2,
        };
        let is_similar = |other: &String| {
            let other: Vec<char> = other.chars().collect();
            other.len().abs_diff(word.len()) <= bound && (1..=bound).contains(&distance(&word, &other))
        };
        let mut similar: Vec<(&String, i64)> = self.frequencies.iter().map(|(word, count)| (word, *count)).collect();
        similar.retain(|(word, _)| is_similar(word));
        similar.retain(|(word, _)| {
            let words = vec![(*word).clone()];
            in_scope(&Term {
                words,
                is_prefix: false,
                is_quoted: false,
                alternatives: Vec::new(),
            })
        });
        similar.sort_by_key(|(word, count)| (Reverse(*count), *word));
        similar.into_iter().take(5).map(|(word, _)| word.clone()).collect()
    }

    fn ranked(&self, search: &Search, hits: &[&Video]) -> Vec<i64> {
        let public = self
            .videos
            .iter()
            .filter(|(entry, _)| entry.visibility == Visibility::Public)
            .count();
        let public = i64::try_from(public).unwrap();
        let frequency = |word: &String| self.frequencies.get(word).copied().unwrap_or(0);
        let weigh = |term: &Term| {
            let words = term.words.iter().map(frequency).min().unwrap();
            let best = term.alternatives.iter().map(frequency).chain([words]).max().unwrap();
            weight(public, if term.is_prefix { best.max(public / 100) } else { best })
        };
        let weights: Vec<u8> = search.terms.iter().map(weigh).collect();
        let mut newest: Vec<&&Video> = hits.iter().collect();
        newest.sort_by_key(|entry| Reverse(entry.id));
        newest.truncate(RANKED_HITS as usize);
        let rank = |entry: &&&Video| {
            let (title, tags) = (&entry.title, entry.tags.join("\u{1f}"));
            let (title, tags): (Vec<Token>, Vec<Token>) = (tokens(title).collect(), tokens(&tags).collect());
            (relevance(search, &weights, &title, &tags), entry.id)
        };
        ordered(newest.iter().map(rank).collect())
    }
}

impl Numbered {
    fn is_in(&self, texts: &Texts) -> bool {
        texts.iter().any(|text| {
            let mut phrases = text.windows(self.words.len());
            let is_phrase = |window: &[u32]| self.words.iter().zip(window).all(|(any, word)| any.contains(word));
            phrases.any(is_phrase) || text.iter().any(|word| self.alternatives.contains(word))
        })
    }
}

fn is_in_scope(entry: &Video, scope: Scope) -> bool {
    match scope {
        Scope::Public => entry.visibility == Visibility::Public,
        Scope::Account(account) => entry.account == account,
    }
}

fn is_selected(entry: &Video, query: &Query) -> bool {
    let filter = &query.filter;
    let published = |is_in: &dyn Fn(i64) -> bool| entry.published_at_ms.is_some_and(is_in);
    is_in_scope(entry, query.scope)
        && filter.tags.iter().all(|tag| entry.tags.contains(tag))
        && filter.region.iter().all(|region| entry.region.as_ref() == Some(region))
        && filter.owner.iter().all(|owner| entry.owner == *owner)
        && filter.min_duration_ms.is_none_or(|min| entry.duration_ms >= min)
        && filter.max_duration_ms.is_none_or(|max| entry.duration_ms <= max)
        && filter
            .published_after_ms
            .is_none_or(|after| published(&|at| at >= after))
        && filter
            .published_before_ms
            .is_none_or(|before| published(&|at| at < before))
}

fn value(entry: &Video, sort: Sort) -> i64 {
    match sort {
        Sort::Newest | Sort::Relevance => entry.newest_ms(),
        Sort::Votes => entry.votes,
        Sort::Views => entry.views,
        Sort::Duration => entry.duration_ms,
    }
}

fn ordered(mut keys: Vec<(i64, i64)>) -> Vec<i64> {
    keys.sort_by_key(|key| Reverse(*key));
    keys.into_iter().map(|(_, id)| id).collect()
}

fn facet_counts(hits: &[&Video], facet: Facet) -> Vec<(String, u64)> {
    let mut newest: Vec<&&Video> = hits.iter().collect();
    newest.sort_by_key(|entry| Reverse(entry.id));
    let mut counts: HashMap<String, u64> = HashMap::new();
    for entry in newest.into_iter().take(EXACT_HITS as usize) {
        match facet {
            Facet::Tags => entry
                .tags
                .iter()
                .for_each(|tag| *counts.entry(tag.clone()).or_default() += 1),
            Facet::Region => entry
                .region
                .iter()
                .for_each(|region| *counts.entry(region.clone()).or_default() += 1),
        }
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(value, count)| (Reverse(*count), value.clone()));
    counts.truncate(FACET_VALUES);
    counts
}
