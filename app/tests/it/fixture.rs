//! Use cases with one account, on a database and files of their own.

use app::idempotency::KeyGuard;
use app::library::{Bounds, CursorKeys, Library};
use app::uploads::{self, Upload};
use app::{App, Error, Settings};
use bytes::Bytes;
use domain::account::{Email, Username};
use domain::{TaskId, UserId};
use futures::Stream;
use queue::Queue;
use storage::Storage;
use tempfile::TempDir;

/// The first box of an MP4 file.
pub(crate) const MP4: &str = "\0\0\0\x10ftypisom\0\0\0\0";

/// A stream of these chunks.
pub(crate) fn stream(chunks: &[&'static str]) -> impl Stream<Item = Result<Bytes, Error>> + use<> {
    futures::stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect::<Vec<_>>())
}

pub(crate) struct Fixture {
    pub(crate) app: App,
    pub(crate) user: UserId,
    directory: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
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
        let root = directory.path().join("catalog");
        let library = Library::new(root, Bounds::default(), CursorKeys::derive([]));
        Self {
            user: created.await.unwrap().user_id(),
            app: App::new(db, storage, Queue::in_memory(), library, settings),
            directory,
        }
    }

    /// The number of stored sources.
    pub(crate) fn stored_sources(&self) -> usize {
        let sources = self.directory.path().join("objects/sources");
        std::fs::read_dir(sources).map_or(0, Iterator::count)
    }

    /// A stored file that is to become a task.
    pub(crate) async fn upload(&self) -> Upload {
        let source = uploads::store(&self.app, stream(&[MP4]), None).await.unwrap();
        Upload::new("mi clip.mp4", source)
    }

    /// Creates a task.
    pub(crate) async fn task(&self) -> TaskId {
        let upload = self.upload().await;
        let created = uploads::finish(&self.app, self.user, upload, KeyGuard::default(), |task, _| task.id).await;
        TaskId(created.unwrap())
    }
}
