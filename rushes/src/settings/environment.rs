//! Reads and parses environment variables. An empty variable counts as not set; any other value must be valid.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Maximum lifetime of a token, a link or an upload: 30 days.
pub(super) const TTL_MAX_S: u64 = 30 * 24 * 3_600;

/// A setting that prevents the start: the variable, the problem with its value, and the accepted values.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}; accepted: {accepted}")]
pub struct BadSetting {
    /// Name of the variable.
    pub name: String,
    /// The problem. Contains the value, unless it may be a secret.
    pub problem: String,
    /// The accepted values.
    pub accepted: String,
}

pub(super) fn bad(name: &'static str, problem: &str, accepted: &str) -> BadSetting {
    BadSetting {
        name: name.to_owned(),
        problem: problem.to_owned(),
        accepted: accepted.to_owned(),
    }
}

/// The variables, by a function that returns the value of a name.
pub(super) struct Environment<'a>(pub(super) &'a dyn Fn(&str) -> Option<OsString>);

/// The accepted values of a whole number.
pub(super) struct Bounds {
    pub(super) range: RangeInclusive<u64>,
    /// Unit for error messages, such as `seconds`.
    pub(super) unit: &'static str,
}

impl Bounds {
    /// All numbers from 1 to `max`.
    pub(super) const fn up_to(max: u64, unit: &'static str) -> Self {
        Self { range: 1..=max, unit }
    }
}

impl Environment<'_> {
    /// The trimmed value, if the variable is set and not empty.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, BadSetting> {
        let Some(value) = self.0(name) else { return Ok(None) };
        // The error does not contain the value, which may be a password.
        let value = value
            .into_string()
            .map_err(|_| bad(name, "not UTF-8", "text in UTF-8"))?;
        Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty()))
    }

    /// The value as a `T`.
    pub(super) fn parsed<T: FromStr>(&self, name: &'static str, accepted: &str) -> Result<Option<T>, BadSetting> {
        let parse = |text: String| text.parse().map_err(|_| bad(name, &format!("{text:?}"), accepted));
        self.text(name)?.map(parse).transpose()
    }

    /// A whole number within bounds.
    pub(super) fn number(&self, name: &'static str, bounds: &Bounds, default: u64) -> Result<u64, BadSetting> {
        let Bounds { range, unit } = bounds;
        let accepted = format!("a whole number of {unit}, {} to {}", range.start(), range.end());
        match self.parsed(name, &accepted)? {
            Some(value) if !range.contains(&value) => Err(bad(name, &value.to_string(), &accepted)),
            value => Ok(value.unwrap_or(default)),
        }
    }

    /// A list whose items are separated by commas.
    pub(super) fn list<T: FromStr>(&self, name: &'static str, accepted: &str) -> Result<Vec<T>, BadSetting> {
        let text = self.text(name)?.unwrap_or_default();
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items
            .map(|item| item.parse().map_err(|_| bad(name, &format!("{item:?}"), accepted)))
            .collect()
    }

    /// One of several words, each of which stands for a value.
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
