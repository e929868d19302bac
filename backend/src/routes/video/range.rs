//! Which bytes of a file a client wants (RFC 9110 §14).

use super::conditions::Version;
use axum::http::HeaderMap;
use axum::http::header::RANGE;
use std::ops::Range;

/// What to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes, at least one.
    Part(Range<u64>),
    /// A range outside of the file.
    Nothing,
}

/// The one range that is asked for. Several ranges, other units and what cannot be read count as none (§14.2 allows it).
pub(super) fn wanted(headers: &HeaderMap, version: &Version, bytes: u64) -> Wanted {
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let Some(range) = range.and_then(|range| range.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    // Of another version than the client holds a part of, it needs all.
    if !version.is_continued(headers) {
        return Wanted::Whole;
    }
    let Some((first, last)) = range.split_once('-').map(|(first, last)| (first.trim(), last.trim())) else {
        return Wanted::Whole;
    };
    let span = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(bytes),
        (Some(first), None) if last.is_empty() => first..bytes,
        (None, Some(count)) if first.is_empty() => bytes.saturating_sub(count)..bytes,
        _ => return Wanted::Whole,
    };
    if span.is_empty() {
        Wanted::Nothing
    } else {
        Wanted::Part(span)
    }
}

fn number(text: &str) -> Option<u64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is behind the end of any file.
        return Some(text.parse().unwrap_or(u64::MAX));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_range_is_served_and_anything_unreadable_means_the_whole() {
        let version = Version::new("a", std::time::SystemTime::UNIX_EPOCH);
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=10-19", Wanted::Part(10..20)),
            ("bytes=10-", Wanted::Part(10..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
        ] {
            let headers = HeaderMap::from_iter([(RANGE, range.parse().unwrap())]);
            assert_eq!(wanted(&headers, &version, 100), expected, "{range}");
        }
        assert_eq!(wanted(&HeaderMap::new(), &version, 100), Wanted::Whole);
    }
}
