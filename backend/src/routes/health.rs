//! Whether the service is well: for people, for load balancers, for supervisors.

use crate::reply::Message;
use crate::{Alive, AppState};
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

/// A database that takes longer is as good as away.
const WITHIN: Duration = Duration::from_secs(3);

/// How the service is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `healthy`, or `unhealthy` when the database or the storage is away or a background task is failing.
    status: &'static str,
    /// `connected` or `disconnected`.
    database: &'static str,
    /// `ready` or `unavailable`.
    storage: &'static str,
    /// `ready`, or `unavailable`: work is then found a little later.
    queue: &'static str,
    /// What media children of this machine are locked in by: `full`, `partial`, `none`, or `elsewhere` when the workers
    /// run in other processes.
    sandbox: &'static str,
    /// Whether work is refused when the kernel cannot lock it in completely; null when the workers run elsewhere.
    sandbox_required: Option<bool>,
    /// The loops of this process, by name.
    background: Vec<BackgroundTask>,
    /// The version of the API.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

/// A loop that a process needs for as long as it lives.
#[derive(Serialize, ToSchema)]
pub(crate) struct BackgroundTask {
    /// Its name.
    #[schema(example = "sweeper")]
    name: &'static str,
    /// `running`; `restarting` after a panic; `failing` when it panics again and again.
    state: &'static str,
    /// How often it panicked since the process started.
    panics: u64,
}

/// Whether each part answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether all of them answer.
    ready: bool,
    /// Whether the database answers.
    database: bool,
    /// Whether the storage answers.
    storage: bool,
    /// Whether the queue answers.
    queue: bool,
    /// Whether no background task is failing.
    background: bool,
    /// Whether the process is being stopped.
    stopping: bool,
}

impl Readiness {
    pub(crate) async fn of(db: &DatabaseConnection, storage: &Storage, queue: &Queue, alive: &Alive) -> Self {
        let database = tokio::time::timeout(WITHIN, entity::ready(db));
        let (database, storage, queue) = tokio::join!(database, storage.ready(), queue.ready());
        for error in [
            database.as_ref().err().map(ToString::to_string),
            storage.as_ref().err().map(ToString::to_string),
        ] {
            error.inspect(|error| tracing::warn!(error, "a part does not answer"));
        }
        let (database, storage, queue) = (matches!(database, Ok(Ok(()))), storage.is_ok(), queue.is_ok());
        let storage = storage && !alive.files.is_moved();
        let (background, stopping) = (alive.background.is_well(), alive.shutdown.is_cancelled());
        Self {
            ready: database && storage && queue && background && !stopping,
            database,
            storage,
            queue,
            background,
            stopping,
        }
    }

    pub(crate) fn answer(self) -> (StatusCode, Json<Self>) {
        let status = if self.ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (status, Json(self))
    }
}

/// How the service is, for people.
///
/// Each part with a word.
#[utoipa::path(get, path = "/api/health", tag = "health", responses(
    (status = 200, description = "All is well", body = Health),
    (status = 503, description = "The database or the storage is away, or a background task is failing", body = Health)))]
pub(crate) async fn health(State(state): State<AppState>) -> (StatusCode, Json<Health>) {
    let found = Readiness::of(&state.db, &state.storage, &state.queue, &state.alive).await;
    let well = found.database && found.storage && found.background;
    let background = state.alive.background.tasks();
    let background = background.iter().map(|task| BackgroundTask {
        name: task.name,
        state: task.state.as_str(),
        panics: task.panics,
    });
    let part = |ready| if ready { "ready" } else { "unavailable" };
    let sandbox = state.facts.sandbox.as_ref();
    let health = Health {
        status: if well { "healthy" } else { "unhealthy" },
        database: if found.database { "connected" } else { "disconnected" },
        storage: part(found.storage),
        queue: part(found.queue),
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
        if well {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        Json(health),
    )
}

/// Whether the process answers.
///
/// Asks no other part.
#[utoipa::path(get, path = "/ping", tag = "health", responses((status = 200, description = "It answers", body = Message)))]
pub(crate) async fn ping() -> Json<Message> {
    Json(Message { message: "Ok" })
}

/// Whether the process lives.
///
/// Asks no other part; for supervisors that restart what does not answer.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "It answers", body = Message)))]
pub(crate) async fn livez() -> Json<Message> {
    Json(Message { message: "Ok" })
}

/// Whether the process can do its work.
///
/// Database, storage and queue answer, no background task is failing, and the process is not being stopped; for load balancers.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "Ready", body = Readiness), (status = 503, description = "Not ready", body = Readiness)))]
pub(crate) async fn readyz(State(state): State<AppState>) -> (StatusCode, Json<Readiness>) {
    Readiness::of(&state.db, &state.storage, &state.queue, &state.alive)
        .await
        .answer()
}
