//! The follower: reads new events and progress for all streams of a process.

use super::registry::{EventStreams, Shared};
use anyhow::Context as _;
use domain::{Status, TaskId, UserId};
use entity::{DatabaseConnection, event, task, with_timeout};
use queue::Updates;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// Time between two reads without an update, while there are streams.
const INTERVAL: Duration = Duration::from_millis(500);
/// The same without streams. The position stays near the end of the log.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);
/// Minimum time between two reads, however many updates there are.
const PAUSE: Duration = Duration::from_millis(25);
/// Minimum time between two messages about the progress of one task.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Events of one read: less than a queue holds, so that a burst of events ends no stream whose client reads.
const PAGE: u64 = 100;
/// Time between two reads of a burst, in which streams empty their queues.
const BURST_PAUSE: Duration = Duration::from_millis(10);
/// Tasks whose progress is read at once.
const TASKS: usize = 500;
/// Time within which the database must answer.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Tasks whose progress may be news.
#[derive(Default)]
struct Progress {
    /// Updated since their progress was sent.
    pending: HashSet<TaskId>,
    /// The latest message about each task, of the last [`PROGRESS_INTERVAL`].
    sent: HashMap<TaskId, Instant>,
}

impl Progress {
    /// The time at which the progress of a task may be sent again.
    fn due(&self) -> Option<Instant> {
        let sent = self.pending.iter().filter_map(|task| self.sent.get(task));
        sent.min().map(|at| *at + PROGRESS_INTERVAL)
    }
}

impl EventStreams {
    /// Delivers events and progress until the shutdown. Run it once per process, as a background task.
    pub async fn follow(self, db: DatabaseConnection, updates: Updates, shutdown: CancellationToken) {
        follow(&self.shared, &db, updates, &shutdown).await;
    }
}

async fn follow(shared: &Shared, db: &DatabaseConnection, mut updates: Updates, shutdown: &CancellationToken) {
    let mut progress = Progress::default();
    let (mut last, mut due) = (Instant::now(), Instant::now());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = sleep_until(due) => {}
            (account, task) = updates.next() => {
                if note_update(shared, &mut progress, account, task) {
                    due = due.min(last + PAUSE);
                }
                continue;
            }
            () = shared.opened.notified() => {
                due = due.min(last + PAUSE);
                continue;
            }
        }
        last = Instant::now();
        let delivered = async {
            deliver_events(shared, db).await?;
            deliver_progress(shared, db, &mut progress).await
        };
        let delivered = delivered.await;
        let next = last + if shared.has_streams() { INTERVAL } else { IDLE_INTERVAL };
        due = match delivered {
            Ok(()) => progress.due().map_or(next, |due| next.min(due.max(last + PAUSE))),
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "events could not be read");
                next
            }
        };
    }
}

/// Notes that a task has changed. Returns `true` if its account has a stream.
fn note_update(shared: &Shared, progress: &mut Progress, account: UserId, task: TaskId) -> bool {
    let is_wanted = shared.has_streams_of(account);
    if is_wanted {
        progress.pending.insert(task);
    }
    is_wanted
}

/// Delivers the events after the position, or finds the first position.
async fn deliver_events(shared: &Shared, db: &DatabaseConnection) -> Result<(), anyhow::Error> {
    let newest = with_timeout(READ_TIMEOUT, event::newest(db));
    let newest = newest.await.context("failed to read the end of the log")?;
    let Some(mut position) = shared.position() else {
        shared.deliver(Vec::new(), newest);
        return Ok(());
    };
    if newest < position {
        tracing::warn!(
            position,
            newest,
            "the log of events is another one; all streams of events are ended"
        );
        shared.restart(newest);
        return Ok(());
    }
    while position < newest {
        let rows = with_timeout(READ_TIMEOUT, event::after(db, position, PAGE));
        let rows = rows.await.context("failed to read events")?;
        // The rows between the last one and the end have no account.
        let is_last = (rows.len() as u64) < PAGE;
        let last = rows.last().map_or(position, |last| last.id);
        position = if is_last { last.max(newest) } else { last };
        for row in &rows {
            metrics::histogram!("rushes_event_lag_seconds").record(row.age());
        }
        shared.deliver(rows, position);
        if !is_last {
            sleep(BURST_PAUSE).await;
        }
    }
    Ok(())
}

/// Delivers the progress of tasks that have been updated, unless it was done within the last second.
async fn deliver_progress(
    shared: &Shared,
    db: &DatabaseConnection,
    progress: &mut Progress,
) -> Result<(), anyhow::Error> {
    let Progress { pending, sent } = progress;
    sent.retain(|_, at| at.elapsed() < PROGRESS_INTERVAL);
    let due: Vec<_> = pending
        .iter()
        .filter(|task| !sent.contains_key(task))
        .copied()
        .take(TASKS)
        .collect();
    if due.is_empty() {
        return Ok(());
    }
    let rows = with_timeout(READ_TIMEOUT, task::progress_of(db, &due));
    let rows = rows.await.context("failed to read the progress of tasks")?;
    for task in due {
        pending.remove(&task);
        sent.insert(task, Instant::now());
    }
    // A final status is an event.
    for row in rows.into_iter().filter(|row| !Status::from(row.status).is_final()) {
        shared.deliver_progress(row);
    }
    Ok(())
}
