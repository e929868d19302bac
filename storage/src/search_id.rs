//! The id of a search in the background. The time of its creation is part of it, so that its day and its age are known
//! without a lookup.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

const SECONDS_OF_DAY: u64 = 86_400;

/// The id of a search in the background: a UUID v7 (RFC 9562 §5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SearchId(Uuid);

/// The error for a text that is not the id of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a search")]
pub struct InvalidSearchId;

impl SearchId {
    /// Creates the id of a search that begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self(Uuid::now_v7())
    }

    /// The time since the id was created; zero if it lies in the future of this machine.
    #[must_use]
    pub fn age(self) -> Duration {
        let created = UNIX_EPOCH + self.since_epoch();
        SystemTime::now().duration_since(created).unwrap_or_default()
    }

    /// The day of its creation, counted from the Unix epoch in UTC.
    pub(crate) fn day(self) -> u64 {
        self.since_epoch().as_secs() / SECONDS_OF_DAY
    }

    fn since_epoch(self) -> Duration {
        // A UUID v7 has a time, so the default is never used.
        let (seconds, nanos) = self.0.get_timestamp().map(|time| time.to_unix()).unwrap_or_default();
        Duration::new(seconds, nanos)
    }
}

impl FromStr for SearchId {
    type Err = InvalidSearchId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Uuid::try_parse(text).ok().filter(|id| id.get_version_num() == 7);
        // One text per id: the text is part of keys.
        id.map(Self).filter(|id| id.to_string() == text).ok_or(InvalidSearchId)
    }
}

impl fmt::Display for SearchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_a_day_and_an_age_and_one_text() {
        let id: SearchId = "019ad3a5-5400-7000-8000-000000000001".parse().unwrap();
        assert_eq!(id.since_epoch(), Duration::from_millis(0x019a_d3a5_5400));
        assert_eq!(id.day(), 0x019a_d3a5_5400 / 86_400_000);
        let now = SearchId::begin();
        assert!(now.age() < Duration::from_secs(60));
        assert_eq!(now.to_string().parse(), Ok(now));
        for text in [
            "",
            "1",
            "019AD3A5-5400-7000-8000-000000000001",
            "019ad3a5540070008000000000000001",
            "019ad3a5-5400-4000-8000-000000000001",
            "019ad3a5-5400-7000-8000-000000000001/..",
        ] {
            assert!(text.parse::<SearchId>().is_err(), "{text:?} was accepted");
        }
    }
}
