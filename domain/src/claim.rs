//! The order in which waiting tasks are claimed.
//!
//! Accounts take turns. The next task is the oldest due one of the account that has the fewest tasks in processing; of
//! accounts with equally many, of the one whose latest claim is longest ago. An account that submits thousands of tasks so
//! delays the next task of any other account by one task at most for each worker.
//!
//! The claim itself is one SQL statement (`entity::task::claim_next`), since it must be atomic. [`next`] is the same rule
//! without a database; a test holds both to the same choice.

use crate::task::{TaskId, UserId};

/// Bounds of one search for the next task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimPolicy {
    /// Most accounts that one search compares. The cost of a claim grows with it, and not with the number of waiting tasks.
    pub accounts: u32,
    /// The search begins behind this account and goes around: with more than `accounts` of them waiting, each is reached.
    pub after: UserId,
}

impl Default for ClaimPolicy {
    /// 500 accounts, the first one first.
    fn default() -> Self {
        Self {
            accounts: 500,
            after: UserId(0),
        }
    }
}

/// A due task, with what decides about its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The task. Ids grow with age.
    pub task: TaskId,
    /// Tasks of its account that are in processing.
    pub processing: u32,
    /// The latest claim of a task of its account, in milliseconds since 1970; 0 when there was none.
    pub claimed_at_ms: i64,
}

/// The task whose turn it is.
#[must_use]
pub fn next(waiting: &[Waiting]) -> Option<TaskId> {
    let by_turn = |waiting: &&Waiting| (waiting.processing, waiting.claimed_at_ms, waiting.task);
    waiting.iter().min_by_key(by_turn).map(|waiting| waiting.task)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_with_the_fewest_tasks_in_processing_is_next_then_the_one_that_waits_longest() {
        let waiting = |task, processing, claimed_at_ms| Waiting {
            task: TaskId(task),
            processing,
            claimed_at_ms,
        };
        assert_eq!(next(&[]), None);
        let busy = [waiting(1, 2, 0), waiting(9, 1, 50)];
        assert_eq!(next(&busy), Some(TaskId(9)), "fewer in processing beats age");
        let idle = [waiting(1, 0, 50), waiting(9, 0, 40)];
        assert_eq!(next(&idle), Some(TaskId(9)), "an earlier turn beats age");
        assert_eq!(next(&[waiting(9, 0, 0), waiting(1, 0, 0)]), Some(TaskId(1)));
    }
}
