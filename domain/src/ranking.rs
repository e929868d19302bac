//! The relevance of a video for a search: BM25F, computed from the words of its title and tags.
//!
//! *Formula.* A term occurs with the weight 10 in the title, 5 in a tag, and 1 in the description. The weighted count
//! of a term saturates as in BM25 (k1 = 1.2), and counts less in a long title with many tags (b = 0.25, mean length 10
//! words). The relevance is the sum over the terms of this value times the weight of the term ([`weight`]), which is
//! its inverse document frequency.
//!
//! *Stability.* The relevance of a row depends only on the row, the search and the weights. The first page of a search
//! fixes the weights in its cursor, so a row that does not change keeps its rank while others come and go. The
//! function `bm25()` of FTS5 was rejected for that: each write changes the mean length and the frequencies, hence all
//! values, and a cursor would repeat and skip rows. It also counts all occurrences of each term for each search.
//!
//! *Description.* A description counts only if the term is in neither title nor tags: it is long, and reading that of
//! 2,000 videos would dominate the cost of a search.

use crate::folding::Token;
use crate::search::Search;

/// Maximum number of hits that are ranked: those with the highest ids.
pub const RANKED_HITS: u32 = 2_000;

const TITLE: f64 = 10.0;
const TAGS: f64 = 5.0;
const DESCRIPTION: f64 = 1.0;
const K1: f64 = 1.2;
const B: f64 = 0.25;
const MEAN_LENGTH: f64 = 10.0;

/// Steps per unit of the weights. Eight bits hold the inverse document frequency up to 25.5.
const WEIGHT_SCALE: f64 = 10.0;

/// Steps per unit of relevance.
const SCALE: f64 = 1_000.0;

/// Returns the weight of a term that occurs in `containing` of `documents` videos: its inverse document frequency
/// `ln(1 + (N - n + 0.5) / (n + 0.5))` in tenths, at least 1.
#[must_use]
pub fn weight(documents: i64, containing: i64) -> u8 {
    #[allow(clippy::cast_precision_loss, reason = "numbers of videos are far below 2^52")]
    let (documents, containing) = (documents.max(0) as f64, containing.max(0) as f64);
    let rare = (documents - containing).max(0.0) + 0.5;
    let idf = (1.0 + rare / (containing + 0.5)).ln() * WEIGHT_SCALE;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range"
    )]
    let weight = idf.round().clamp(1.0, 255.0) as u8;
    weight
}

/// Returns the relevance of a video that matches the search. `weights` has one value for each term.
#[must_use]
pub fn relevance(search: &Search, weights: &[u8], title: &[Token], tags: &[Token]) -> i64 {
    #[allow(clippy::cast_precision_loss, reason = "numbers of words are far below 2^52")]
    let length = (title.len() + tags.len()) as f64;
    let norm = K1 * (1.0 - B + B * length / MEAN_LENGTH);
    let terms = search.terms.iter().zip(weights);
    let sum: f64 = terms
        .map(|(term, weight)| {
            #[allow(clippy::cast_precision_loss, reason = "numbers of words are far below 2^52")]
            let count = |tokens: &[Token]| term.occurrences(tokens).len() as f64;
            let count = (count(title) * TITLE + count(tags) * TAGS).max(DESCRIPTION);
            f64::from(*weight) * count * (K1 + 1.0) / (count + norm)
        })
        .sum();
    #[allow(clippy::cast_possible_truncation, reason = "at most 16 terms x 255 x 2.2 x 1,000")]
    let relevance = (sum * SCALE).round() as i64;
    relevance
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folding::tokens;

    fn rank(text: &str, title: &str, tags: &str) -> i64 {
        let search = Search::parse(text, false).unwrap();
        let (title, tags): (Vec<Token>, Vec<Token>) = (tokens(title).collect(), tokens(tags).collect());
        relevance(&search, &vec![30; search.terms.len()], &title, &tags)
    }

    #[test]
    fn a_title_ranks_before_tags_before_a_description() {
        let title = rank("gatos", "gatos y perros", "");
        let tag = rank("gatos", "animales de casa", "gatos");
        let description = rank("gatos", "animales de casa", "perros");
        assert!(
            title > tag && tag > description && description > 0,
            "{title} {tag} {description}"
        );
    }

    #[test]
    fn a_short_title_ranks_before_a_long_one_and_two_words_before_one() {
        assert!(rank("gatos", "gatos", "") > rank("gatos", "gatos que bailan en la calle de noche", ""));
        assert!(rank("gatos perros", "gatos perros", "") > rank("gatos perros", "gatos solos", ""));
    }

    #[test]
    fn a_rare_word_weighs_more() {
        let weights: Vec<u8> = [0, 1, 10, 1_000, 500_000, 1_000_000]
            .iter()
            .map(|containing| weight(1_000_000, *containing))
            .collect();
        assert_eq!(weights, [145, 134, 115, 69, 7, 1]);
        assert_eq!(weight(0, 5), 1);
    }
}
