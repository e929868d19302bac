//! The words that complete a prefix.
//!
//! The full-text index has lists for prefixes of 2 to 4 letters. For a longer one FTS5 would first read the videos of
//! all words with this prefix and merge them, which takes a tenth of a second if one of them is frequent. So the words
//! are looked up, and the search is for any of them: FTS5 reads only as much of their lists as is needed.
//!
//! The lookup is part of the read transaction, so it finds the words that the index has.

use crate::error::Error;
use domain::search::Term;
use sqlx::sqlite::SqliteConnection;

/// Number of letters up to which the full-text index has lists for prefixes.
const INDEXED_LETTERS: usize = 4;

/// Maximum number of words instead of a prefix. Each of them costs some microseconds for each segment of the index, so
/// with more the lists are merged after all. Prefixes of five letters have fewer, but for some in large libraries.
const MAX_COMPLETIONS: usize = 250;

/// The words instead of a prefix; empty if the index shall look for the prefix itself.
#[derive(Debug, Default)]
pub(crate) struct Completions(Vec<String>);

impl Completions {
    /// Reads the words that complete the last of the terms.
    pub(crate) async fn read(connection: &mut SqliteConnection, terms: &[Term]) -> Result<Self, Error> {
        let last = terms.last().filter(|term| term.is_prefix);
        let Some([prefix]) = last.map(|term| term.words.as_slice()) else {
            return Ok(Self::default());
        };
        if prefix.chars().count() <= INDEXED_LETTERS {
            return Ok(Self::default());
        }
        let query = "SELECT word FROM words WHERE word >= ? AND word < ? LIMIT ?";
        let mut words: Vec<String> = sqlx::query_scalar(query)
            .bind(prefix)
            .bind(format!("{prefix}{}", char::MAX))
            .bind(i64::try_from(MAX_COMPLETIONS + 1).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await?;
        if words.len() > MAX_COMPLETIONS {
            words.clear();
        }
        Ok(Self(words))
    }

    pub(crate) fn words(&self) -> &[String] {
        &self.0
    }
}
