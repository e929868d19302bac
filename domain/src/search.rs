//! A search text and its terms.
//!
//! *Language.* Words are joined by AND. `"…"` is a phrase, `-word` and `-"…"` exclude. A word that contains separators,
//! such as `co-op`, is a phrase of its parts. The last word is a prefix while the user is typing. All other characters
//! are text, so there is no syntax that could be wrong, and none that reaches the index: it receives only the folded
//! words of [`tokens`](crate::folding::tokens).
//!
//! *Bounds.* 1 to 200 characters; at most 16 words count, the rest is ignored.

use crate::folding::{Token, words};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use thiserror::Error;

/// Maximum number of characters of a search text.
pub const MAX_CHARACTERS: usize = 200;

/// Maximum number of words that count.
pub const MAX_WORDS: usize = 16;

/// Minimum number of characters of a prefix: the words that begin with one letter are a large part of all words. Behind
/// other words, a shorter word that is being typed does not count yet; alone it must match as a whole.
pub const MIN_PREFIX: usize = 2;

/// A search text that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The text has no character that is not white space.
    #[error("the text is empty")]
    Empty,
    /// The text has more than [`MAX_CHARACTERS`] characters.
    #[error("the text has more than 200 characters")]
    TooLong,
    /// The text contains U+0000.
    #[error("the text contains a NUL")]
    Nul,
    /// The text has exclusions or quotation marks, but no words to look for.
    #[error("the text has no word to look for")]
    NoWord,
}

/// Words that must occur one after the other in the title, in the tags or in the description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// The folded words; never empty.
    pub words: Vec<String>,
    /// True if the last word is the beginning of a word.
    pub is_prefix: bool,
    /// True if the user quoted it. It is not corrected then.
    pub is_quoted: bool,
    /// Words that may occur instead, by a correction.
    pub alternatives: Vec<String>,
}

/// A parsed search text.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Search {
    /// Terms that must occur. Without any, nothing is found: the text consists of separators.
    pub terms: Vec<Term>,
    /// Terms that must not occur.
    pub excluded: Vec<Term>,
}

/// A word and the words of the catalog that were looked for instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// Index of the term in [`Search::terms`].
    pub term: usize,
    /// The word as it was looked for, folded.
    pub word: String,
    /// The words instead of it, folded, most frequent first.
    pub replacements: Vec<String>,
}

impl Search {
    /// Parses a search text. `is_typing` makes the last word a prefix if no white space follows it.
    ///
    /// # Errors
    /// The text is empty, too long, contains a NUL, or has no word that must occur.
    pub fn parse(text: &str, is_typing: bool) -> Result<Self, Refusal> {
        if text.contains('\0') {
            return Err(Refusal::Nul);
        }
        if text.chars().count() > MAX_CHARACTERS {
            return Err(Refusal::TooLong);
        }
        if text.trim().is_empty() {
            return Err(Refusal::Empty);
        }
        let pieces = pieces(text);
        if pieces.iter().all(|piece| piece.is_excluded) {
            return Err(Refusal::NoWord);
        }
        let mut search = Self::default();
        let mut left = MAX_WORDS;
        for piece in &pieces {
            let all: Vec<String> = words(piece.text).collect();
            let count = all.len();
            let mut kept: Vec<String> = all.into_iter().take(left).collect();
            left -= kept.len();
            let Some(last) = kept.last() else { continue };
            let is_typed = is_typing && piece.is_open && kept.len() == count && !piece.is_excluded;
            let is_prefix = is_typed && last.chars().count() >= MIN_PREFIX;
            let is_alone = kept.len() == 1 && search.terms.is_empty();
            if is_typed && !is_prefix && !is_alone {
                kept.pop();
            }
            if kept.is_empty() {
                continue;
            }
            let terms = if piece.is_excluded {
                &mut search.excluded
            } else {
                &mut search.terms
            };
            terms.push(Term {
                words: kept,
                is_prefix,
                is_quoted: piece.is_quoted,
                alternatives: Vec::new(),
            });
        }
        Ok(search)
    }

    /// Returns the search with corrections applied. The corrected words still match, too.
    #[must_use]
    pub fn corrected(mut self, corrections: &[Correction]) -> Self {
        for correction in corrections {
            if let Some(term) = self.terms.get_mut(correction.term) {
                term.alternatives.clone_from(&correction.replacements);
            }
        }
        self
    }

    /// Returns the parts of a text that match a term, as ranges of characters (Unicode scalar values), ascending and
    /// without overlap. `tokens` are the words of the text.
    #[must_use]
    pub fn highlight(&self, text: &str, tokens: &[Token]) -> Vec<Range<usize>> {
        let matched = self.terms.iter().flat_map(|term| term.occurrences(tokens));
        let mut bytes: Vec<Range<usize>> = matched
            .filter_map(|found| Some(tokens.get(found.start)?.start..tokens.get(found.end - 1)?.end))
            .collect();
        bytes.sort_by_key(|range| (range.start, range.end));
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for range in bytes {
            match ranges.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        let characters = |byte: usize| text.get(..byte).map_or(0, |before| before.chars().count());
        let ranges = ranges
            .iter()
            .map(|range| characters(range.start)..characters(range.end));
        ranges.collect()
    }
}

impl Term {
    /// Returns where the term occurs, as ranges of indices into `tokens`.
    #[must_use]
    pub fn occurrences(&self, tokens: &[Token]) -> Vec<Range<usize>> {
        let length = self.words.len();
        let phrases = tokens.windows(length).enumerate();
        let phrases = phrases.filter(|(_, window)| self.is_phrase(window));
        let mut found: Vec<Range<usize>> = phrases.map(|(start, _)| start..start + length).collect();
        if !self.alternatives.is_empty() {
            let words = tokens.iter().enumerate();
            let words = words.filter(|(_, token)| self.alternatives.contains(&token.text));
            found.extend(words.map(|(index, _)| index..index + 1));
        }
        found
    }

    fn is_phrase(&self, window: &[Token]) -> bool {
        let last = self.words.len() - 1;
        let mut pairs = self.words.iter().zip(window).enumerate();
        pairs.all(|(index, (word, token))| {
            *word == token.text || (self.is_prefix && index == last && token.text.starts_with(word.as_str()))
        })
    }
}

/// A part of a search text between white space or quotation marks.
struct Piece<'a> {
    text: &'a str,
    is_excluded: bool,
    is_quoted: bool,
    /// True if the text ends with it, so that the user may still be typing it.
    is_open: bool,
}

/// Splits a search text. Empty quotation marks are no piece; an open one quotes the rest of the text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let after_sign = rest
            .strip_prefix('-')
            .filter(|after| !after.is_empty() && !after.starts_with(char::is_whitespace));
        let is_excluded = after_sign.is_some();
        let start = after_sign.unwrap_or(rest);
        let quoted = start.strip_prefix('"');
        let (piece, after) = match quoted {
            Some(inside) => inside
                .split_once('"')
                .map_or((inside, None), |(piece, after)| (piece, Some(after))),
            None => {
                let end = start.find(|next: char| next.is_whitespace() || next == '"');
                end.and_then(|end| start.split_at_checked(end))
                    .map_or((start, None), |(piece, after)| (piece, Some(after)))
            }
        };
        if quoted.is_none() || !piece.trim().is_empty() {
            pieces.push(Piece {
                text: piece,
                is_excluded,
                is_quoted: quoted.is_some(),
                is_open: after.is_none() && !piece.ends_with(char::is_whitespace),
            });
        }
        rest = after.unwrap_or_default().trim_start();
    }
    pieces
}

#[cfg(test)]
mod tests;
