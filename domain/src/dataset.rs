//! Datasets: tables of facts and of regions that an account loads, and the columns that their values are read from.
//!
//! A *fact* is a row with a time, a region, groups such as an age, and metrics such as a turnover. A *region* is a row
//! with a code and a geometry. An account says once which columns of its files these are ([`FactColumns`],
//! [`RegionColumns`]); columns that it does not name are not read.
//!
//! *Exact sums.* A metric is a decimal number with a fixed number of decimals ([`FactColumns::scales`]). It is stored
//! as an integer, so a sum does not depend on the order of the rows. [`VALUE_MAX`] times the maximum number of rows
//! fits into 64 bits, so no sum overflows.

mod columns;
mod fact_row;
mod number;
mod region_row;

pub use columns::{ColumnsError, DatasetKind, FactColumns, GROUPS_MAX, RegionColumns};
pub use fact_row::{Fact, read_fact};
pub use number::VALUE_MAX;
pub use region_row::{RegionRow, read_region};

use crate::recipe::Name;

/// Sources of analytics that are no datasets. No dataset has their names.
const RESERVED: [&str; 2] = ["engagement", "usage"];

/// Returns `true` if no dataset may have this name.
#[must_use]
pub fn is_reserved(name: &Name) -> bool {
    RESERVED.contains(&name.as_str())
}

#[cfg(test)]
mod tests;
