//! The size of uploads, and the times after which they are removed.

use crate::app::{Core, Settings};
use crate::imports::MAX_MANIFEST_BYTES;
use domain::UploadPurpose;
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

/// The largest length of a file in bytes.
pub(super) fn max_bytes(app: &Core, purpose: UploadPurpose) -> u64 {
    let of_installation = app.settings.limits.max_upload_bytes;
    match purpose {
        UploadPurpose::Video => of_installation,
        UploadPurpose::Manifest => of_installation.min(MAX_MANIFEST_BYTES),
    }
}
