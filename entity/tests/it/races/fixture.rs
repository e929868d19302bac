//! An account with tasks in several states, an image in use and one that is not, and the operations on them.

use crate::seed::{an_output, claimed, event_types, made, new_user};
use domain::recipe::Name;
use domain::{Code, Failure, UserId};
use entity::task::{self, Claimed, Model, TaskStatus};
use entity::trace::AttemptRecord;
use entity::{DatabaseConnection, DatabaseTransaction, DbErr, image, output, preset, source, trash, user};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An operation that a request or a worker runs in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Retry,
    Cancel,
    RemoveProcessed,
    RemoveCanceled,
    RemoveProcessing,
    Succeed,
    Reuse,
    Fail,
    Sweep,
    CreateImage,
    RemoveFreeImage,
    RemoveUsedImage,
    CreatePreset,
}

impl Operation {
    pub(super) const ALL: [Self; 14] = [
        Self::Create,
        Self::Retry,
        Self::Cancel,
        Self::RemoveProcessed,
        Self::RemoveCanceled,
        Self::RemoveProcessing,
        Self::Succeed,
        Self::Reuse,
        Self::Fail,
        Self::Sweep,
        Self::CreateImage,
        Self::RemoveFreeImage,
        Self::RemoveUsedImage,
        Self::CreatePreset,
    ];
}

/// The rows of one account.
pub(super) struct Fixture {
    user: UserId,
    /// Processed, with outputs and a fingerprint.
    processed: Model,
    /// Canceled; the only task of its source.
    canceled: Model,
    /// In processing with an expired lease; its outputs are stored and on the trash list.
    processing: Claimed,
    /// An image that no task needs.
    free: image::Model,
    /// An image that `processing` needs.
    used: image::Model,
    /// The outputs of `processing`.
    outputs: Vec<output::New>,
    /// All files that were stored.
    files: BTreeSet<String>,
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn new_source(db: &DatabaseTransaction, user: UserId) -> Result<source::Model, DbErr> {
    let key = format!("sources/race-{}", next_number());
    trash::add_keys(db, std::slice::from_ref(&key), Duration::from_secs(60)).await?;
    let new = source::New {
        key,
        bytes: 7,
        sha256: "ab".repeat(32),
    };
    source::create(db, user, new).await
}

async fn new_task(db: &DatabaseTransaction, user: UserId, image: &str) -> Result<Model, DbErr> {
    let new = task::New {
        source_id: new_source(db, user).await?.id,
        display_name: "a.mp4".to_owned(),
        safe_name: "a.mp4".to_owned(),
        preset: None,
        recipe: json!({ "watermark": { "image": image }, "outputs": [{ "kind": "mp4" }] }),
        webhook_url: None,
    };
    task::create(db, user, new).await
}

async fn new_image(db: &DatabaseTransaction, user: UserId, name: &str) -> Result<image::Model, DbErr> {
    let key = format!("images/{user}/{}", next_number());
    trash::add_keys(db, std::slice::from_ref(&key), Duration::from_secs(60)).await?;
    let new = image::New {
        name: name.parse().unwrap(),
        key,
        media_type: "image/png",
        bytes: 1,
        sha256: "ab".repeat(32),
        width_px: 1,
        height_px: 1,
    };
    image::create(db, user, new).await
}

fn new_outputs(task: &Model, attempt: i32) -> Vec<output::New> {
    let named = |name: &str| output::New {
        name: name.to_owned(),
        ..an_output(&format!("outputs/{}/{attempt}/{name}", task.id))
    };
    vec![named("video.mp4"), named("poster.jpg")]
}

impl Fixture {
    pub(super) async fn create(db: &DatabaseConnection) -> Self {
        let user = new_user(db).await;
        let rows = entity::user::write(db, user, async |db| {
            let images = (new_image(db, user, "free").await?, new_image(db, user, "used").await?);
            let tasks = [
                new_task(db, user, "logo").await?,
                new_task(db, user, "logo").await?,
                new_task(db, user, "used").await?,
            ];
            task::cancel(db, user, tasks[1].task_id()).await?.unwrap();
            Ok::<_, DbErr>((images, tasks))
        });
        let ((free, used), [processed, canceled, processing]) = rows.await.unwrap();
        let claimed_first = claimed(db, processed.task_id()).await;
        let processing = claimed(db, processing.task_id()).await;
        let fixture = entity::user::write(db, user, async |db| {
            let published = new_outputs(&processed, claimed_first.attempt);
            assert!(claimed_first.claim().succeed(db, made(published.clone())).await?);
            task::append_processed(db, &claimed_first).await?;
            let expire = format!("UPDATE tasks SET lease_until_ms = 1 WHERE id = {}", processing.id);
            db.execute_unprepared(&expire).await?;
            let outputs = new_outputs(&processing, processing.attempt);
            let stored: Vec<_> = outputs.iter().map(|output| output.key.clone()).collect();
            trash::add_keys(db, &stored, Duration::from_secs(60)).await?;
            let mut files: BTreeSet<_> = [&free.key, &used.key].into_iter().cloned().collect();
            files.extend(published.into_iter().map(|output| output.key).chain(stored));
            for task in [&processed, &canceled, &processing] {
                files.insert(source::of_task(db, task).await?.key);
            }
            Ok::<_, DbErr>(Self {
                user,
                processed,
                canceled,
                processing,
                free,
                used,
                outputs,
                files,
            })
        });
        fixture.await.unwrap()
    }

    /// Runs an operation as the API or a worker does. It is no error if there is nothing to do.
    pub(super) async fn run(&self, operation: Operation, db: &DatabaseTransaction) -> Result<(), DbErr> {
        let claim = self.processing.claim();
        match operation {
            Operation::Create => {
                user::lock(db, self.user).await?;
                let free: Name = "free".parse().unwrap();
                if image::of_user(db, self.user, &free).await?.is_some() {
                    new_task(db, self.user, "free").await?;
                }
            }
            Operation::Retry => {
                user::lock(db, self.user).await?;
                if let Some((canceled, _)) = task::with_source(db, self.user, self.canceled.task_id()).await? {
                    task::create_retry(db, &canceled).await?;
                }
            }
            Operation::Cancel => {
                if let Some(task) = task::cancel(db, self.user, self.processing.task_id()).await? {
                    source::of_task(db, &task).await?;
                }
            }
            Operation::RemoveProcessed => drop(task::remove(db, &self.processed).await?),
            Operation::RemoveCanceled => drop(task::remove(db, &self.canceled).await?),
            Operation::RemoveProcessing => drop(task::remove(db, &self.processing).await?),
            Operation::Succeed => {
                if claim.succeed(db, made(self.outputs.clone())).await? {
                    task::append_processed(db, &self.processing).await?;
                }
            }
            Operation::Reuse => {
                if claim.reuse(db, "f").await?.is_some() {
                    task::append_processed(db, &self.processing).await?;
                }
            }
            Operation::Fail => {
                let failure = Failure::new(Code::NotMedia, "x");
                claim.fail(db, &failure, None, &AttemptRecord::default()).await?;
            }
            Operation::Sweep => drop(task::sweep(db).await?),
            Operation::CreateImage => {
                user::lock(db, self.user).await?;
                new_image(db, self.user, "new").await?;
            }
            Operation::RemoveFreeImage => drop(image::remove(db, &self.free).await?),
            Operation::RemoveUsedImage => drop(image::remove(db, &self.used).await?),
            Operation::CreatePreset => {
                user::lock(db, self.user).await?;
                let content = preset::Content {
                    summary: None,
                    recipe: json!({ "outputs": [{ "kind": "mp4" }] }),
                };
                preset::create(db, self.user, &"mine".parse().unwrap(), content).await?;
            }
        }
        Ok(())
    }

    /// Checks that every file is either referred to by rows or on the trash list, and that no row is orphaned.
    pub(super) async fn check(&self, db: &DatabaseConnection, case: &str) {
        let tasks = task::Entity::find()
            .filter(task::Column::UserId.eq(self.user.0))
            .all(db);
        let tasks = tasks.await.unwrap();
        let sources = source::Entity::find().filter(source::Column::UserId.eq(self.user.0));
        let sources = sources.all(db).await.unwrap();
        let used: BTreeSet<_> = tasks.iter().map(|task| task.source_id).collect();
        assert_eq!(
            sources.iter().map(|source| source.id).collect::<BTreeSet<_>>(),
            used,
            "{case}"
        );
        let images = image::list(db, self.user).await.unwrap();
        let mut named: BTreeSet<_> = sources.into_iter().map(|source| source.key).collect();
        named.extend(images.into_iter().map(|image| image.key));
        for task in &tasks {
            let outputs = output::of_task(db, task.id).await.unwrap();
            assert_eq!(!outputs.is_empty(), task.status == TaskStatus::Processed, "{case}");
            named.extend(outputs.into_iter().map(|output| output.key));
            self.check_events(db, task, case).await;
        }
        let listed = trash::Entity::find().all(db).await.unwrap();
        let listed: BTreeSet<_> = listed.into_iter().map(|row| row.key).collect();
        for file in &self.files {
            let (named, listed) = (named.contains(file), listed.contains(file));
            assert!(named != listed, "{file}: named {named}, trash {listed}; {case}");
        }
        let open = tasks.iter().filter(|task| task.finished_at.is_none());
        let wanted: BTreeSet<_> = open.map(|task| (task.id, image_of(&task.recipe))).collect();
        let uses = entity::image_use::Entity::find().all(db).await.unwrap();
        let uses = uses.into_iter().filter(|uses| uses.user_id == self.user.0);
        assert_eq!(
            uses.map(|uses| (uses.task_id, uses.name)).collect::<BTreeSet<_>>(),
            wanted,
            "{case}"
        );
    }

    async fn check_events(&self, db: &DatabaseConnection, task: &Model, case: &str) {
        let types = event_types(db, task.id).await;
        let ends = types.iter().filter(|kind| *kind != "task.created").count();
        assert_eq!(ends, usize::from(task.finished_at.is_some()), "{case}");
    }

    /// Returns `true` if the outputs of `processing` are on the trash list and no row refers to them.
    pub(super) async fn outputs_are_trash(&self, db: &DatabaseConnection) -> bool {
        let keys = || self.outputs.iter().map(|output| output.key.clone());
        let listed = trash::Entity::find()
            .filter(trash::Column::Key.is_in(keys()))
            .all(db)
            .await;
        let named = output::Entity::find()
            .filter(output::Column::Key.is_in(keys()))
            .all(db)
            .await;
        listed.unwrap().len() == self.outputs.len() && named.unwrap().is_empty()
    }
}

fn image_of(recipe: &Value) -> String {
    recipe["watermark"]["image"].as_str().unwrap().to_owned()
}
