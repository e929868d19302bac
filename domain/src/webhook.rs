//! Webhooks: when a delivery is tried again, and its status (Standard Webhooks, <https://www.standardwebhooks.com>).

use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// The type of the message that an account sends to its own endpoint as a test. It is not in the log of events.
pub const TEST_EVENT: &str = "webhook.test";

/// Pauses between the ten attempts of a delivery, as Standard Webhooks suggests: 75 hours and 35 minutes in all.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// Time after which the service gives up: an endpoint whose attempts have all failed for longer is disabled, and a
/// message that was due for longer without an attempt ends. It is longer than the pauses of a delivery together.
pub const GIVE_UP_AFTER: Duration = Duration::from_hours(5 * 24);

/// Part of a pause that is added at random, so that the deliveries of an outage do not come back at once. Pauses are
/// never shortened.
const JITTER: f64 = 0.1;

/// Longest pause that a receiver can ask for with `Retry-After`.
const WANTED_MAX: Duration = Duration::from_hours(24);

/// Time until the next attempt after this number of failures, or `None` after the last one. `random` is between 0 and
/// 1; `wanted` is the pause that the receiver asks for.
#[must_use]
pub fn pause(failures: u32, random: f64, wanted: Option<Duration>) -> Option<Duration> {
    let index = usize::try_from(failures.checked_sub(1)?).ok()?;
    let pause = PAUSES
        .get(index)?
        .max(&wanted.unwrap_or_default().min(WANTED_MAX))
        .to_owned();
    Some(pause.mul_f64(1.0 + JITTER * random.clamp(0.0, 1.0)))
}

/// The status of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Waits for its next attempt, or is being sent.
    Pending,
    /// The receiver has answered with a status of success.
    Delivered,
    /// All attempts have failed, the endpoint was disabled, or there was no attempt for [`GIVE_UP_AFTER`].
    Failed,
}

impl DeliveryStatus {
    /// All statuses.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// Returns the word in JSON and in queries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_tried_for_more_than_75_hours_and_pauses_are_never_shorter() {
        for random in [-1.0, 0.0, 0.5, 1.0, 2.0] {
            let pauses = (1..)
                .map_while(|failures| pause(failures, random, None))
                .collect::<Vec<_>>();
            assert_eq!(pauses.len(), 9);
            let whole: Duration = pauses.iter().sum();
            assert!(
                whole > Duration::from_hours(75) && whole < Duration::from_hours(84),
                "{whole:?}"
            );
            assert!(pauses.is_sorted());
        }
        assert_eq!(pause(1, 0.0, None), Some(Duration::from_secs(5)));
        assert_eq!(pause(2, 1.0, None), Some(Duration::from_secs(330)));
        assert_eq!((pause(0, 0.0, None), pause(10, 0.0, None)), (None, None));
    }

    #[test]
    fn a_receiver_can_make_a_pause_longer_but_not_endless() {
        let wanted = |seconds| pause(1, 0.0, Some(Duration::from_secs(seconds)));
        assert_eq!(wanted(1), Some(Duration::from_secs(5)));
        assert_eq!(wanted(60), Some(Duration::from_secs(60)));
        assert_eq!(wanted(u64::MAX), Some(WANTED_MAX));
        assert_eq!(pause(10, 0.0, Some(Duration::from_secs(9))), None);
    }

    #[test]
    fn each_status_has_one_word() {
        for status in DeliveryStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
