//! The tables of the file.
//!
//! - `videos`: a row per video with all that is filtered, sorted, ranked or counted. `hidden` is 0 for public videos
//!   and 1 for all others.
//! - `texts`: the long texts of each video, which only the videos of a page need. Apart, so that more rows of `videos`
//!   fit in a page.
//! - `public_fts`, `hidden_fts`: the full-text index of the rows with this value of `hidden`. So a public search
//!   cannot see words of private videos. Both are contentless: the texts are in the tables. `filters` has a word for
//!   the account, the owner, the region and each tag (see [`filter_word`]), so that a search with a filter is an
//!   intersection of lists of the index. There are lists for prefixes of two to four letters: such prefixes are typed
//!   first, and those of four letters have up to some thousand words.
//! - `words`: the number of videos of each word, for corrections and weights. `fts5vocab` would count all occurrences
//!   of all words for each use.
//! - `position`: the position in the feed, written in the transaction of the changes, and the numbers of videos.

use crate::video::Video;
use domain::library::Sort;

/// Version of this schema and of the content of its columns, in `PRAGMA user_version`. A file with another version is
/// deleted. A file that is being filled has version 0.
pub(crate) const VERSION: i64 = 2;

/// The tables. Indexes follow after the rows.
pub(crate) const TABLES: &str = "
CREATE TABLE videos(
    id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, hidden INTEGER NOT NULL, newest_ms INTEGER NOT NULL,
    published_at_ms INTEGER, duration_ms INTEGER NOT NULL, votes INTEGER NOT NULL, views INTEGER NOT NULL,
    owner TEXT NOT NULL, region TEXT, title TEXT NOT NULL, tags TEXT NOT NULL);
CREATE TABLE texts(
    id INTEGER PRIMARY KEY, public_id TEXT NOT NULL, visibility TEXT NOT NULL, created_at_ms INTEGER NOT NULL,
    description TEXT NOT NULL, details TEXT NOT NULL);
CREATE VIRTUAL TABLE public_fts USING fts5(title, tags, description, filters, content='', columnsize=0,
    tokenize='unicode61 remove_diacritics 2', prefix='2 3 4');
CREATE VIRTUAL TABLE hidden_fts USING fts5(title, tags, description, filters, content='', columnsize=0,
    tokenize='unicode61 remove_diacritics 2', prefix='2 3 4');
CREATE TABLE words(word TEXT PRIMARY KEY, public INTEGER NOT NULL, hidden INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE accounts(id INTEGER PRIMARY KEY, tokens_valid_after_ms INTEGER NOT NULL, disabled INTEGER NOT NULL);
CREATE TABLE position(one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, token INTEGER NOT NULL,
    as_of_ms INTEGER NOT NULL, public_videos INTEGER NOT NULL, hidden_videos INTEGER NOT NULL);
";

/// The indexes of the sort orders. Each ends in the id, implicitly.
pub(crate) const INDEXES: &str = "
CREATE INDEX videos_newest_idx ON videos(hidden, newest_ms);
CREATE INDEX videos_votes_idx ON videos(hidden, votes);
CREATE INDEX videos_views_idx ON videos(hidden, views);
CREATE INDEX videos_duration_idx ON videos(hidden, duration_ms);
CREATE INDEX texts_public_id_idx ON texts(public_id);
";

/// The columns of `videos` and `texts`, in the order in which rows are written.
pub(crate) const VIDEO_COLUMNS: &str =
    "id, account_id, hidden, newest_ms, published_at_ms, duration_ms, votes, views, owner, region, title, tags";
pub(crate) const TEXT_COLUMNS: &str = "id, public_id, visibility, created_at_ms, description, details";

/// The two parts of the library: the value of `hidden`, and the full-text index of these rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) hidden: i64,
    pub(crate) index: &'static str,
}

pub(crate) const PUBLIC: Part = Part {
    hidden: 0,
    index: "public_fts",
};

pub(crate) const HIDDEN: Part = Part {
    hidden: 1,
    index: "hidden_fts",
};

/// Returns the part that contains an entry.
pub(crate) const fn part(hidden: bool) -> Part {
    if hidden { HIDDEN } else { PUBLIC }
}

/// Returns the column of a sort order. Relevance is not stored; without a search the order is that of time.
pub(crate) const fn column(sort: Sort) -> &'static str {
    match sort {
        Sort::Newest | Sort::Relevance => "newest_ms",
        Sort::Votes => "votes",
        Sort::Views => "views",
        Sort::Duration => "duration_ms",
    }
}

/// The properties that have words in the column `filters`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Property<'a> {
    Account(i64),
    Owner(&'a str),
    Region(&'a str),
    Tag(&'a str),
}

/// First of the characters of [`filter_word`]: plane 15, for private use.
const FIRST_FILTER: u32 = 0xF_0000;

/// The characters with which the word of each property begins: as many as the longest prefix with a list in the index.
/// So each video is in these lists once, rather than once for each property.
const FILTER_PREFIX: [u16; 4] = [0; 4];

/// Returns the word of a property, which no other property has: a private-use character for each two of its bytes.
pub(crate) fn filter_word(property: Property<'_>) -> String {
    let number;
    let (kind, text) = match property {
        Property::Account(id) => {
            number = id.to_string();
            (1, number.as_str())
        }
        Property::Owner(name) => (2, name),
        Property::Region(region) => (3, region),
        Property::Tag(tag) => (4, tag),
    };
    // No byte of a text is 0xFF, so a last single byte is unlike all pairs, and no pair is a noncharacter.
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [one, other] => u16::from_be_bytes([*one, *other]),
        [last] => u16::from_be_bytes([0xFF, *last]),
        _ => 0,
    });
    let all = FILTER_PREFIX.into_iter().chain([kind]).chain(pairs);
    all.filter_map(|number| char::from_u32(FIRST_FILTER + u32::from(number)))
        .collect()
}

/// Returns `true` for the words of properties. A user may write them, too.
pub(crate) fn is_filter_word(word: &str) -> bool {
    word.chars().all(|letter| u32::from(letter) >= FIRST_FILTER)
}

/// Returns the column `filters` of an entry.
pub(crate) fn filter_words(entry: &Video) -> String {
    let tags = entry.tags.iter().map(|tag| Property::Tag(tag));
    let region = entry.region.iter().map(|region| Property::Region(region));
    let owner = [Property::Account(entry.account.0), Property::Owner(&entry.owner)];
    let words = owner.into_iter().chain(region).chain(tags).map(filter_word);
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::folding::words;
    use std::collections::BTreeSet;

    #[test]
    fn properties_have_words_of_their_own_which_are_one_token_each() {
        let texts = [
            "",
            "\0",
            "a",
            "\0a",
            "a\0",
            "ab",
            "ba",
            "abc",
            "a b",
            "ÿ",
            "日本",
            "\u{10FFFD}",
            "1",
            "12",
            "-1",
        ];
        let all = texts.iter().flat_map(|text| {
            let text = [Property::Tag(text), Property::Owner(text), Property::Region(text)];
            text.into_iter().map(filter_word)
        });
        let accounts = [-1, 1, 12, i64::MAX, i64::MIN].map(|id| filter_word(Property::Account(id)));
        let all: Vec<String> = all.chain(accounts).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for word in all {
            assert!(is_filter_word(&word), "{word:?}");
            assert_eq!(words(&word).collect::<Vec<_>>(), [word]);
        }
    }
}
