//! A shortage of the machine that a child reports.
//!
//! *Problem.* If the machine has no memory, threads or file descriptors left, the task is postponed and the attempt is
//! not counted. Only the child sees a shortage that lasts for a moment. But a child may be under the control of a
//! hostile file, and a task that is postponed again and again never ends.
//!
//! *Mechanism.* A shortage that this process can see as well is always believed ([`is_confirmed`]). Any other is
//! believed for the first attempts of a task ([`Unconfirmed`]); then it counts as a failed attempt.

use domain::{Code, Failure};
use std::fs::{self, File};

/// Number of attempts of a task that may be postponed for shortages that only its children saw. Together they take at
/// least 100 s, and a shortage that lasts so long can be confirmed.
const MAX_UNCONFIRMED: i32 = 20;

/// Consequence of a shortage that only the child sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unconfirmed {
    /// The task is postponed.
    Postpone,
    /// The attempt has failed.
    Fail,
}

impl Unconfirmed {
    /// The consequence for a task with this number of attempts, the current one included, of which so many have failed.
    #[must_use]
    pub const fn of_task(attempt: i32, failures: i32) -> Self {
        if attempt.saturating_sub(failures) <= MAX_UNCONFIRMED {
            Self::Postpone
        } else {
            Self::Fail
        }
    }
}

/// Returns `true` if the machine has no file descriptors left, or less memory than a child may use.
pub(super) fn is_confirmed(child_memory_bytes: u64) -> bool {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    File::open("/dev/null").is_err_and(|error| domain::is_exhaustion(&error))
        || lacks_memory(
            &read("/proc/sys/vm/overcommit_memory"),
            &read("/proc/meminfo"),
            child_memory_bytes,
        )
}

/// Returns `true` if the kernel refuses allocations above a limit (`vm.overcommit_memory = 2`, proc(5)), and what is
/// left of it is less than a child may use. A machine whose whole limit is below that is too small, not short.
/// Otherwise the kernel grants memory that it does not have, and ends a process when it is used.
fn lacks_memory(policy: &str, meminfo: &str, child_memory_bytes: u64) -> bool {
    let bytes = |field: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(field))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1_024)
    };
    let (limit, used) = (bytes("CommitLimit:"), bytes("Committed_AS:"));
    let left = limit.zip(used).map(|(limit, used)| (limit, limit.saturating_sub(used)));
    policy.trim() == "2" && left.is_some_and(|(limit, left)| left < child_memory_bytes && child_memory_bytes <= limit)
}

/// The failure for a shortage.
pub(super) fn failure() -> Failure {
    Failure::new(Code::Unavailable, "the machine has no memory left")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn memory_lacks_only_where_the_kernel_limits_it_and_other_processes_took_it() {
        let meminfo = |limit: u64, used: u64| {
            format!(
                "MemTotal: 9 kB\nCommitLimit:    {} kB\nCommitted_AS:   {} kB\n",
                limit >> 10,
                used >> 10
            )
        };
        let busy = meminfo(8 * GIB, 7 * GIB);
        assert!(lacks_memory("2\n", &busy, 2 * GIB));
        assert!(!lacks_memory("0\n", &busy, 2 * GIB));
        assert!(!lacks_memory("2\n", &meminfo(8 * GIB, GIB), 2 * GIB));
        assert!(!lacks_memory("2\n", &meminfo(GIB, GIB), 2 * GIB), "too small");
        assert!(!lacks_memory("2\n", "", 2 * GIB));
        assert!(!lacks_memory("", &busy, 2 * GIB));
    }

    #[test]
    fn a_shortage_that_only_children_see_ends_a_task_at_last() {
        assert_eq!(Unconfirmed::of_task(1, 0), Unconfirmed::Postpone);
        assert_eq!(Unconfirmed::of_task(23, 3), Unconfirmed::Postpone);
        assert_eq!(Unconfirmed::of_task(21, 0), Unconfirmed::Fail);
    }
}
