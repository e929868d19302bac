//! Health checks: `/api/health` for people, `/readyz` for load balancers, `/livez` for supervisors.

use crate::reply::Message;
use crate::{AppState, ProcessHealth};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::protocol::SandboxMode;
use entity::DatabaseConnection;
use queue::Queue;
use serde::Serialize;
use std::time::Duration;
use storage::Storage;
use utoipa::ToSchema;

/// Time after which a database without an answer counts as unavailable.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(3);

/// The health of the service.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `healthy`, or `unhealthy` when the database or the storage is unavailable or a background task is failing.
    status: &'static str,
    /// `connected` or `disconnected`.
    database: &'static str,
    /// `ready` or `unavailable`.
    storage: &'static str,
    /// `ready`, or `unavailable`: workers then find new tasks by polling, a little later.
    queue: &'static str,
    /// The sandbox of media children on this machine: `full`, `partial`, `none`, or `elsewhere` when the workers run in
    /// other processes.
    sandbox: &'static str,
    /// True when workers refuse tasks without a full sandbox; null when they run in other processes.
    sandbox_required: Option<bool>,
    /// The background tasks of this process.
    background: Vec<BackgroundTask>,
    /// The version of the API.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// A loop that runs as long as the process.
#[derive(Serialize, ToSchema)]
pub(crate) struct BackgroundTask {
    /// The name of the task.
    #[schema(example = "sweeper")]
    name: &'static str,
    /// `running`; `restarting` after a panic; `failing` after repeated panics.
    state: &'static str,
    /// Number of panics since the process started.
    panics: u64,
}

/// The readiness of the process and of each part.
#[derive(Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// True when all parts are ready and the process is not stopping.
    ready: bool,
    /// True when the database answers.
    database: bool,
    /// True when the storage answers.
    storage: bool,
    /// True when the queue answers.
    queue: bool,
    /// True when no background task is failing.
    background: bool,
    /// True when the process is shutting down.
    stopping: bool,
}

impl Readiness {
    /// Asks all parts.
    pub(crate) async fn check(
        db: &DatabaseConnection,
        storage: &Storage,
        queue: &Queue,
        alive: &ProcessHealth,
    ) -> Self {
        let database = tokio::time::timeout(DATABASE_TIMEOUT, entity::ready(db));
        let (database, storage, queue) = tokio::join!(database, storage.ready(), queue.ready());
        for error in [
            database.as_ref().err().map(ToString::to_string),
            storage.as_ref().err().map(ToString::to_string),
        ] {
            error.inspect(|error| tracing::warn!(error, "the database or the storage does not answer"));
        }
        let (database, storage, queue) = (matches!(database, Ok(Ok(()))), storage.is_ok(), queue.is_ok());
        let storage = storage && !alive.files.is_changed();
        let (background, stopping) = (alive.background.is_healthy(), alive.shutdown.is_cancelled());
        Self {
            ready: database && storage && queue && background && !stopping,
            database,
            storage,
            queue,
            background,
            stopping,
        }
    }

    /// The reply: 200 when ready, else 503.
    pub(crate) fn into_reply(self) -> (StatusCode, Json<Self>) {
        let status = if self.ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, Json(self))
    }
}

/// Shows the health of the service.
///
/// The state of each part, for people and monitoring.
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, description = "The service is healthy", body = Health),
    (status = 503, description = "The database or the storage is unavailable, or a background task is failing", body = Health)))]
pub(crate) async fn health(State(state): State<AppState>) -> (StatusCode, Json<Health>) {
    let parts = Readiness::check(&state.app.db, &state.app.storage, &state.app.queue, &state.alive).await;
    let is_healthy = parts.database && parts.storage && parts.background;
    let background = state.alive.background.tasks();
    let background = background.iter().map(|task| BackgroundTask {
        name: task.name,
        state: task.state.as_str(),
        panics: task.panics,
    });
    let word = |ready| if ready { "ready" } else { "unavailable" };
    let sandbox = state.process.sandbox.as_ref();
    let health = Health {
        status: if is_healthy { "healthy" } else { "unhealthy" },
        database: if parts.database { "connected" } else { "disconnected" },
        storage: word(parts.storage),
        queue: word(parts.queue),
        sandbox: sandbox.map_or("elsewhere", |(_, status)| match (status.landlock, status.seccomp) {
            (true, true) => "full",
            (false, false) => "none",
            _ => "partial",
        }),
        sandbox_required: sandbox.map(|(mode, _)| *mode == SandboxMode::Require),
        background: background.collect(),
        version: env!("CARGO_PKG_VERSION"),
    };
    (
        if is_healthy {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        Json(health),
    )
}

/// Checks that the process answers.
///
/// Does not check other parts.
#[utoipa::path(get, path = "/ping", tag = "health", responses((status = 200, description = "The process answers", body = Message)))]
pub(crate) async fn ping() -> Json<Message> {
    Json(Message { message: "Ok" })
}

/// Checks that the process is alive.
///
/// Does not check other parts. For supervisors, which restart a process that does not answer.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "The process answers", body = Message)))]
pub(crate) async fn livez() -> Json<Message> {
    Json(Message { message: "Ok" })
}

/// Checks that the process can serve requests.
///
/// Database, storage and queue answer, no background task is failing, and the process is not shutting down. For load
/// balancers.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "Ready", body = Readiness), (status = 503, description = "Not ready", body = Readiness)))]
pub(crate) async fn readyz(State(state): State<AppState>) -> (StatusCode, Json<Readiness>) {
    Readiness::check(&state.app.db, &state.app.storage, &state.app.queue, &state.alive)
        .await
        .into_reply()
}
