//! The filter of log lines, checked before `EnvFilter` parses it.
//!
//! `EnvFilter` accepts any word as the name of a module. A misspelled level such as `verbose` would silently turn off
//! all lines except those of a module of that name.

use super::environment::{BadSetting, Environment, bad};

const NAME: &str = "RUSHES_LOG";
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
const ACCEPTED: &str = "error, warn, info, debug, trace, off, or levels of crates such as info,worker=debug";

/// Crates whose level can be set: ours, then those that we use.
const CRATES: &[&str] = &[
    "app",
    "backend",
    "domain",
    "entity",
    "migration",
    "queue",
    "rushes",
    "storage",
    "worker",
    "apalis",
    "apalis_core",
    "apalis_redis",
    "axum",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "object_store",
    "redis",
    "reqwest",
    "rustls",
    "sea_orm",
    "sea_orm_migration",
    "sqlx",
    "sqlx_core",
    "sqlx_postgres",
    "sqlx_sqlite",
    "tokio",
    "tokio_util",
    "tower",
    "tower_http",
];

/// Reads the filter. The level of crates that it does not name is `info`.
pub(super) fn filter(env: &Environment<'_>) -> Result<String, BadSetting> {
    let text = env.text(NAME)?.unwrap_or_default();
    let mut directives = vec!["info".to_owned()];
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        directives.push(directive(item)?);
    }
    Ok(directives.join(","))
}

fn directive(item: &str) -> Result<String, BadSetting> {
    let invalid = |problem: String| bad(NAME, &problem, ACCEPTED);
    let (target, level) = item
        .split_once('=')
        .map_or((None, item), |(target, level)| (Some(target), level));
    let level = level.to_ascii_lowercase();
    if !LEVELS.contains(&&*level) {
        let similar = most_similar(&level, &LEVELS);
        return Err(invalid(format!(
            "{item:?} has an unknown level (did you mean {similar:?}?)"
        )));
    }
    let Some(target) = target else { return Ok(level) };
    let crate_name = target.split("::").next().unwrap_or(target);
    let is_path = target
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'));
    if !is_path || !CRATES.contains(&crate_name) {
        let similar = most_similar(crate_name, CRATES);
        return Err(invalid(format!(
            "{item:?} names an unknown crate (did you mean {similar:?}?)"
        )));
    }
    Ok(format!("{target}={level}"))
}

fn most_similar<'a>(word: &str, known: &[&'a str]) -> &'a str {
    known
        .iter()
        .copied()
        .min_by_key(|known| strsim::osa_distance(word, known))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails at the first error")]
    use super::*;

    fn read(text: &str) -> Result<String, BadSetting> {
        filter(&Environment(&|_| Some(text.into())))
    }

    #[test]
    fn crates_without_a_level_are_logged_at_info() {
        for (text, expected) in [
            ("", "info"),
            ("DEBUG", "info,debug"),
            ("warn, worker=debug", "info,warn,worker=debug"),
            ("worker::child=trace", "info,worker::child=trace"),
            ("off", "info,off"),
        ] {
            let filter = read(text).unwrap();
            assert_eq!(filter, expected);
            tracing_subscriber::EnvFilter::try_new(filter).unwrap();
        }
    }

    #[test]
    fn unknown_levels_and_crates_are_refused() {
        for (text, similar) in [
            ("verbose", "error"),
            ("inof", "info"),
            ("wroker=debug", "worker"),
            ("worker=loud", "off"),
            ("worker", "error"),
            ("worker=", "off"),
            ("=debug", "h2"),
            ("info;debug", "info"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.starts_with("RUSHES_LOG: ") && error.contains("accepted: error, warn"),
                "{error}"
            );
            assert!(error.contains("did you mean"), "{error} ({similar})");
        }
    }
}
