//! The filter of log lines. `EnvFilter` takes any word for the name of a module: `verbose` would turn everything off but a
//! module of that name.

use super::BadSetting;
use super::read::{Read, bad};

const NAME: &str = "RUSHES_LOG";
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
const ACCEPTED: &str = "error, warn, info, debug, trace, off, or such levels of parts: info,worker=debug";

/// Crates whose lines can be asked for: those of the product, then those that log for it.
const PARTS: &[&str] = &[
    "backend",
    "domain",
    "entity",
    "media",
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

/// Reads it; what it says nothing about is logged from `info` on.
pub(super) fn filter(env: &Read<'_>) -> Result<String, BadSetting> {
    let text = env.text(NAME)?.unwrap_or_default();
    let mut directives = vec!["info".to_owned()];
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        directives.push(directive(item)?);
    }
    Ok(directives.join(","))
}

fn directive(item: &str) -> Result<String, BadSetting> {
    let refused = |problem: String| bad(NAME, &problem, ACCEPTED);
    let (part, level) = item
        .split_once('=')
        .map_or((None, item), |(part, level)| (Some(part), level));
    let level = level.to_ascii_lowercase();
    if !LEVELS.contains(&&*level) {
        let near = nearest(&level, &LEVELS);
        return Err(refused(format!(
            "{item:?} has no level that is known (did you mean {near:?}?)"
        )));
    }
    let Some(part) = part else { return Ok(level) };
    let krate = part.split("::").next().unwrap_or(part);
    let is_path = part
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'));
    if !is_path || !PARTS.contains(&krate) {
        let near = nearest(krate, PARTS);
        return Err(refused(format!(
            "{item:?} names no part that logs (did you mean {near:?}?)"
        )));
    }
    Ok(format!("{part}={level}"))
}

fn nearest<'a>(word: &str, known: &[&'a str]) -> &'a str {
    known
        .iter()
        .copied()
        .min_by_key(|known| strsim::osa_distance(word, known))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn read(text: &str) -> Result<String, BadSetting> {
        filter(&Read(&|_| Some(text.into())))
    }

    #[test]
    fn what_is_not_spoken_of_is_logged_as_ever() {
        for (text, meant) in [
            ("", "info"),
            ("DEBUG", "info,debug"),
            ("warn, worker=debug", "info,warn,worker=debug"),
            ("worker::child=trace", "info,worker::child=trace"),
            ("off", "info,off"),
        ] {
            let filter = read(text).unwrap();
            assert_eq!(filter, meant);
            tracing_subscriber::EnvFilter::try_new(filter).unwrap();
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for (text, near) in [
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
            assert!(error.contains("did you mean"), "{error} ({near})");
        }
    }
}
