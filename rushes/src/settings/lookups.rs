//! The lookup service, which backends and workers have to know.

use super::environment::{BadSetting, Environment, bad};
use app::lookups::Settings;
use domain::lookup::Dialect;
use std::num::NonZeroU32;

/// Calls a second, unless a setting says otherwise.
const CALLS_PER_S: u32 = 10;
const MAX_CALLS_PER_S: u32 = 1_000;

/// The service that looks up the points of manifests: `RUSHES_LOOKUP_URL`, `RUSHES_LOOKUP_DIALECT` and
/// `RUSHES_LOOKUP_RATE`.
pub(super) fn lookups(env: &Environment<'_>) -> Result<Option<Settings>, BadSetting> {
    let dialect = env.one_of("RUSHES_LOOKUP_DIALECT", &Dialect::ALL, Dialect::default())?;
    let rate = rate(env)?;
    let Some(url) = env.text("RUSHES_LOOKUP_URL")? else {
        return Ok(None);
    };
    // Never the value: its query may have a key.
    let refused = |error: outbound::Error| {
        let accepted = "http:// or https:// and a host, without a user name";
        bad("RUSHES_LOOKUP_URL", &error.to_string(), accepted)
    };
    Settings::new(&url, dialect, rate).map(Some).map_err(refused)
}

fn rate(env: &Environment<'_>) -> Result<NonZeroU32, BadSetting> {
    let (name, accepted) = ("RUSHES_LOOKUP_RATE", "1 to 1000 calls a second");
    let rate: u32 = env.parsed(name, accepted)?.unwrap_or(CALLS_PER_S);
    let refused = || bad(name, &rate.to_string(), accepted);
    let checked = NonZeroU32::new(rate).filter(|rate| rate.get() <= MAX_CALLS_PER_S);
    checked.ok_or_else(refused)
}
