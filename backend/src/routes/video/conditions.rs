//! Preconditions of a request for a file (RFC 9110 §13.1), in the order of §13.2.2.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use std::time::SystemTime;

/// The validators of one version of a file (RFC 9110 §8.8).
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// The strong validator, in quotes.
    pub(crate) etag: String,
    /// When it was made, in whole seconds.
    pub(crate) modified: SystemTime,
}

/// The result of the preconditions of a request (RFC 9110 §13.2.2).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The file is to be sent.
    Send,
    /// The client has it: 304.
    NotModified,
    /// It is not what the client expects: 412.
    Failed,
}

impl Version {
    /// A version with this tag, without quotes, that was made then.
    pub(crate) fn new(tag: &str, made: impl Into<SystemTime>) -> Self {
        let made = made.into();
        let since = made.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            etag: format!("\"{tag}\""),
            modified: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs()),
        }
    }

    /// The result of the preconditions of a request for this version (RFC 9110 §13.2.2).
    pub(super) fn judge(&self, headers: &HeaderMap) -> Verdict {
        let expected = match tags(headers, &IF_MATCH) {
            Some(tags) => tags.iter().any(|tag| tag == "*" || *tag == self.etag),
            None => date(headers, &IF_UNMODIFIED_SINCE).is_none_or(|date| self.modified <= date),
        };
        let known = match tags(headers, &IF_NONE_MATCH) {
            Some(tags) => has_tag(&tags, &self.etag),
            None => date(headers, &IF_MODIFIED_SINCE).is_some_and(|date| self.modified <= date),
        };
        match (expected, known) {
            (false, _) => Verdict::Failed,
            (true, true) => Verdict::NotModified,
            (true, false) => Verdict::Send,
        }
    }

    /// Whether a range continues this version: there is no `If-Range`, or it names this one by its strong validator or its date.
    pub(super) fn is_continued(&self, headers: &HeaderMap) -> bool {
        let Some(told) = text(headers, &IF_RANGE) else {
            return true;
        };
        told.trim() == self.etag || httpdate::parse_http_date(told.trim()).is_ok_and(|date| date == self.modified)
    }
}

/// Whether `If-None-Match` names this validator; compared weakly (RFC 9110 §8.8.3.2).
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    tags(headers, &IF_NONE_MATCH).is_some_and(|tags| has_tag(&tags, etag))
}

fn has_tag(tags: &[String], etag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    tags.iter().any(|tag| tag == "*" || opaque(tag) == opaque(etag))
}

/// The validators of a list; `None` where there is no such header. Ours hold no comma.
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

/// A date; one that cannot be read counts as absent (RFC 9110 §13.1.3).
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

    fn version() -> Version {
        Version::new(
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
    fn preconditions_are_judged_in_the_order_of_the_standard() {
        for (pairs, verdict) in [
            (vec![], Verdict::Send),
            (vec![(IF_MATCH, "\"a\"")], Verdict::Send),
            (vec![(IF_MATCH, "\"b\", \"a\"")], Verdict::Send),
            (vec![(IF_MATCH, "\"b\""), (IF_MATCH, "\"a\"")], Verdict::Send),
            (vec![(IF_MATCH, "*")], Verdict::Send),
            (vec![(IF_MATCH, "\"b\"")], Verdict::Failed),
            (vec![(IF_MATCH, "W/\"a\"")], Verdict::Failed),
            (vec![(IF_UNMODIFIED_SINCE, BEFORE)], Verdict::Failed),
            (vec![(IF_UNMODIFIED_SINCE, MADE)], Verdict::Send),
            (vec![(IF_UNMODIFIED_SINCE, "soon")], Verdict::Send),
            (vec![(IF_MATCH, "\"a\""), (IF_UNMODIFIED_SINCE, BEFORE)], Verdict::Send),
            (vec![(IF_NONE_MATCH, "\"a\"")], Verdict::NotModified),
            (vec![(IF_NONE_MATCH, "W/\"a\"")], Verdict::NotModified),
            (vec![(IF_NONE_MATCH, "\"b\", W/\"a\"")], Verdict::NotModified),
            (vec![(IF_NONE_MATCH, "*")], Verdict::NotModified),
            (vec![(IF_NONE_MATCH, "\"b\"")], Verdict::Send),
            (
                vec![(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, AFTER)],
                Verdict::Send,
            ),
            (vec![(IF_MODIFIED_SINCE, BEFORE)], Verdict::Send),
            (vec![(IF_MODIFIED_SINCE, MADE)], Verdict::NotModified),
            (vec![(IF_MODIFIED_SINCE, AFTER)], Verdict::NotModified),
            (vec![(IF_MODIFIED_SINCE, "soon")], Verdict::Send),
            (vec![(IF_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")], Verdict::Failed),
        ] {
            assert_eq!(version().judge(&headers(&pairs)), verdict, "{pairs:?}");
        }
    }

    #[test]
    fn a_part_of_another_version_is_not_continued() {
        for (if_range, continued) in [
            ("\"a\"", true),
            ("\"b\"", false),
            ("W/\"a\"", false),
            (MADE, true),
            (AFTER, false),
            ("soon", false),
        ] {
            assert_eq!(
                version().is_continued(&headers(&[(IF_RANGE, if_range)])),
                continued,
                "{if_range}"
            );
        }
        assert!(version().is_continued(&HeaderMap::new()));
    }
}
