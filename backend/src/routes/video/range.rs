//! Which bytes of a file a client wants (RFC 9110 §13 and §14), by strong validators only.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE};
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

/// Whether the client says that it has this very file.
pub(super) fn has_it_already(headers: &HeaderMap, etag: &str) -> bool {
    let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    text(headers, &IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == "*" || weak(tag) == etag))
}

/// The one range that is asked for. Several ranges, other units and what cannot be read count as none (§14.2 allows it).
pub(super) fn wanted(headers: &HeaderMap, etag: &str, bytes: u64) -> Wanted {
    let Some(range) = text(headers, &RANGE).and_then(|range| range.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    // The client holds a part of another version, or names a date, which we do not: it needs all of it.
    if text(headers, &IF_RANGE).is_some_and(|tag| tag.trim() != etag) {
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

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_single_range_is_served_and_anything_unreadable_means_the_whole() {
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
            assert_eq!(wanted(&headers(&[(RANGE, range)]), "\"a\"", 100), expected, "{range}");
        }
        assert_eq!(wanted(&HeaderMap::new(), "\"a\"", 100), Wanted::Whole);
    }

    #[test]
    fn a_part_of_another_version_is_not_continued() {
        for (if_range, expected) in [
            ("\"a\"", Wanted::Part(0..2)),
            ("\"b\"", Wanted::Whole),
            ("W/\"a\"", Wanted::Whole),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Wanted::Whole),
        ] {
            let headers = headers(&[(RANGE, "bytes=0-1"), (IF_RANGE, if_range)]);
            assert_eq!(wanted(&headers, "\"a\"", 100), expected, "{if_range}");
        }
    }

    #[test]
    fn a_client_that_has_the_file_is_told_so() {
        for (tags, has) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
        ] {
            assert_eq!(
                has_it_already(&headers(&[(IF_NONE_MATCH, tags)]), "\"a\""),
                has,
                "{tags}"
            );
        }
    }
}
