//! Rows of the catalog, and changes to them.

use crate::error::Error;
use domain::UserId;
use domain::library::Visibility;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use std::borrow::Cow;

/// Separator of the tags of a row. It stands before the first and after the last one, too.
pub(crate) const SEPARATOR: char = '\u{1f}';

/// Separators of rows, and of the id of a row from the rest, where SQLite returns many rows as one text. A thousand
/// rows cost much less so than as a thousand messages of the driver.
pub(crate) const ROW_SEPARATOR: char = '\u{1e}';
pub(crate) const ID_SEPARATOR: char = '\u{1d}';

/// A video as the catalog stores it. It has every video of the library, private ones included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Video {
    /// Id of the video; positive.
    pub id: i64,
    /// The part of its public address that cannot be guessed; unique.
    pub public_id: String,
    /// The account that owns it.
    pub account: UserId,
    /// Name of this account.
    pub owner: String,
    /// The accounts that may see it.
    pub visibility: Visibility,
    /// Title. It is searched. Control characters in it become spaces.
    pub title: String,
    /// Description. It is searched.
    pub description: String,
    /// Tags. Control characters in them become spaces. They are searched, and compared exactly by filters.
    pub tags: Vec<String>,
    /// Region. Control characters in it become spaces.
    pub region: Option<String>,
    /// Duration in milliseconds.
    pub duration_ms: i64,
    /// Time of creation in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// Time of publication in milliseconds since the Unix epoch.
    pub published_at_ms: Option<i64>,
    /// Number of votes.
    pub votes: i64,
    /// Number of views.
    pub views: i64,
    /// Text of the caller, such as JSON with the keys of poster and playlist. The catalog returns it unread.
    pub details: String,
}

/// The facts about an account by which tokens are judged while the database is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Id of the account.
    pub id: UserId,
    /// Tokens that were issued before this time are revoked. In milliseconds since the Unix epoch.
    pub tokens_valid_after_ms: i64,
    /// True if the account may not log in.
    pub is_disabled: bool,
}

/// A change of the library. All changes are idempotent: they carry the new row, not a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A video was created or changed.
    Video(Box<Video>),
    /// A video was removed.
    VideoRemoved(i64),
    /// An account was created or changed.
    Account(Account),
    /// An account was removed.
    AccountRemoved(UserId),
}

/// The position in the feed of changes up to which the catalog is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Sequence number of the last change that is applied.
    pub seq: i64,
    /// Token of this change. Another database has another token at the same number.
    pub token: i64,
    /// Time of the read of the feed that returned it, in milliseconds since the Unix epoch.
    pub as_of_ms: i64,
}

impl Video {
    /// Returns the value by which [`Sort::Newest`](domain::library::Sort::Newest) orders.
    #[must_use]
    pub fn newest_ms(&self) -> i64 {
        self.published_at_ms.unwrap_or(self.created_at_ms)
    }

    /// The video is in no list of other accounts.
    pub(crate) fn is_hidden(&self) -> bool {
        self.visibility != Visibility::Public
    }

    /// The entry with the votes and views of another one.
    pub(crate) fn with_counts_of(&self, other: &Self) -> Self {
        Self {
            votes: other.votes,
            views: other.views,
            ..self.clone()
        }
    }

    /// The entry as it is stored: control characters in title, tags and region are spaces, and no tag is empty.
    pub(crate) fn canonical(&self) -> Cow<'_, Self> {
        let is_clean = |text: &String| !text.contains(char::is_control);
        let tags = &self.tags;
        if is_clean(&self.title)
            && self.region.iter().all(is_clean)
            && tags.iter().all(|tag| is_clean(tag) && !tag.is_empty())
        {
            return Cow::Borrowed(self);
        }
        let clean = |text: &String| text.replace(char::is_control, " ");
        Cow::Owned(Self {
            title: clean(&self.title),
            region: self.region.as_ref().map(clean),
            tags: tags.iter().filter(|tag| !tag.is_empty()).map(clean).collect(),
            ..self.clone()
        })
    }

    /// The tags of a canonical entry with separators. Empty without tags.
    pub(crate) fn joined_tags(&self) -> String {
        let mut joined = String::new();
        for tag in &self.tags {
            if joined.is_empty() {
                joined.push(SEPARATOR);
            }
            joined.push_str(tag);
            joined.push(SEPARATOR);
        }
        joined
    }

    /// Reads a row that has all columns of `videos` and `texts`.
    pub(crate) fn from_row(row: &SqliteRow) -> Result<Self, Error> {
        let visibility: &str = row.try_get("visibility")?;
        Ok(Self {
            id: row.try_get("id")?,
            public_id: row.try_get("public_id")?,
            account: UserId(row.try_get("account_id")?),
            owner: row.try_get("owner")?,
            visibility: Visibility::from_word(visibility).ok_or(Error::Damaged)?,
            title: row.try_get("title")?,
            description: row.try_get("description")?,
            tags: split_tags(row.try_get("tags")?).map(str::to_owned).collect(),
            region: row.try_get("region")?,
            duration_ms: row.try_get("duration_ms")?,
            created_at_ms: row.try_get("created_at_ms")?,
            published_at_ms: row.try_get("published_at_ms")?,
            votes: row.try_get("votes")?,
            views: row.try_get("views")?,
            details: row.try_get("details")?,
        })
    }
}

/// The tags of a joined text.
pub(crate) fn split_tags(joined: &str) -> impl Iterator<Item = &str> {
    joined.split(SEPARATOR).filter(|tag| !tag.is_empty())
}
