//! The limit of file descriptors, and the number of client connections that follows from it.
//!
//! A process without free file descriptors cannot open its database, its files or its children. So the soft limit is
//! raised to the hard limit, a part is reserved for database and tasks, and connections of clients get the rest.

use crate::components;
use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// File descriptors for the runtime, the log, listeners, Redis and files that are open for a moment.
const RESERVED: u64 = 64;
/// File descriptors per database connection; SQLite opens its file, the log and sometimes a journal.
const PER_DATABASE_CONNECTION: u64 = 4;
/// File descriptors per task in progress: a child with three pipes and a pidfd, files in scratch, storage transfers.
const PER_TASK: u64 = 32;
/// File descriptors per client connection: its socket, two storage transfers, and its share of the concurrent requests
/// beyond the first of a connection.
const PER_CLIENT: u64 = 4;
/// Minimum number of client connections; a process with fewer refuses to start.
const CLIENTS_MIN: u64 = 8;
/// Maximum number of client connections; one process cannot serve more.
const CLIENTS_MAX: u64 = 8_192;

/// Raises the soft limit of file descriptors to the hard limit.
///
/// # Errors
/// When the limit is too low for a process with one task and [`CLIENTS_MIN`] clients. [`clients`] checks the limit
/// for the real number of tasks.
pub(crate) fn raise() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "failed to raise the limit of open files (RLIMIT_NOFILE)");
    }
    check(self::limit(), required(components::connections(), 1))
}

/// Number of file descriptors that a process with these connections, tasks and [`CLIENTS_MIN`] clients needs.
fn required(database_connections: u32, tasks: usize) -> u64 {
    let tasks = u64::try_from(tasks).unwrap_or(u64::MAX);
    RESERVED
        .saturating_add(PER_DATABASE_CONNECTION * u64::from(database_connections))
        .saturating_add(PER_TASK.saturating_mul(tasks))
        .saturating_add(PER_CLIENT * CLIENTS_MIN)
}

/// Returns an error for a limit that is too low.
fn check(limit: u64, required: u64) -> anyhow::Result<()> {
    if limit < required {
        anyhow::bail!("the system allows {limit} open files (ulimit -Hn); accepted: at least {required}");
    }
    Ok(())
}

/// The current limit of file descriptors.
pub(crate) fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Maximum number of client connections.
///
/// # Errors
/// When the limit leaves fewer than [`CLIENTS_MIN`].
pub(crate) fn clients(limit: u64, database_connections: u32, tasks: usize) -> anyhow::Result<usize> {
    let required = required(database_connections, tasks);
    check(limit, required)?;
    let clients = ((limit - required) / PER_CLIENT + CLIENTS_MIN).min(CLIENTS_MAX);
    usize::try_from(clients).context("the number of connections is not a usize")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_a_quarter_of_the_free_file_descriptors() {
        for (limit, expected) in [(1_024, 224), (256, 32), (u64::MAX, 8_192)] {
            assert_eq!(clients(limit, 8, 1).unwrap(), expected, "{limit}");
        }
        let refused = clients(100, 8, 1).unwrap_err().to_string();
        assert!(refused.contains("at least 160"), "{refused}");
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_limit() {
        let limit = getrlimit(Resource::Nofile);
        let lowered = Rlimit {
            current: Some(64),
            ..limit
        };
        setrlimit(Resource::Nofile, lowered).unwrap();
        raise().unwrap();
        assert_eq!(super::limit(), limit.maximum.unwrap_or(u64::MAX));
    }
}
