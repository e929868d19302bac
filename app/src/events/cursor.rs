//! The check of a cursor.

use crate::{Error, Refusal};
use domain::Code;
use entity::event::Ends;

/// Checks that all events after a position are kept.
///
/// # Errors
/// `cursor_expired`.
pub(super) fn check_cursor(ends: Ends, after: i64) -> Result<(), Error> {
    if ends.contain(after) {
        return Ok(());
    }
    let detail = format!("{after}; kept: {} to {}", ends.oldest, ends.newest);
    Err(Refusal::new(Code::CursorExpired).detail(detail).into())
}
