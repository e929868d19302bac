//! The `Range` header: the bytes of a file that a request asks for (RFC 9110 §14).

use super::conditions::Validators;
use axum::http::HeaderMap;
use axum::http::header::RANGE;
use std::ops::Range;

/// The bytes to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RequestedRange {
    /// The whole file: 200.
    Whole,
    /// At least one byte of the file: 206.
    Part(Range<u64>),
    /// A range outside of the file: 416.
    Unsatisfiable,
}

/// Parses the `Range` of a request for a file of `bytes`. Several ranges, other units and malformed values are ignored,
/// as §14.2 allows.
pub(super) fn requested(headers: &HeaderMap, validators: &Validators, bytes: u64) -> RequestedRange {
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let Some(range) = range.and_then(|range| range.trim().strip_prefix("bytes=")) else {
        return RequestedRange::Whole;
    };
    // The client holds a part of another version, so it needs the whole file (`If-Range`, §13.1.5).
    if !validators.if_range_matches(headers) {
        return RequestedRange::Whole;
    }
    let Some((first, last)) = range.split_once('-').map(|(first, last)| (first.trim(), last.trim())) else {
        return RequestedRange::Whole;
    };
    let span = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(bytes),
        (Some(first), None) if last.is_empty() => first..bytes,
        (None, Some(count)) if first.is_empty() => bytes.saturating_sub(count)..bytes,
        _ => return RequestedRange::Whole,
    };
    if span.is_empty() {
        RequestedRange::Unsatisfiable
    } else {
        RequestedRange::Part(span)
    }
}

/// Parses digits without a sign. A number that does not fit becomes `u64::MAX`, which is beyond the end of any file.
fn number(text: &str) -> Option<u64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().unwrap_or(u64::MAX));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_range_is_served_and_a_malformed_one_means_the_whole_file() {
        let validators = Validators::new("a", std::time::SystemTime::UNIX_EPOCH);
        for (range, expected) in [
            ("bytes=0-0", RequestedRange::Part(0..1)),
            ("bytes=10-19", RequestedRange::Part(10..20)),
            ("bytes=10-", RequestedRange::Part(10..100)),
            ("bytes=-10", RequestedRange::Part(90..100)),
            ("bytes=-1000", RequestedRange::Part(0..100)),
            ("bytes=90-1000", RequestedRange::Part(90..100)),
            ("bytes=0-99999999999999999999999", RequestedRange::Part(0..100)),
            ("bytes=100-", RequestedRange::Unsatisfiable),
            ("bytes=99999999999999999999999-", RequestedRange::Unsatisfiable),
            ("bytes=-0", RequestedRange::Unsatisfiable),
            ("bytes=5-4", RequestedRange::Whole),
            ("bytes=-", RequestedRange::Whole),
            ("bytes=a-b", RequestedRange::Whole),
            ("bytes=+1-2", RequestedRange::Whole),
            ("bytes=0-1,5-6", RequestedRange::Whole),
            ("items=0-1", RequestedRange::Whole),
        ] {
            let headers = HeaderMap::from_iter([(RANGE, range.parse().unwrap())]);
            assert_eq!(requested(&headers, &validators, 100), expected, "{range}");
        }
        assert_eq!(requested(&HeaderMap::new(), &validators, 100), RequestedRange::Whole);
    }
}
