//! The order in which due tasks are claimed: fair share between accounts.
//!
//! *Problem.* With a plain FIFO queue, an account that submits thousands of tasks blocks all other accounts.
//!
//! *Mechanism.* The next task is chosen by three criteria:
//!
//! 1. the account with the fewest tasks in processing;
//! 2. among these, the account with the oldest latest claim (round robin);
//! 3. the oldest due task of that account.
//!
//! *Invariants.* However many tasks an account submits, it delays the next task of another account by at most one task
//! per worker. The cost of a claim is bounded by [`ClaimPolicy::accounts`] and independent of the number of due tasks.
//!
//! The claim itself is one SQL statement (`entity::task::claim_next`), because it must be atomic. [`next`] is the same
//! rule in memory; a test of `entity` compares the two.

use crate::task::{TaskId, UserId};

/// Limits of one search for the next task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimPolicy {
    /// Maximum number of accounts that one search compares. The cost of a claim grows with it.
    pub accounts: u32,
    /// The search starts after this account id and wraps around, so that every account is reached even if more than
    /// `accounts` of them have due tasks.
    pub after: UserId,
}

impl Default for ClaimPolicy {
    /// 500 accounts, starting with the lowest id.
    fn default() -> Self {
        Self {
            accounts: 500,
            after: UserId(0),
        }
    }
}

/// A due task with the criteria of the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The task. Older tasks have lower ids.
    pub task: TaskId,
    /// Number of tasks of the account that are in processing.
    pub processing: u32,
    /// Time of the latest claim of a task of the account, in milliseconds since the Unix epoch; 0 if there was none.
    pub claimed_at_ms: i64,
}

/// Returns the task to claim next.
#[must_use]
pub fn next(waiting: &[Waiting]) -> Option<TaskId> {
    let criteria = |waiting: &&Waiting| (waiting.processing, waiting.claimed_at_ms, waiting.task);
    waiting.iter().min_by_key(criteria).map(|waiting| waiting.task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_with_the_fewest_tasks_in_processing_is_next_then_the_one_with_the_oldest_claim() {
        let waiting = |task, processing, claimed_at_ms| Waiting {
            task: TaskId(task),
            processing,
            claimed_at_ms,
        };
        assert_eq!(next(&[]), None);
        let busy = [waiting(1, 2, 0), waiting(9, 1, 50)];
        assert_eq!(
            next(&busy),
            Some(TaskId(9)),
            "fewer tasks in processing rank before age"
        );
        let idle = [waiting(1, 0, 50), waiting(9, 0, 40)];
        assert_eq!(next(&idle), Some(TaskId(9)), "an older claim ranks before age");
        assert_eq!(next(&[waiting(9, 0, 0), waiting(1, 0, 0)]), Some(TaskId(1)));
    }
}
