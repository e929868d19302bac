//! The library: queries over videos, their sort orders, and cursors.

mod cursor;

pub use cursor::{Cursor, CursorInvalid, RankedHits};

use crate::search::Search;
use crate::task::UserId;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

/// Maximum number of tags of a filter.
pub const MAX_FILTER_TAGS: usize = 10;

/// Maximum number of characters of a text of a filter.
pub const MAX_FILTER_CHARACTERS: usize = 200;

/// The accounts that may see a video; the same words in SQL, JSON and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Only its owner.
    Private,
    /// All that have its address. It is in no list and no search of others.
    Unlisted,
    /// All.
    Public,
}

impl Visibility {
    /// All visibilities.
    pub const ALL: [Self; 3] = [Self::Private, Self::Unlisted, Self::Public];

    /// Returns the word in SQL, JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Unlisted => "unlisted",
            Self::Public => "public",
        }
    }

    /// Returns the visibility with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|visibility| visibility.as_str() == word)
    }
}

/// The order of a list. All orders are descending; equal values are ordered by descending id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Time of publication; of videos that are not published, time of creation.
    #[default]
    Newest,
    /// Number of votes.
    Votes,
    /// Number of views.
    Views,
    /// Duration.
    Duration,
    /// Relevance of the newest hits of a search ([`crate::ranking`]). A list without a search is sorted by
    /// [`Sort::Newest`] instead.
    Relevance,
}

impl Sort {
    /// All sort orders.
    pub const ALL: [Self; 5] = [Self::Newest, Self::Votes, Self::Views, Self::Duration, Self::Relevance];

    /// Returns the word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Votes => "votes",
            Self::Views => "views",
            Self::Duration => "duration",
            Self::Relevance => "relevance",
        }
    }

    /// Returns the sort order with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == word)
    }
}

/// The videos that a query may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Public videos of all accounts.
    Public,
    /// All videos of one account, which is the one that asks.
    Account(UserId),
}

/// Conditions on videos, joined by AND. Texts are compared exactly.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Filter {
    /// Tags that a video must all have.
    pub tags: Vec<String>,
    /// Region.
    pub region: Option<String>,
    /// Name of the owner.
    pub owner: Option<String>,
    /// Minimum duration in milliseconds.
    pub min_duration_ms: Option<i64>,
    /// Maximum duration in milliseconds.
    pub max_duration_ms: Option<i64>,
    /// Earliest time of publication, in milliseconds since the Unix epoch.
    pub published_after_ms: Option<i64>,
    /// Time before which the video was published, in milliseconds since the Unix epoch.
    pub published_before_ms: Option<i64>,
}

/// A filter that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FilterInvalid {
    /// More than [`MAX_FILTER_TAGS`] tags.
    #[error("more than 10 tags")]
    TooManyTags,
    /// An empty text, or one with more than [`MAX_FILTER_CHARACTERS`] characters or a control character.
    #[error("a text of the filter is empty, too long, or has control characters")]
    Text,
    /// The minimum duration is negative or over the maximum.
    #[error("the range of durations is empty")]
    Duration,
    /// The times of publication are in the wrong order.
    #[error("the range of times is empty")]
    Published,
}

impl Filter {
    /// Checks the bounds.
    ///
    /// # Errors
    /// The first bound that does not hold.
    pub fn check(&self) -> Result<(), FilterInvalid> {
        if self.tags.len() > MAX_FILTER_TAGS {
            return Err(FilterInvalid::TooManyTags);
        }
        let is_valid = |text: &String| {
            !text.is_empty() && text.chars().count() <= MAX_FILTER_CHARACTERS && !text.contains(char::is_control)
        };
        if !self.tags.iter().chain(&self.region).chain(&self.owner).all(is_valid) {
            return Err(FilterInvalid::Text);
        }
        let (min, max) = (
            self.min_duration_ms.unwrap_or(0),
            self.max_duration_ms.unwrap_or(i64::MAX),
        );
        if min < 0 || min > max {
            return Err(FilterInvalid::Duration);
        }
        match (self.published_after_ms, self.published_before_ms) {
            (Some(after), Some(before)) if after >= before => Err(FilterInvalid::Published),
            _ => Ok(()),
        }
    }
}

/// Number of videos of a page, 1 to 100; 20 by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u8);

impl PageSize {
    /// The largest page.
    pub const MAX: u8 = 100;

    /// Returns `None` outside of 1 to 100.
    #[must_use]
    pub fn new(size: u64) -> Option<Self> {
        let size = u8::try_from(size).ok()?;
        (1..=Self::MAX).contains(&size).then_some(Self(size))
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(20)
    }
}

/// A list or search: everything except the search text and the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The videos that may be returned.
    pub scope: Scope,
    /// Conditions.
    pub filter: Filter,
    /// Order.
    pub sort: Sort,
    /// Number of videos of the page. It may differ from page to page.
    pub page: PageSize,
}

impl Query {
    /// Returns a hash of everything that must be equal on all pages of a walk. It is the same in all processes.
    #[must_use]
    pub fn fingerprint(&self, search: Option<&Search>) -> u64 {
        let mut hash = Fnv::default();
        match self.scope {
            Scope::Public => hash.number(None),
            Scope::Account(UserId(id)) => hash.number(Some(id)),
        }
        hash.text(Some(self.sort.as_str()));
        let filter = &self.filter;
        for text in filter.tags.iter().map(|tag| Some(tag.as_str())) {
            hash.text(text);
        }
        hash.text(None);
        hash.text(filter.region.as_deref());
        hash.text(filter.owner.as_deref());
        hash.number(filter.min_duration_ms);
        hash.number(filter.max_duration_ms);
        hash.number(filter.published_after_ms);
        hash.number(filter.published_before_ms);
        for terms in search.iter().flat_map(|search| [&search.terms, &search.excluded]) {
            for term in terms {
                term.words.iter().for_each(|word| hash.text(Some(word)));
                hash.number(Some(i64::from(term.is_prefix)));
            }
            hash.text(None);
        }
        hash.0
    }
}

/// FNV-1a with 64 bits over values that carry their length.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn number(&mut self, number: Option<i64>) {
        self.bytes(&[u8::from(number.is_some())]);
        self.bytes(&number.unwrap_or(0).to_be_bytes());
    }

    fn text(&mut self, text: Option<&str>) {
        self.number(text.map(|text| i64::try_from(text.len()).unwrap_or(i64::MAX)));
        self.bytes(text.unwrap_or_default().as_bytes());
    }
}

#[cfg(test)]
mod tests;
