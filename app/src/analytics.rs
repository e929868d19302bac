//! Analytics: totals, series, breakdowns and maps of the facts of a dataset.
//!
//! All queries read the version that the dataset named when the query began ([`source`]). Rows of that version are
//! removed only after a later load has ended, so a reply that takes longer may have fewer values; its `ETag` belongs to
//! the version, so clients ask again.

mod map;
mod source;
mod sums;
mod value;

pub use map::{Map, map, region, shapes};
pub use source::{Query, Source, source};
pub use sums::{Breakdown, Series, Total, by, series, total};
pub use value::Value;
