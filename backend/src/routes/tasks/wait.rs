//! Long poll: `GET /api/tasks/{id}?wait=SECONDS` is answered when the task has changed.
//!
//! *Problem.* Clients that follow a task poll it many times for each change, and still learn of a change late.
//!
//! *Mechanism.* A request that waits subscribes to the updates of its task (`queue::Queue::subscribe`) and reads the
//! task again after each update. It is answered when status, attempt or whole percent differ from what the client
//! knows: from those in the `ETag` of its `If-None-Match`, or else from those at the time of the request.
//!
//! *Invariants.*
//! - The task is read after the subscription began, so no change between the two is missed. It is also read every
//!   [`REREAD_INTERVAL`], because an update may be lost.
//! - A waiting request holds no connection to the database.
//! - It is answered at once with the current state when the task has ended, when the process shuts down, and when too
//!   many requests wait ([`crate::wait_slots`]).
//! - A read that fails is repeated as long as there is time. The last one decides.
//!
//! *Rejected.* Comparing whole replies: while a task is processed, speed and remaining time change every second.

use crate::AppState;
use crate::error::{Error, Refusal};
use crate::etag;
use crate::routes::parameters::{invalid_parameter, parameter};
use crate::view::progress_state;
use axum::http::HeaderMap;
use domain::{Code, Status};
use entity::task::{self, TaskDetails};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Maximum of `wait`.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Interval between two reads without an update.
const REREAD_INTERVAL: Duration = Duration::from_secs(3);

/// The value of the parameter `wait`; zero without it.
///
/// # Errors
/// `query_invalid`.
pub(crate) fn wait_time(pairs: &[(String, String)]) -> Result<Duration, Refusal> {
    let Some(text) = parameter(pairs, "wait")? else {
        return Ok(Duration::ZERO);
    };
    // `u64::from_str` also accepts a plus sign.
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let time = digits.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let accepted = format!("whole seconds, 0 to {}", WAIT_MAX.as_secs());
    time.filter(|time| *time <= WAIT_MAX)
        .ok_or_else(|| invalid_parameter("wait", text, &accepted))
}

/// Waits until the client does not know the state of the task, at most for `wait`. Returns the task as it is then.
///
/// # Errors
/// `task_not_found` when the task was removed; those of the query.
pub(super) async fn wait_for_change(
    state: &AppState,
    mut task: TaskDetails,
    wait: Duration,
    headers: &HeaderMap,
) -> Result<TaskDetails, Error> {
    let known = etag::known_states(headers).unwrap_or_else(|| vec![progress_state(&task.task)]);
    let is_news = |task: &task::Model| Status::from(task.status).is_final() || !known.contains(&progress_state(task));
    let (account, id) = (task.task.owner(), task.task.task_id());
    if wait.is_zero() || is_news(&task.task) {
        return Ok(task);
    }
    let Some(_slot) = state.wait_slots.take(account) else {
        return Ok(task);
    };
    let (deadline, shutdown) = (Instant::now() + wait, &state.alive.shutdown);
    let mut subscription = state.app.queue.subscribe(account, id);
    loop {
        let found = state.task_reads.read((account, id)).await;
        let now = Instant::now();
        let is_last = now >= deadline || shutdown.is_cancelled();
        match found {
            Ok(found) => task = found.ok_or(Code::TaskNotFound)?,
            // The database may be back before the time has passed.
            Err(error) if !is_last && entity::is_unavailable(&error) => {}
            Err(error) => return Err(error.into()),
        }
        if is_news(&task.task) || is_last {
            return Ok(task);
        }
        tokio::select! {
            () = subscription.updated() => {}
            () = sleep_until(deadline.min(now + REREAD_INTERVAL)) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_whole_seconds_up_to_the_maximum() {
        let read = |values: &[&str]| {
            let pairs: Vec<_> = values
                .iter()
                .map(|value| ("wait".to_owned(), (*value).to_owned()))
                .collect();
            wait_time(&pairs).map_err(|refusal| refusal.detail.unwrap_or_default())
        };
        assert_eq!(read(&[]), Ok(Duration::ZERO));
        assert_eq!(read(&["0"]), Ok(Duration::ZERO));
        assert_eq!(read(&["30"]), Ok(WAIT_MAX));
        for refused in ["", "31", "-1", "+1", "1.5", "x", "99999999999999999999", "٣"] {
            let detail = format!("wait={refused}; accepted: whole seconds, 0 to 30");
            assert_eq!(read(&[refused]), Err(detail));
        }
        assert_eq!(
            read(&["1", "2"]),
            Err("wait=1; accepted: the parameter once".to_owned())
        );
    }
}
