//! A process that watches a folder and processes no tasks.

use app::Core;
use app::watch::{self, Watch};
use background::Background;
use domain::Limits;
use entity::DatabaseConnection;
use queue::Queue;
use storage::Storage;
use tokio_util::sync::CancellationToken;

/// Name in `/api/health` and in metrics.
pub(crate) const NAME: &str = "watch";

/// Watches a folder in a process of its own.
pub struct FolderWatcher {
    app: Core,
    watch: Watch,
}

impl FolderWatcher {
    /// Creates the watcher.
    #[must_use]
    pub fn new(db: DatabaseConnection, storage: Storage, queue: Queue, limits: Limits, watch: Watch) -> Self {
        let settings = app::Settings {
            limits,
            ..app::Settings::default()
        };
        Self {
            app: Core::new(db, storage, queue, settings),
            watch,
        }
    }

    /// Checks that there are the account and the recipe for new tasks.
    ///
    /// # Errors
    /// The reason, in one line.
    pub async fn check(&self) -> Result<(), String> {
        let checked = self.watch.check(&self.app).await;
        checked.map_err(|error| watch::describe(&error))
    }

    /// Watches the folder until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken, background: Background) {
        run(&self.app, &self.watch, &shutdown, &background).await;
    }
}

/// Watches a folder until `shutdown`, as a background task.
pub(crate) async fn run(app: &Core, watch: &Watch, shutdown: &CancellationToken, background: &Background) {
    let work = || watch::run(app.clone(), watch.clone(), shutdown.clone());
    background.supervise(NAME, work).await;
}
