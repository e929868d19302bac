//! The shared state of all handlers: the use cases, and keys and limits made from the settings.

use crate::config::Config;
use crate::links::Links;
use crate::serve::ServerConfig;
use crate::token::Tokens;
use crate::wait_slots::WaitSlots;
use app::App;
use background::Background;
use domain::protocol::{SandboxMode, SandboxStatus};
use entity::DatabaseConnection;
use entity::task::TaskLoader;
use metrics_exporter_prometheus::PrometheusHandle;
use queue::Queue;
use std::ops::Deref;
use std::sync::Arc;
use storage::{PinnedPaths, Storage};
use tokio_util::sync::CancellationToken;

/// The state that axum gives to every handler and extractor. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Inner>);

/// The fields of [`AppState`].
pub struct Inner {
    /// The use cases. Their database, storage and queue are reached through `Deref`.
    pub(crate) app: App,
    /// Loads tasks with their source and outputs; batches concurrent reads into one query.
    pub(crate) task_loader: TaskLoader,
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
    #[must_use]
    pub fn new(db: DatabaseConnection, storage: Storage, queue: Queue, config: Config, alive: ProcessHealth) -> Self {
        queue.receive_updates(alive.shutdown.clone(), alive.background.clone());
        Self(Arc::new(Inner {
            tokens: Tokens::new(&config.secrets, config.token_ttl),
            links: Links::new(&config.secrets, config.link_ttl),
            process: ProcessInfo::default(),
            task_loader: TaskLoader::start(db.clone(), alive.background.clone()),
            wait_slots: WaitSlots::of_connections(ServerConfig::default().max_connections),
            app: App::new(db, storage, queue, use_case_settings(&config)),
            config,
            alive,
        }))
    }

    /// Sets the maximum number of connections of the server, when it is not the default. It limits how many requests
    /// may wait. Call it before the state is cloned.
    #[must_use]
    pub fn with_connections(mut self, max_connections: usize) -> Self {
        if let Some(parts) = Arc::get_mut(&mut self.0) {
            parts.wait_slots = WaitSlots::of_connections(max_connections);
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

impl Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Deref for Inner {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

/// The settings of the use cases, which are a part of those of the API.
fn use_case_settings(config: &Config) -> app::Settings {
    app::Settings {
        default_preset: config.default_preset.clone(),
        limits: config.limits,
        threads: config.threads,
        password_policy: config.password_policy,
        throttle: config.throttle,
        query_timeout: config.request_timeout,
    }
}
