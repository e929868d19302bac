//! An account with a task in each state, an image in use and one that is not, and everything that is done to them.

use crate::seed::{an_output, claimed, made, new_user};
use domain::recipe::Name;
use domain::{Code, Failure, TaskId, UserId};
use entity::task::{self, Claim, Model, TaskStatus};
use entity::trace::Findings;
use entity::{DatabaseConnection, DatabaseTransaction, DbErr, image, output, preset, source, trash, user};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What requests and workers do in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Retry,
    Cancel,
    RemoveDone,
    RemoveEnded,
    RemoveWorking,
    Succeed,
    Reuse,
    Fail,
    Sweep,
    CreateImage,
    RemoveFreeImage,
    RemoveUsedImage,
    CreatePreset,
}

impl Verb {
    pub(super) const ALL: [Self; 14] = [
        Self::Create,
        Self::Retry,
        Self::Cancel,
        Self::RemoveDone,
        Self::RemoveEnded,
        Self::RemoveWorking,
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
pub(super) struct Stage {
    user: UserId,
    /// Processed, with an output and a fingerprint.
    done: Model,
    /// Canceled; the only task of its source.
    ended: Model,
    /// With a worker whose lease is over, and outputs that are announced and stored.
    working: Model,
    free: image::Model,
    used: image::Model,
    made: Vec<output::New>,
    /// Every file that was ever stored.
    files: BTreeSet<String>,
}

fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn new_source(db: &DatabaseTransaction, user: UserId) -> Result<source::Model, DbErr> {
    let key = format!("sources/race-{}", number());
    trash::put(db, std::slice::from_ref(&key), Duration::from_secs(60)).await?;
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
    };
    task::create(db, user, new).await
}

async fn new_image(db: &DatabaseTransaction, user: UserId, name: &str) -> Result<image::Model, DbErr> {
    let key = format!("images/{user}/{}", number());
    trash::put(db, std::slice::from_ref(&key), Duration::from_secs(60)).await?;
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

fn outputs(task: &Model, attempt: i32) -> Vec<output::New> {
    let named = |name: &str| output::New {
        name: name.to_owned(),
        ..an_output(&format!("outputs/{}/{attempt}/{name}", task.id))
    };
    vec![named("video.mp4"), named("poster.jpg")]
}

impl Stage {
    pub(super) async fn set(db: &DatabaseConnection) -> Self {
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
        let ((free, used), [done, ended, working]) = rows.await.unwrap();
        let at_work = claimed(db, done.task_id()).await;
        let working = claimed(db, working.task_id()).await;
        let set = entity::user::write(db, user, async |db| {
            let first = outputs(&done, at_work.attempt);
            assert!(Claim::of(&at_work).succeed(db, made(first.clone())).await?);
            let late = format!("UPDATE tasks SET lease_until_ms = 1 WHERE id = {}", working.id);
            db.execute_unprepared(&late).await?;
            let made = outputs(&working, working.attempt);
            let announced: Vec<_> = made.iter().map(|output| output.key.clone()).collect();
            trash::put(db, &announced, Duration::from_secs(60)).await?;
            let mut files: BTreeSet<_> = [&free.key, &used.key].into_iter().cloned().collect();
            files.extend(first.into_iter().map(|output| output.key).chain(announced));
            for task in [&done, &ended, &working] {
                files.insert(source::of_task(db, task).await?.key);
            }
            Ok::<_, DbErr>(Self {
                user,
                done,
                ended,
                working,
                free,
                used,
                made,
                files,
            })
        });
        set.await.unwrap()
    }

    /// Does one thing as the API or a worker does it. That it found nothing to do is no error.
    pub(super) async fn run(&self, verb: Verb, db: &DatabaseTransaction) -> Result<(), DbErr> {
        let claim = Claim::of(&self.working);
        match verb {
            Verb::Create => {
                user::lock(db, self.user).await?;
                let free: Name = "free".parse().unwrap();
                if image::of_user(db, self.user, &free).await?.is_some() {
                    new_task(db, self.user, "free").await?;
                }
            }
            Verb::Retry => {
                user::lock(db, self.user).await?;
                if let Some((ended, _)) = task::with_source(db, self.user, self.ended.task_id()).await? {
                    task::again(db, &ended).await?;
                }
            }
            Verb::Cancel => {
                if let Some(task) = task::cancel(db, self.user, self.working.task_id()).await? {
                    source::of_task(db, &task).await?;
                }
            }
            Verb::RemoveDone => drop(task::remove(db, &self.done).await?),
            Verb::RemoveEnded => drop(task::remove(db, &self.ended).await?),
            Verb::RemoveWorking => drop(task::remove(db, &self.working).await?),
            Verb::Succeed => drop(claim.succeed(db, made(self.made.clone())).await?),
            Verb::Reuse => drop(claim.reuse(db, "f").await?),
            Verb::Fail => {
                let failure = Failure::input(Code::NotMedia, "x");
                claim.fail(db, &failure, None, &Findings::default()).await?;
            }
            Verb::Sweep => drop(task::sweep(db).await?),
            Verb::CreateImage => {
                user::lock(db, self.user).await?;
                new_image(db, self.user, "new").await?;
            }
            Verb::RemoveFreeImage => drop(image::remove(db, &self.free).await?),
            Verb::RemoveUsedImage => drop(image::remove(db, &self.used).await?),
            Verb::CreatePreset => {
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

    /// Checks that every file is named by rows or is on the trash list, and not both, and that no row is left alone.
    pub(super) async fn check(&self, db: &DatabaseConnection, story: &str) {
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
            "{story}"
        );
        let images = image::list(db, self.user).await.unwrap();
        let mut named: BTreeSet<_> = sources.into_iter().map(|source| source.key).collect();
        named.extend(images.into_iter().map(|image| image.key));
        for task in &tasks {
            let outputs = output::of_task(db, task.id).await.unwrap();
            assert_eq!(!outputs.is_empty(), task.status == TaskStatus::Processed, "{story}");
            named.extend(outputs.into_iter().map(|output| output.key));
            self.check_events(db, task, story).await;
        }
        let listed = trash::Entity::find().all(db).await.unwrap();
        let listed: BTreeSet<_> = listed.into_iter().map(|row| row.key).collect();
        for file in &self.files {
            let (named, listed) = (named.contains(file), listed.contains(file));
            assert!(named != listed, "{file}: named {named}, trash {listed}; {story}");
        }
        let open = tasks.iter().filter(|task| task.finished_at.is_none());
        let wanted: BTreeSet<_> = open.map(|task| (task.id, image_of(&task.recipe))).collect();
        let uses = entity::image_use::Entity::find().all(db).await.unwrap();
        let uses = uses.into_iter().filter(|uses| uses.user_id == self.user.0);
        assert_eq!(
            uses.map(|uses| (uses.task_id, uses.name)).collect::<BTreeSet<_>>(),
            wanted,
            "{story}"
        );
    }

    async fn check_events(&self, db: &DatabaseConnection, task: &Model, story: &str) {
        let events = entity::event::of_task(db, TaskId(task.id)).await.unwrap();
        let ends = events.iter().filter(|event| event.kind != "uploaded").count();
        assert_eq!(ends, usize::from(task.finished_at.is_some()), "{story}");
    }

    /// Whether no row names the outputs of the task that was worked on, and the trash list does.
    pub(super) async fn outputs_are_trash(&self, db: &DatabaseConnection) -> bool {
        let keys = || self.made.iter().map(|output| output.key.clone());
        let listed = trash::Entity::find()
            .filter(trash::Column::Key.is_in(keys()))
            .all(db)
            .await;
        let named = output::Entity::find()
            .filter(output::Column::Key.is_in(keys()))
            .all(db)
            .await;
        listed.unwrap().len() == self.made.len() && named.unwrap().is_empty()
    }
}

fn image_of(recipe: &Value) -> String {
    recipe["watermark"]["image"].as_str().unwrap().to_owned()
}
