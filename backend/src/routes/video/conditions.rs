//! Validators of files and the preconditions of requests (RFC 9110 §13.1), evaluated in the order of §13.2.2.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use std::time::SystemTime;

/// The validators of one version of a file (RFC 9110 §8.8).
#[derive(Clone, Debug)]
pub(crate) struct Validators {
    /// The strong `ETag`, with its quotes.
    pub(crate) etag: String,
    /// `Last-Modified`, in whole seconds.
    pub(crate) modified: SystemTime,
}

/// The result of the preconditions of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// The file has to be sent.
    Met,
    /// The client has this version already: 304.
    NotModified,
    /// The client expects another version: 412.
    Failed,
}

impl Validators {
    /// The validators of a version with this tag, given without quotes, and modification time.
    pub(crate) fn new(tag: &str, modified: impl Into<SystemTime>) -> Self {
        let modified = modified.into();
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            etag: format!("\"{tag}\""),
            modified: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs()),
        }
    }

    /// Evaluates the preconditions of a request for this version (RFC 9110 §13.2.2).
    pub(super) fn evaluate(&self, headers: &HeaderMap) -> Precondition {
        let expected = match tags(headers, &IF_MATCH) {
            Some(tags) => tags.iter().any(|tag| tag == "*" || *tag == self.etag),
            None => date(headers, &IF_UNMODIFIED_SINCE).is_none_or(|date| self.modified <= date),
        };
        let known = match tags(headers, &IF_NONE_MATCH) {
            Some(tags) => has_tag(&tags, &self.etag),
            None => date(headers, &IF_MODIFIED_SINCE).is_some_and(|date| self.modified <= date),
        };
        match (expected, known) {
            (false, _) => Precondition::Failed,
            (true, true) => Precondition::NotModified,
            (true, false) => Precondition::Met,
        }
    }

    /// Returns `true` if a range request may be served from this version: `If-Range` is absent, or it has the strong
    /// `ETag` or the exact date of this version.
    pub(super) fn if_range_matches(&self, headers: &HeaderMap) -> bool {
        let Some(given) = text(headers, &IF_RANGE) else {
            return true;
        };
        given.trim() == self.etag || httpdate::parse_http_date(given.trim()).is_ok_and(|date| date == self.modified)
    }
}

/// The entity tags of `If-None-Match`; `None` without the header.
pub(crate) fn if_none_match(headers: &HeaderMap) -> Option<Vec<String>> {
    tags(headers, &IF_NONE_MATCH)
}

/// Returns `true` if `If-None-Match` contains an `ETag`, by weak comparison (RFC 9110 §8.8.3.2).
pub(crate) fn matches_if_none_match(headers: &HeaderMap, etag: &str) -> bool {
    if_none_match(headers).is_some_and(|tags| has_tag(&tags, etag))
}

fn has_tag(tags: &[String], etag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    tags.iter().any(|tag| tag == "*" || opaque(tag) == opaque(etag))
}

/// The entity tags of a list header; `None` without the header. Splitting at commas is safe, because our tags contain
/// none.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    let texts = lines.filter_map(|line| line.to_str().ok());
    Some(
        texts
            .flat_map(|text| text.split(','))
            .map(|tag| tag.trim().to_owned())
            .collect(),
    )
}

/// The date of a header. An invalid date counts as absent (RFC 9110 §13.1.3).
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, name)?.trim()).ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BEFORE: &str = "Wed, 21 Oct 2015 07:27:59 GMT";
    const MADE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
    const AFTER: &str = "Wed, 21 Oct 2015 07:28:01 GMT";

    fn version() -> Validators {
        Validators::new(
            "a",
            httpdate::parse_http_date(MADE).unwrap() + Duration::from_millis(700),
        )
    }

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn preconditions_are_evaluated_in_the_order_of_the_standard() {
        for (pairs, expected_result) in [
            (vec![], Precondition::Met),
            (vec![(IF_MATCH, "\"a\"")], Precondition::Met),
            (vec![(IF_MATCH, "\"b\", \"a\"")], Precondition::Met),
            (vec![(IF_MATCH, "\"b\""), (IF_MATCH, "\"a\"")], Precondition::Met),
            (vec![(IF_MATCH, "*")], Precondition::Met),
            (vec![(IF_MATCH, "\"b\"")], Precondition::Failed),
            (vec![(IF_MATCH, "W/\"a\"")], Precondition::Failed),
            (vec![(IF_UNMODIFIED_SINCE, BEFORE)], Precondition::Failed),
            (vec![(IF_UNMODIFIED_SINCE, MADE)], Precondition::Met),
            (vec![(IF_UNMODIFIED_SINCE, "soon")], Precondition::Met),
            (
                vec![(IF_MATCH, "\"a\""), (IF_UNMODIFIED_SINCE, BEFORE)],
                Precondition::Met,
            ),
            (vec![(IF_NONE_MATCH, "\"a\"")], Precondition::NotModified),
            (vec![(IF_NONE_MATCH, "W/\"a\"")], Precondition::NotModified),
            (vec![(IF_NONE_MATCH, "\"b\", W/\"a\"")], Precondition::NotModified),
            (vec![(IF_NONE_MATCH, "*")], Precondition::NotModified),
            (vec![(IF_NONE_MATCH, "\"b\"")], Precondition::Met),
            (
                vec![(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, AFTER)],
                Precondition::Met,
            ),
            (vec![(IF_MODIFIED_SINCE, BEFORE)], Precondition::Met),
            (vec![(IF_MODIFIED_SINCE, MADE)], Precondition::NotModified),
            (vec![(IF_MODIFIED_SINCE, AFTER)], Precondition::NotModified),
            (vec![(IF_MODIFIED_SINCE, "soon")], Precondition::Met),
            (
                vec![(IF_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")],
                Precondition::Failed,
            ),
        ] {
            assert_eq!(version().evaluate(&headers(&pairs)), expected_result, "{pairs:?}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_not_served() {
        for (if_range, matches) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("W/\"a\"", false),
            (MADE, true),
            (AFTER, false),
            ("soon", false),
        ] {
            assert_eq!(
                version().if_range_matches(&headers(&[(IF_RANGE, if_range)])),
                matches,
                "{if_range}"
            );
        }
        assert!(version().if_range_matches(&HeaderMap::new()));
    }
}
