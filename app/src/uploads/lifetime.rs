//! Times after which uploads are removed.

use crate::app::Settings;
use std::time::Duration;

/// Time after which a fetch fails, with all its attempts.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_hours(24);

/// Time after which an upload is removed, from its last byte on. One that is fetched is there until the deadline of its
/// fetch, and then long enough to learn of the outcome.
pub(super) const fn lifetime(is_fetched: bool, settings: &Settings) -> Duration {
    if is_fetched {
        FETCH_TIMEOUT.saturating_add(settings.upload_ttl)
    } else {
        settings.upload_ttl
    }
}
