//! The lease of a request on an upload (`entity::upload`): how it is taken, and how it is kept.
//!
//! *Problem.* A holder waits for the storage, for minutes when it copies a large file. Its lease must not end during
//! that, and a newcomer must not void a copy that makes progress. But a holder that is dead, frozen or stuck must go.
//!
//! *Mechanism.* A task per holder ([`Keeper`]) renews the lease as long as no other request asks for the upload, and
//! publishes the answer of the database. After it was asked, it renews only when the holder has reported progress since
//! the last renewal. A newcomer ([`take`]) asks, and watches the holder and the end of its lease: when both stay the
//! same for [`RELEASE_TIMEOUT`], it takes the upload by force. A renewal or another holder begins that time again.
//!
//! *Rejected.* Renewing on the way of the bytes alone: a wait for memory or for the bucket renews nothing.

use super::active::ActiveUpload;
use crate::app::Core;
use crate::{Error, Refusal};
use domain::Code;
use entity::upload::{self, Holding, Ownership, UploadLease};
use entity::{DbErr, with_timeout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// Interval in which a holder looks if another request asks for the upload.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Interval in which the lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Timeout of each query of the task.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that a holder has to store its bytes and to release the upload, from its last sign of life on. After that it is
/// dead, frozen, stuck or cut off from the database, and the upload is taken by force.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// Time after which a newcomer gives up, because the holder makes progress with something that takes longer. Shorter
/// than the time for which proxies wait for a reply.
const TAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// First pause between two tries to take the upload; it grows up to [`TAKE_PAUSE_MAX`].
const TAKE_PAUSE: Duration = Duration::from_millis(10);
const TAKE_PAUSE_MAX: Duration = Duration::from_millis(250);

/// Keeps the lease of a holder until it is dropped.
pub(super) struct Keeper {
    state: watch::Receiver<Ownership>,
    steps: Steps,
    _task: AbortOnDropHandle<()>,
}

/// Counts the steps of work that takes long. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps(Arc<AtomicU64>);

impl Steps {
    /// Reports a step.
    pub(super) fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Keeper {
    /// Begins to keep a lease that was just taken.
    pub(super) fn start(app: &Core, lease: &UploadLease, active: ActiveUpload) -> Self {
        let (publish, state) = watch::channel(Ownership::Held);
        let steps = Steps::default();
        let task = keep(app.clone(), lease.clone(), active, steps.clone(), publish);
        Self {
            state,
            steps,
            _task: AbortOnDropHandle::new(tokio::spawn(task)),
        }
    }

    /// The published state, to wait for its changes.
    pub(super) fn watch(&self) -> watch::Receiver<Ownership> {
        self.state.clone()
    }

    /// A function that reports a step of work, and returns `false` when the upload is lost.
    pub(super) fn proceed(&self) -> storage::Proceed {
        let (state, steps) = (self.state.clone(), self.steps.clone());
        Arc::new(move || {
            steps.step();
            *state.borrow() != Ownership::Lost
        })
    }
}

/// Waits until the holder shall end. The end of the task, as by a panic, counts as a loss.
pub(super) async fn ended(state: &mut watch::Receiver<Ownership>) -> Ownership {
    let ended = state.wait_for(|state| *state != Ownership::Held).await;
    ended.map_or(Ownership::Lost, |state| *state)
}

async fn keep(app: Core, lease: UploadLease, active: ActiveUpload, steps: Steps, publish: watch::Sender<Ownership>) {
    let (mut renewed_at, mut renewed_step) = (Instant::now(), 0);
    loop {
        tokio::select! {
            () = active.wanted.notified() => {
                publish.send_if_modified(|state| std::mem::replace(state, Ownership::Wanted) != Ownership::Wanted);
            }
            () = sleep(LOOK_EVERY) => {}
        }
        let step = steps.0.load(Ordering::Relaxed);
        let looked = with_timeout::<_, DbErr>(QUERY_TIMEOUT, lease.state(&app.db)).await;
        let is_due = match looked {
            Ok(Ownership::Held) => renewed_at.elapsed() >= RENEW_EVERY,
            Ok(Ownership::Wanted) => step != renewed_step && renewed_at.elapsed() >= LOOK_EVERY,
            Ok(Ownership::Lost) => false,
            // The database is away for a moment. The next checkpoint needs it.
            Err(error) => {
                tracing::debug!(?error, "failed to look if an upload is wanted");
                continue;
            }
        };
        if let Ok(state) = looked {
            publish.send_if_modified(|before| std::mem::replace(before, state) != state);
            if state == Ownership::Lost {
                return;
            }
        }
        if is_due
            && matches!(
                with_timeout::<_, DbErr>(QUERY_TIMEOUT, lease.renew(&app.db)).await,
                Ok(true)
            )
        {
            (renewed_at, renewed_step) = (Instant::now(), step);
        }
    }
}

/// The error of a request whose upload another one has taken over.
pub(super) fn interrupted() -> Error {
    Refusal::new(Code::UploadInterrupted).into()
}

/// Takes an upload: at once if it is free, else when its holder has released it, and by force if the holder shows no
/// sign of life.
///
/// # Errors
/// `upload_not_found`; `upload_interrupted` when the holder goes on with something that takes longer; errors of the
/// database.
pub(super) async fn take(app: &Core, id: &str, lease: &UploadLease) -> Result<upload::Model, Error> {
    let (begun, mut pause) = (Instant::now(), TAKE_PAUSE);
    let mut seen: Option<(Holding, Instant)> = None;
    loop {
        let silent = seen.as_ref().filter(|(_, since)| since.elapsed() > RELEASE_TIMEOUT);
        let replaced = silent.map(|(holding, _)| holding);
        if let Some(row) = app.with_timeout(lease.take(&app.db, replaced)).await? {
            return Ok(row);
        }
        // Asked again each time, because another newcomer may have taken the upload.
        let asked = app.with_timeout(lease.ask(&app.db)).await?;
        let holding = asked.ok_or(Code::UploadNotFound)?;
        if begun.elapsed() > TAKE_TIMEOUT {
            return Err(interrupted());
        }
        if seen.as_ref().is_none_or(|(before, _)| *before != holding) {
            seen = Some((holding, Instant::now()));
        }
        app.active.wake(id);
        sleep(pause).await;
        pause = (pause * 2).min(TAKE_PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use domain::UserId;
    use domain::account::{Email, Username};
    use entity::ConnectionTrait;
    use queue::Queue;
    use storage::Storage;
    use tempfile::TempDir;

    /// A service with one upload, whose id is `a`.
    async fn service() -> (Core, UserId, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("rushes.db").display());
        let db = entity::connect(&url, 4).await.unwrap();
        migration::run(&db).await.unwrap();
        let files = format!("file://{}", directory.path().join("objects").display());
        let storage = Storage::open(&files, None).await.unwrap();
        let (name, email) = (Username::parse("ana"), Email::parse("ana@example.com"));
        let new = upload::New {
            id: "a".to_owned(),
            key: "sources/a".to_owned(),
            file_name: String::new(),
            metadata: String::new(),
            length_bytes: None,
            presigned: false,
            fetched: false,
            multipart_id: None,
            part_bytes: 0,
            guest: None,
            purpose: domain::UploadPurpose::Video,
        };
        let created = entity::write(&db, async |db| {
            let user = entity::user::create(db, &name.unwrap(), &email.unwrap(), "hash".to_owned()).await?;
            upload::create(db, user.user_id(), &new, Duration::from_hours(1)).await
        });
        let user = UserId(created.await.unwrap().user_id);
        (
            Core::new(db, storage, Queue::in_memory(), Settings::default()),
            user,
            directory,
        )
    }

    fn lease(holder: &str) -> UploadLease {
        UploadLease::new("a".to_owned(), holder.to_owned())
    }

    async fn until(is_true: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !is_true().await {
            assert!(begun.elapsed() < Duration::from_secs(60));
            sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn the_lease_of_a_holder_that_waits_for_the_storage_does_not_end() {
        let (app, user, _directory) = service().await;
        let first = lease("1");
        first.take(&app.db, None).await.unwrap().unwrap();
        let _keeper = Keeper::start(&app, &first, app.active.enter("a"));
        app.db
            .execute_unprepared("UPDATE uploads SET until_ms = 1")
            .await
            .unwrap();
        let is_renewed = async || {
            let row = upload::of_user(&app.db, user, "a").await.unwrap().unwrap();
            row.until_ms > 1
        };
        until(is_renewed).await;
        assert!(lease("2").take(&app.db, None).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_newcomer_waits_for_a_holder_that_makes_progress_and_replaces_one_that_makes_none() {
        let (app, _, _directory) = service().await;
        let first = lease("1");
        first.take(&app.db, None).await.unwrap().unwrap();
        let keeper = Keeper::start(&app, &first, app.active.enter("a"));
        let (proceed, mut state) = (keeper.proceed(), keeper.watch());
        let second = lease("2");
        let newcomer = take(&app, "a", &second);
        let copy = async {
            assert_eq!(ended(&mut state).await, Ownership::Wanted);
            let begun = Instant::now();
            while begun.elapsed() < RELEASE_TIMEOUT + Duration::from_secs(3) {
                assert!(proceed(), "the copy was voided after {:?}", begun.elapsed());
                sleep(Duration::from_millis(100)).await;
            }
            Instant::now()
        };
        let (taken, copied_at) = tokio::join!(newcomer, copy);
        assert!(taken.unwrap().replaced);
        assert!(copied_at.elapsed() < TAKE_TIMEOUT);
        until(async || !proceed()).await;
    }
}
