//! Decimal numbers as integers.

/// Maximum of a value times ten to the power of its scale. With the 5,000,000 rows that a file may have, a sum stays
/// below 2^63.
pub const VALUE_MAX: i64 = 1_800_000_000_000;

/// The error for a text that is no number, has too many decimals, or is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidNumber;

/// Reads a decimal number such as `-12.50`, and returns it times `10^scale`. It has a point, no exponent and no
/// separators of thousands. Zeros at its end are not counted as decimals.
pub(super) fn scaled(text: &str, scale: u8) -> Result<i64, InvalidNumber> {
    let text = text.trim();
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let decimals = decimals.trim_end_matches('0');
    let is_number = !(whole.is_empty() && decimals.is_empty())
        && whole.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit());
    let missing = usize::from(scale).checked_sub(decimals.len()).ok_or(InvalidNumber)?;
    if !is_number {
        return Err(InvalidNumber);
    }
    let digits = whole
        .bytes()
        .chain(decimals.bytes())
        .chain(std::iter::repeat_n(b'0', missing));
    let value = digits.fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    if value > VALUE_MAX {
        return Err(InvalidNumber);
    }
    Ok(if is_negative { -value } else { value })
}

/// The largest number of a scale, for error messages.
pub(super) fn largest(scale: u8) -> i64 {
    VALUE_MAX / 10_i64.pow(u32::from(scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_exactly() {
        for (text, scale, value) in [
            ("12.50", 2, Ok(1_250)),
            ("-0.01", 2, Ok(-1)),
            ("+3", 0, Ok(3)),
            (" 7 ", 2, Ok(700)),
            ("1.500", 1, Ok(15)),
            (".5", 1, Ok(5)),
            ("5.", 1, Ok(50)),
            ("1.005", 2, Err(InvalidNumber)),
            ("1e3", 2, Err(InvalidNumber)),
            ("1,5", 2, Err(InvalidNumber)),
            ("-", 2, Err(InvalidNumber)),
            (".", 2, Err(InvalidNumber)),
            ("", 2, Err(InvalidNumber)),
            ("NaN", 2, Err(InvalidNumber)),
            ("--1", 2, Err(InvalidNumber)),
            ("18000000000", 2, Ok(VALUE_MAX)),
            ("18000000000.01", 2, Err(InvalidNumber)),
            ("99999999999999999999999999", 0, Err(InvalidNumber)),
        ] {
            assert_eq!(scaled(text, scale), value, "{text}");
        }
    }

    #[test]
    fn no_sum_of_a_whole_file_overflows() {
        assert!(VALUE_MAX.checked_mul(5_000_000).is_some());
    }
}
