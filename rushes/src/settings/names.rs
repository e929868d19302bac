//! Names of variables that begin like ours and are none of ours: a misspelled setting that is ignored shows only when it is missed.

use super::{BadSetting, NAMES};

const PREFIX: &str = "RUSHES_";

/// Refuses a variable whose name begins with `RUSHES_`, in letters of either case, and is no setting.
pub(super) fn check<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), BadSetting> {
    let mut unknown: Vec<_> = variables
        .filter(|(name, value)| has_prefix(name) && !NAMES.contains(name) && !is_of_orchestrator(name, value))
        .map(|(name, _)| name)
        .collect();
    unknown.sort_unstable();
    let Some(name) = unknown.first() else { return Ok(()) };
    let upper = name.to_ascii_uppercase();
    let nearest = NAMES.iter().min_by_key(|known| strsim::osa_distance(&upper, known));
    Err(BadSetting {
        name: (*name).to_owned(),
        problem: "there is no such setting".to_owned(),
        accepted: format!("{}, or another name of .env.sample", nearest.unwrap_or(&PREFIX)),
    })
}

/// Names of variables differ by case, and `rushes_log` is hardly meant to be another one.
fn has_prefix(name: &str) -> bool {
    name.get(..PREFIX.len())
        .is_some_and(|beginning| beginning.eq_ignore_ascii_case(PREFIX))
}

/// Kubernetes and Docker describe a service named `rushes` or `rushes-backend` to every container in variables such as
/// `RUSHES_SERVICE_HOST` and `RUSHES_PORT_8000_TCP_ADDR`.
fn is_of_orchestrator(name: &str, value: &str) -> bool {
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
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn an_unknown_name_is_told_with_the_nearest_that_is_known() {
        for (name, nearest) in [
            ("RUSHES_LISTN", "RUSHES_LISTEN"),
            ("RUSHES_LOGS", "RUSHES_LOG"),
            ("rushes_log", "RUSHES_LOG"),
            ("Rushes_Listen", "RUSHES_LISTEN"),
            ("RUSHES_WORKER", "RUSHES_WORKERS"),
            ("RUSHES_LINK_TTL", "RUSHES_LINK_TTL_S"),
            ("RUSHES_MAX_UPLOAD", "RUSHES_MAX_UPLOAD_BYTES"),
        ] {
            let error = check([("PATH", "/bin"), (name, "1")].into_iter()).unwrap_err();
            assert_eq!(error.name, name);
            assert!(error.accepted.starts_with(&format!("{nearest},")), "{error}");
        }
    }

    #[test]
    fn a_service_of_the_name_is_no_setting() {
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
