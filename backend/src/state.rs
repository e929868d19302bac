//! What every handler may use: the parts of the service and what is set up once from its settings.

use crate::auth::{Gate, Hasher, Tokens};
use crate::config::Config;
use crate::links::Links;
use background::Background;
use domain::protocol::{SandboxMode, SandboxStatus};
use entity::task::Desk;
use entity::{DatabaseConnection, DbErr};
use metrics_exporter_prometheus::PrometheusHandle;
use queue::Queue;
use std::ops::Deref;
use std::sync::Arc;
use storage::{Pinned, Storage};
use tokio_util::sync::CancellationToken;

/// The parts of the service as handlers see them. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// See [`AppState`].
pub struct Parts {
    pub(crate) db: DatabaseConnection,
    pub(crate) desk: Desk,
    pub(crate) storage: Storage,
    pub(crate) queue: Queue,
    pub(crate) config: Config,
    pub(crate) tokens: Tokens,
    pub(crate) links: Links,
    pub(crate) hasher: Hasher,
    pub(crate) gate: Gate,
    pub(crate) facts: Facts,
    pub(crate) alive: Alive,
}

/// Whether this process can work: its background tasks, and whether it is being stopped. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Alive {
    /// The background tasks.
    pub background: Background,
    /// Canceled when the process begins to stop: it serves on for a moment, but is not ready for more.
    pub shutdown: CancellationToken,
    /// Files without which requests are refused.
    pub files: Pinned,
}

/// What is known about the process around the edge.
#[derive(Clone, Default)]
pub(crate) struct Facts {
    pub(crate) metrics: Option<PrometheusHandle>,
    pub(crate) sandbox: Option<(SandboxMode, SandboxStatus)>,
}

impl AppState {
    /// Puts the parts together.
    #[must_use]
    pub fn new(db: DatabaseConnection, storage: Storage, queue: Queue, config: Config, alive: Alive) -> Self {
        Self(Arc::new(Parts {
            tokens: Tokens::new(&config.secrets, config.token_ttl),
            links: Links::new(&config.secrets, config.link_ttl),
            hasher: Hasher::for_this_machine(),
            gate: Gate::new(config.throttle),
            facts: Facts::default(),
            desk: Desk::open(db.clone(), alive.background.clone()),
            db,
            storage,
            queue,
            config,
            alive,
        }))
    }

    /// A query of an upload: the request as a whole has no limit of time, so each of its queries has the one that other
    /// requests have.
    ///
    /// # Errors
    /// Those of the query; `unavailable` when the time is over.
    pub(crate) fn in_time<T, E: From<DbErr>>(
        &self,
        query: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        // Boxed, as its size would add to that of every caller.
        entity::in_time(self.config.request_timeout, Box::pin(query))
    }

    /// With the registry that `/metrics` prints. Call it before the state is shared.
    #[must_use]
    pub fn with_metrics(mut self, handle: PrometheusHandle) -> Self {
        if let Some(parts) = Arc::get_mut(&mut self.0) {
            parts.facts.metrics = Some(handle);
        }
        self
    }

    /// With what this machine's kernel grants to media children, for `/api/health`; for a process that runs the worker
    /// too. Call it before the state is shared.
    #[must_use]
    pub fn with_sandbox(mut self, mode: SandboxMode, status: SandboxStatus) -> Self {
        if let Some(parts) = Arc::get_mut(&mut self.0) {
            parts.facts.sandbox = Some((mode, status));
        }
        self
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
