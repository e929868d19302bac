//! Corrections of words without a hit.
//!
//! A word is corrected if it has no hit among the videos of the scope, regardless of the filter; its replacements have
//! one. In the scope of an account each candidate is looked for in its own videos, so a correction never shows a word
//! of a private video of another account.

use crate::completions::Completions;
use crate::error::Error;
use crate::expression;
use crate::selection::Selection;
use crate::store::{Reader, Statistics, Store};
use domain::library::{Filter, Query, Scope};
use domain::search::{Correction, Search, Term};

/// Number of hits from which a search is not corrected.
pub(crate) const ENOUGH_HITS: u32 = 3;

/// Maximum number of words instead of one.
const MAX_REPLACEMENTS: usize = 5;

/// Maximum number of words of a search that are corrected. Each costs a comparison with all words.
const MAX_CORRECTED: usize = 4;

/// Maximum number of candidates that are looked for in the videos of an account.
const MAX_CANDIDATES: usize = 100;

/// Returns the corrections of a search.
pub(crate) async fn corrections(
    store: &Store,
    reader: &mut Reader,
    query: &Query,
    search: &Search,
) -> Result<Vec<Correction>, Error> {
    let mut corrections = Vec::new();
    for (index, term) in search.terms.iter().enumerate() {
        let [word] = term.words.as_slice() else { continue };
        if term.is_quoted || corrections.len() == MAX_CORRECTED || has_hit(reader, query.scope, term).await? {
            continue;
        }
        let candidates = candidates(&store.statistics(), query.scope, word);
        let mut replacements = Vec::new();
        for candidate in candidates {
            if replacements.len() == MAX_REPLACEMENTS {
                break;
            }
            // The words of public videos are known exactly.
            if query.scope == Scope::Public || has_hit(reader, query.scope, &single(&candidate)).await? {
                replacements.push(candidate);
            }
        }
        if !replacements.is_empty() {
            corrections.push(Correction {
                term: index,
                word: word.clone(),
                replacements,
            });
        }
    }
    Ok(corrections)
}

fn candidates(statistics: &Statistics, scope: Scope, word: &str) -> Vec<String> {
    let is_visible = |public: i64| scope != Scope::Public || public > 0;
    let similar = statistics.vocabulary.similar(word, |found| is_visible(found.public));
    similar.into_iter().take(MAX_CANDIDATES).map(str::to_owned).collect()
}

fn single(word: &str) -> Term {
    Term {
        words: vec![word.to_owned()],
        is_prefix: false,
        is_quoted: false,
        alternatives: Vec::new(),
    }
}

/// Returns `true` if a video of the scope contains the term.
async fn has_hit(reader: &mut Reader, scope: Scope, term: &Term) -> Result<bool, Error> {
    let query = Query {
        scope,
        filter: Filter::default(),
        sort: domain::library::Sort::default(),
        page: domain::library::PageSize::default(),
    };
    let completions = Completions::read(reader, std::slice::from_ref(term)).await?;
    Selection::with_expression(&query, expression::word(scope, term, &completions))
        .has_hit(reader)
        .await
}
