//! Open files: how many this process may have, and how many of them clients may take.
//!
//! A process that runs out of descriptors cannot open its database, its files or its children any more. So the limit is
//! raised to what the system allows, a number is kept back for the work, and connections get a share of the rest.

use crate::parts;
use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the runtime, the log, listeners, Redis, and whatever is opened for a moment.
const FOR_THE_PROCESS: u64 = 64;
/// A connection to the database; SQLite opens its file, the log and at times a journal.
const PER_DATABASE_CONNECTION: u64 = 4;
/// A task that is worked on: three children with three pipes each, files in scratch, transfers to and from storage.
const PER_TASK: u64 = 32;
/// A client: its socket, two transfers to or from storage, and its share of the requests beyond the first of a connection.
const PER_CLIENT: u64 = 4;
/// With fewer clients at a time a service is none.
const CLIENTS_MIN: u64 = 8;
/// More connections than this one process cannot serve anyway.
const CLIENTS_MAX: u64 = 8_192;

/// Raises the limit to what the system allows.
///
/// # Errors
/// When that is too few for a process with one task and the fewest connections to a database and clients; [`clients`] counts
/// those that are set.
pub(crate) fn raise() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "failed to raise the limit of open files");
    }
    enough(self::limit(), least(parts::connections(), 1))
}

/// Descriptors that a process needs with these connections to its database, tasks at a time and [`CLIENTS_MIN`] clients.
fn least(database_connections: u32, tasks: usize) -> u64 {
    let tasks = u64::try_from(tasks).unwrap_or(u64::MAX);
    FOR_THE_PROCESS
        .saturating_add(PER_DATABASE_CONNECTION * u64::from(database_connections))
        .saturating_add(PER_TASK.saturating_mul(tasks))
        .saturating_add(PER_CLIENT * CLIENTS_MIN)
}

/// Refuses a limit under which a process cannot do its work.
fn enough(limit: u64, least: u64) -> anyhow::Result<()> {
    if limit < least {
        anyhow::bail!("the system allows {limit} open files (ulimit -Hn); accepted: at least {least}");
    }
    Ok(())
}

/// How many files this process may have open at a time.
pub(crate) fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many connections clients may have at a time.
///
/// # Errors
/// When the limit leaves too few.
pub(crate) fn clients(limit: u64, database_connections: u32, tasks: usize) -> anyhow::Result<usize> {
    let least = least(database_connections, tasks);
    enough(limit, least)?;
    let clients = ((limit - least) / PER_CLIENT + CLIENTS_MIN).min(CLIENTS_MAX);
    usize::try_from(clients).context("more connections than memory has addresses")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_a_quarter_of_what_the_work_leaves() {
        for (limit, expected) in [(1_024, 224), (256, 32), (u64::MAX, 8_192)] {
            assert_eq!(clients(limit, 8, 1).unwrap(), expected, "{limit}");
        }
        let refused = clients(100, 8, 1).unwrap_err().to_string();
        assert!(refused.contains("at least 160"), "{refused}");
    }

    #[test]
    fn the_limit_is_raised_to_what_the_system_allows() {
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
