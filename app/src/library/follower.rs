//! The follower: fills the catalog of this process and applies the log of changes.
//!
//! A step does one of three things: it opens the directory of the catalog, fills a new file, or applies the changes
//! that follow. A fill notes the end of the log first, then reads all videos, then follows the log from the noted
//! position until it is at the end, and only then the file is used. So the catalog is never older than it was.
//!
//! Each read of the database is a probe of the circuit breaker. The follower has a database connection of its own:
//! otherwise requests that keep all connections busy would look like a database that is away.

use super::breaker::{PROBE_TIMEOUT, Probe};
use super::details::entry;
use super::moment::Moment;
use super::sweep::Sweep;
use super::{Applied, Library, slot};
use anyhow::Context as _;
use catalog::{Account, Catalog, Change, Filled, Position};
use domain::UserId;
use entity::library_change::{self, Following, SubjectKind};
use entity::{DatabaseConnection, DbErr, user, video, with_timeout};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Changes that one step applies.
const CHANGES: u64 = 200;

/// Rows that a fill reads at once.
const PAGE: u64 = 1_000;

/// Time within which the database must answer each read of a fill.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time from which applying the changes of a step is reported: owners wait no longer for their own changes.
const SLOW: Duration = Duration::from_secs(1);

/// Pause after a failure that is not one of the database, such as a full disk. It doubles up to [`MAX_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// The result of a step.
enum Step {
    /// The catalog is complete until now.
    AtEnd,
    /// There may be more to apply.
    More,
}

impl Library {
    /// Follows the database until the shutdown. Run it once per process, as a background task. `db` serves this task
    /// alone.
    pub async fn follow(self, db: DatabaseConnection, shutdown: CancellationToken) {
        let mut degraded = DegradedTime::start();
        let mut failure_pause = PAUSE;
        let mut sweep = Sweep::start();
        while !shutdown.is_cancelled() {
            let step = self.step(&db).await;
            if matches!(step, Ok(Step::AtEnd))
                && let Err(error) = sweep.step(&self, &db).await
            {
                tracing::debug!(error = format!("{error:#}"), "the catalog could not be compared");
            }
            degraded.count(self.is_degraded());
            self.record_lag();
            let pause = match step {
                Ok(step) => {
                    failure_pause = PAUSE;
                    self.set_stuck(false);
                    match step {
                        Step::More => continue,
                        Step::AtEnd => self.0.breaker.pause(),
                    }
                }
                Err(error) if error.downcast_ref::<DbErr>().is_some() => {
                    self.set_stuck(self.is_degraded());
                    tracing::debug!(error = format!("{error:#}"), "the catalog could not be updated");
                    self.0.breaker.pause()
                }
                Err(error) => {
                    self.set_stuck(true);
                    tracing::error!(error = format!("{error:#}"), "the catalog could not be updated");
                    let pause = failure_pause;
                    failure_pause = MAX_PAUSE.min(failure_pause * 2);
                    pause
                }
            };
            let may_wake = failure_pause == PAUSE && !self.is_degraded();
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.0.wake.notified(), if may_wake => {}
            }
        }
        if let Err(error) = db.close().await {
            tracing::debug!(%error, "failed to close the connection of the library");
        }
    }

    async fn step(&self, db: &DatabaseConnection) -> Result<Step, anyhow::Error> {
        let catalog = self.opened().await?;
        let position = match catalog.position().await {
            Ok(position) => position,
            Err(catalog::Error::NotFilled | catalog::Error::Damaged) => return self.fill(db, catalog).await,
            Err(error) => return Err(error).context("failed to read the position of the catalog"),
        };
        let Some(changes) = self.next_changes(db, position).await? else {
            tracing::warn!("the log of changes does not continue the catalog, which is filled again");
            // It may show what was withdrawn in the meantime, and its position is that of another log.
            self.0.state.send_modify(|state| state.applied = None);
            catalog.discard();
            return self.fill(db, catalog).await;
        };
        let Changes {
            changes,
            last,
            is_full,
            read_at,
        } = changes;
        let position = last.unwrap_or(position);
        if last.is_some() {
            let began = Instant::now();
            let applied = catalog.apply(&changes, position).await;
            applied.context("failed to apply changes")?;
            if began.elapsed() > SLOW {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(
                    took_ms,
                    changes = changes.len(),
                    "the catalog was slow to apply changes"
                );
            }
        }
        self.set_applied(position.seq, read_at, is_full);
        Ok(if is_full { Step::More } else { Step::AtEnd })
    }

    async fn opened(&self) -> Result<&Catalog, anyhow::Error> {
        if let Some((catalog, _)) = self.0.opened.get() {
            return Ok(catalog);
        }
        let root = &self.0.root;
        let failed = || format!("failed to open a catalog in {}", root.display());
        let slot = slot::claim(root).with_context(failed)?;
        let (catalog, _) = Catalog::open(&slot.directory).await.with_context(failed)?;
        let (catalog, _) = self.0.opened.get_or_init(|| (catalog, slot));
        Ok(catalog)
    }

    /// Fills a new file, which is used from then on.
    async fn fill(&self, db: &DatabaseConnection, catalog: &Catalog) -> Result<Step, anyhow::Error> {
        let began = Instant::now();
        let newest = entity::write(db, async |db| library_change::newest(db).await);
        let newest = self.probe(PAGE_TIMEOUT, newest).await?;
        let start = Position {
            seq: newest.seq,
            token: newest.token,
            as_of_ms: Moment::now().ms,
        };
        let mut filling = catalog.fill().await.context("failed to create a catalog")?;
        let (mut after, mut count) = (0, 0);
        loop {
            let rows = self.probe(PAGE_TIMEOUT, video::entries_after(db, after, PAGE)).await?;
            let Some(last) = rows.last() else { break };
            after = last.video.id;
            count += rows.len();
            // A fill of several pages takes longer than a request waits for it.
            if rows.len() as u64 == PAGE {
                self.set_stuck(true);
            }
            let entries: Vec<_> = rows.into_iter().map(entry).collect();
            filling.push(&entries).await?;
        }
        let mut after = UserId(0);
        loop {
            let accounts = self.probe(PAGE_TIMEOUT, user::ids_after(db, after, PAGE)).await?;
            let Some(last) = accounts.last() else { break };
            after = *last;
            let accounts: Vec<_> = accounts.into_iter().map(account).collect();
            filling.push_accounts(&accounts).await?;
        }
        let filled = filling.finish(start).await?;
        let (seq, read_at) = self.catch_up(db, &filled, start).await?;
        filled.publish().await?;
        self.set_applied(seq, read_at, false);
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(videos = count, took_ms, "filled the catalog");
        Ok(Step::More)
    }

    /// Applies the changes since the start of a fill, until there are no more. Returns the number of the last one, and
    /// the time of the read that found no later one.
    async fn catch_up(
        &self,
        db: &DatabaseConnection,
        filled: &Filled,
        mut position: Position,
    ) -> Result<(i64, Moment), anyhow::Error> {
        loop {
            let changes = self.next_changes(db, position).await?;
            let changes = changes.context("the log of changes was deleted during the fill")?;
            let Some(last) = changes.last else {
                return Ok((position.seq, changes.read_at));
            };
            filled.apply(&changes.changes, last).await?;
            position = last;
        }
    }

    /// Reads the log after a position, and the present rows of what has changed; `None` if the log does not continue
    /// it.
    async fn next_changes(
        &self,
        db: &DatabaseConnection,
        position: Position,
    ) -> Result<Option<Changes>, anyhow::Error> {
        let read_at = Moment::now();
        let after = library_change::Position {
            seq: position.seq,
            token: position.token,
        };
        let read = library_change::after(db, after, CHANGES);
        let Following::Rows(rows) = self.probe(PROBE_TIMEOUT, read).await? else {
            return Ok(None);
        };
        let ids = |kind: SubjectKind| {
            let of_kind = rows.iter().filter(|row| row.subject == kind);
            of_kind.map(|row| row.subject_id).collect::<BTreeSet<i64>>()
        };
        let mut changes = self.video_changes(db, ids(SubjectKind::Video)).await?;
        for id in ids(SubjectKind::Account) {
            let id = UserId(id);
            let exists = self.probe(PROBE_TIMEOUT, user::exists(db, id)).await?;
            changes.push(if exists {
                Change::Account(account(id))
            } else {
                Change::AccountRemoved(id)
            });
        }
        Ok(Some(Changes {
            changes,
            is_full: rows.len() as u64 == CHANGES,
            last: rows.last().map(|row| Position {
                seq: row.seq,
                token: row.token,
                as_of_ms: read_at.ms,
            }),
            read_at,
        }))
    }

    async fn video_changes(&self, db: &DatabaseConnection, mut ids: BTreeSet<i64>) -> Result<Vec<Change>, DbErr> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<i64> = ids.iter().copied().collect();
        let present = self.probe(PROBE_TIMEOUT, video::entries_of(db, &wanted)).await?;
        for row in &present {
            ids.remove(&row.video.id);
        }
        let changed = present.into_iter().map(|row| Change::Video(Box::new(entry(row))));
        Ok(changed.chain(ids.into_iter().map(Change::VideoRemoved)).collect())
    }

    /// Runs a read of the database, and tells the circuit breaker how it went. An error other than an outage is an
    /// answer.
    pub(super) async fn probe<T>(
        &self,
        limit: Duration,
        read: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, DbErr> {
        let began = Instant::now();
        let result = with_timeout(limit, read).await;
        self.0.breaker.record(match &result {
            Err(error) if entity::is_unavailable(error) && began.elapsed() >= PROBE_TIMEOUT => Probe::Silent,
            Err(error) if entity::is_unavailable(error) => Probe::Failed,
            _ => Probe::Answered,
        });
        result
    }

    /// Records what the catalog has. A read that may have left changes behind says nothing about the time.
    fn set_applied(&self, seq: i64, read_at: Moment, is_behind: bool) {
        self.0.state.send_modify(|state| {
            let complete_at = match state.applied {
                Some(applied) if is_behind => applied.complete_at,
                _ if is_behind => return,
                _ => read_at,
            };
            state.applied = Some(Applied { seq, complete_at });
        });
    }

    pub(super) fn set_stuck(&self, is_stuck: bool) {
        self.0.state.send_if_modified(|state| {
            let is_changed = state.is_stuck != is_stuck;
            state.is_stuck = is_stuck;
            is_changed
        });
    }

    fn record_lag(&self) {
        if let Some(applied) = self.0.state.borrow().applied {
            metrics::gauge!("rushes_library_catalog_age_seconds").set(applied.complete_at.age().as_secs_f64());
        }
    }
}

/// The changes after a position.
struct Changes {
    changes: Vec<Change>,
    /// The position of the last one; `None` if there are none.
    last: Option<Position>,
    /// The read found as many as it may: there may be more.
    is_full: bool,
    /// The time before the read.
    read_at: Moment,
}

/// Counts the seconds in which the library is answered without the database.
struct DegradedTime {
    last: Instant,
    rest: Duration,
}

impl DegradedTime {
    fn start() -> Self {
        metrics::counter!("rushes_library_degraded_seconds_total").increment(0);
        Self {
            last: Instant::now(),
            rest: Duration::ZERO,
        }
    }

    /// Counts the time since the last call.
    fn count(&mut self, is_degraded: bool) {
        let passed = self.last.elapsed();
        self.last += passed;
        if is_degraded {
            let total = self.rest + passed;
            metrics::counter!("rushes_library_degraded_seconds_total").increment(total.as_secs());
            self.rest = Duration::from_nanos(total.subsec_nanos().into());
        }
    }
}

/// The entry of an account. Accounts can be neither disabled nor logged out yet.
const fn account(id: UserId) -> Account {
    Account {
        id,
        tokens_valid_after_ms: 0,
        is_disabled: false,
    }
}
