//! Reading one variable: absent and empty are the same, everything else must parse.

use super::BadSetting;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Where values come from.
pub(super) struct Read<'a>(pub(super) &'a dyn Fn(&str) -> Option<OsString>);

/// A refusal.
pub(super) fn bad(name: &'static str, problem: &str, accepted: &str) -> BadSetting {
    BadSetting {
        name: name.to_owned(),
        problem: problem.to_owned(),
        accepted: accepted.to_owned(),
    }
}

impl Read<'_> {
    /// The value without spaces around it, when there is one.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, BadSetting> {
        let Some(value) = self.0(name) else { return Ok(None) };
        // The value is not shown: it may be a password.
        let value = value
            .into_string()
            .map_err(|_| bad(name, "not UTF-8", "text in UTF-8"))?;
        Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty()))
    }

    /// The value as a `T`, when there is one.
    pub(super) fn parsed<T: FromStr>(&self, name: &'static str, accepted: &str) -> Result<Option<T>, BadSetting> {
        let parse = |text: String| text.parse().map_err(|_| bad(name, &format!("{text:?}"), accepted));
        self.text(name)?.map(parse).transpose()
    }

    /// A list by commas.
    pub(super) fn list<T: FromStr>(&self, name: &'static str, accepted: &str) -> Result<Vec<T>, BadSetting> {
        let text = self.text(name)?.unwrap_or_default();
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items
            .map(|item| item.parse().map_err(|_| bad(name, &format!("{item:?}"), accepted)))
            .collect()
    }

    /// One of a few words.
    pub(super) fn one_of<T: Clone>(
        &self,
        name: &'static str,
        words: &[(&str, T)],
        default: T,
    ) -> Result<T, BadSetting> {
        let Some(text) = self.text(name)? else {
            return Ok(default);
        };
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| value.clone());
        let accepted = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ");
        found.ok_or_else(|| bad(name, &format!("{text:?}"), &accepted()))
    }
}

/// A whole number within a range.
pub(super) fn within(
    env: &Read<'_>,
    name: &'static str,
    (range, unit): (RangeInclusive<u64>, &str),
    default: u64,
) -> Result<u64, BadSetting> {
    let accepted = format!("a whole number of {unit}, {} to {}", range.start(), range.end());
    match env.parsed(name, &accepted)? {
        Some(value) if !range.contains(&value) => Err(bad(name, &value.to_string(), &accepted)),
        value => Ok(value.unwrap_or(default)),
    }
}
