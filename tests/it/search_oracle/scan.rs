//! A library that reads all its videos for each query.

use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Clone, Debug)]
pub(super) struct Video {
    pub(super) id: i64,
    pub(super) account: usize,
    pub(super) visibility: &'static str,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) tags: Vec<String>,
    pub(super) region: Option<String>,
    pub(super) duration_ms: i64,
    pub(super) created_ms: i64,
    pub(super) published_ms: Option<i64>,
}

/// Words that follow each other in one of the texts.
#[derive(Clone, Debug)]
pub(super) struct Term {
    words: Vec<String>,
    is_quoted: bool,
    /// The last word is the beginning of a word.
    pub(super) is_prefix: bool,
}

impl Term {
    pub(super) fn new(words: &[String], is_quoted: bool) -> Self {
        Self {
            words: words.iter().map(|word| fold(word)).collect(),
            is_quoted,
            is_prefix: false,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) tags: Vec<String>,
    pub(super) region: Option<String>,
    pub(super) account: Option<usize>,
    pub(super) min_ms: Option<i64>,
    pub(super) max_ms: Option<i64>,
    pub(super) after_ms: Option<i64>,
    pub(super) before_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Relevance,
    Newest,
    Duration,
}

impl Sort {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Relevance => "relevance",
            Self::Newest => "newest",
            Self::Duration => "duration",
        }
    }
}

/// The meaning of a query.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    pub(super) terms: Vec<Term>,
    pub(super) excluded: Vec<Term>,
    pub(super) filter: Filter,
    pub(super) sort: Sort,
    /// The account whose videos are searched; `None` for public ones.
    pub(super) scope: Option<usize>,
}

impl Meaning {
    pub(super) fn of(terms: Vec<Term>, excluded: Vec<Term>) -> Self {
        Self {
            terms,
            excluded,
            filter: Filter::default(),
            sort: Sort::Relevance,
            scope: None,
        }
    }
}

pub(super) struct Answer {
    /// In order of the sort; by id for relevance.
    pub(super) ids: Vec<i64>,
    pub(super) facets: Value,
}

/// The letters of the texts of these tests without case and accents.
pub(super) fn fold(text: &str) -> String {
    let letter = |letter| match letter {
        'á' => 'a',
        'é' => 'e',
        'í' => 'i',
        'ó' => 'o',
        'ú' | 'ü' => 'u',
        'ñ' => 'n',
        other => other,
    };
    text.to_lowercase().chars().map(letter).collect()
}

/// The words of a text, folded.
pub(super) fn words(text: &str) -> Vec<String> {
    let text = fold(text);
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

pub(super) struct Videos {
    pub(super) rows: Vec<Video>,
    /// The words of title, tags and description of each video, by number.
    texts: Vec<[Vec<usize>; 3]>,
    numbers: HashMap<String, usize>,
}

/// For each word of a term the numbers that match it, and those that match instead of the term.
struct Numbered {
    words: Vec<Vec<bool>>,
    instead: Vec<bool>,
}

impl Videos {
    pub(super) fn new(rows: Vec<Video>) -> Self {
        let mut numbers = HashMap::new();
        let mut number = |text: &str| {
            let number = |word| {
                let next = numbers.len();
                *numbers.entry(word).or_insert(next)
            };
            words(text).into_iter().map(number).collect()
        };
        let texts = rows.iter();
        let texts = texts.map(|row| {
            [
                number(&row.title),
                number(&row.tags.join(" ")),
                number(&row.description),
            ]
        });
        Self {
            texts: texts.collect(),
            rows,
            numbers,
        }
    }

    /// The answer to a query, with the corrections that a reply says it has made.
    pub(super) fn search(&self, meaning: &Meaning, said: &[(String, BTreeSet<String>)]) -> Result<Answer, String> {
        let mut terms: Vec<Numbered> = meaning.terms.iter().map(|term| self.numbered(term)).collect();
        let mut hits = self.hits(meaning, &terms);
        let expected = if hits.len() < 3 {
            self.similar(meaning)
        } else {
            BTreeMap::new()
        };
        if expected.len() != said.len() {
            return Err(format!("corrected {said:?} instead of {expected:?}"));
        }
        for (word, replacements) in said {
            let (position, similar) = expected.get(word).ok_or(format!("corrected {word}"))?;
            if !replacements.is_subset(similar) || replacements.len() != similar.len().min(5) {
                return Err(format!("corrected {word} by {replacements:?} instead of {similar:?}"));
            }
            for word in replacements {
                terms[*position].instead[self.numbers[word]] = true;
            }
        }
        if !said.is_empty() {
            hits = self.hits(meaning, &terms);
        }
        let value = |row: &Video| match meaning.sort {
            Sort::Relevance => 0,
            Sort::Newest => row.published_ms.unwrap_or(row.created_ms),
            Sort::Duration => row.duration_ms,
        };
        hits.sort_by_key(|row| Reverse((value(row), row.id)));
        Ok(Answer {
            ids: hits.iter().map(|row| row.id).collect(),
            facets: facets(&hits),
        })
    }

    /// The words of the query that occur nowhere, with their position and all similar words.
    fn similar(&self, meaning: &Meaning) -> BTreeMap<String, (usize, BTreeSet<String>)> {
        let mut found = BTreeMap::new();
        let in_scope = |term: &Numbered| {
            let mut rows = self.rows.iter().zip(&self.texts);
            rows.any(|(row, texts)| is_in_scope(row, meaning.scope) && term.is_in(texts))
        };
        for (position, term) in meaning.terms.iter().enumerate() {
            let word = &term.words[0];
            let edits = match word.chars().count() {
                0..=2 => continue,
                3..=7 => 1,
                _ => 2,
            };
            if term.is_quoted || term.words.len() > 1 || in_scope(&self.numbered(term)) {
                continue;
            }
            let near = self.numbers.keys().filter(|other| distance(word, other) <= edits);
            let alone = |word: &&String| in_scope(&self.numbered(&Term::new(std::slice::from_ref(*word), false)));
            let near: BTreeSet<String> = near.filter(alone).cloned().collect();
            if !near.is_empty() {
                found.insert(word.clone(), (position, near));
            }
        }
        found
    }

    fn numbered(&self, term: &Term) -> Numbered {
        let last = term.words.len() - 1;
        let matching = |(index, word): (usize, &String)| {
            let mut matching = vec![false; self.numbers.len()];
            if term.is_prefix && index == last {
                for (_, number) in self.numbers.iter().filter(|(known, _)| known.starts_with(word)) {
                    matching[*number] = true;
                }
            } else if let Some(number) = self.numbers.get(word) {
                matching[*number] = true;
            }
            matching
        };
        Numbered {
            words: term.words.iter().enumerate().map(matching).collect(),
            instead: vec![false; self.numbers.len()],
        }
    }

    fn hits(&self, meaning: &Meaning, terms: &[Numbered]) -> Vec<&Video> {
        let excluded: Vec<Numbered> = meaning.excluded.iter().map(|term| self.numbered(term)).collect();
        let filter = &meaning.filter;
        let is_hit = |(row, texts): &(&Video, &[Vec<usize>; 3])| {
            is_in_scope(row, meaning.scope)
                && filter.tags.iter().all(|tag| row.tags.contains(tag))
                && (filter.region.is_none() || filter.region == row.region)
                && filter.account.is_none_or(|account| account == row.account)
                && filter.min_ms.is_none_or(|min| row.duration_ms >= min)
                && filter.max_ms.is_none_or(|max| row.duration_ms <= max)
                && filter
                    .after_ms
                    .is_none_or(|ms| row.published_ms.is_some_and(|at| at >= ms))
                && filter
                    .before_ms
                    .is_none_or(|ms| row.published_ms.is_some_and(|at| at < ms))
                && terms.iter().all(|term| term.is_in(texts))
                && !excluded.iter().any(|term| term.is_in(texts))
        };
        self.rows
            .iter()
            .zip(&self.texts)
            .filter(is_hit)
            .map(|(row, _)| row)
            .collect()
    }
}

impl Numbered {
    fn is_in(&self, texts: &[Vec<usize>; 3]) -> bool {
        texts.iter().any(|text| {
            let is_phrase = |words: &[usize]| words.iter().zip(&self.words).all(|(word, matching)| matching[*word]);
            text.windows(self.words.len()).any(is_phrase) || text.iter().any(|word| self.instead[*word])
        })
    }
}

fn is_in_scope(row: &Video, scope: Option<usize>) -> bool {
    match scope {
        None => row.visibility == "public",
        Some(account) => row.account == account,
    }
}

/// The most frequent values, as a reply has them.
fn facets(hits: &[&Video]) -> Value {
    let (mut tags, mut regions): (BTreeMap<&str, u64>, BTreeMap<&str, u64>) = Default::default();
    for row in hits {
        for tag in &row.tags {
            *tags.entry(tag).or_default() += 1;
        }
        if let Some(region) = &row.region {
            *regions.entry(region).or_default() += 1;
        }
    }
    let facet = |name: &str, counts: BTreeMap<&str, u64>| {
        let mut counts: Vec<_> = counts.into_iter().collect();
        // Equal numbers are in the order of the values, which a stable sort keeps.
        counts.sort_by_key(|(_, count)| Reverse(*count));
        let counts = counts.into_iter().take(50);
        let counts: Vec<_> = counts
            .map(|(value, count)| json!({ "value": value, "count": count }))
            .collect();
        json!({ "name": name, "counts": counts, "at_least": false })
    };
    json!([facet("tags", tags), facet("region", regions)])
}

/// The number of letters to insert, remove, replace or swap with the next one.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > 2 {
        return 3;
    }
    let mut edits = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            edits[i][j] = match (i, j) {
                (0, length) | (length, 0) => length,
                _ => {
                    let replaced = edits[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                    let mut best = replaced.min(edits[i - 1][j] + 1).min(edits[i][j - 1] + 1);
                    if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                        best = best.min(edits[i - 2][j - 2] + 1);
                    }
                    best
                }
            };
        }
    }
    edits[one.len()][other.len()]
}
