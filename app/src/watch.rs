//! Watched folders: files that others put into a directory or a prefix of a bucket become tasks.
//!
//! *Problem.* A file in a folder may still be written, the watcher may be killed at any moment, two watchers may see
//! the same folder, and yet each file shall become one task and end in one of two folders.
//!
//! *Mechanism.* The folder is listed again and again ([`Watcher::scan`]). A file that has not changed for some seconds
//! is stable, and gets a row (`entity::watched_file`) for its key, etag and length. A watcher takes the lease of the
//! row for each step:
//!
//! 1. Copy the file into the storage and create its task with [`finish`], the use case in which each way in ends. The
//!    transaction that creates the task records it in the row. A refused file is recorded as failed.
//! 2. When the task has ended, record where the file will be moved to: to `done/`, or to `failed/` with a file that
//!    tells the error.
//! 3. Write the file about the error, move the file, and record that.
//!
//! A step that was cut off is repeated, and one that failed is tried again after growing pauses. Steps 2 and 3 have the
//! same result then, because the place is recorded before the move. In step 1, the copy of a process that died is on
//! the trash list.
//!
//! *Invariants.* The row stays after the move, so the same file does not become a second task. If it is put into the
//! folder again, it is only moved again, unless it was refused: then it is tried anew. A file that changes is another
//! file. While a task runs, its file may be away and come back: nothing is recorded until the task has ended.
//!
//! *Rejected.* Notifications of the kernel: they do not exist on network file systems and in buckets, and do not tell
//! when a writer is done. Moving the file before the copy: a crash would leave it where no watcher looks for it.

mod gone;
mod seen;
mod settle;

pub use seen::Failed;

use crate::app::Core;
use crate::idempotency::{Fingerprint, KeyGuard};
use crate::recipe_choice::{RecipeChoice, check_names};
use crate::uploads::{self, File, Upload, finish};
use crate::{Error, Refusal};
use anyhow::{Context as _, anyhow};
use domain::account::Email;
use domain::{Code, Status, TaskId, UserId};
use entity::watched_file::{self, Model, State, WatchedFile};
use entity::{task, user};
use futures::TryStreamExt;
use seen::{Seen, identity};
use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::time::Duration;
use storage::{Folder, FolderFile};
use tokio::sync::OnceCell;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Pause between two scans.
const SCAN_EVERY: Duration = Duration::from_secs(2);
/// Interval in which the lease of a row is renewed while its file is copied.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Maximum number of tasks that one query asks for.
const QUERY_TASKS: usize = 1_000;
/// Maximum number of files whose failures are logged after one scan.
const LOGGED_FILES: usize = 10;

/// A folder to watch, and what becomes of its files.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The folder.
    pub folder: Folder,
    /// The e-mail address of the account; `None` for the only account of the installation.
    pub user: Option<String>,
    /// The name of the preset, unless there is a recipe.
    pub preset: String,
    /// A recipe as JSON.
    pub recipe: Option<String>,
    /// Time for which a file must not change before it is taken.
    pub settle: Duration,
}

impl Watch {
    /// Checks that there are the account and the recipe of new tasks, with all that the recipe names.
    ///
    /// # Errors
    /// There is no such account, preset, image or credential, or the recipe is invalid.
    pub async fn check(&self, app: &Core) -> Result<(), Error> {
        let user = self.account(app).await?;
        let resolved = self.choice(app, user).await?.resolve(&app.settings.default_preset)?;
        app.with_timeout(check_names(&app.db, user, &resolved.recipe)).await
    }

    async fn account(&self, app: &Core) -> Result<UserId, Error> {
        Ok(match &self.user {
            Some(email) => {
                let parsed = Email::parse(email).ok();
                let found = match &parsed {
                    Some(email) => app.with_timeout(user::find_by_email(&app.db, email)).await?,
                    None => None,
                };
                found.ok_or_else(|| anyhow!("there is no account with the e-mail address {email}"))?
            }
            None => match app
                .with_timeout(user::ids_after(&app.db, UserId(0), 2))
                .await?
                .as_slice()
            {
                [only] => *only,
                [] => return Err(anyhow!("there is no account yet").into()),
                _ => return Err(anyhow!("there are several accounts: name one by its e-mail address").into()),
            },
        })
    }

    async fn choice(&self, app: &Core, user: UserId) -> Result<RecipeChoice, Error> {
        Ok(match &self.recipe {
            Some(recipe) => RecipeChoice::from_json(recipe)?,
            None => RecipeChoice::preset(app, user, &self.preset).await?,
        })
    }
}

/// Watches a folder until `stop`. Errors are logged, and the work is tried again.
pub async fn run(app: Core, watch: Watch, stop: CancellationToken) {
    tracing::info!(folder = watch.folder.source(), "watching");
    let mut watcher = Watcher::new(app, watch);
    let mut last = String::new();
    while !stop.is_cancelled() {
        match stop.run_until_cancelled(Box::pin(watcher.scan(&stop))).await {
            Some(Err(error)) => {
                let text = describe(&error);
                // The same error of each scan is told once.
                if text != last {
                    tracing::warn!(error = text, "failed to scan a watched folder; retrying");
                }
                last = text;
            }
            Some(Ok(failed)) => {
                last.clear();
                log_new(&failed);
            }
            None => {}
        }
        stop.run_until_cancelled(tokio::time::sleep(SCAN_EVERY)).await;
    }
}

/// Logs the failures of files that did not fail in the same way before.
fn log_new(failed: &[Failed]) {
    let mut new = failed.iter().filter(|failed| failed.is_new);
    for Failed { key, reason, .. } in new.by_ref().take(LOGGED_FILES) {
        tracing::warn!(key, error = reason, "failed to process a watched file; retrying");
    }
    let more = new.count();
    if more > 0 {
        tracing::warn!(files = more, "failed to process more watched files; retrying");
    }
}

/// An error in one line.
#[must_use]
pub fn describe(error: &Error) -> String {
    match error {
        Error::Client(refusal) => {
            let detail = refusal.detail.as_deref().unwrap_or_default();
            format!("{}: {detail}", refusal.code.as_str())
        }
        Error::Internal(error) => format!("{error:#}"),
    }
}

/// A watcher of one folder.
pub struct Watcher {
    app: Core,
    watch: Watch,
    /// The account of the tasks. It is looked up once: a later account must not stop the folder of the only one.
    user: OnceCell<UserId>,
    /// The files of the latest scan.
    seen: Seen,
    /// The time of the next removal of old rows.
    forget_at: Instant,
}

/// A row that this watcher holds for one step.
struct Held {
    lease: WatchedFile,
    row: Model,
}

impl Watcher {
    /// A watcher that has not seen any file.
    #[must_use]
    pub fn new(app: Core, watch: Watch) -> Self {
        Self {
            app,
            watch,
            user: OnceCell::new(),
            seen: Seen::default(),
            forget_at: Instant::now(),
        }
    }

    /// Lists the folder and takes the next step of each file, until `stop`. Returns the files whose steps failed; they
    /// do not keep the others.
    ///
    /// # Errors
    /// The folder or the database does not answer.
    pub async fn scan(&mut self, stop: &CancellationToken) -> Result<Vec<Failed>, Error> {
        let files = self.watch.folder.list().await?;
        let stable = self.seen.look(files, self.watch.settle);
        let (app, source) = (&self.app, self.watch.folder.source());
        let open = app.with_timeout(watched_file::open(&app.db, source)).await?;
        let waiting = self.waiting(&open).await?;
        let is_gone = |row: &&Model| !waiting.contains(&row.id) && !self.seen.has(row);
        for row in open.iter().filter(is_gone) {
            self.gone(row).await?;
        }
        let (rows, mut failed): (HashMap<_, _>, _) =
            (open.iter().map(|row| (row.identity(), row)).collect(), Vec::new());
        for file in stable {
            let row = rows.get(&identity(source, &file)).copied();
            if stop.is_cancelled() {
                break;
            }
            if row.is_some_and(|row| waiting.contains(&row.id)) {
                continue;
            }
            match Box::pin(self.step(&file, row)).await {
                Ok(()) => self.seen.succeeded(&file.key),
                Err(error) => failed.push(self.seen.failed(&file.key, describe(&error))),
            }
        }
        self.forget_old().await?;
        Ok(failed)
    }

    /// Takes the next step of a stable file.
    async fn step(&self, file: &FolderFile, known: Option<&Model>) -> Result<(), Error> {
        let (app, identity) = (&self.app, identity(self.watch.folder.source(), file));
        let id = match known {
            Some(row) => row.id,
            None => {
                let inserted = watched_file::insert(&app.db, identity);
                app.with_timeout(inserted).await?;
                let row = app.with_timeout(watched_file::find(&app.db, identity)).await?;
                row.context("the row of a watched file is gone")?.id
            }
        };
        let Some(held) = self.take(id).await? else {
            return Ok(());
        };
        let done = match held.row.state {
            State::Moved if held.row.error_code.is_some() => self.try_anew(&held, file).await,
            State::Found => self.copy(&held, file).await,
            State::Task | State::Failed | State::Moved => self.settle(&held, file).await,
        };
        app.with_timeout(held.lease.release(&app.db)).await?;
        done
    }

    /// The ids of the rows whose tasks have not ended.
    async fn waiting(&self, rows: &[Model]) -> Result<HashSet<i64>, Error> {
        let mut waiting = HashSet::new();
        for rows in rows.chunks(QUERY_TASKS) {
            let ids: Vec<_> = rows.iter().filter_map(|row| row.task_id).map(TaskId).collect();
            if ids.is_empty() {
                continue;
            }
            let tasks = self.app.with_timeout(task::progress_of(&self.app.db, &ids)).await?;
            let open = tasks.iter().filter(|task| !Status::from(task.status).is_final());
            let open: HashSet<i64> = open.map(|task| task.id).collect();
            let is_open = |row: &&Model| row.task_id.is_some_and(|id| open.contains(&id));
            waiting.extend(rows.iter().filter(is_open).map(|row| row.id));
        }
        Ok(waiting)
    }

    /// Takes a row for its next step; `None` if another watcher has it, or while its task runs: that of a file that
    /// another watcher has copied since the list, or that was moved by hand and is here again.
    async fn take(&self, id: i64) -> Result<Option<Held>, Error> {
        let app = &self.app;
        let taken = WatchedFile::take(&app.db, id, Uuid::new_v4().to_string());
        let Some((lease, row)) = app.with_timeout(taken).await? else {
            return Ok(None);
        };
        // After an error the row must not stay taken.
        let waiting = self.waiting(std::slice::from_ref(&row)).await;
        if waiting.as_ref().is_ok_and(HashSet::is_empty) {
            return Ok(Some(Held { lease, row }));
        }
        app.with_timeout(lease.release(&app.db)).await?;
        waiting.map(|_| None)
    }

    /// Copies a file into the storage and creates its task, or records why it was refused.
    async fn copy(&self, held: &Held, file: &FolderFile) -> Result<(), Error> {
        let app = &self.app;
        let user = *self.user.get_or_try_init(|| self.watch.account(app)).await?;
        let choice = self.watch.choice(app, user).await?;
        let work = async {
            let bytes = self.watch.folder.read(file).await?;
            let stored = uploads::store(app, bytes.map_err(Error::from), Some(file.bytes)).await?;
            let upload = Upload {
                file: File::Watched {
                    given_name: file.name.clone(),
                    file: Box::new(stored),
                    row: held.lease.clone(),
                },
                choice,
                webhook_url: None,
                fingerprint: Fingerprint::default(),
                imported: None,
            };
            finish(app, user, upload, KeyGuard::default(), |task, _| task.id).await
        };
        match self.while_held(held, Box::pin(work)).await {
            Ok(task) => {
                tracing::info!(task.id = task, key = file.key, "a watched file became a task");
                Ok(())
            }
            Err(Error::Client(refusal)) if is_about_file(&refusal) => self.refuse(held, file, &refusal).await,
            Err(error) => Err(error),
        }
    }

    /// Lets the next scan copy a file that was refused, moved, and put back.
    async fn try_anew(&self, held: &Held, file: &FolderFile) -> Result<(), Error> {
        // The list may be older than the move.
        if self.watch.folder.has(file).await? {
            self.app.with_timeout(held.lease.reset(&self.app.db)).await?;
        }
        Ok(())
    }

    async fn refuse(&self, held: &Held, file: &FolderFile, refusal: &Refusal) -> Result<(), Error> {
        let (code, detail) = (refusal.code.as_str(), refusal.detail.as_deref().unwrap_or_default());
        tracing::info!(key = file.key, code, "a watched file was refused");
        let failed = held.lease.fail(&self.app.db, code, detail);
        self.app.with_timeout(failed).await?;
        Ok(())
    }

    /// Renews the lease of a row until a future ends.
    async fn while_held<T>(&self, held: &Held, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let (mut work, mut renewal) = (pin!(work), interval_at(Instant::now() + RENEW_EVERY, RENEW_EVERY));
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = renewal.tick() => match self.app.with_timeout(held.lease.renew(&self.app.db)).await {
                    Ok(true) => {}
                    Ok(false) => return Err(anyhow!("another watcher has taken the file").into()),
                    // The database is away for a moment; the end of the work needs it.
                    Err(error) => tracing::debug!(%error, "failed to renew the lease of a watched file"),
                },
            }
        }
    }
}

/// Returns `true` if the file itself was refused. After other refusals it stays in the folder, and is tried again.
const fn is_about_file(refusal: &Refusal) -> bool {
    !refusal.is_transient() && !matches!(refusal.code, Code::RecipeInvalid | Code::PresetUnknown)
}
