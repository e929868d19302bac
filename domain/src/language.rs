//! The languages of messages for users: Spanish and English.

use std::str::FromStr;

/// A language of messages for users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Spanish, the default of an installation.
    #[default]
    Es,
    /// English.
    En,
}

impl Language {
    /// Returns the language tag (RFC 5646), for `Content-Language`.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::En => "en",
        }
    }

    /// Selects a language by an `Accept-Language` header (RFC 9110 §12.5.4). Returns `None` if the header accepts
    /// neither.
    #[must_use]
    pub fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(u64, Self)> = None;
        for item in header.split(',') {
            let (range, quality) = item
                .split_once(';')
                .map_or((item, 1_000), |(range, q)| (range, quality(q)));
            let Ok(language) = range.trim().split('-').next().unwrap_or_default().parse::<Self>() else {
                continue;
            };
            if quality > 0 && best.is_none_or(|(q, _)| quality > q) {
                best = Some((quality, language));
            }
        }
        best.map(|(_, language)| language)
    }
}

/// Parses a weight such as `q=0.8` into thousandths; an invalid weight counts as 0.
fn quality(text: &str) -> u64 {
    let weight = text.trim().strip_prefix("q=").and_then(crate::time::micros);
    weight.map_or(0, |micros| micros.min(1_000_000) / 1_000)
}

impl FromStr for Language {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "es" => Ok(Self::Es),
            "en" => Ok(Self::En),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_with_the_highest_weight_is_selected() {
        for (header, expected) in [
            ("en", Some(Language::En)),
            ("en-GB,en;q=0.9,es;q=0.8", Some(Language::En)),
            ("fr, es;q=0.5, en;q=0.7", Some(Language::En)),
            ("es;q=0, en;q=0.1", Some(Language::En)),
            ("fr", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(Language::accepted(header), expected, "{header}");
        }
    }
}
