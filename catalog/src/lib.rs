//! A local copy of the library, which answers lists and searches in milliseconds, also while the database is away.
//!
//! *Problem.* The database may be SQLite or Postgres, which search differently, and Postgres needs ten times longer
//! than SQLite FTS5 for ranked words and typing errors. A second store that answers while the database is away is
//! needed anyway.
//!
//! *Mechanism.* Each process that answers has one [`Catalog`] in a directory of its own: an SQLite file with all
//! videos and an FTS5 index. A feed of changes keeps it current ([`Catalog::apply`]); the position in the feed is
//! written in the transaction of the changes. The file may be deleted at any time: it is then filled again
//! ([`Catalog::fill`]).
//!
//! ```text
//!           read position S of the feed
//!                     │
//!   fill() ──► Filling ── push pages ──► finish(S) ──► Filled ── apply changes after S ──► publish()
//!                                                                                            │
//!   open() ──► Ready ─────────► answers, apply() ──► answers ... ◄── readers move over ──────┘
//!     └──────► Empty: Error::NotFilled until the first publish()
//! ```
//!
//! *Files.* Each fill writes a file with a new number. `PRAGMA user_version` is set last, after everything else is on
//! disk, so a file of an interrupted fill is recognized and deleted at the next [`Catalog::open`], as are files of
//! another version and damaged ones. Files are never renamed over each other: SQLite finds the write-ahead log by the
//! name of the file, and that of the old file would be replayed into the new one. Queries that run during
//! [`Filled::publish`] end on the old file, which is deleted after the last of them.
//!
//! *Search.* [`domain::search`] parses the text, [`domain::ranking`] ranks, [`domain::vocabulary`] corrects. Public
//! videos and all others have separate indexes, so no word, number or order of a public answer depends on a private
//! video. Words of a correction, facets and totals of an account come from its own videos only.
//!
//! *Hits.* A search reads the ids of its newest 10,001 hits in one pass over the index. From them come the total, the
//! facets, and the 2,000 rows that are ranked. A filter for equality is a word of the index, so it needs no rows.
//!
//! *Prefixes.* Those of two to four letters have lists in the index. A longer one is replaced by the words that begin
//! with it: FTS5 would read all videos of all of them before it returns the first one.
//!
//! *Plans.* A list, or a search in another order than by relevance with more hits than are counted, has two plans. A
//! query with words or with a filter for equality has an expression for the full-text index. If few rows
//! match it, they are all read and sorted. Otherwise the index of the sort order is walked, where matches are near by;
//! if a page is not full after some thousand rows, the matches are sorted after all. So rare and frequent words are
//! fast, and the slow case, a frequent word that is rare among the first rows, costs some 0.3 µs for each match.
//!
//! *Cursors.* A page begins after the last row of the page before it, by value and id. Rows that do not change are
//! returned exactly once. A row whose value changes during a walk moves: it is returned again if it moves behind the
//! cursor, and skipped if it moves before it. For [`Sort::Relevance`](domain::library::Sort::Relevance) the first page
//! fixes the hits that are ranked (the 2,000 with the highest ids) and the weights of the words; later hits with higher
//! ids are not part of the walk.
//!
//! *Merges.* FTS5 merges the segments that changes write, a few hundred pages in each transaction. The segment of the
//! fill lies so many levels above them that it is not part of these merges (see `fill.rs`).
//!
//! *Bounds.* A list or search waits at most a second for one of four readers. After 60 ms it begins again on one of two
//! others, where it runs at most a second; so expensive ones keep only each other waiting. Two more readers answer
//! lookups by a key. All have 50 MiB of page cache. A transaction of the writer changes at most [`BATCH`] rows. One
//! process may open a directory.

mod apply;
mod catalog;
mod completions;
mod corrections;
mod current;
mod error;
mod expression;
mod facets;
mod fill;
mod hits;
mod list;
mod schema;
mod search;
mod selection;
mod store;
#[doc(hidden)]
pub mod synthetic;
mod video;
mod write;

pub use apply::{Applied, BATCH};
pub use catalog::{Catalog, Opened};
pub use error::Error;
pub use facets::{FACET_VALUES, Facet, FacetCounts};
pub use fill::{Filled, Filling};
pub use list::Page;
pub use search::{Hit, SearchPage};
pub use selection::EXACT_HITS;
pub use store::QUERY_TIMEOUT;
pub use video::{Account, Change, Position, Video};
