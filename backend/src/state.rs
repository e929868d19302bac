//! The shared state of all handlers: the use cases, and keys and limits made from the settings.

use crate::coalesce::Coalesced;
use crate::config::{Config, Secret};
use crate::links::Links;
use crate::serve::ServerConfig;
use crate::token::Tokens;
use crate::wait_slots::WaitSlots;
use app::App;
use app::library::{CursorKeys, Library};
use background::Background;
use domain::protocol::{SandboxMode, SandboxStatus};
use domain::{TaskId, UserId};
use entity::DatabaseConnection;
use entity::task::{self, TaskDetails};
use metrics_exporter_prometheus::PrometheusHandle;
use queue::Queue;
use std::ops::Deref;
use std::sync::Arc;
use storage::{PinnedPaths, Storage};
use tokio_util::sync::CancellationToken;

/// Connections of the server per stream of events.
const CONNECTIONS_PER_STREAM: usize = 2;

/// The state that axum gives to every handler and extractor. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<StateParts>);

/// The parts of [`AppState`].
pub struct StateParts {
    /// The use cases, with the database, the storage and the queue.
    pub(crate) app: App,
    /// Reads tasks with their sources and outputs, for the account that owns them.
    pub(crate) task_reads: Coalesced<(UserId, TaskId), TaskDetails>,
    /// Requests that may wait for a change at the same time.
    pub(crate) wait_slots: WaitSlots,
    pub(crate) config: Config,
    pub(crate) tokens: Tokens,
    pub(crate) links: Links,
    pub(crate) process: ProcessInfo,
    pub(crate) alive: ProcessHealth,
}

/// The health of this process: its background tasks, a shutdown in progress, and its data files. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct ProcessHealth {
    /// The background tasks of the process.
    pub background: Background,
    /// Canceled when the shutdown begins. The process still serves for a moment, but `/readyz` answers 503.
    pub shutdown: CancellationToken,
    /// Data files that must stay in place; requests are refused when one of them was moved.
    pub files: PinnedPaths,
}

/// Optional facts about the process, set while the state is built.
#[derive(Clone, Default)]
pub(crate) struct ProcessInfo {
    /// The registry that `/metrics` prints.
    pub(crate) metrics: Option<PrometheusHandle>,
    /// The sandbox of media children; `None` when the workers run in other processes.
    pub(crate) sandbox: Option<(SandboxMode, SandboxStatus)>,
}

impl AppState {
    /// Creates the state of a process, and starts to receive the updates of tasks.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn new(db: DatabaseConnection, storage: Storage, queue: Queue, config: Config, alive: ProcessHealth) -> Self {
        queue.receive_updates(alive.shutdown.clone(), alive.background.clone());
        let library = library(&config);
        let task_db = db.clone();
        Self(Arc::new(StateParts {
            tokens: Tokens::new(&config.secrets, config.token_ttl),
            links: Links::new(&config.secrets, config.link_ttl),
            process: ProcessInfo::default(),
            task_reads: Coalesced::new(move |wanted: Vec<_>| {
                let db = task_db.clone();
                async move { task::details(&db, &wanted).await }
            }),
            wait_slots: WaitSlots::of_connections(ServerConfig::default().max_connections),
            app: App::new(db, storage, queue, library, config.app.clone()),
            config,
            alive,
        }))
    }

    /// Sets the maximum number of connections of the server, when it is not the default. It limits how many requests
    /// may wait and how many streams of events may be open. Call it before the state is cloned.
    #[must_use]
    pub fn with_connections(mut self, max_connections: usize) -> Self {
        if let Some(parts) = Arc::get_mut(&mut self.0) {
            parts.wait_slots = WaitSlots::of_connections(max_connections);
            parts.app.events = parts
                .app
                .events
                .limited_to((max_connections / CONNECTIONS_PER_STREAM).max(1));
        }
        self
    }

    /// Sets the registry that `/metrics` prints. Call it before the state is cloned.
    #[must_use]
    pub fn with_metrics(mut self, handle: PrometheusHandle) -> Self {
        if let Some(parts) = Arc::get_mut(&mut self.0) {
            parts.process.metrics = Some(handle);
        }
        self
    }

    /// Sets the sandbox of media children on this machine, which `/api/health` shows; for a process that also runs the
    /// worker. Call it before the state is cloned.
    #[must_use]
    pub fn with_sandbox(mut self, mode: SandboxMode, status: SandboxStatus) -> Self {
        if let Some(parts) = Arc::get_mut(&mut self.0) {
            parts.process.sandbox = Some((mode, status));
        }
        self
    }
}

/// The library with the settings of this process.
fn library(config: &Config) -> Library {
    let keys = CursorKeys::derive(config.secrets.iter().map(Secret::bytes));
    Library::new(config.catalog_dir.clone(), config.degraded, keys)
}

impl AppState {
    /// The use cases.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }
}

impl AppState {
    /// Starts the background tasks that follow the logs of the database: `library`, which keeps the catalog current,
    /// and `events`, which feeds the streams of events. `db` serves the first one alone.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn follow_logs(&self, db: DatabaseConnection) {
        let (app, alive) = (self.app.clone(), self.alive.clone());
        tokio::spawn(async move {
            let (events, db, queue) = (&app.events, &app.db, &app.queue);
            let work = || {
                events
                    .clone()
                    .follow(db.clone(), queue.subscribe_all(), alive.shutdown.clone())
            };
            alive.background.supervise("events", work).await;
        });
        let (library, alive) = (self.app.library.clone(), self.alive.clone());
        tokio::spawn(async move {
            let work = || library.clone().follow(db.clone(), alive.shutdown.clone());
            alive.background.supervise("library", work).await;
        });
    }
}

impl Deref for AppState {
    type Target = StateParts;

    fn deref(&self) -> &StateParts {
        &self.0
    }
}
