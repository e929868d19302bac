//! The names of all settings, and the check for unknown variables with our prefix. Without it, a misspelled setting
//! would be ignored without notice.

use super::environment::BadSetting;

/// Names of all settings, in the order of `.env.sample`.
pub const NAMES: &[&str] = &[
    "RUSHES_LISTEN",
    "RUSHES_PUBLIC_URL",
    "RUSHES_DATA_DIR",
    "RUSHES_TRUSTED_PROXIES",
    "RUSHES_CORS_ORIGINS",
    "RUSHES_METRICS_LISTEN",
    "RUSHES_STOP_DELAY_S",
    "RUSHES_HSTS_MAX_AGE_S",
    "RUSHES_DELIVERY",
    "RUSHES_CATALOG_DIR",
    "RUSHES_DEGRADED_PRIVATE_S",
    "RUSHES_DEGRADED_PUBLIC_S",
    "RUSHES_GRPC_REFLECTION",
    "RUSHES_LOG",
    "RUSHES_LANGUAGE",
    "DATABASE_URL",
    "REDIS_URL",
    "STORAGE_URL",
    "RUSHES_DEFAULT_PRESET",
    "RUSHES_WORKERS",
    "RUSHES_MEDIA_BIN",
    "RUSHES_SANDBOX",
    "RUSHES_VERIFY",
    "RUSHES_MAX_UPLOAD_BYTES",
    "RUSHES_UPLOAD_TTL_S",
    "RUSHES_OUTBOUND_ALLOW",
    "RUSHES_LOOKUP_URL",
    "RUSHES_LOOKUP_DIALECT",
    "RUSHES_LOOKUP_RATE",
    "RUSHES_WATCH",
    "RUSHES_WATCH_PRESET",
    "RUSHES_WATCH_USER",
    "RUSHES_WATCH_SETTLE_S",
    "RUSHES_WATCH_ACCESS_KEY_ID",
    "RUSHES_WATCH_SECRET_ACCESS_KEY",
    "RUSHES_MAX_DURATION_S",
    "RUSHES_MAX_OUTPUT_DURATION_S",
    "RUSHES_MAX_OUTPUT_FRAMES",
    "RUSHES_MAX_OUTPUT_MEGAPIXELS",
    "RUSHES_MAX_TASK_CPU_S",
    "RUSHES_TOKEN_TTL_S",
    "RUSHES_LINK_TTL_S",
    "RUSHES_PASSWORD_POLICY",
    "RUSHES_JWT_SECRET",
    "RUSHES_SEALING_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
];

/// Names of the variables of `rushes import`, which the service does not read. They may be set beside it.
const CLIENT_NAMES: [&str; 7] = [
    "RUSHES_URL",
    "RUSHES_TOKEN",
    "RUSHES_TOKEN_FILE",
    "RUSHES_USER",
    "RUSHES_USER_FILE",
    "RUSHES_PASSWORD",
    "RUSHES_PASSWORD_FILE",
];

/// Prefix of the settings of ours; some settings have established names without it.
const PREFIX: &str = "RUSHES_";

/// Refuses a variable that begins with `RUSHES_`, in upper or lower case, and is not a setting.
///
/// # Errors
/// The first unknown name in alphabetical order, with the most similar known one, if one is similar. Never the value,
/// which may be a secret.
pub(super) fn check<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), BadSetting> {
    let mut unknown: Vec<_> = variables
        .filter(|(name, _)| has_prefix(name) && !NAMES.contains(name) && !CLIENT_NAMES.contains(name))
        .filter(|(name, value)| !is_service_variable(name, value))
        .map(|(name, _)| name)
        .collect();
    unknown.sort_unstable();
    let Some(name) = unknown.first() else { return Ok(()) };
    let upper = name.to_ascii_uppercase();
    // A port is a part of the address.
    let nearest = if upper == "RUSHES_PORT" {
        Some("RUSHES_LISTEN")
    } else {
        let distance = |known: &&str| strsim::osa_distance(&upper, known);
        let most = (upper.len() - PREFIX.len()) * 2 / 3;
        let nearest = NAMES.iter().copied().min_by_key(distance);
        nearest.filter(|known| distance(known) <= most)
    };
    Err(BadSetting {
        name: (*name).to_owned(),
        problem: "unknown setting".to_owned(),
        accepted: nearest.map_or_else(
            || "a name of .env.sample".to_owned(),
            |nearest| format!("{nearest}, or another name of .env.sample"),
        ),
    })
}

/// Compares without case: names of variables are case-sensitive, but `rushes_log` is a misspelling.
fn has_prefix(name: &str) -> bool {
    name.get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// True for variables with which Kubernetes and Docker describe a service named `rushes` or `rushes-backend` to every
/// container, such as `RUSHES_SERVICE_HOST` and `RUSHES_PORT_8000_TCP_ADDR`.
fn is_service_variable(name: &str, value: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_") && ["_TCP", "_UDP", "_SCTP"].iter().any(|kind| name.contains(kind))
        || name.ends_with("_PORT")
            && ["tcp://", "udp://", "sctp://"]
                .iter()
                .any(|kind| value.starts_with(kind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails at the first error")]
    use super::*;

    #[test]
    fn an_unknown_name_is_reported_with_the_most_similar_known_one() {
        for (name, nearest) in [
            ("RUSHES_LISTN", "RUSHES_LISTEN"),
            ("RUSHES_LOGS", "RUSHES_LOG"),
            ("rushes_log", "RUSHES_LOG"),
            ("Rushes_Listen", "RUSHES_LISTEN"),
            ("RUSHES_WORKER", "RUSHES_WORKERS"),
            ("RUSHES_LINK_TTL", "RUSHES_LINK_TTL_S"),
            ("RUSHES_MAX_UPLOAD", "RUSHES_MAX_UPLOAD_BYTES"),
            ("RUSHES_PORT", "RUSHES_LISTEN"),
        ] {
            let error = check([("PATH", "/bin"), (name, "1")].into_iter()).unwrap_err();
            assert_eq!(error.name, name);
            assert!(error.accepted.starts_with(&format!("{nearest},")), "{error}");
        }
        let error = check([("RUSHES_QUUX", "1")].into_iter()).unwrap_err();
        assert_eq!(error.accepted, "a name of .env.sample");
    }

    #[test]
    fn variables_that_describe_a_service_are_accepted() {
        for (name, value) in [
            ("RUSHES_SERVICE_HOST", "10.0.0.1"),
            ("RUSHES_SERVICE_PORT", "8000"),
            ("RUSHES_BACKEND_SERVICE_PORT_HTTP", "8000"),
            ("RUSHES_PORT", "tcp://10.0.0.1:8000"),
            ("RUSHES_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ] {
            check([(name, value)].into_iter()).unwrap();
        }
        assert_eq!(
            check([("RUSHES_PORT", "8001")].into_iter()).unwrap_err().name,
            "RUSHES_PORT"
        );
    }
}
