//! Use cases with one account, on a database and files of their own.

use app::idempotency::{Fingerprint, KeyGuard};
use app::recipe_choice::RecipeChoice;
use app::uploads::{self, Upload};
use app::{App, NewFile, Settings};
use domain::account::{Email, Username};
use domain::{TaskId, UserId};
use queue::Queue;
use storage::{Key, Storage};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) struct Fixture {
    pub(crate) app: App,
    pub(crate) user: UserId,
    _directory: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("rushes.db").display());
        let db = entity::connect(&url, 4).await.unwrap();
        migration::run(&db).await.unwrap();
        let files = format!("file://{}", directory.path().join("objects").display());
        let storage = Storage::open(&files, None).await.unwrap();
        let (name, email) = (
            Username::parse("ana").unwrap(),
            Email::parse("ana@example.com").unwrap(),
        );
        let created = entity::write(&db, async |db| {
            entity::user::create(db, &name, &email, "hash".to_owned()).await
        });
        Self {
            user: created.await.unwrap().user_id(),
            app: App::new(db, storage, Queue::in_memory(), Settings::default()),
            _directory: directory,
        }
    }

    /// A stored file that is to become a task.
    pub(crate) async fn upload(&self) -> Upload {
        let bytes = futures::stream::iter([Ok("a video".into())]);
        let key = Key::source(Uuid::new_v4());
        Upload {
            given_name: "mi clip.mp4".to_owned(),
            source: NewFile::put(&self.app, key, bytes, None, 1_000).await.unwrap(),
            choice: RecipeChoice::Default,
            fingerprint: Fingerprint::default(),
        }
    }

    /// Creates a task.
    pub(crate) async fn task(&self) -> TaskId {
        let upload = self.upload().await;
        let created = uploads::finish(&self.app, self.user, upload, KeyGuard::default(), |task| task.id).await;
        TaskId(created.unwrap())
    }
}
