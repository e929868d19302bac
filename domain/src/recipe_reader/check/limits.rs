//! Checks of single numbers.

use super::super::FieldError;
use crate::time::Timecode;
use std::ops::RangeInclusive;

/// Checks a number.
///
/// # Errors
/// The value and the accepted range.
pub(super) fn check_range(field: &str, value: u64, accepted: RangeInclusive<u64>) -> Result<(), FieldError> {
    if accepted.contains(&value) {
        return Ok(());
    }
    Err(FieldError::invalid(
        field,
        format!("{value}; accepted: {} to {}", accepted.start(), accepted.end()),
    ))
}

/// Checks a time in milliseconds; the maximum is that of [`Timecode`].
///
/// # Errors
/// The value and the accepted range.
pub(super) fn check_time_ms(field: &str, at_ms: Option<u64>) -> Result<(), FieldError> {
    check_range(field, at_ms.unwrap_or(0), 0..=Timecode::MAX.ms())
}

/// Checks the side of a canvas in pixels.
///
/// # Errors
/// The value and the accepted range.
pub(super) fn check_side(field: &str, side_px: Option<u32>) -> Result<(), FieldError> {
    check_range(field, side_px.unwrap_or(16).into(), 16..=8_192)
}
