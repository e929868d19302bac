//! Validators: they tell that a file is still the same one, so that its rest fits to what was received.

use reqwest::header::{self, HeaderMap, HeaderValue};
use std::time::Duration;

/// A strong validator of a file (RFC 9110, section 8.8): a strong entity tag, or a date of modification that is at
/// least one second older than the reply. Only such a one may be used in `If-Range`: after a weak one, the parts of two
/// versions of a file could be joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator(HeaderValue);

impl Validator {
    /// The validator of a reply, if it has one.
    pub(crate) fn of_reply(headers: &HeaderMap) -> Option<Self> {
        if let Some(tag) = headers.get(header::ETAG) {
            return is_strong_tag(tag.as_bytes()).then(|| Self(tag.clone()));
        }
        let date = |name| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
        let (modified, sent) = (date(header::LAST_MODIFIED)?, date(header::DATE)?);
        let is_strong = sent
            .duration_since(modified)
            .is_ok_and(|age| age >= Duration::from_secs(1));
        is_strong.then(|| headers.get(header::LAST_MODIFIED).cloned().map(Self))?
    }

    /// A validator that was stored as text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = is_strong_tag(text.as_bytes()) || httpdate::parse_http_date(text).is_ok();
        is_valid.then(|| HeaderValue::from_str(text).ok().map(Self))?
    }

    /// The text of the validator. `None` if it has bytes that are not ASCII, so that it cannot be stored as text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.0.to_str().ok()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Returns true if the headers of a partial reply show another version. A host that ignores `If-Range` is found so.
    pub(crate) fn is_contradicted_by(&self, headers: &HeaderMap) -> bool {
        let is_tag = is_strong_tag(self.0.as_bytes());
        let name = if is_tag { header::ETAG } else { header::LAST_MODIFIED };
        headers.get(name).is_some_and(|value| *value != self.0)
    }
}

/// Returns true for a quoted text without the `W/` of a weak tag.
fn is_strong_tag(bytes: &[u8]) -> bool {
    matches!(bytes, [b'"', within @ .., b'"'] if !within.contains(&b'"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(header::HeaderName, &str)]) -> Option<String> {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        let validator = Validator::of_reply(&HeaderMap::from_iter(headers))?;
        validator.as_str().map(str::to_owned)
    }

    #[test]
    fn only_strong_validators_are_used() {
        let (early, late) = ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:01 GMT");
        assert_eq!(of(&[(header::ETAG, "\"a\"")]).as_deref(), Some("\"a\""));
        assert_eq!(
            of(&[
                (header::ETAG, "W/\"a\""),
                (header::LAST_MODIFIED, early),
                (header::DATE, late)
            ]),
            None
        );
        assert_eq!(of(&[(header::ETAG, "a")]), None);
        assert_eq!(
            of(&[(header::LAST_MODIFIED, early), (header::DATE, late)]).as_deref(),
            Some(early)
        );
        assert_eq!(of(&[(header::LAST_MODIFIED, late), (header::DATE, late)]), None);
        assert_eq!(of(&[(header::LAST_MODIFIED, early)]), None);
        assert_eq!(of(&[(header::LAST_MODIFIED, "today"), (header::DATE, late)]), None);
    }

    #[test]
    fn a_stored_validator_is_the_same_again() {
        for text in ["\"a-b\"", "\"\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(Validator::parse(text).unwrap().as_str(), Some(text));
        }
        for text in ["", "W/\"a\"", "a", "\"a", "\"a\"b\"", "\"a\nb\""] {
            assert_eq!(Validator::parse(text), None, "{text}");
        }
    }
}
