//! Settings of uploads that API and worker share.

use super::environment::{BadSetting, Bounds, Environment, TTL_MAX_S, bad};
use outbound::Policy;
use std::time::Duration;

const TTL_DEFAULT_S: u64 = 24 * 3_600;

/// Time for which a resumable upload can be continued: `RUSHES_UPLOAD_TTL_S`, by default one day.
pub(super) fn ttl(env: &Environment<'_>) -> Result<Duration, BadSetting> {
    let bounds = Bounds::up_to(TTL_MAX_S, "seconds");
    env.number("RUSHES_UPLOAD_TTL_S", &bounds, TTL_DEFAULT_S)
        .map(Duration::from_secs)
}

/// Addresses beside those of the public internet that fetches of files and webhooks may reach:
/// `RUSHES_OUTBOUND_ALLOW`.
pub(super) fn outbound(env: &Environment<'_>) -> Result<Policy, BadSetting> {
    let name = "RUSHES_OUTBOUND_ALLOW";
    let list = env.text(name)?.unwrap_or_default();
    let accepted = "networks such as 10.0.0.0/8 and names of hosts such as nas.lan, separated by commas";
    list.parse().map_err(|error| bad(name, &format!("{error}"), accepted))
}
