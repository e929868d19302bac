//! The tables of the file.
//!
//! - `videos`: a row per video with all that is filtered, sorted, ranked or counted. `hidden` is 0 for public videos
//!   and 1 for all others.
//! - `texts`: the long texts of each video, which only the videos of a page need. Apart, so that more rows of `videos`
//!   fit in a page.
//! - `public_fts`, `hidden_fts`: the full-text index of the rows with this value of `hidden`. So a public search
//!   cannot see words of private videos. Both are contentless: the texts are in the tables. `filters` has a word for
//!   the account, the owner, the region and each tag (see [`filter_word`]), so that a search with a filter is an
//!   intersection of lists of the index.
//! - `words`: the number of videos of each word, for corrections and weights. `fts5vocab` would count all occurrences
//!   of all words for each use.
//! - `position`: the position in the feed, written in the transaction of the changes, and the numbers of videos.

use crate::video::Video;
use domain::library::Sort;

/// Version of this schema and of the content of its columns, in `PRAGMA user_version`. A file with another version is
/// deleted. A file that is being filled has version 0.
pub(crate) const VERSION: i64 = 1;

/// The tables. Indexes follow after the rows.
pub(crate) const TABLES: &str = "
CREATE TABLE videos(
    id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL, hidden INTEGER NOT NULL, newest_ms INTEGER NOT NULL,
    published_at_ms INTEGER, duration_ms INTEGER NOT NULL, votes INTEGER NOT NULL, views INTEGER NOT NULL,
    owner TEXT NOT NULL, region TEXT, title TEXT NOT NULL, tags TEXT NOT NULL);
CREATE TABLE texts(
    id INTEGER PRIMARY KEY, public_id TEXT NOT NULL, visibility TEXT NOT NULL, created_at_ms INTEGER NOT NULL, filters TEXT NOT NULL,
    description TEXT NOT NULL, details TEXT NOT NULL);
CREATE VIRTUAL TABLE public_fts USING fts5(title, tags, description, filters, content='', columnsize=0,
    tokenize='unicode61 remove_diacritics 2', prefix='2 3');
CREATE VIRTUAL TABLE hidden_fts USING fts5(title, tags, description, filters, content='', columnsize=0,
    tokenize='unicode61 remove_diacritics 2', prefix='2 3');
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
pub(crate) const TEXT_COLUMNS: &str = "id, public_id, visibility, created_at_ms, filters, description, details";

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

/// First of the characters of [`filter_word`]: planes 15 and 16, for private use.
const FIRST_FILTER: u32 = 0xF_0000;

/// Number of these characters that are used. A prime, so that hashes spread evenly.
const FILTERS: u32 = 131_063;

/// Returns the word of a property: one private-use character, chosen by a hash. Different properties may have the same
/// one, so the rows are checked as well. One character, because words of two and more are also in the prefix index.
pub(crate) fn filter_word(property: Property<'_>) -> char {
    let number;
    let (kind, bytes): (u8, &[u8]) = match property {
        Property::Account(id) => {
            number = id.to_be_bytes();
            (1, &number)
        }
        Property::Owner(name) => (2, name.as_bytes()),
        Property::Region(region) => (3, region.as_bytes()),
        Property::Tag(tag) => (4, tag.as_bytes()),
    };
    // FNV-1a with 32 bits.
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = bytes.iter().fold(mix(0x811C_9DC5, kind), |hash, byte| mix(hash, *byte));
    char::from_u32(FIRST_FILTER + hash % FILTERS).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Returns `true` for the words of properties. A user may write them, too.
pub(crate) fn is_filter_word(word: &str) -> bool {
    word.chars().all(|letter| u32::from(letter) >= FIRST_FILTER)
}

/// Returns the column `filters` of an entry.
pub(crate) fn filters(entry: &Video) -> String {
    let tags = entry.tags.iter().map(|tag| Property::Tag(tag));
    let region = entry.region.iter().map(|region| Property::Region(region));
    let owner = [Property::Account(entry.account.0), Property::Owner(&entry.owner)];
    let words = owner.into_iter().chain(region).chain(tags).map(filter_word);
    words.flat_map(|word| [word, ' ']).collect()
}
