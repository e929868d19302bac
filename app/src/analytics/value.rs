//! The values of replies, and their limits.

use crate::Refusal;
use domain::Code;

/// Maximum number of sums that are read for a reply.
pub(super) const MAX_SUMS: usize = 200_000;

/// A sum and the number of rows in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Value {
    /// The sum.
    pub value: f64,
    /// The number of rows of the file.
    pub n: i64,
}

/// Refuses a reply with more than `max` values.
pub(super) fn unless_more(count: usize, max: usize) -> Result<(), Refusal> {
    if count <= max {
        return Ok(());
    }
    let detail = format!("accepted: up to {max} values; choose a shorter range or a larger unit");
    Err(Refusal::new(Code::BucketsTooMany).detail(detail))
}
